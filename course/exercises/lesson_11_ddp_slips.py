"""The slips of ddp_step: updates on many ranks that part from the one on all the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["ddp_slips"]

ddp_slips = Slips()


def stepped(update: Any, gradient: Any, param: Any, state: Any) -> Any:
    """Return parameter and state after the rule's step."""
    delta, state = update(gradient, state, param)
    return param - delta, state


def sums(comm: Any, grad_fn: Any, param: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Return the summed gradient of all rows, and their number."""
    return comm.all_reduce(len(x) * grad_fn(param, x, y)), comm.all_reduce(len(x))


@ddp_slips(
    "the mean forgotten",
    "You add the ranks' gradients and leave it at that. The gradient is about N times too large; a rule "
    "that divides by its size, such as Adam, hides it.",
    "The gradient of the whole batch is the mean over all its rows.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    return stepped(update, comm.all_reduce(grad_fn(param, x, y)), param, state)


@ddp_slips(
    "the mean taken twice",
    'all_reduce(..., "mean") divides by N already, and you divide once more.',
    "One division: by the number of all rows.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    mean = comm.all_reduce(grad_fn(param, x, y), "mean") / comm.world_size
    return stepped(update, mean, param, state)


@ddp_slips(
    "the plain mean of uneven shares",
    "You take the mean over the ranks, as if all had the same number of rows. A row on a rank with few rows "
    "then counts more than others.",
    "Weigh each rank's gradient by its number of rows, and divide by the number of all rows.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    return stepped(update, comm.all_reduce(grad_fn(param, x, y), "mean"), param, state)


@ddp_slips(
    "parameters averaged, not gradients",
    "Each rank takes its own step, and you average the parameters. With the same shares at every step and "
    "a rule that is linear in gradient and state, as SGD and heavy ball are, that comes to the same. Adam is "
    "not linear: it divides by the size of the gradients, and each rank has seen its own.",
    "First the mean of the gradients, then one and the same update everywhere.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    after, state = stepped(update, grad_fn(param, x, y), param, state)
    return comm.all_reduce(len(x) * after) / comm.all_reduce(len(x)), state


@ddp_slips(
    "parameters averaged without weights",
    "Each rank takes its own step, and you take the plain mean of the parameters. That is wrong in two "
    "ways: a row on a rank with few rows counts too much, and a rule such as Adam has seen other gradients "
    "on each rank.",
    "First the gradient of all rows, weighed by their numbers, then one and the same update everywhere.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    after, state = stepped(update, grad_fn(param, x, y), param, state)
    return comm.all_reduce(after, "mean"), state


@ddp_slips(
    "each rank its own update",
    "No rank hears of another. After one step there are N different models.",
    "Between the gradient and the update stands an all-reduce.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    return stepped(update, grad_fn(param, x, y), param, state)


@ddp_slips(
    "weighed, and not divided",
    "You weigh the gradients by their rows and leave it at the sum: the gradient of a summed loss.",
    "Divide by the number of all rows, which takes an all-reduce of its own.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    return stepped(update, sums(comm, grad_fn, param, x, y)[0], param, state)


@ddp_slips(
    "weighed, and divided by the ranks",
    "You weigh the gradients by their rows and divide by the number of ranks. After weighing, rows are what "
    "is counted.",
    "Divide by the number of all rows, which takes an all-reduce of its own.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    return stepped(update, sums(comm, grad_fn, param, x, y)[0] / comm.world_size, param, state)


@ddp_slips(
    "not weighed, and divided by the rows",
    "You add the ranks' mean gradients and divide by the number of all rows. A mean counts once, however "
    "many rows are in it.",
    "len(x) times the mean over the own rows is their sum. Sums may be added, and divided by all rows.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    total = comm.all_reduce(grad_fn(param, x, y))
    return stepped(update, total / comm.all_reduce(len(x)), param, state)


@ddp_slips(
    "divided by the ranks and by the rows",
    'You divide twice: by the number of all rows, and by the number of ranks, as "mean" does.',
    "Sum, not mean; and one division, by the number of all rows.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    total, count = sums(comm, grad_fn, param, x, y)
    return stepped(update, total / comm.world_size / count, param, state)


@ddp_slips(
    "delta added",
    "You add delta. It is what a rule subtracts.",
    "Return param - delta.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    total, count = sums(comm, grad_fn, param, x, y)
    delta, state = update(total / count, state, param)
    return param + delta, state


@ddp_slips(
    "divided by the own rows",
    "You divide the sum of all rows by the rank's own number of rows. Ranks with different numbers take "
    "different steps.",
    "The divisor is the number of all rows, the same on every rank.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    return stepped(update, sums(comm, grad_fn, param, x, y)[0] / max(len(x), 1), param, state)


@ddp_slips(
    "the gradient of rank 0 for all",
    "All ranks take the step of rank 0. They agree, but the rows of the others were for nothing.",
    "The gradients must be summed, not copied.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    return stepped(update, comm.broadcast(grad_fn(param, x, y)), param, state)


@ddp_slips(
    "only rank 0 steps",
    "Rank 0 takes the right step and the others stay where they are. Every rank holds the whole model and "
    "has to move it.",
    "Leave out the `if comm.rank == 0`: the update is the same everywhere.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    total, count = sums(comm, grad_fn, param, x, y)
    return stepped(update, total / count, param, state) if comm.rank == 0 else (param, state)


@ddp_slips(
    "a rank without rows returns early",
    "A rank that has no rows does not call the collective, and the others wait for it for ever.",
    "A collective is called by every rank. One without rows adds zeros.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    if len(x) == 0:
        return param, state
    total, count = sums(comm, grad_fn, param, x, y)
    return stepped(update, total / count, param, state)


@ddp_slips(
    "the state forgotten",
    "You return the state that you were given. The rule begins anew at every step.",
    "update returns the delta and the new state; both are needed.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    total, count = sums(comm, grad_fn, param, x, y)
    return stepped(update, total / count, param, state)[0], state


@ddp_slips(
    "the parameter changed in place",
    "The step is right, but -= writes it into the caller's array.",
    "Return param - delta, a new array.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    total, count = sums(comm, grad_fn, param, x, y)
    delta, state = update(total / count, state, param)
    param -= delta
    return param, state


@ddp_slips(
    "all gradients gathered",
    "Every rank collects the gradients of all ranks and averages for itself. The step is right, and each "
    "rank sends N - 1 gradients instead of 2 (N - 1) / N of one.",
    "An all-reduce adds up on the way.",
)
def _(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    every = comm.all_gather(len(x) * grad_fn(param, x, y)[None])
    return stepped(update, np.sum(every, axis=0) / comm.all_reduce(len(x)), param, state)
