"""Lesson 12: ``shard``, ``model_states_per_rank``, ``zero1_step``, ``zero2_step``, ``zero3_step``,
``lamb_under_zero``."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.cluster.flat import Unit, own_block
from course.cluster.zero import model_states
from course.exercises import drive, drive_zero
from course.exercises.base import Exercise
from course.exercises.lesson_12_cases import (
    lamb_cases,
    shard_cases,
    states_cases,
    zero1_cases,
    zero2_cases,
    zero3_cases,
)
from course.exercises.lesson_12_lamb_slips import lamb_slips
from course.exercises.lesson_12_slips import shard_slips, states_slips
from course.exercises.lesson_12_zero1_slips import zero1_slips
from course.exercises.lesson_12_zero2_slips import zero2_slips
from course.exercises.lesson_12_zero3_pass_slips import zero3_pass_slips
from course.exercises.lesson_12_zero3_slips import zero3_slips
from course.rules.lars import ratio

__all__ = ["EXERCISES"]

Array = np.ndarray
_BYTES = "what each rank puts on the wire at this step"
_KEPT = "how many gradients of earlier layers each rank still held, or had not reduced, when the next came"
_ORDER = "neither line needs the other"
_UNKNOWN = "NumPy takes any negative length for the one that it is to find"
_STATES = "states = optimizer_bytes / ranks if stage >= 1 else optimizer_bytes"
_GRADIENTS = "gradients = 2 / ranks if stage >= 2 else 2"
_OLD = "old = np.pad({}, pad).reshape(comm.world_size, -1)[comm.rank]"
_MEAN = "mean = comm.reduce_scatter(np.pad(grad, pad), 'mean')"
_TRUST = "trust = np.sqrt(squares[0] / squares[1]) if squares.all() else 1.0"


def shard_reference(x: Array, world_size: int, rank: int) -> Array:
    """Ask the library."""
    unit = Unit({"x": x}, world_size)
    return own_block(unit, unit.flatten({"x": x}), rank)


def states_reference(parameters: float, ranks: int, stage: int, optimizer_bytes: float = 12) -> float:
    """Ask the library."""
    return model_states(parameters, ranks, stage, optimizer_bytes=optimizer_bytes)


def zero1_reference(comm: Any, param: Array, grad: Array, state: Any, rule: Any) -> Any:
    """Use the library's unit: flatten, reduce-scatter, update, gather."""
    unit = Unit({"x": param}, comm.world_size)
    own = own_block(unit, unit.flatten({"x": param}), comm.rank)
    mean = comm.reduce_scatter(unit.flatten({"x": grad})) / comm.world_size
    delta, state = rule.update(mean, rule.init(own) if state is None else state, own)
    return unit.views(comm.all_gather(own - delta))["x"], state


def zero2_reference(comm: Any, params: Any, backward: Any, states: Any, rule: Any) -> Any:
    """Stage 1's reference, once a layer."""
    new, kept = list(params), list(states)
    for i, grad in backward:
        new[i], kept[i] = zero1_reference(comm, params[i], grad, states[i], rule)
    return new, kept


def zero3_reference(comm: Any, shards: Any, states: Any, model: Any, x: Array, rule: Any) -> Any:
    """Gather by a function of its own; update after the whole backward."""
    units = [Unit({"x": np.empty(size)}, comm.world_size) for size in model.sizes]

    def whole(i: int) -> Array:
        return units[i].views(comm.all_gather(shards[i]))["x"]

    inputs = [x]
    for i in range(len(shards)):
        inputs.append(model.forward(i, whole(i), inputs[-1]))
    dy, means = model.loss(inputs[-1]), {}
    for i in reversed(range(len(shards))):
        dy, grad = model.backward(i, whole(i), inputs[i], dy)
        means[i] = comm.reduce_scatter(units[i].flatten({"x": grad})) / comm.world_size
    pairs = [rule.update(means[i], states[i], shards[i]) for i in range(len(shards))]
    return [own - delta for own, (delta, _) in zip(shards, pairs, strict=True)], [s for _, s in pairs]


def lamb_reference(comm: Any, weights: Array, update: Array, lr: float) -> Array:
    """Ask the library for the ratio, of norms whose squares were all-reduced."""
    norms = np.sqrt(comm.all_reduce(np.array([weights @ weights, update @ update])))
    return lr * ratio(norms[0], norms[1]) * update


EXERCISES = (
    Exercise(
        name="model_states_per_rank",
        lesson="12",
        arguments=("parameters", "ranks", "stage", "optimizer_bytes"),
        reference=states_reference,
        drive=drive.function("bytes"),
        make_cases=states_cases,
        slips=tuple(states_slips),
        hints=(
            "Without sharding: 2 bytes of weights, 2 of gradients, optimizer_bytes of state, a parameter.",
            "A conditional expression for each part: K / ranks if stage >= 1 else K.",
            "Stage 1 divides the states by the ranks, stage 2 the gradients too, stage 3 the weights too.",
        ),
        meaning={"bytes": "what one rank holds"},
        equivalent={
            f"{_STATES} -> {_GRADIENTS}": _ORDER,
            f"{_GRADIENTS} -> weights = 2 / ranks if stage >= 3 else 2": _ORDER,
        },
    ),
    Exercise(
        name="shard",
        lesson="12",
        arguments=("x", "world_size", "rank"),
        reference=shard_reference,
        drive=drive.function("shard"),
        make_cases=shard_cases,
        slips=tuple(shard_slips),
        hints=(
            "First make one row of it: x.reshape(-1).",
            "How many zeros are missing until the length divides? -len(row) % world_size says it.",
            "np.pad(row, (0, missing)), then reshape(world_size, -1), and take the row of this rank.",
        ),
        meaning={"shard": "what this rank keeps"},
        equivalent={
            f"{line} -> {line.replace('-1)', '-2)')}": _UNKNOWN
            for line in (
                "row = np.pad(x.reshape(-1), (0, -x.size % world_size))",
                "return row.reshape(world_size, -1)[rank]",
            )
        },
    ),
    Exercise(
        name="zero1_step",
        lesson="12",
        arguments=("comm", "param", "grad", "state", "rule"),
        reference=zero1_reference,
        drive=drive_zero.stage_one,
        make_cases=zero1_cases,
        slips=tuple(zero1_slips),
        hints=(
            "Pad and cut as in shard. Gradient and parameter need the same padding.",
            'comm.reduce_scatter(padded, "mean") leaves each rank the mean of its own block.',
            "Update your block with rule.update, gather the new ones with comm.all_gather, cut the padding.",
        ),
        meaning={
            "param": "the parameter that each rank has after the step, a row a rank",
            "state size": "how many numbers of optimizer state each rank keeps",
            "bytes sent": _BYTES,
        },
        equivalent={
            f"{_OLD.format('param')} -> {_MEAN}": _ORDER,
            f"{_MEAN} -> state = rule.init(old) if state is None else state": _ORDER,
            f"{_OLD.format('param')} -> {_OLD.format('param').replace('-1', '-2')}": _UNKNOWN,
        },
    ),
    Exercise(
        name="zero2_step",
        lesson="12",
        arguments=("comm", "params", "backward", "states", "rule"),
        reference=zero2_reference,
        drive=drive_zero.stage_two,
        make_cases=zero2_cases,
        slips=tuple(zero2_slips),
        hints=(
            "It is zero1_step for one layer at a time, inside a loop: for i, grad in backward.",
            "Begin with copies of both lists, and replace their entries as the layers come.",
            "Reduce-scatter inside the loop, so that no rank keeps a whole gradient.",
        ),
        meaning={
            "whole gradients kept": _KEPT,
            "bytes sent": _BYTES,
        }
        | {f"params[{i}]": f"layer {i} after the step, a row a rank" for i in range(3)},
        positions=frozenset({"whole gradients kept"}),
        equivalent={
            f"{_OLD.format('params[i]')} -> {_MEAN}": _ORDER,
            f"{_OLD.format('params[i]')} -> {_OLD.format('params[i]').replace('-1', '-2')}": _UNKNOWN,
        },
    ),
    Exercise(
        name="zero3_step",
        lesson="12",
        arguments=("comm", "shards", "states", "model", "x", "rule"),
        reference=zero3_reference,
        drive=drive_zero.stage_three,
        make_cases=zero3_cases,
        slips=(*zero3_slips, *zero3_pass_slips),
        hints=(
            "Forward: gather a layer, cut the padding to model.sizes[i], keep its input, call model.forward.",
            "Backward: model.loss(x) is dy. Gather each layer again, the last first; drop it after.",
            "Pad the gradient and reduce-scatter it with the mean; update the shard. No gather after that.",
        ),
        meaning={
            "whole layers held": "how many layers each rank held whole at a time, at most; a name that still "
            "holds one counts",
            "whole gradients kept": _KEPT,
            "bytes sent": _BYTES,
        }
        | {f"shards[{i}]": f"each rank's shard of layer {i} after the step" for i in range(3)},
        positions=frozenset({"whole layers held", "whole gradients kept"}),
    ),
    Exercise(
        name="lamb_under_zero",
        lesson="12",
        arguments=("comm", "weights", "update", "lr"),
        reference=lamb_reference,
        drive=drive_zero.one_call,
        make_cases=lamb_cases,
        slips=tuple(lamb_slips),
        hints=(
            "A norm is the root of a sum of squares. Sums can be all-reduced, roots cannot.",
            "One all-reduce of two numbers: the sum of the squares of the weights, and that of the update.",
            "Take the roots after it. Where one of them is 0, the ratio is 1.",
        ),
        meaning={"delta": "what each rank subtracts from its shard", "bytes sent": "by all ranks together"},
        equivalent={
            f"{_TRUST} -> {_TRUST.replace('squares[1]', 'squares[-1]')}": "of two, the second is the last",
        },
    ),
)
