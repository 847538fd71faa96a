"""The slips of ``zero2_step``: gradients kept or moved whole, wrong means, wrong layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_12_zero1_slips import TOO_MUCH

__all__ = ["zero2_slips"]

Array = np.ndarray
zero2_slips = Slips()


def _flat(row: Array, comm: Any) -> Array:
    return np.pad(row, (0, -len(row) % comm.world_size))


def _own(row: Array, comm: Any) -> Array:
    return _flat(row, comm).reshape(comm.world_size, -1)[comm.rank]


def _mean(comm: Any, grad: Array) -> Array:
    return comm.reduce_scatter(_flat(grad, comm), "mean")


def _gathered(comm: Any, old: Array, new: Array, size: int) -> Array:
    return comm.all_gather(new)[:size]


def _step(
    comm: Any,
    params: Any,
    backward: Any,
    states: Any,
    rule: Any,
    reduce: Callable[..., Array] = _mean,
    gather: Callable[..., Array] = _gathered,
) -> Any:
    """Take a step with another way to reduce, or to gather."""
    params, states = list(params), list(states)
    for i, grad in backward:
        old = _own(params[i], comm)
        delta, states[i] = rule.update(reduce(comm, grad), states[i], old)
        params[i] = gather(comm, old, old - delta, len(grad))
    return params, states


@zero2_slips(
    "gradients kept whole",
    "You collect all gradients first, or copies of them, and reduce them after backward. Values and bytes "
    "are right, but each rank held every whole gradient: that is stage 1.",
    "Reduce-scatter each gradient inside the loop, before the next one is asked for.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    return _step(comm, params, list(backward), states, rule)


@zero2_slips(
    "gradients reduced, and kept",
    "You reduce each gradient in its turn, as you should, and then keep the whole one: in a list, or under a "
    "name of its own. It stays alive until backward is over.",
    "After its reduce-scatter a rank needs its block alone.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    kept = []

    def reduce(comm: Any, grad: Any) -> Any:
        kept.append(grad)
        return _mean(comm, grad)

    return _step(comm, params, backward, states, rule, reduce)


THREE_PSI = (
    "Your values are right, but you move 3 Psi instead of 2: you all-reduce each gradient and use one block."
)


@zero2_slips("all-reduce instead of reduce-scatter", THREE_PSI, TOO_MUCH)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    def reduce(comm: Any, grad: Any) -> Any:
        return _own(comm.all_reduce(_flat(grad, comm), "mean"), comm)

    return _step(comm, params, backward, states, rule, reduce)


@zero2_slips("all-reduce of the unpadded gradients", THREE_PSI + " You pad what comes of it.", TOO_MUCH)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    def reduce(comm: Any, grad: Any) -> Any:
        return _own(comm.all_reduce(grad, "mean"), comm)

    return _step(comm, params, backward, states, rule, reduce)


@zero2_slips(
    "mean forgotten",
    "You add the ranks' gradients and do not divide: each step is world_size times too long.",
    'comm.reduce_scatter(padded, "mean"), or divide the sum by comm.world_size.',
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    def reduce(comm: Any, grad: Any) -> Any:
        return comm.reduce_scatter(_flat(grad, comm))

    return _step(comm, params, backward, states, rule, reduce)


@zero2_slips(
    "mean twice",
    "You divide by the number of ranks twice: once in the collective, once beside it.",
    'With "mean" the division is done.',
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    def reduce(comm: Any, grad: Any) -> Any:
        return _mean(comm, grad) / comm.world_size

    return _step(comm, params, backward, states, rule, reduce)


@zero2_slips(
    "gradients not reduced",
    "Each rank updates its blocks with its own gradients: the other ranks' data is lost.",
    "comm.reduce_scatter leaves each rank the mean of all ranks' gradients, for its block.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    return _step(comm, params, backward, states, rule, lambda comm, grad: _own(grad, comm))


@zero2_slips(
    "mean over the layers",
    "You divide each gradient by the number of layers, not of ranks.",
    "The mean is over the ranks, whose data differ.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    def reduce(comm: Any, grad: Any) -> Any:
        return comm.reduce_scatter(_flat(grad, comm)) / len(params)

    return _step(comm, params, backward, states, rule, reduce)


@zero2_slips(
    "stale shard gathered",
    "You gather the blocks as they were before the step: the parameters never change.",
    "First the update, then the gather, of the new block.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    def gather(comm: Any, old: Any, new: Any, size: Any) -> Any:
        return comm.all_gather(old)[:size]

    return _step(comm, params, backward, states, rule, gather=gather)


@zero2_slips(
    "gathered in the wrong order",
    "You put the gathered blocks together from the last rank to the first.",
    "all_gather returns them in order of rank already.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    def gather(comm: Any, old: Array, new: Array, size: int) -> Array:
        return comm.all_gather(new).reshape(comm.world_size, -1)[::-1].reshape(-1)[:size]

    return _step(comm, params, backward, states, rule, gather=gather)


@zero2_slips(
    "padding leaked",
    "A layer comes back longer than it was: the zeros of the padding are still on it.",
    "Cut the gathered row to the length of the layer.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    return _step(
        comm, params, backward, states, rule, gather=lambda comm, old, new, size: comm.all_gather(new)
    )


@zero2_slips(
    "not gathered",
    "Each rank writes its new blocks into its copies and gathers nothing: the copies drift apart.",
    "comm.all_gather hands every rank the blocks of all.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    params = list(params)

    def gather(comm: Any, old: Array, new: Array, size: int) -> Array:
        return new

    shards, states = _step(comm, params, backward, states, rule, gather=gather)
    for i, shard in enumerate(shards):
        blocks = _flat(params[i], comm).reshape(comm.world_size, -1)
        blocks[comm.rank] = shard
        params[i] = blocks.reshape(-1)[: len(params[i])]
    return params, states


@zero2_slips(
    "states forgotten",
    "What a step leaves in the states never reaches the next step: either you return them as they came, or "
    "you make new ones at every step.",
    "Give rule.update states[i], and put what it returns in its place.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    return _step(comm, params, backward, states, rule)[0], states


@zero2_slips(
    "only the last layer",
    "You update the first layer that backward yields, and no other.",
    "Loop over all of backward; return after the loop.",
)
def _(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    return _step(comm, params, [next(iter(backward))], states, rule)
