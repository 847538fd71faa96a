"""The slips of ema: an average too short, too low, or in too few bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["ema_slips"]

Array = np.ndarray
ema_slips = Slips()
SINGLE = np.float32


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
    "multiplied by the correction",
    "You multiply by 1 - decay**step where you should divide: an average that is too small gets "
    "smaller still.",
    "1 - decay**step is the sum of the shares. A sum over the sum of its shares is a mean.",
)
def _(average: Array, param: Array, decay: float, step: int) -> Any:
    after = blended(average, param, decay)
    return after, after * SINGLE(1 - decay**step)


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
