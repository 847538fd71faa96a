"""What a rank holds: bytes by kind, counted while the arrays are alive."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course.arrays import is_array

__all__ = ["Memory", "MemoryReport", "owner_of"]


@dataclass(frozen=True)
class MemoryReport:
    """What a rank held.

    Attributes:
        live: bytes by kind when the program returned (its results included).
        peak: the largest sum of all kinds at one time. peaks: the largest of each kind.
        marks: bytes by kind at the moments that the program marked, by name.
    """

    live: dict[str, int] = field(default_factory=dict)
    peak: int = 0
    peaks: dict[str, int] = field(default_factory=dict)
    marks: dict[str, dict[str, int]] = field(default_factory=dict)


class Memory:
    """Counts the arrays that a rank gives it, from then until each is freed.

    An array is freed when nothing refers to it any more: so a buffer that was meant to be short-lived,
    but is still referred to somewhere, stays in the books.

    >>> import numpy as np
    >>> memory = Memory()
    >>> weights = memory.hold("parameters", np.zeros(10))
    >>> memory.live
    {'parameters': 80}
    >>> del weights
    >>> memory.live, memory.peak
    ({}, 80)
    """

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}
        self._held: dict[int, tuple[weakref.ref, str, int]] = {}
        self.peak = 0
        self.peaks: dict[str, int] = {}
        self.marks: dict[str, dict[str, int]] = {}

    @property
    def live(self) -> dict[str, int]:
        """The bytes that are held now, by kind."""
        return {kind: size for kind, size in self._bytes.items() if size}

    def hold(self, kind: str, tree: Any) -> Any:
        """Count the arrays in ``tree`` (an array, or mappings and lists of them) as ``kind``; return it.

        An array that is held already is counted once, under the kind that came last. A NumPy view counts as
        the array that it keeps alive.
        """
        if isinstance(tree, Mapping):
            for branch in tree.values():
                self.hold(kind, branch)
        elif isinstance(tree, list | tuple):
            for branch in tree:
                self.hold(kind, branch)
        elif is_array(tree) and tree.ndim:
            owner = owner_of(tree)
            size, key = int(owner.nbytes), id(owner)
            self._forget(key)
            self._held[key] = (weakref.ref(owner, lambda _: self._forget(key)), kind, size)
            self._bytes[kind] = self._bytes.get(kind, 0) + size
            self.peaks[kind] = max(self.peaks.get(kind, 0), self._bytes[kind])
            self.peak = max(self.peak, sum(self._bytes.values()))
        return tree

    def mark(self, name: str) -> None:
        """Write down what is held now, under a name."""
        self.marks[name] = self.live

    def report(self) -> MemoryReport:
        """Return the books as they stand."""
        return MemoryReport(self.live, self.peak, dict(self.peaks), dict(self.marks))

    def _forget(self, key: int) -> None:
        if key in self._held:
            _, kind, size = self._held.pop(key)
            self._bytes[kind] -= size


def owner_of(array: Any) -> Any:
    """Return the array that owns the memory which ``array`` looks at."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    return array
