"""Lesson 07: clipping, ``accumulate``, ``LossScaler``, ``master_weight_step``, ``ema``."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.averaging import EMA, MasterWeights
from course.exercises.base import Exercise
from course.exercises.drive_gradients import lists_of_gradients, scaler, steps_with_a_copy
from course.exercises.lesson_07_accumulate_slips import accumulate_slips
from course.exercises.lesson_07_cases import (
    accumulate_cases,
    ema_cases,
    master_cases,
    norm_cases,
    scaler_cases,
    value_cases,
)
from course.exercises.lesson_07_clip_slips import norm_slips, value_slips
from course.exercises.lesson_07_ema_slips import ema_slips
from course.exercises.lesson_07_master_slips import master_slips
from course.exercises.lesson_07_scaler_slips import scaler_slips
from course.gradients import Accumulator, LossScaler, clip_by_norm, clip_by_value
from course.rules import SGD

__all__ = ["EXERCISES"]

Array = np.ndarray


def accumulate_reference(gradients: list[Array], counts: list[int], k: int) -> list[Array]:
    """Return the mean of each window, by the library's accumulator."""
    window, means = Accumulator(), []
    for start in range(0, len(gradients), k):
        state = window.init()
        for i in range(start, min(start + k, len(gradients))):
            state = window.add(gradients[i], state, count=counts[i])
        means.append(window.mean(state))
    return means


class ScalerReference:
    """The library's scaler, with its state inside."""

    def __init__(self, init_scale: float, growth_factor: float, backoff_factor: float, growth_interval: int):
        self.rule = LossScaler(init_scale, growth_factor, backoff_factor, growth_interval)
        self.state = self.rule.init()
        self.finite = True

    def scale(self, loss: float) -> Any:
        """Return the loss for backward."""
        return self.rule.scale(loss, self.state)

    def unscale(self, grads: list[Array]) -> Any:
        """Return the gradients of the loss."""
        found, self.finite = self.rule.unscale([g.astype(np.float32) for g in grads], self.state)
        return found

    def step(self, take_step: Any) -> None:
        """Call ``take_step``, or not."""
        if self.finite:
            take_step()

    def update(self) -> None:
        """Adapt the scale."""
        self.state = self.rule.update(self.finite, self.state)


def master_reference(
    grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float
) -> Any:
    """Unscale, clip by the library's function, take the library's step on the copy."""
    unscaled = np.asarray(grad.astype(np.float32) / scale)
    clipped, _ = clip_by_norm(unscaled, max_norm)
    rule = MasterWeights(SGD(lr=lr))
    after, state = rule.step(clipped, {"master": master, "inner": {}}, weight)
    return after, state["master"]


def ema_reference(average: Array, param: Array, decay: float, step: int) -> Any:
    """Continue the library's average with bias correction."""
    rule = EMA(decay=decay, debias=True)
    state = rule.update(param, {"average": average, "count": step - 1})
    return state["average"], rule.value(state)


CLIPPED = {
    "norm": "the norm of all gradients together, before clipping",
    "the number of clipped": "one for each gradient",
}
FIRST_LINES = "neither line needs the other"

EXERCISES = (
    Exercise(
        name="clip_by_norm",
        lesson="07",
        arguments=("gradients", "max_norm"),
        reference=clip_by_norm,
        drive=lists_of_gradients("clipped", "norm"),
        make_cases=norm_cases,
        slips=tuple(norm_slips),
        hints=(
            "All gradients together are one long vector. Its squared length is the sum of all squares.",
            "np.sum(g**2) of every array, added up; one root of that sum, before any clipping.",
            "The factor is the smaller one of 1 and max_norm / (norm + 1e-6). Multiply every array by it.",
        ),
        meaning=CLIPPED,
        positions=frozenset({"the number of clipped"}),
    ),
    Exercise(
        name="clip_by_value",
        lesson="07",
        arguments=("gradients", "limit"),
        reference=clip_by_value,
        drive=lists_of_gradients("clipped"),
        make_cases=value_cases,
        slips=tuple(value_slips),
        hints=(
            "Each element for itself: above limit it becomes limit, below -limit it becomes -limit.",
            "np.minimum(x, limit) bounds from above. Which function bounds from below?",
            "np.clip(g, -limit, limit) does both, and makes a new array. Do it for every g.",
        ),
        meaning=CLIPPED,
        positions=frozenset({"the number of clipped"}),
    ),
    Exercise(
        name="accumulate",
        lesson="07",
        arguments=("gradients", "counts", "k"),
        reference=accumulate_reference,
        drive=lists_of_gradients("steps"),
        make_cases=accumulate_cases,
        slips=tuple(accumulate_slips),
        hints=(
            "n * g turns a mean over n tokens back into a sum. Sums may be added.",
            "Per window: the sum of n * g over the sum of n. A new window begins with nothing.",
            "range(0, len(gradients), k) gives the starts; gradients[start:start + k] is shorter at the end.",
        ),
        meaning={
            "the number of steps": "one for each window, the last partial one included",
            **{f"steps[{i}]": f"the gradient of window {i}" for i in range(4)},
        },
        positions=frozenset({"the number of steps"}),
        equivalent={
            "total, count = (0.0, 0) -> total, count = (-0.0, 0)": "minus zero is zero",
            "total, count = (0.0, 0) -> total, count = (0, 0.0)": "a zero of either type adds the same",
            "total = total + n * g -> count = count + n": FIRST_LINES,
        },
    ),
    Exercise(
        name="LossScaler",
        lesson="07",
        arguments=("init_scale", "growth_factor", "backoff_factor", "growth_interval"),
        reference=ScalerReference,
        drive=scaler,
        make_cases=scaler_cases,
        slips=tuple(scaler_slips),
        hints=(
            "unscale first looks: np.isfinite(g).all() for every g. It sees infinities and NaN alike.",
            "In float16 the division loses what the scale saved: g.astype(np.float32), then divide.",
            "update: not finite: factor times backoff_factor, count 0. Finite: count + 1; at growth_interval "
            "factor times growth_factor, count 0.",
        ),
        meaning={
            "scale(0.5)": "the loss that backward is called on",
            "the number of steps taken": "how often take_step was called so far",
            **{f"unscale(grads)[{i}]": "a gradient of the loss itself" for i in range(3)},
        },
        positions=frozenset({"the number of steps taken", "the number of unscaled gradients"}),
        equivalent={
            "if not self.finite: -> self.good_steps = self.good_steps + 1": "an overflow clears the count",
            "self.factor = self.factor * self.backoff_factor -> self.good_steps = 0": FIRST_LINES,
            "self.factor = self.factor * self.growth_factor -> self.good_steps = 0": FIRST_LINES,
        },
    ),
    Exercise(
        name="master_weight_step",
        lesson="07",
        arguments=("grad", "weight", "master", "lr", "scale", "max_norm"),
        reference=master_reference,
        drive=steps_with_a_copy("weight", "master"),
        make_cases=master_cases,
        slips=tuple(master_slips),
        hints=(
            "Four things, in this order: unscale, clip, step on the copy, round the copy to the weight.",
            "All but the last are done in float32: begin with grad.astype(np.float32), then divide by scale.",
            "The factor is the smaller one of 1 and max_norm / (norm + 1e-6), with the norm of the unscaled "
            "gradient. Or call your clip_by_norm with a list of one array.",
            "Subtract lr times the clipped gradient from the copy; the weight is that, as np.float16.",
        ),
        meaning={
            "weight": "the float16 weight after the step",
            "master": "the float32 copy after the step",
        },
    ),
    Exercise(
        name="ema",
        lesson="07",
        arguments=("average", "param", "decay", "step"),
        reference=ema_reference,
        drive=steps_with_a_copy("corrected", "average", counted=True),
        make_cases=ema_cases,
        slips=tuple(ema_slips),
        hints=(
            "The average keeps the share decay of itself, and takes 1 - decay of the new parameter.",
            "It began at zero. After step steps the shares of all parameters add up to 1 - decay**step.",
            "Carry on decay times average plus 1 - decay times param.astype(np.float32); return that, and "
            "that over 1 - decay**step.",
        ),
        meaning={
            "average": "what the next call gets",
            "corrected": "the average without its bias toward zero",
        },
    ),
)
