"""The slips of master_weight_step and ema: where the small part of a sum gets lost, and others."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["ema_slips", "master_slips"]

Array = np.ndarray
master_slips, ema_slips = Slips(), Slips()
HALF, SINGLE = np.float16, np.float32


@master_slips(
    "the update rounded to float16",
    "lr * grad is computed in float16, since grad is float16. Small products are rounded, or become zero, "
    "before the copy ever sees them.",
    "Widen the gradient first, then multiply.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    after = master - HALF(lr) * grad
    return after.astype(HALF), after


@master_slips(
    "the copy starts from the rounded weight",
    "You step from the float16 weight. What the copy had kept beyond float16 is lost at every step.",
    "The copy takes the step. The old weight is not needed at all.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    after = weight.astype(SINGLE) - lr * grad.astype(SINGLE)
    return after.astype(HALF), after


@master_slips(
    "the copy replaced by the rounded weight",
    "You step on the copy, but give back the float16 weight as the new copy: the small steps are gone.",
    "Return the copy as it is, before rounding.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    after = (master - lr * grad.astype(SINGLE)).astype(HALF)
    return after, after.astype(SINGLE)


@master_slips(
    "everything in float16",
    "You step on the float16 weight itself and leave the copy out. Steps below half its spacing do nothing.",
    "Step on the float32 copy, and round that.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    after = np.asarray(weight - HALF(lr) * grad)
    return after, after.astype(SINGLE)


@master_slips(
    "the copy left where it was",
    "The weight moves, but the copy that you return is the old one: every step begins at the start.",
    "Return the copy after the step.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    return (master - lr * grad.astype(SINGLE)).astype(HALF), master


@master_slips(
    "the weight left where it was",
    "The copy moves, but the weight that you return is the old one: the network never sees the step.",
    "The new weight is the new copy, rounded to float16.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    return weight, master - lr * grad.astype(SINGLE)


@master_slips(
    "uphill",
    "The step goes uphill: you add lr times the gradient.",
    "Subtract.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    after = master + lr * grad.astype(SINGLE)
    return after.astype(HALF), after


@master_slips(
    "the weight still in float32",
    "The numbers are those of the copy: you return the weight in float32. The network computes in float16.",
    "Round the weight: astype(np.float16).",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    after = master - lr * grad.astype(SINGLE)
    return after, after


@master_slips(
    "weight and copy exchanged",
    "You return the copy first and the weight second.",
    "The order is (weight, master).",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    after = master - lr * grad.astype(SINGLE)
    return after, after.astype(HALF)


@master_slips(
    "changed in place",
    "The numbers are right, but you wrote them into the caller's own copy.",
    "master - ... makes a new array; master -= ... changes the one that you were given.",
)
def _(grad: Array, weight: Array, master: Array, lr: float) -> Any:
    np.subtract(master, lr * grad.astype(SINGLE), out=master)
    return master.astype(HALF), master


def corrected(average: Any, decay: float, step: int) -> Any:
    """Return the average over the sum of its weights."""
    return average / (1 - decay**step)


def blended(average: Array, param: Array, decay: float) -> Any:
    """Return the average after one more parameter."""
    return decay * average + (1 - decay) * param.astype(SINGLE)


@ema_slips(
    "decay on the new parameter",
    "You give the share decay to the new parameter and the rest to the average. With decay .999 that is "
    "hardly an average.",
    "decay is what the average keeps of itself.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = blended(average, param, 1 - decay)
    return after, corrected(after, decay, step)


@ema_slips(
    "no correction",
    "The average is right, and returned a second time as it is. It began at zero, and in the first steps "
    "it is still near there.",
    "Divide by the sum of the shares of all parameters so far: 1 - decay**step.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = blended(average, param, decay)
    return after, after


@ema_slips(
    "the correction stored back",
    "You return the corrected average in both places. The next step corrects it again.",
    "What is carried on stays uncorrected; the correction is only for whoever looks.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = corrected(blended(average, param, decay), decay, step)
    return after, after


@ema_slips(
    "correction one step late",
    "The correction counts one step too few; at the first step it divides by zero.",
    "step is 1 at the first parameter: 1 - decay**step, as it comes.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = blended(average, param, decay)
    return after, (after / SINGLE(1 - decay ** (step - 1)))


@ema_slips(
    "correction one step early",
    "The correction counts one step too many.",
    "step is 1 at the first parameter: 1 - decay**step, as it comes.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = blended(average, param, decay)
    return after, corrected(after, decay, step + 1)


@ema_slips(
    "decay times step",
    "The correction has decay * step where the power decay**step belongs.",
    "The share of the start shrinks by the factor decay at each step.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = blended(average, param, decay)
    return after, after / SINGLE(1 - decay * step)


@ema_slips(
    "the average in float16",
    "You blend in the parameter's own float16. A share of a thousandth of it is less than half the spacing, "
    "and the average stands still.",
    "Keep the average in float32: widen the parameter, not the other way round.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    low = average.astype(param.dtype)
    after = (param.dtype.type(decay) * low + param.dtype.type(1 - decay) * param).astype(SINGLE)
    return after, corrected(after, decay, step)


@ema_slips(
    "the share in float16",
    "The average is in float32, but (1 - decay) * param is computed in float16, and rounded before it "
    "is added.",
    "Widen param before you multiply.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = decay * average + param.dtype.type(1 - decay) * param
    return after, corrected(after, decay, step)


@ema_slips(
    "no share for the new parameter",
    "You add the whole parameter to what is left of the average: a sum, 1/(1 - decay) times too large.",
    "The new parameter takes the share 1 - decay, so that the shares add up to 1.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = decay * average + param.astype(SINGLE)
    return after, corrected(after, decay, step)


@ema_slips(
    "average and corrected exchanged",
    "You return the corrected one first. The next step gets it as the average.",
    "The order is (average, corrected).",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = blended(average, param, decay)
    return corrected(after, decay, step), after


@ema_slips(
    "changed in place",
    "The numbers are right, but you wrote them into the caller's own array.",
    "decay * average makes a new array; average *= decay changes the one that you were given.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    np.copyto(average, blended(average, param, decay))
    return average, corrected(average, decay, step)
