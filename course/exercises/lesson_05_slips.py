"""The slips of first_step_size."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["first_step_slips"]
first_step_slips = Slips()


@first_step_slips(
    "the sign kept",
    "You return the step itself, with the gradient's sign. Its size is asked for.",
    "A size is not negative.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * grad / (np.abs(grad) + eps)


@first_step_slips(
    "always lr",
    "You return lr whatever the gradient is. That is nearly right far above eps, and wrong near it.",
    "How large is the step for a gradient of zero?",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * np.ones_like(grad)


@first_step_slips(
    "lr unless the gradient is zero",
    "You leave eps out: the step is lr for every gradient that is not zero.",
    "What if the gradient is as small as eps?",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * np.abs(np.sign(grad))


@first_step_slips(
    "no bias correction",
    "You use m and v as they are after one step. Corrected, both factors 1 - beta go.",
    "What does Adam divide m and v by at t = 1?",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * (1 - beta1) * np.abs(grad) / (np.sqrt((1 - beta2) * grad * grad) + eps)


@first_step_slips(
    "only m corrected",
    "m is corrected, v is not.",
    "Both means start at 0, and both are corrected.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * np.abs(grad) / (np.sqrt((1 - beta2) * grad * grad) + eps)


@first_step_slips(
    "only v corrected",
    "v is corrected, m is not.",
    "Both means start at 0, and both are corrected.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * (1 - beta1) * np.abs(grad) / (np.abs(grad) + eps)


@first_step_slips(
    "eps inside the root",
    "eps stands inside the root, where it is a floor of sqrt(eps).",
    "eps is added after the root is taken.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * np.abs(grad) / np.sqrt(grad * grad + eps)


@first_step_slips(
    "eps before the bias correction",
    "eps is added to the root of the raw v, so that the correction makes it larger: Keras's form.",
    "In the course's form, and torch's, v is corrected first.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * np.abs(grad) / (np.abs(grad) + eps / np.sqrt(1 - beta2))


@first_step_slips(
    "root missing",
    "You divide by the square of the gradient. Adam divides by the root of the mean square.",
    "Check the units: the step must not depend on the gradient's unit.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * np.abs(grad) / (grad * grad + eps)


@first_step_slips(
    "the gradient in proportion",
    "The step grows with the gradient, as in plain gradient descent.",
    "What does Adam divide by?",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * np.abs(grad)


@first_step_slips(
    "no learning rate",
    "The quotient is right, but lr is missing.",
    "A step is measured in units of lr.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return np.abs(grad) / (np.abs(grad) + eps)


@first_step_slips(
    "the size left out below",
    "Below the line the gradient keeps its sign. Where it is negative, the quotient comes out wrong.",
    "The root of a square is never negative.",
)
def _(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return lr * grad / (grad + eps)
