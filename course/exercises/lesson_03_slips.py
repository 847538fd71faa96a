"""The slips of lesson 03's short exercises."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["mean_slips", "stable_slips", "steps_needed", "steps_slips"]

Array = np.ndarray
stable_slips = Slips()


@stable_slips(
    "half of the limit",
    "1/L is the safe step that the proofs use; it is half of the limit.",
    "The factor along a direction is 1 - lr * curvature. When does its size reach 1?",
)
def _(hessian: Array) -> Any:
    return 1 / np.linalg.eigvalsh(hessian)[-1]


@stable_slips(
    "the gentlest direction",
    "You used the smallest curvature. The steepest direction breaks first.",
    "Every direction must shrink. Which one is the first that does not?",
)
def _(hessian: Array) -> Any:
    return 2 / np.linalg.eigvalsh(hessian)[0]


@stable_slips(
    "the fastest, not the largest",
    "2 / (largest + smallest) is the learning rate that converges fastest, not the limit.",
    "Forget the gentle directions: only the steepest one decides.",
)
def _(hessian: Array) -> Any:
    values = np.linalg.eigvalsh(hessian)
    return 2 / (values[0] + values[-1])


@stable_slips(
    "the trace",
    "You divide by the sum of all curvatures (the trace), not by the largest.",
    "One direction decides, not all of them together.",
)
def _(hessian: Array) -> Any:
    return 2 / np.trace(hessian)


@stable_slips(
    "the largest entry",
    "You took the largest entry of the matrix. In a rotated ravine the curvature is larger than any entry.",
    "The curvature along a direction is an eigenvalue, not an entry.",
)
def _(hessian: Array) -> Any:
    return 2 / np.max(np.diag(hessian))


@stable_slips(
    "the Frobenius norm",
    "You divide by the root of the sum of squares; the largest eigenvalue is smaller than that.",
    "np.linalg.norm of a matrix is the Frobenius norm by default.",
)
def _(hessian: Array) -> Any:
    return 2 / np.linalg.norm(hessian)


@stable_slips(
    "the first of an unsorted list",
    "np.linalg.eigvals gives the curvatures in no order, and you took the first one.",
    "Take the largest, or let np.linalg.eigvalsh sort them, smallest first.",
)
def _(hessian: Array) -> Any:
    return 2 / np.linalg.eigvals(hessian)[0]


@stable_slips(
    "upside down",
    "You return L / 2. A steeper landscape needs a smaller learning rate.",
    "Check the units: lr times curvature has none.",
)
def _(hessian: Array) -> Any:
    return np.linalg.eigvalsh(hessian)[-1] / 2


def steps_needed(rate: float, tolerance: float) -> int:
    """Return the smallest whole n with ``rate ** n <= tolerance``."""
    if tolerance >= 1:
        return 0
    if rate <= 0:
        return 1
    n = max(math.ceil(math.log(tolerance) / math.log(rate)), 0)
    while n > 0 and rate ** (n - 1) <= tolerance:
        n -= 1
    return n if rate**n <= tolerance else n + 1


steps_slips = Slips()


@steps_slips(
    "the rate of lr = 1/L",
    "1 - 1/k is the factor per step at lr = 1/L. The best rate does better.",
    "At the best lr both ends shrink equally fast: by (k - 1)/(k + 1).",
)
def _(condition: float, tolerance: float) -> Any:
    return steps_needed(1 - 1 / condition, tolerance)


@steps_slips(
    "the loss, not the distance",
    "You count for the loss, which shrinks by the square of the factor; the distance needs twice as many.",
    "The distance to the optimum is multiplied by the factor once a step.",
)
def _(condition: float, tolerance: float) -> Any:
    return steps_needed(((condition - 1) / (condition + 1)) ** 2, tolerance)


@steps_slips(
    "rounded down",
    "You round down: after that many steps the tolerance is not reached yet.",
    "The first whole number at which it holds is the next one up.",
)
def _(condition: float, tolerance: float) -> Any:
    rate = (condition - 1) / (condition + 1)
    return (
        max(steps_needed(rate, tolerance) - 1, 0)
        if rate > 0 and tolerance < 1
        else steps_needed(rate, tolerance)
    )


@steps_slips(
    "one step too many",
    "You count one step more than needed.",
    "Before the first step the factor is 1: that is step 0.",
)
def _(condition: float, tolerance: float) -> Any:
    return steps_needed((condition - 1) / (condition + 1), tolerance) + 1


@steps_slips(
    "the momentum rate",
    "(sqrt k - 1)/(sqrt k + 1) is the rate of the best heavy ball, which comes in the next lesson.",
    "Plain gradient descent depends on k, not on its root.",
)
def _(condition: float, tolerance: float) -> Any:
    root = math.sqrt(condition)
    return steps_needed((root - 1) / (root + 1), tolerance)


@steps_slips(
    "not a whole number",
    "The formula is right, but a number of steps is a whole one.",
    "Round up, and return an int.",
)
def _(condition: float, tolerance: float) -> Any:
    rate = (condition - 1) / (condition + 1)
    return math.log(tolerance) / math.log(rate) if rate > 0 else 1.0


mean_slips = Slips()


def _path(samples: Array, rate: Any, sign: float = 1.0) -> Array:
    theta, path = 0.0, []
    for t, x in enumerate(samples, start=1):
        theta = theta - rate(t) * sign * (theta - x)
        path.append(theta)
    return np.array(path, dtype=np.asarray(samples).dtype)


@mean_slips(
    "a constant rate",
    "Your learning rate does not fall with t, so the last samples weigh more than the first.",
    "Step t moves by 1/t of the way to the sample.",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 0.1)


@mean_slips(
    "counted from 2",
    "Your first step already uses 1/2: theta never gets rid of its start at 0.",
    "The first sample alone has the mean x. Which rate makes the first step go all the way?",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 1 / (t + 1))


@mean_slips(
    "counted from 0",
    "Your first step divides by zero: t is counted from 1, enumerate counts from 0.",
    "enumerate takes a start.",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 1 / np.float64(t - 1))


@mean_slips(
    "one step late",
    "You write theta down before its step: the path begins with the start and lacks the end.",
    "First the step, then the append.",
)
def _(samples: Array) -> Any:
    return np.concatenate([[0.0], _path(samples, lambda t: 1 / t)])[:-1]


@mean_slips(
    "the start in the path",
    "The path is right, with the start before it: one value too many.",
    "One value after each sample.",
)
def _(samples: Array) -> Any:
    return np.concatenate([[0.0], _path(samples, lambda t: 1 / t)])


@mean_slips(
    "too slow a fall",
    "1/sqrt(t) falls too slowly: it averages, but it is not the mean.",
    "The running mean weighs all samples alike. Which rate does that?",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 1 / math.sqrt(t))


@mean_slips(
    "away from the samples",
    "The sign is wrong: theta runs away from every sample.",
    "The loss is (theta - x)^2 / 2. What is its gradient with respect to theta?",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 1 / t, sign=-1.0)


@mean_slips(
    "only the last value",
    "The last value is right; the whole path was asked for, one value after each sample.",
    "Collect theta after every step and return an array as long as samples.",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 1 / t)[-1:]


@mean_slips(
    "the gradient doubled",
    "You took the gradient of (theta - x)^2, which is twice that of (theta - x)^2 / 2.",
    "Look at the factor in front of the loss.",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 2 / t)


@mean_slips(
    "one rate for the whole sum",
    "You divide by the number of all samples from the start; at step t only t of them have come.",
    "The rate depends on t, not on len(samples).",
)
def _(samples: Array) -> Any:
    return _path(samples, lambda t: 1 / len(samples))
