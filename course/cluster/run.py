"""``cluster.run``: one rank program, on an engine of your choice."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from course.cluster.communicator import Books
from course.cluster.errors import ClusterError
from course.cluster.ledger import Ledger
from course.cluster.memory import MemoryReport

__all__ = ["ENGINES", "Outcome", "run"]

ENGINES = ("simulated", "gloo", "nccl")


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind.

    Attributes:
        results: what each rank returned, by rank. ledger: every message and collective of every rank.
        memory: what each rank held. engine: where it ran. seconds: how long.
    """

    results: list[Any]
    ledger: Ledger
    memory: list[MemoryReport]
    engine: str
    seconds: float


def run(
    program: Callable[..., Any],
    ranks: int = 4,
    engine: str = "simulated",
    *,
    args: Sequence[Any] = (),
    layout: str = "even",
    timeout: float = 30.0,
) -> Outcome:
    """Run ``program(comm, *args)`` on every rank.

    Args:
        program: plain Python; ``comm`` is its :class:`~course.cluster.Communicator`.
        ranks: how many.
        engine: ``simulated`` for threads of this process, one at a time; ``gloo`` for processes of this
            machine; ``nccl`` for the same with a GPU a rank (the same code, not tested by this course).
        args: handed to every rank; each gets its own copy, as separate processes would.
        layout: how the simulated all-reduce cuts an array into blocks: ``even``, or as ``gloo`` does.
        timeout: seconds that real ranks may all wait before that counts as a deadlock.

    Raises:
        Deadlock: the ranks wait for each other. Mismatch: they call different collectives.
        RankError: a rank raised an exception; it is the cause.

    >>> outcome = run(lambda comm: comm.all_reduce(comm.rank + 1.0), ranks=3)
    >>> [float(result) for result in outcome.results]
    [6.0, 6.0, 6.0]
    """
    if isinstance(ranks, bool) or not isinstance(ranks, int) or ranks < 1:
        raise ValueError(f"cluster.run: ranks must be an integer >= 1, not {ranks!r}")
    if engine not in ENGINES:
        raise ValueError(f"cluster.run: engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    if not callable(program):
        raise TypeError(f"cluster.run: program must be a function of a communicator, not {program!r}")
    if layout not in ("even", "gloo"):
        raise ValueError(f"cluster.run: layout must be 'even' or 'gloo', not {layout!r}")
    start = time.perf_counter()
    try:
        results, books = _run(program, ranks, engine, tuple(args), layout, timeout)
    except ClusterError as error:  # what matters is the rank's traceback, not the engine's
        raise error.with_traceback(None) from error.__cause__
    ledger = Ledger(entry for book in books for entry in book.entries)
    reports = [book.report() for book in books]
    return Outcome(results, ledger, reports, engine, time.perf_counter() - start)


def _run(
    program: Callable[..., Any], ranks: int, engine: str, args: tuple[Any, ...], layout: str, timeout: float
) -> tuple[list[Any], list[Books]]:
    if engine == "simulated":
        from course.cluster.simulated import simulate

        return simulate(program, ranks, [copy.deepcopy(args) for _ in range(ranks)], layout)
    from course.cluster.processes import on_processes

    return on_processes(program, ranks, args, engine, timeout)
