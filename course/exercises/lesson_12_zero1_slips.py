"""The slips of ``zero1_step``: wrong means, stale or misplaced shards, and too much on the wire."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["TOO_MUCH", "zero1_slips"]

Array = np.ndarray
zero1_slips = Slips()
TOO_MUCH = (
    "An all-reduce is a reduce-scatter and an all-gather: it hands every rank the blocks of all others."
)


def _blocks(row: Array, comm: Any) -> Array:
    return np.pad(row, (0, -len(row) % comm.world_size)).reshape(comm.world_size, -1)


def _step(
    comm: Any, param: Array, grad: Array, state: Any, rule: Any, **other: Any
) -> tuple[Array, Array, Any]:
    """Return this rank's old and new block and its state; ``other`` spoils the gradient."""
    old = _blocks(param, comm)[comm.rank]
    gradient = other.get("gradient")
    if gradient is None:
        gradient = comm.reduce_scatter(_blocks(grad, comm).reshape(-1), other.get("op", "mean"))
        gradient = gradient / other.get("over", 1)
    delta, state = rule.update(gradient, rule.init(old) if state is None else state, old)
    return old, old - delta, state


def _whole(comm: Any, block: Array, param: Array) -> Array:
    return comm.all_gather(block)[: len(param)]


@zero1_slips(
    "mean forgotten",
    "You add the ranks' gradients and do not divide: each step is world_size times too long. "
    "Adam would hide it: it does not see the scale of gradients.",
    'comm.reduce_scatter(padded, "mean"), or divide the sum by comm.world_size.',
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, state, rule, op="sum")
    return _whole(comm, new, param), state


@zero1_slips(
    "mean twice",
    "You divide by the number of ranks twice: once in the collective, once beside it.",
    'With "mean" the division is done.',
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, state, rule, over=comm.world_size)
    return _whole(comm, new, param), state


@zero1_slips(
    "gradients not reduced",
    "Each rank updates its block with its own gradient: the other ranks' data is lost.",
    "comm.reduce_scatter leaves each rank the mean of all ranks' gradients, for its block.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, state, rule, gradient=_blocks(grad, comm)[comm.rank])
    return _whole(comm, new, param), state


def _all_reduced(comm: Any, param: Array, row: Array, state: Any, rule: Any) -> Any:
    """Return the step with one block of an all-reduced row of gradients."""
    mean = comm.all_reduce(row, "mean")
    _, new, state = _step(comm, param, row, state, rule, gradient=_blocks(mean, comm)[comm.rank])
    return _whole(comm, new, param), state


def _plain(comm: Any, param: Array, row: Array, state: Any, rule: Any) -> Any:
    """Return the step of plain data parallelism."""
    mean = comm.all_reduce(row, "mean")[: len(param)]
    delta, state = rule.update(mean, rule.init(param) if state is None else state, param)
    return param - delta, state


THREE_PSI = (
    "Your values are right, but you move 3 Psi instead of 2: you all-reduce the gradients (2 Psi), use one "
    "block of them, and gather the parameters (1 Psi)."
)
PLAIN = (
    "This is plain data parallelism: each rank updates the whole parameter and keeps the whole state. The "
    "values are right, but nothing is saved.",
    "Cut your block out of the parameter first; the state is that of the block.",
)


@zero1_slips("all-reduce instead of reduce-scatter", THREE_PSI, TOO_MUCH)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    return _all_reduced(comm, param, _blocks(grad, comm).reshape(-1), state, rule)


@zero1_slips("all-reduce of the unpadded gradients", THREE_PSI + " You pad what comes of it.", TOO_MUCH)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    return _all_reduced(comm, param, grad, state, rule)


@zero1_slips("optimizer state in full on every rank", *PLAIN)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    return _plain(comm, param, _blocks(grad, comm).reshape(-1), state, rule)


@zero1_slips("optimizer state in full, nothing padded", PLAIN[0] + " Nothing is padded either.", PLAIN[1])
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    return _plain(comm, param, grad, state, rule)


@zero1_slips(
    "each rank updates the whole",
    "Each rank updates the whole parameter, with the whole state, and then gathers what it has already.",
    "Update your own block alone; the others come by the gather.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    mean = comm.all_reduce(_blocks(grad, comm).reshape(-1), "mean")[: len(param)]
    delta, state = rule.update(mean, rule.init(param) if state is None else state, param)
    return _whole(comm, _blocks(param - delta, comm)[comm.rank], param), state


@zero1_slips(
    "stale shard gathered",
    "You gather the blocks as they were before the step: the parameter never changes.",
    "First the update, then the gather, of the new block.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    old, _, state = _step(comm, param, grad, state, rule)
    return _whole(comm, old, param), state


@zero1_slips(
    "not gathered",
    "Each rank writes its new block into its copy and gathers nothing: the copies drift apart.",
    "comm.all_gather hands every rank the blocks of all.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, state, rule)
    blocks = _blocks(param, comm)
    blocks[comm.rank] = new
    return blocks.reshape(-1)[: len(param)], state


@zero1_slips(
    "the block returned alone",
    "You return your new block where the whole parameter is asked for: nothing is gathered.",
    "comm.all_gather hands every rank the blocks of all. Then cut the padding off.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, state, rule)
    return new, state


@zero1_slips(
    "gathered in the wrong order",
    "You put the gathered blocks together from the last rank to the first.",
    "all_gather returns them in order of rank already.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, state, rule)
    return comm.all_gather(new).reshape(comm.world_size, -1)[::-1].reshape(-1)[: len(param)], state


@zero1_slips(
    "padding leaked",
    "Your parameter comes back longer than it was: the zeros of the padding are still on it.",
    "Cut the gathered row to len(param).",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, state, rule)
    return comm.all_gather(new), state


@zero1_slips(
    "a block of zeros too many",
    "Where the length divides already, you pad all the same: world_size - size % world_size is then "
    "world_size, not 0. The values are right, and every rank sends zeros.",
    "-size % world_size is 0 where nothing is missing.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    pad = (0, comm.world_size - len(param) % comm.world_size)
    old = np.pad(param, pad).reshape(comm.world_size, -1)[comm.rank]
    mean = comm.reduce_scatter(np.pad(grad, pad), "mean")
    delta, state = rule.update(mean, rule.init(old) if state is None else state, old)
    return _whole(comm, old - delta, param), state


@zero1_slips(
    "state begun anew",
    "What a step leaves in the state never reaches the next step: either you make a new state at every step, "
    "or you return the one from before the update.",
    "rule.init only where state is None; and return the state that rule.update returns.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    _, new, state = _step(comm, param, grad, None, rule)
    return _whole(comm, new, param), state


@zero1_slips(
    "delta added",
    "You add delta. It is what a rule subtracts.",
    "The new block is the old one minus delta.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    old, new, state = _step(comm, param, grad, state, rule)
    return _whole(comm, 2 * old - new, param), state


@zero1_slips(
    "deltas gathered",
    "You gather the deltas and return them as the parameter.",
    "Subtract, then gather; or subtract what you gathered from param.",
)
def _(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    old, new, state = _step(comm, param, grad, state, rule)
    return _whole(comm, old - new, param), state
