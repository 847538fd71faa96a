"""What a rank program sees of the cluster: its rank, and how to reach the others.

The same program runs on every engine. Arrays are NumPy's or torch's; no call changes what it is given, and
what it returns is the caller's own. A collective must be called by every rank of its group, in the same
order, with arrays of one shape and dtype.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course.arrays import Array, is_array
from course.cluster.ledger import Entry
from course.cluster.memory import Memory, MemoryReport
from course.cluster.rings import OPS

__all__ = ["Books", "Call", "Communicator", "Pending", "Traffic", "shape_of"]


@dataclass
class Books:
    """What is written down about one rank: shared by its communicator and all its groups."""

    rank: int
    entries: list[Entry] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    step: int = 0
    returned: MemoryReport | None = None  # of a rank whose memory was another process's

    def report(self) -> MemoryReport:
        """Return what the rank held."""
        return self.memory.report() if self.returned is None else self.returned


@dataclass(frozen=True)
class Call:
    """A collective as it was called: what ranks must agree on is its text."""

    kind: str
    text: str
    op: str = "sum"
    root: int = 0


@dataclass
class Traffic:
    """Bytes that one call moved over this rank's wire, and whom it sent to (places in the group)."""

    sent: int = 0
    received: int = 0
    peers: set[int] = field(default_factory=set)


class Pending(ABC):
    """A message on its way."""

    def __repr__(self) -> str:
        return "<a message on its way>"

    @abstractmethod
    def wait(self) -> None:
        """Wait until the receiver has taken the message."""


class Communicator(ABC):
    """One rank's place in a group of ranks.

    Attributes:
        rank: this rank's place in the group, from 0. world_size: how many ranks the group has.
        ranks: the group's members, as places in the whole cluster.
    """

    def __init__(self, books: Books, ranks: Sequence[int]) -> None:
        self.books = books
        self.ranks = tuple(ranks)
        self.rank = self.ranks.index(books.rank)
        self.world_size = len(self.ranks)
        self._groups: dict[tuple[int, ...], Communicator] = {self.ranks: self}

    # -- collectives ---------------------------------------------------------------------------------

    def all_reduce(self, array: Any, op: str = "sum", label: str = "") -> Any:
        """Return the sum (``mean``, ``max``, ``min``) of all ranks' arrays; every rank gets all of it.

        A plain number may stand for an array of no axes.
        """
        x = _array("all_reduce", array)
        call = Call("all_reduce", f"all_reduce{_of(x)}{_reduced(op)}", op=_op("all_reduce", op))
        result = self._do(call, x, x.nbytes, label)
        return result if is_array(array) and not isinstance(array, np.generic) else result[()]

    def reduce_scatter(self, array: Array, op: str = "sum", label: str = "") -> Array:
        """Return this rank's block of the sum: rows ``rank * n`` to ``(rank + 1) * n`` of the first axis.

        Raises:
            ValueError: the first axis does not divide by the number of ranks.
        """
        x = self._rows("reduce_scatter", array, divide=True)
        call = Call("reduce_scatter", f"reduce_scatter{_of(x)}{_reduced(op)}", op=_op("reduce_scatter", op))
        return self._do(call, x, x.nbytes, label)

    def all_gather(self, array: Array, label: str = "") -> Array:
        """Return all ranks' arrays, in order of rank, one after the other along the first axis."""
        x = self._rows("all_gather", array)
        return self._do(Call("all_gather", f"all_gather{_of(x)}"), x, x.nbytes * self.world_size, label)

    def broadcast(self, array: Array | None, root: int = 0, label: str = "") -> Array:
        """Return the root's array; what the others give is not looked at and may be None."""
        self._place("broadcast", "root", root)
        x = _array("broadcast", array) if self.rank == root else None
        call = Call("broadcast", f"broadcast from rank {self.ranks[root]}", root=root)
        return self._do(call, x, None if x is None else x.nbytes, label)

    def all_to_all(self, array: Array, label: str = "") -> Array:
        """Send block ``j`` of the first axis to rank ``j``; return the blocks that came, by sender.

        Raises:
            ValueError: the first axis does not divide by the number of ranks.
        """
        x = self._rows("all_to_all", array, divide=True)
        return self._do(Call("all_to_all", f"all_to_all{_of(x)}"), x, x.nbytes, label)

    def barrier(self) -> None:
        """Wait until every rank of the group has come here."""
        self._do(Call("barrier", "barrier"), None, 0, "")

    # -- single messages -----------------------------------------------------------------------------

    def send(self, array: Array, to: int, label: str = "", tag: int = 0) -> None:
        """Send an array to a rank of the group; return when that rank has taken it.

        Messages of one tag arrive in the order in which they were sent.

        Two ranks that both send first and receive afterwards wait for each other for ever: use
        :meth:`exchange`, or let one of them receive first.
        """
        self._isend("send", array, to, label, tag).wait()

    def isend(self, array: Array, to: int, label: str = "", tag: int = 0) -> Pending:
        """Send an array without waiting; the ``wait()`` of what comes back returns when it is taken."""
        return self._isend("isend", array, to, label, tag)

    def recv(self, source: int, label: str = "", tag: int = 0) -> Array:
        """Wait for the next array of this tag from a rank of the group, and return it."""
        self._place("recv", "source", source, other=True)
        array = self._take(source, tag)
        self._write("recv", array.nbytes, Traffic(received=array.nbytes), label)
        return array

    def exchange(self, array: Array, to: int, source: int, label: str = "") -> Array:
        """Send to one rank while receiving from another (or the same): the step of every ring."""
        self._place("exchange", "source", source, other=True)
        pending = self._isend("exchange", array, to, label, 0)
        came = self.recv(source, label)
        pending.wait()
        return came

    # -- groups --------------------------------------------------------------------------------------

    def group(self, ranks: Sequence[int]) -> Communicator:
        """Return this rank's place in a smaller group; the members call it, the others need not.

        Args:
            ranks: places in this group, in any order: the members keep theirs.
        """
        places = list(ranks)
        for place in places:
            self._place("group", "a member", place)
        if self.rank not in places:
            raise ValueError(f"group: rank {self.rank} is not one of the members {places}")
        if len(set(places)) < len(places):
            raise ValueError(f"group: the members {places} are not distinct")
        members = tuple(self.ranks[place] for place in sorted(places))
        if members not in self._groups:
            self._groups[members] = self._make_group(members)
        return self._groups[members]

    # -- shared memory -------------------------------------------------------------------------------

    def shared(self, name: str, like: Any) -> np.ndarray:
        """Return an array that all ranks see and may write into, without any order: Hogwild's memory.

        The first rank to ask for a name fills it with ``like``. All ranks must be on one machine.
        """
        return self._shared(name, np.asarray(like))

    def pause(self) -> None:
        """Let other ranks run: where real ranks are interrupted anyway, the simulated ones are here."""
        self._pause()

    # -- books ---------------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        """What this rank holds."""
        return self.books.memory

    @property
    def step(self) -> int:
        """The training step that the ledger writes beside each call; the program sets it."""
        return self.books.step

    @step.setter
    def step(self, value: int) -> None:
        self.books.step = int(value)

    # -- what an engine writes -----------------------------------------------------------------------

    @abstractmethod
    def _collect(self, call: Call, array: Array | None) -> tuple[Any, Traffic]:
        """Carry a collective out."""

    @abstractmethod
    def _post(self, array: Array, to: int, tag: int) -> Pending:
        """Send a message of the program's own, without waiting."""

    @abstractmethod
    def _take(self, source: int, tag: int) -> Array:
        """Wait for a message of the program's own."""

    @abstractmethod
    def _make_group(self, members: tuple[int, ...]) -> Communicator:
        """Return this rank's communicator among these members of the cluster."""

    @abstractmethod
    def _shared(self, name: str, like: np.ndarray) -> np.ndarray:
        """Return the array of this name that all ranks see."""

    @abstractmethod
    def _pause(self) -> None:
        """Let other ranks run."""

    # -- inside --------------------------------------------------------------------------------------

    def _do(self, call: Call, array: Array | None, payload: int | None, label: str) -> Any:
        result, traffic = self._collect(call, array)
        self._write(call.kind, int(result.nbytes) if payload is None else payload, traffic, label)
        return result

    def _isend(self, name: str, array: Array, to: int, label: str, tag: int) -> Pending:
        self._place(name, "to", to, other=True)
        x = _array(name, array)
        pending = self._post(x, to, tag)
        self._write("send", x.nbytes, Traffic(sent=x.nbytes, peers={to}), label)
        return pending

    def _write(self, kind: str, payload: int, traffic: Traffic, label: str) -> None:
        books = self.books
        peers = tuple(self.ranks[place] for place in sorted(traffic.peers))
        entry = (books.rank, len(books.entries), books.step, kind, int(payload))
        books.entries.append(Entry(*entry, traffic.sent, traffic.received, peers, self.ranks, label))

    def _place(self, name: str, what: str, place: int, other: bool = False) -> None:
        if isinstance(place, bool) or not isinstance(place, int | np.integer):
            raise TypeError(f"{name}: {what} must be a rank, an integer, not {place!r}")
        if not 0 <= place < self.world_size:
            raise ValueError(f"{name}: {what} is rank {place}, but the ranks are 0 to {self.world_size - 1}")
        if other and place == self.rank:
            raise ValueError(f"{name}: {what} is rank {place}, which is this rank itself")

    def _rows(self, name: str, array: Any, divide: bool = False) -> Array:
        x = _array(name, array)
        if x.ndim == 0:
            raise ValueError(f"{name}: needs an array with at least one axis, not a single number")
        if divide and x.shape[0] % self.world_size:
            raise ValueError(
                f"{name}: the first axis of shape {tuple(x.shape)} does not divide into {self.world_size} "
                "ranks; pad it first"
            )
        return x


def shape_of(array: Array) -> str:
    """Return dtype and shape as errors name them: ``float64 (3,)``."""
    return f"{str(array.dtype).removeprefix('torch.')} {tuple(array.shape)}"


def _of(array: Array) -> str:
    return f" of {shape_of(array)}"


def _reduced(op: str) -> str:
    return "" if op == "sum" else f" ({op})"


def _op(name: str, op: str) -> str:
    if op not in OPS:
        raise ValueError(f"{name}: op must be one of {', '.join(OPS)}, not {op!r}")
    return op


def _array(name: str, value: Any) -> Array:
    """Return the array without autograd's history; a number becomes an array of no axes."""
    if isinstance(value, np.generic | int | float) and not isinstance(value, bool):
        return np.asarray(value, dtype=getattr(value, "dtype", np.float64))
    if not is_array(value):
        raise TypeError(f"{name}: needs an array, not {type(value).__name__}")
    return value.detach() if hasattr(value, "detach") else value
