"""What a rank holds whole, and for how long: weights that were gathered, gradients that were not yet reduced.

An array that is kept is seen by a weak reference. A copy of it is not. So the order of events counts too: a
layer is whole from its gather to its last use, and a gradient from its backward to its reduction.
"""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from course.cluster import Communicator
from course.cluster.memory import owner_of

__all__ = ["Gradients", "Watched", "Weights"]

Array = np.ndarray
_REDUCE_NOTHING = ("all_gather", "broadcast", "recv")


class Weights:
    """Counts the layers that are whole on a rank: from their gather to their last use, or while they live."""

    def __init__(self, shards: list[Array]) -> None:
        self.shards, self.most = shards, 0
        self._alive: dict[int, tuple[int | None, weakref.ref[Array]]] = {}
        self._gathered: dict[int | None, int] = {}  # when each was gathered last; None: not known which
        self._last_use: dict[tuple[int, int], int] = {}  # of a layer since that gather
        self._now = 0

    def gathered(self, shard: Array, whole: Array) -> None:
        """Note that a shard has been gathered."""
        i, self._now = self._layer_of(shard), self._now + 1
        self._gathered[i] = self._now
        self._note(i, whole)

    def used(self, i: int, weights: Array) -> None:
        """Note that the model computes with layer ``i``, and count what is whole meanwhile."""
        self._note(i, weights)
        self._now += 1
        begun = max(self._gathered.get(i, 0), self._gathered.get(None, 0))
        self._last_use[i, begun] = self._now
        spans = [(start, end) for (_, start), end in self._last_use.items()]
        at_once = max(sum(start <= end <= last for start, last in spans) for _, end in spans)
        alive = {layer for layer, array in self._alive.values() if array() is not None}
        self.most = max(self.most, at_once, len(alive - {None}))

    def _layer_of(self, shard: Array) -> int | None:
        same = [i for i, own in enumerate(self.shards) if own is shard]
        same = same or [i for i, own in enumerate(self.shards) if np.array_equal(own, shard)]
        return same[0] if len(same) == 1 else None

    def _note(self, i: int | None, array: Array) -> None:
        owner = owner_of(array)
        self._alive[id(owner)] = (i, weakref.ref(owner))


class Watched:
    """A communicator that tells of what it gathers, and hands every call on."""

    def __init__(self, comm: Communicator, weights: Weights) -> None:
        self._comm, self._weights = comm, weights

    def __getattr__(self, name: str) -> Any:
        return getattr(self._comm, name)

    def all_gather(self, array: Array, label: str = "") -> Array:
        """Gather, and tell."""
        whole = self._comm.all_gather(array, label)
        self._weights.gathered(array, whole)
        return whole


class Gradients:
    """Counts the gradients that are still whole when the next one is asked for: alive, or not reduced."""

    def __init__(self, comm: Communicator) -> None:
        self.comm, self.kept = comm, 0
        self._alive: list[weakref.ref[Array]] = []
        self._late, self._due, self._seen = 0, 0, 0

    def found(self, grad: Array) -> None:
        """Note the gradient that backward has found."""
        self._alive.append(weakref.ref(owner_of(grad)))
        self._due, self._seen = grad.nbytes, len(self.comm.books.entries)

    def next(self) -> None:
        """Note that the next gradient is asked for: the last must have been reduced, all earlier be gone."""
        self._late += self._reduced() < self._due
        alive = sum(array() is not None for array in self._alive[:-1])
        self.kept, self._due = max(self.kept, self._late, alive), 0

    def _reduced(self) -> float:
        """Return the bytes of gradient that have been reduced since it was found."""
        ranks = self.comm.world_size
        whole = ranks / max(ranks - 1, 1)  # of a row, a rank sends all blocks but one
        return sum(
            entry.sent * whole if entry.kind == "send" else entry.payload
            for entry in self.comm.books.entries[self._seen :]
            if entry.kind not in _REDUCE_NOTHING
        )
