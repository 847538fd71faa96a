"""``cluster.run``: one rank program, on an engine of your choice."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from course.cluster.ledger import Ledger
from course.cluster.memory import MemoryReport

__all__ = ["ENGINES", "Outcome", "run"]

ENGINES = ("simulated",)


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
) -> Outcome:
    """Run ``program(comm, *args)`` on every rank.

    Args:
        program: plain Python; ``comm`` is its :class:`~course.cluster.Communicator`.
        ranks: how many. engine: ``simulated``.
        args: handed to every rank; each gets its own copy, as separate processes would.
        layout: how the simulated all-reduce cuts an array into blocks: ``even``, or as ``gloo`` does.

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
    from course.cluster.simulated import simulate

    own = [copy.deepcopy(tuple(args)) for _ in range(ranks)]
    results, books = simulate(program, ranks, own, layout)
    ledger = Ledger(entry for book in books for entry in book.entries)
    reports = [book.memory.report() for book in books]
    return Outcome(results, ledger, reports, engine, time.perf_counter() - start)
