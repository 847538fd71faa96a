"""Ranks as processes of this machine, also from a notebook.

A server process that has imported torch, and computed nothing, forks each rank: torch cannot be forked
once it has computed with several threads, and importing it anew takes seconds. Ranks find each other
through a file, and talk over the loopback interface only. No process outlives the run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from pathlib import Path
from typing import Any

from course.cluster import shipping
from course.cluster.board import Board
from course.cluster.communicator import Books
from course.cluster.errors import ClusterError, Deadlock, Mismatch, RankError

__all__ = ["PRELOAD", "on_processes"]

# What the server imports before it forks the first rank; add to it, before the first run, what ranks need.
PRELOAD = ["course.cluster.preload"]
_POLL = 0.2  # seconds between two looks at the board


class _RankTraceback(Exception):
    """Shows a rank's traceback, as text, under the error that is raised here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def on_processes(
    program: Callable[..., Any], ranks: int, arguments: tuple[Any, ...], backend: str, timeout: float
) -> tuple[list[Any], list[Books]]:
    """Run the program on new processes; return the results and the books, by rank.

    Raises:
        RankError: a rank raised or died. Mismatch: ranks call different collectives.
        Deadlock: no rank has got on for ``timeout`` seconds.
        ClusterError: this system cannot fork, or its temporary folder lies too deep for a socket.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        raise ClusterError(
            f"cluster.run: this system cannot fork processes; {backend!r} needs Linux or macOS"
        )
    job = shipping.dumps((program, arguments))
    with tempfile.TemporaryDirectory(prefix="course-cluster-") as folder:
        board = Board(Path(folder), ranks)
        processes: list[Any] = []
        pipes: list[Any] = []
        try:
            _start(processes, pipes, ranks, backend, folder, job)
            return _Watch(processes, pipes, board, timeout).until_the_end()
        finally:
            _end(processes, pipes)
            board.close()


def _start(processes: list[Any], pipes: list[Any], ranks: int, backend: str, folder: str, job: bytes) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    from course.cluster.worker import live

    with _nothing_to_import(), _told_where_sockets_lie():
        for rank in range(ranks):
            here, there = context.Pipe()
            process = context.Process(
                target=live, args=(rank, ranks, backend, folder, job, there), name=f"rank {rank}", daemon=True
            )
            processes.append(process)
            pipes.append(here)
            process.start()
            there.close()


@contextlib.contextmanager
def _nothing_to_import() -> Iterator[None]:
    """Keep the ranks from importing the script that runs here: what they need of it is sent to them."""
    main = sys.modules["__main__"]
    kept: dict[str, Any] = {
        name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__
    }
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(kept)


@contextlib.contextmanager
def _told_where_sockets_lie() -> Iterator[None]:
    """Say what to do where Python's server has no place for its socket."""
    try:
        yield
    except OSError as error:
        if "AF_UNIX" not in str(error):
            raise
        raise ClusterError(
            f"cluster.run: the temporary folder {tempfile.gettempdir()} has too long a path for a socket: "
            "set TMPDIR to a folder with a short one, such as /tmp, and start Python again"
        ) from None


def _end(processes: list[Any], pipes: list[Any]) -> None:
    """Leave no process behind, whatever happened."""
    started = [process for process in processes if process.pid is not None]
    for process in started:
        process.kill()
    for process in started:
        process.join()
        process.close()
    for pipe in pipes:
        pipe.close()


class _Watch:
    """Waits for every rank's answer, and for signs that none will come."""

    def __init__(self, processes: list[Any], pipes: list[Any], board: Board, timeout: float) -> None:
        self.processes, self.pipes, self.board, self.timeout = processes, pipes, board, timeout
        self.answers: dict[int, bytes] = {}
        self.seen: list[str] = []
        self.moved = time.monotonic()

    def until_the_end(self) -> tuple[list[Any], list[Books]]:
        ranks = {pipe: rank for rank, pipe in enumerate(self.pipes)}
        while len(self.answers) < len(self.pipes):
            ready = connection.wait([p for p in self.pipes if ranks[p] not in self.answers], timeout=_POLL)
            for pipe in ready:
                self.hear(ranks[pipe], pipe)
            if not ready:
                self.look()
        self.refuse_mismatch()
        results, books = [], []
        for rank in range(len(self.pipes)):
            result, entries, report = shipping.loads(self.answers[rank])
            results.append(result)
            books.append(Books(rank, entries, returned=report))
        return results, books

    def hear(self, rank: int, pipe: Any) -> None:
        try:
            kind, what = pipe.recv()
        except (EOFError, ConnectionError):
            self.processes[rank].join()
            self.refuse_dead()
        if kind == "result":
            self.answers[rank] = what
        elif kind == "print":
            print(what, end="", flush=True)
        else:
            self.fail(*what)
        self.moved = time.monotonic()

    def fail(self, failure: RankError, whole: bytes | None) -> None:
        self.refuse_mismatch()
        if "RuntimeError" in failure.message:  # perhaps only because another rank has died
            connection.wait([process.sentinel for process in self.processes], timeout=_POLL)
            self.refuse_dead()
        shown = _RankTraceback(failure.text)
        if whole is None:
            raise failure from shown
        cause = shipping.loads(whole)
        cause.__cause__ = shown
        raise failure from cause

    def look(self) -> None:
        """Nothing came for a while: see whether the ranks still get on."""
        lines = self.board.lines()
        if lines != self.seen or any(line.endswith(("|computes", "|starts")) for line in lines):
            self.seen, self.moved = lines, time.monotonic()
            return
        self.refuse_mismatch()
        if time.monotonic() - self.moved > self.timeout:
            raise Deadlock(f"deadlock (no rank got on for {self.timeout:g} s): {self.board.waits()}")

    def refuse_dead(self) -> None:
        for rank, process in enumerate(self.processes):
            if process.exitcode is not None:
                raise RankError(rank, f"its process ended by itself (exit code {process.exitcode})") from None

    def refuse_mismatch(self) -> None:
        line = self.board.mismatch()
        if line is not None:
            raise Mismatch(line)
