"""More slips of hogwild: steps with the wrong number or length, and the wrong thing returned."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_14_hogwild_slips import number, subtract, wild

__all__ = ["hogwild_step_slips"]

Array = np.ndarray
hogwild_step_slips = Slips()


@hogwild_step_slips(
    "every rank the same steps",
    "All ranks ask for the gradients 0, 1, 2, ...: they all work on the same rows.",
    "The ranks deal the numbers out among themselves: rank r has r, r + N, r + 2 N, ...",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    wild(comm, gradient, theta := comm.shared("theta", start), lr, steps, lambda comm, t: t)
    comm.barrier()
    return theta


@hogwild_step_slips(
    "steps dealt out in blocks",
    "Each number is used once, but rank 0 has the first block, rank 1 the second, and so on. Here they are "
    "dealt out one by one.",
    "The ranks deal the numbers out like cards: rank r has r, r + N, r + 2 N, ...",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    wild(comm, gradient, theta := comm.shared("theta", start), lr, steps, lambda c, t: c.rank * steps + t)
    comm.barrier()
    return theta


@hogwild_step_slips(
    "the steps dealt out, not the numbers",
    "You deal out steps numbers among all ranks, so all of them together take steps steps. Each rank is to "
    "take that many.",
    "With N ranks there are steps * N numbers in all.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = comm.shared("theta", start)
    for n in range(comm.rank, steps, comm.world_size):
        seen = theta.copy()
        comm.pause()
        subtract(theta, lr * gradient(seen, n))
    comm.barrier()
    return theta


@hogwild_step_slips(
    "the rank added to the step",
    "Step t of rank r gets the number t + r. So step 1 of rank 0 and step 0 of rank 1 work on the same rows, "
    "and most numbers never come up.",
    "Two numbers that follow each other on one rank are N apart: the others have those between.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    wild(comm, gradient, theta := comm.shared("theta", start), lr, steps, lambda c, t: t + c.rank)
    comm.barrier()
    return theta


@hogwild_step_slips(
    "divided by the number of ranks",
    "You divide each step by N. Nobody adds gradients up here: each rank takes its own step, whole.",
    "The step is lr times the gradient.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    wild(comm, gradient, theta := comm.shared("theta", start), lr / comm.world_size, steps)
    comm.barrier()
    return theta


@hogwild_step_slips(
    "returns the start",
    "You train the shared array, and return start. That is the caller's own, and still where it was.",
    "Return what stands in the shared array after the barrier.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    wild(comm, gradient, comm.shared("theta", start), lr, steps)
    comm.barrier()
    return start


@hogwild_step_slips(
    "returns what it saw last",
    "You return the copy that the last gradient was taken at. It lacks your own last step, and what others "
    "wrote after it.",
    "After the barrier, read the shared array once more.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    theta = seen = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        subtract(theta, lr * gradient(seen, number(comm, t)))
    comm.barrier()
    return seen


@hogwild_step_slips(
    "uphill",
    "You add the gradient: the path climbs.",
    "A step goes against the gradient.",
)
def _(comm: Any, gradient: Any, start: Array, lr: float, steps: int) -> Any:
    wild(comm, gradient, theta := comm.shared("theta", start), -lr, steps)
    comm.barrier()
    return theta
