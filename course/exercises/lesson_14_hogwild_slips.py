"""The slips of hogwild: memory that is not shared, updates that are lost, ranks that wait."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["hogwild_slips", "number", "subtract", "wild"]

Array = np.ndarray
hogwild_slips = Slips()


def number(comm: Any, t: int) -> int:
    """Return the number of a rank's step ``t`` among all."""
    return int(t * comm.world_size + comm.rank)


def subtract(theta: Array, moved: Array) -> None:
    """Write the touched entries."""
    touched = np.nonzero(moved)
    theta[touched] -= moved[touched]


def wild(comm: Any, gradient: Any, theta: Array, lr: float, steps: int, numbered: Any = number) -> Array:
    """Run the loop as it should be."""
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        subtract(theta, lr * gradient(seen, numbered(comm, t)))
    return theta


@hogwild_slips(
    "nothing is shared",
    "Each rank trains an array of its own: a copy of the shared one, or a new one that theta = theta - ... "
    "has made. Nobody sees what the others do.",
    "Write into the shared array: theta[...] -= ... changes it, theta = theta - ... lets go of it.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        theta = theta - lr * gradient(seen, number(comm, t))
    comm.barrier()
    return theta


@hogwild_slips(
    "written into the start",
    "You never ask for shared memory, and write into the caller's array. Each rank has one of its own.",
    'comm.shared("theta", start) returns an array that all ranks see.',
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    wild(comm, gradient, start, lr, steps)
    comm.barrier()
    return start


@hogwild_slips(
    "the whole array written back",
    "You write back all that you have seen, less your step. What others wrote in between is undone: their "
    "updates are lost, even where you had nothing to change.",
    "Subtract in place from what is there now, at the entries that your gradient touches.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        theta[:] = seen - lr * gradient(seen, number(comm, t))
    comm.barrier()
    return theta


@hogwild_slips(
    "touched entries overwritten",
    "You write the touched entries as you saw them, less your step. Where two ranks touch the same entry, "
    "the one that writes first has worked for nothing.",
    "Subtract from what is there now: theta[touched] -= ..., not = seen[touched] - ...",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        moved = lr * gradient(seen, number(comm, t))
        touched = np.nonzero(moved)
        theta[touched] = seen[touched] - moved[touched]
    comm.barrier()
    return theta


@hogwild_slips(
    "read once, before the loop",
    "You copy the shared parameters once. All gradients of a rank are then taken at the start.",
    "Every step begins by looking at what is there now.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    seen = theta.copy()
    for t in range(steps):
        comm.pause()
        subtract(theta, lr * gradient(seen, number(comm, t)))
    comm.barrier()
    return theta


@hogwild_slips(
    "what was seen is not copied",
    "You compute at the shared array itself, while others write into it. Hogwild survives that, but your "
    "gradient then belongs to no one point, and here it is never stale.",
    "seen = theta is a second name for the same memory. A copy holds still.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta
        comm.pause()
        subtract(theta, lr * gradient(seen, number(comm, t)))
    comm.barrier()
    return theta


@hogwild_slips(
    "the pause in the wrong place",
    "Nothing can come between your reading and your writing: the ranks take turns, and no gradient is "
    "stale. Real ranks are interrupted in between.",
    "Read, pause, write: in this order.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        comm.pause()
        subtract(theta, lr * gradient(theta.copy(), number(comm, t)))
    comm.barrier()
    return theta


@hogwild_slips(
    "no pause",
    "Without a pause a simulated rank runs to its end before the next one begins: one process after the "
    "other.",
    "comm.pause() between reading and writing lets the others run.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        subtract(theta, lr * gradient(theta.copy(), number(comm, t)))
    comm.barrier()
    return theta


@hogwild_slips(
    "an all-reduce at each step",
    "You sum the gradients of all ranks at each step. That is synchronous data parallelism: everyone waits "
    "for everyone, and bytes travel.",
    "There are no collectives in the loop. The memory is the only thing that ranks have in common.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = start.copy()
    for t in range(steps):
        theta = theta - lr * comm.all_reduce(gradient(theta, number(comm, t)))
    return theta


@hogwild_slips(
    "all ranks in step",
    "At each step all ranks have written before any of them reads. All read the same parameters then, as in "
    "synchronous training. A barrier in the loop does that, and so does a second pause.",
    "One pause a step, between reading and writing. One barrier, at the end.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        subtract(theta, lr * gradient(seen, number(comm, t)))
        comm.barrier()
    return theta


@hogwild_slips(
    "a barrier for the pause",
    "You wait at a barrier between reading and writing. Nobody writes before all have read: the slowest "
    "sets the pace again, which Hogwild is there to avoid.",
    "comm.pause() waits for nobody. It only lets the others run.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.barrier()
        subtract(theta, lr * gradient(seen, number(comm, t)))
    comm.barrier()
    return theta


@hogwild_slips(
    "an all-reduce that every rank writes",
    "You sum the gradients of all ranks, and every rank writes the sum into the shared array: it is "
    "subtracted once for each rank. And all wait for all.",
    "There are no collectives in the loop. Each rank writes its own gradient.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        subtract(theta, lr * comm.all_reduce(gradient(seen, number(comm, t))))
    comm.barrier()
    return theta


@hogwild_slips(
    "the barrier forgotten",
    "A rank returns as soon as its own steps are done. Others still write, so the ranks return different "
    "parameters.",
    "Before you return, wait until all have ended.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    return wild(comm, gradient, comm.shared("theta", start), lr, steps).copy()
