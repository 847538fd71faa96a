"""The simulated engine: every rank a thread, exactly one of which runs at any time.

A rank runs until it has to wait; then the next one in order that can go on takes over. So a run is the same
every time, and where nobody can go on it is known at once who waits for what.
"""

from __future__ import annotations

import _thread
import contextlib
import contextvars
import ctypes
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from course.arrays import Array
from course.cluster import rings
from course.cluster.borrowed import read_only
from course.cluster.communicator import Books, Call, Communicator, Pending, Traffic, shape_of
from course.cluster.errors import Deadlock, Mismatch, RankError, different, shortened

__all__ = ["SimulatedCommunicator", "simulate"]

Program = Callable[..., Any]
Channel = tuple[Any, ...]


class _Stopped(BaseException):
    """Ends a rank's thread after the run has failed elsewhere; no ``except Exception`` catches it."""


class _Message(Pending):
    def __init__(self, cluster: _Cluster, source: int, to: int, array: Array) -> None:
        self.cluster, self.source, self.to, self.array, self.taken = cluster, source, to, array, False

    def wait(self) -> None:
        if not self.taken:
            text = f"send of {shape_of(self.array)} to rank {self.to}"
            self.cluster.wait(self.source, self.is_taken, text)

    def is_taken(self) -> bool:
        """Say whether the receiver has it."""
        return self.taken

    def take(self) -> Array:
        """Hand the array over: the sender's side keeps nothing of it."""
        array, self.array, self.taken = self.array, None, True
        return array


class _Cluster:
    """The baton, the messages on their way, and the collectives begun."""

    def __init__(self, ranks: int, layout: str) -> None:
        self.ranks, self.layout = ranks, layout
        self.batons = [threading.Lock() for _ in range(ranks)]
        for baton in self.batons:
            baton.acquire()
        self.waiting: dict[int, tuple[Callable[[], bool], str]] = {}
        self.ended: set[int] = set()
        self.inbox: dict[Channel, deque[_Message]] = defaultdict(deque)
        self.begun: dict[Channel, tuple[str, int, int]] = {}
        self.shared: dict[str, np.ndarray] = {}
        self.failure: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def wait(self, rank: int, ready: Callable[[], bool], text: str) -> None:
        """Let others run until ``ready()``; ``text`` says what this rank waits for."""
        if self.failure is not None:
            raise _Stopped
        if ready():
            return
        self.waiting[rank] = (ready, text)
        following = self.next_after(rank)
        if following is None:
            self.failure = Deadlock(self.who_waits())
        elif following != rank:
            _free(self.batons[following])
            self.batons[rank].acquire()
        self.waiting.pop(rank, None)
        if self.failure is not None:
            raise _Stopped

    def next_after(self, rank: int) -> int | None:
        """Return the next rank, in order, that can go on; None where nobody can."""
        for hop in range(1, self.ranks + 1):
            other = (rank + hop) % self.ranks
            if other in self.ended:
                continue
            if self.failure is not None or other not in self.waiting or self.waiting[other][0]():
                return other
        return None

    def end(self, rank: int) -> None:
        """A rank's thread is over: hand the baton on, or end the run."""
        self.ended.add(rank)
        following = self.next_after(rank)
        if following is None and len(self.ended) < self.ranks:
            self.failure = Deadlock(self.who_waits())
            following = self.next_after(rank)
        if following is None:
            _free(self.done)
        else:
            _free(self.batons[following])

    def interrupt(self, error: BaseException) -> None:
        """End all ranks: whoever waits for the baton gets it, and stops."""
        self.failure = error
        for baton in self.batons:
            _free(baton)

    def who_waits(self) -> str:
        texts = [f"rank {rank} waits in {text}" for rank, (_, text) in sorted(self.waiting.items())]
        texts += [f"rank {rank} has returned" for rank in sorted(self.ended)]
        return f"deadlock: {shortened(texts)}"

    def begin(self, ranks: tuple[int, ...], number: int, rank: int, text: str) -> None:
        """Hold a rank's collective against what the first of its group has called in this place."""
        key = (ranks, number)
        known, first, calls = self.begun.pop(key, (text, rank, 0))
        if known != text:
            self.failure = Mismatch(different(first, known, rank, text))
            raise _Stopped
        if calls + 1 < len(ranks):
            self.begun[key] = (known, first, calls + 1)


class _Link:
    """The messages of one collective, counted."""

    def __init__(self, comm: SimulatedCommunicator, channel: Channel, text: str) -> None:
        self.rank, self.world_size, self.ranks = comm.rank, comm.world_size, comm.ranks
        self.cluster, self.channel, self.text = comm.cluster, channel, text
        self.traffic, self.posted = Traffic(), deque[_Message]()

    def post(self, to: int, array: Array) -> None:
        me, other = self.ranks[self.rank], self.ranks[to]
        message = _Message(self.cluster, me, other, array)
        self.cluster.inbox[(*self.channel, me, other)].append(message)
        self.posted.append(message)
        self.traffic.sent += array.nbytes
        if array.nbytes:
            self.traffic.peers.add(to)

    def take(self, source: int) -> Array:
        me, other = self.ranks[self.rank], self.ranks[source]
        box = self.cluster.inbox[(*self.channel, other, me)]
        if not box:
            self.cluster.wait(me, lambda: bool(box), f"{self.text} for rank {other}")
        array = box.popleft().take()
        self.traffic.received += array.nbytes
        return array

    def drain(self) -> None:
        while self.posted:
            message = self.posted.popleft()
            if not message.taken:
                text = f"{self.text} for rank {message.to}"
                self.cluster.wait(message.source, message.is_taken, text)


class SimulatedCommunicator(Communicator):
    """A rank of the simulated engine."""

    def __init__(self, cluster: _Cluster, books: Books, ranks: Sequence[int]) -> None:
        super().__init__(books, ranks)
        self.cluster = cluster
        self.calls = 0

    def _collect(self, call: Call, array: Array | None) -> tuple[Any, Traffic]:
        self._alive()
        self.cluster.begin(self.ranks, self.calls, self.books.rank, call.text)
        channel = ("collective", self.ranks, self.calls)
        self.calls += 1
        link = _Link(self, channel, call.text)
        result = _carry_out(call, link, array, self.cluster.layout)
        for place in range(self.world_size):
            self.cluster.inbox.pop((*channel, self.ranks[place], self.books.rank), None)
        return result, link.traffic

    def _post(self, array: Array, to: int, tag: int) -> Pending:
        self._alive()
        me, other = self.books.rank, self.ranks[to]
        copied = rings.flat_copy(array).reshape(tuple(array.shape))
        message = _Message(self.cluster, me, other, copied)
        self.cluster.inbox[("message", tag, self.ranks, me, other)].append(message)
        return message

    def _take(self, source: int, tag: int) -> Array:
        me, other = self.books.rank, self.ranks[source]
        box = self.cluster.inbox[("message", tag, self.ranks, other, me)]
        self.cluster.wait(me, lambda: bool(box), f"recv from rank {other}")
        return box.popleft().take()

    def _make_group(self, members: tuple[int, ...]) -> Communicator:
        return SimulatedCommunicator(self.cluster, self.books, members)

    def _shared(self, name: str, like: np.ndarray) -> np.ndarray:
        self._alive()
        return self.cluster.shared.setdefault(name, like.copy())

    def _pause(self) -> None:
        turns = iter((False,))  # wait once, then go on
        self.cluster.wait(self.books.rank, lambda: next(turns, True), "a pause")

    def _alive(self) -> None:
        if self.cluster.failure is not None:
            raise _Stopped


def simulate(
    program: Program, ranks: int, arguments: Sequence[tuple[Any, ...]], layout: str
) -> tuple[list[Any], list[Books]]:
    """Run the program on every rank; return the results and the books, by rank.

    Raises:
        Deadlock, Mismatch: the ranks cannot go on. RankError: a rank raised; its exception is the cause.
    """
    cluster = _Cluster(ranks, layout)
    books = [Books(rank) for rank in range(ranks)]
    results: list[Any] = [None] * ranks
    alive: dict[int, int] = {}  # the rank's thread
    gate = threading.Lock()

    def live(rank: int) -> None:
        begun = False
        while True:
            try:
                if not begun:
                    begun, alive[rank] = True, _thread.get_ident()
                    play(rank)
                with gate:
                    alive.pop(rank, None)
                for _ in range(2):  # what it was told to raise arrives here; left over, it makes
                    pass  # Python 3.11 run in a circle
                return
            except _Stopped:
                continue
            except BaseException as error:  # of the course's own: whoever waits for this rank must hear of it
                cluster.failure = cluster.failure or error

    def play(rank: int) -> None:
        cluster.batons[rank].acquire()
        try:
            if cluster.failure is None:
                comm = SimulatedCommunicator(cluster, books[rank], range(ranks))
                results[rank] = program(comm, *arguments[rank])
        except _Stopped:
            pass
        except BaseException as error:
            if cluster.failure is None:
                cluster.failure = _of_rank(rank, error)
        finally:
            cluster.end(rank)

    try:
        # Not threading's: its start waits under a lock where an interrupt becomes a RuntimeError.
        for rank in range(ranks):
            _thread.start_new_thread(contextvars.copy_context().run, (live, rank))
        with read_only(program):
            cluster.batons[0].release()
            cluster.done.acquire()
    except BaseException as interruption:  # Ctrl-C: a rank may be in a loop of its own
        cluster.interrupt(interruption)
        _end(alive, gate)
        raise
    while alive:  # for a moment: the last one has only to leave
        time.sleep(0)
    if isinstance(cluster.failure, RankError):
        raise cluster.failure from cluster.failure.__cause__
    if cluster.failure is not None:
        raise cluster.failure from None
    return results, books


def _free(baton: threading.Lock) -> None:
    with contextlib.suppress(RuntimeError):  # it is free already: the run has been interrupted
        baton.release()


def _carry_out(call: Call, link: _Link, array: Any, layout: str) -> Any:
    if call.kind == "all_reduce":
        return rings.all_reduce(link, array, call.op, layout)
    if call.kind == "reduce_scatter":
        return rings.reduce_scatter(link, array, call.op)
    if call.kind == "all_gather":
        return rings.all_gather(link, array)
    if call.kind == "broadcast":
        return rings.broadcast(link, array, call.root)
    if call.kind == "all_to_all":
        return rings.all_to_all(link, array)
    return rings.barrier(link)


def _of_rank(rank: int, error: BaseException) -> RankError:
    try:
        text = str(error)
    except Exception as problem:  # it is a program's own class
        text = f"(its text cannot be shown: {type(problem).__name__})"
    hint = "; ranks share no memory: copy what you change" if "read-only" in text else ""
    failure = RankError(rank, f"{type(error).__name__}: {text}{hint}")
    failure.__cause__ = error
    return failure


def _end(alive: dict[int, int], gate: threading.Lock) -> None:
    """Let all raise at their next line of Python; again, since Python drops what a callback raises."""
    for _ in range(20):
        with gate:
            for ident in list(alive.values()):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(_Stopped))
        if not alive:
            return
        time.sleep(0.01)
