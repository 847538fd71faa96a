"""Drivers for ranks that do not wait: paths by stale gradients, and programs that share memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.arrays import is_array
from course.exercises.base import Case, Fault, Outcome, StopDriving, copied, mutated
from course.exercises.demands import kind_of, note_mutations, refuse_tensor
from course.exercises.drive_cluster import on_ranks, require_like

__all__ = ["shared_memory", "stale_path"]

Array = np.ndarray
Answer = Callable[..., Any]


def stale_path(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(gradient, start, lr, steps, delay) -> path``; the gradient is ``pull * theta + push * t``."""
    given = copied(case.inputs)
    pull, push, start = given["pull"], given["push"], given["start"]

    def gradient(theta: Any, t: Any) -> Any:
        """Return the gradient of step ``t`` at ``theta``."""
        _require_call(theta, t, start.shape)
        return pull * theta + push * t

    gradient.__qualname__ = "gradient"  # as a wrong call of it is told
    try:
        path = answer(gradient, start, given["lr"], given["steps"], given["delay"])
    except IndexError as error:
        if not given["delay"]:
            raise
        text = f"{error}. Before there are delay points, t - delay is below 0: the oldest stands at index 0"
        raise IndexError(text).with_traceback(error.__traceback__) from None
    note_mutations(case.inputs, given, out, 1)
    refuse_tensor("the path", path, 1)
    if not is_array(path):
        more = "; np.stack(...) makes an array of it" if isinstance(path, list | tuple) else ""
        text = f"your function returned {kind_of(path)}; it must return the path as an array{more}"
        raise StopDriving(Fault("none" if path is None else "type", "path", text))
    out.see(1, "path", path)


def shared_memory(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive the rank program ``(comm, gradient, start, lr, steps) -> theta``.

    The gradient of step ``n`` is not zero at ``width`` entries: at the first ones for n = 0, at the next for
    n = 1, and so around. There it is ``theta - target + push * n``.
    """
    given, ranks = case.inputs, case.inputs["ranks"]
    table, lent = _Table(ranks), [False]

    def program(comm: Any) -> tuple[Any, bool]:
        turns, start, target = _Turns(comm, table), given["start"].copy(), given["target"].reshape(-1)

        def gradient(theta: Any, n: Any) -> Any:
            """Return the gradient of step number ``n`` at ``theta``."""
            _require_call(theta, n, start.shape)
            lent[0] |= any(np.shares_memory(theta, memory) for memory in turns.memories)
            where = (n * given["width"] + np.arange(given["width"])) % target.size
            found = np.zeros_like(target)
            found[where] = theta.reshape(-1)[where] - target[where] + given["push"] * n
            return found.reshape(start.shape)

        gradient.__qualname__ = "gradient"
        result = answer(turns, gradient, start, given["lr"], given["steps"])
        seen = result.copy() if isinstance(result, np.ndarray) else result  # as it is when the rank returns
        table.ended.add(comm.rank)
        return seen, mutated(given["start"], start)

    run = on_ranks(program, ranks)
    for rank, (result, _) in enumerate(run.results):
        require_like("what you return", result, given["start"])
        out.see(1, f"theta on rank {rank}", result)
    out.see(1, "bytes that each rank sent", np.array([run.ledger.sent(rank=r) for r in range(ranks)], float))
    if any(changed for _, changed in run.results):
        out.fault("mutated", "start", "your function changed its input start in place; write into the shared")
    if lent[0]:
        out.notes.append("the gradient was computed at the shared array itself")


class _Table:
    """How often each rank has paused, who waits at a barrier, and who has ended."""

    def __init__(self, ranks: int) -> None:
        self.paused = [0] * ranks
        self.waiting: set[int] = set()
        self.ended: set[int] = set()

    def may_go(self, rank: int) -> bool:
        """Say whether it is this rank's turn: those before it have gone on, those after it have paused."""
        k = self.paused[rank]
        return all(
            other in self.waiting or other in self.ended or count >= k + (other < rank)
            for other, count in enumerate(self.paused)
            if other != rank
        )


class _Turns:
    """A communicator whose pauses end in order of rank, wherever else a program waits.

    So programs that differ in a barrier before the loop, which all are right, compute the same numbers.
    """

    def __init__(self, comm: Any, table: _Table) -> None:
        self.comm, self.table = comm, table
        self.memories: list[Array] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.comm, name)

    def shared(self, name: str, like: Any) -> Array:
        """Return the shared array, and remember it."""
        self.memories.append(self.comm.shared(name, like))
        return self.memories[-1]

    def pause(self) -> None:
        """Let the others run until it is this rank's turn, but not for ever: some may wait for this one."""
        self.table.paused[self.comm.rank] += 1
        for _ in range(2 * self.comm.world_size + 2):
            if self.table.may_go(self.comm.rank):
                break
            self.comm.pause()

    def barrier(self) -> None:
        """Wait for all; whoever comes last sets all free."""
        self.table.waiting.add(self.comm.rank)
        if len(self.table.waiting) == self.comm.world_size:
            self.table.waiting.clear()
        self.comm.barrier()


def _require_call(theta: Any, step: Any, shape: tuple[int, ...]) -> None:
    """Refuse a call of the gradient with anything but parameters and a step's number."""
    refuse_tensor("what gradient was given", theta, 1)
    if np.shape(theta) != shape or isinstance(theta, list | tuple):
        what = f"{kind_of(theta)} of shape {np.shape(theta)}" if is_array(theta) else kind_of(theta)
        raise StopDriving(
            Fault("argument", "theta", f"gradient was given {what}; it takes parameters of shape {shape}")
        )
    if isinstance(step, bool) or not isinstance(step, int | np.integer):
        text = f"gradient was given {kind_of(step)} for the number of the step; it takes a whole number"
        raise StopDriving(Fault("argument", "step", text))
