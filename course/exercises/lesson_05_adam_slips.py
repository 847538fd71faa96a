"""The slips of adam: those of the corrections and of eps here, those of the means beside."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_05_adam_means_slips import Array, Moments, adam_means_slips, means, step

__all__ = ["adam_slips"]

adam_slips = Slips()


def _keep(after: Moments) -> dict:
    """Return the right state of these moments."""
    return {"m": after.m, "v": after.v, "step": after.t}


@adam_slips(
    "eps inside the root",
    "eps stands inside the root: sqrt(v_hat + eps). There it is a floor of sqrt(eps), far larger than eps.",
    "torch adds eps to the root, not to what is under it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    m_hat, v_hat = a.m / (1 - beta1**a.t), a.v / (1 - beta2**a.t)
    return lr * m_hat / np.sqrt(v_hat + eps), _keep(a)


@adam_slips(
    "eps inside and outside",
    "eps stands twice: under the root and beside it.",
    "Once is enough: it is added to the root, not to what is under it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    m_hat, v_hat = a.m / (1 - beta1**a.t), a.v / (1 - beta2**a.t)
    return lr * m_hat / (np.sqrt(v_hat + eps) + eps), _keep(a)


@adam_slips(
    "eps before the bias correction",
    "eps is added to the root of the raw v, as in Keras. At the first steps it weighs more than it should.",
    "Which of the two second moments has its root taken: v or v_hat?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    rate = lr * (1 - beta2**a.t) ** 0.5 / (1 - beta1**a.t)
    return rate * a.m / (np.sqrt(a.v) + eps), _keep(a)


@adam_slips(
    "no eps",
    "eps is not used. A parameter whose gradient was zero so far then divides zero by zero.",
    "Where does eps keep the quotient finite?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return step(a, lr, beta1, beta2, 0.0)


@adam_slips(
    "eps added to the step",
    "eps is added to the quotient, not to the divisor: every parameter is moved by eps at every step.",
    "A division binds tighter than a sum. Which parentheses are missing?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    delta, after = step(means(grad, state, beta1, beta2), lr, beta1, beta2, 0.0)
    return delta + eps, after


@adam_slips(
    "eps as a floor",
    "You take the larger of root and eps. The formula adds them.",
    "What does the step become where root and eps are equal?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    m_hat, v_hat = a.m / (1 - beta1**a.t), a.v / (1 - beta2**a.t)
    return lr * m_hat / np.maximum(np.sqrt(v_hat), eps), _keep(a)


@adam_slips(
    "no bias correction",
    "m and v are used as they are. Both start at 0, v stays small longer, so the first steps are too long.",
    "After one step m is only (1 - beta1) of the gradient. What undoes that?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return lr * a.m / (np.sqrt(a.v) + eps), _keep(a)


@adam_slips(
    "only m corrected",
    "m is corrected, v is not: the first steps are far too long.",
    "Both means start at 0.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return lr * a.m / (1 - beta1**a.t) / (np.sqrt(a.v) + eps), _keep(a)


@adam_slips(
    "only v corrected",
    "v is corrected, m is not: the first steps are too short.",
    "Both means start at 0.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return lr * a.m / (np.sqrt(a.v / (1 - beta2**a.t)) + eps), _keep(a)


@adam_slips(
    "correction with t - 1",
    "The correction takes the count before this step. At the first step that is 0, and 1 - beta**0 is 0.",
    "t counts this step too: it is 1 at the first.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    delta, _ = step(a.at(state["step"]), lr, beta1, beta2, eps)
    return delta, _keep(a)


@adam_slips(
    "correction with t + 1",
    "The correction is one step ahead: you count the step, and then add one more.",
    "What is t at the first step?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    delta, _ = step(a.at(a.t + 1), lr, beta1, beta2, eps)
    return delta, _keep(a)


@adam_slips(
    "correction without the power",
    "You divide by 1 - beta at every step. That is right for the first one only.",
    "The correction must fade: what becomes of beta**t as t grows?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    delta, _ = step(a.at(1), lr, beta1, beta2, eps)
    return delta, _keep(a)


@adam_slips(
    "beta times t",
    "You multiply beta by t where the power belongs. From the second step on, 1 - beta * t can be negative.",
    "In Python the power is written with two stars.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    m_hat, v_hat = a.m / (1 - beta1 * a.t), a.v / (1 - beta2 * a.t)
    return lr * m_hat / (np.sqrt(v_hat) + eps), _keep(a)


@adam_slips(
    "the power of the difference",
    "You divide by (1 - beta)**t. That goes to 0 as t grows; 1 - beta**t goes to 1.",
    "Which is taken first, the power or the difference?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    m_hat, v_hat = a.m / (1 - beta1) ** a.t, a.v / (1 - beta2) ** a.t
    return lr * m_hat / (np.sqrt(v_hat) + eps), _keep(a)


@adam_slips(
    "corrections swapped",
    "m is corrected with beta2 and v with beta1.",
    "Each mean is corrected with the beta that it was made with.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return lr * a.m / (1 - beta2**a.t) / (np.sqrt(a.v / (1 - beta1**a.t)) + eps), _keep(a)


@adam_slips(
    "multiplied instead of divided",
    "You multiply by 1 - beta**t. The means are too small already; that makes them smaller.",
    "What turns (1 - beta1) times the gradient back into the gradient?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    m_hat, v_hat = a.m * (1 - beta1**a.t), a.v * (1 - beta2**a.t)
    return lr * m_hat / (np.sqrt(v_hat) + eps), _keep(a)


@adam_slips(
    "v corrected after the root",
    "You take the root of v first and divide that by 1 - beta2**t. The correction belongs under the root.",
    "v is what is too small, not its root.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return lr * a.m / (1 - beta1**a.t) / (np.sqrt(a.v) / (1 - beta2**a.t) + eps), _keep(a)


@adam_slips(
    "corrected means kept",
    "The corrected means are stored in the state, and corrected again at the next step.",
    "The state holds m and v. m_hat and v_hat serve this step alone.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    delta, _ = step(a, lr, beta1, beta2, eps)
    return delta, {"m": a.m / (1 - beta1**a.t), "v": a.v / (1 - beta2**a.t), "step": a.t}


@adam_slips(
    "steps not counted",
    "The count state['step'] stays where it was, so the next step is corrected as this one was.",
    "Return the count one higher than it came.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    delta, after = step(means(grad, state, beta1, beta2), lr, beta1, beta2, eps)
    return delta, after | {"step": state["step"]}


@adam_slips(
    "root missing",
    "You divide by v_hat itself. A gradient ten times as large then gives a step ten times as small.",
    "Check the units: which power of the gradient stands above, which below?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return lr * a.m / (1 - beta1**a.t) / (a.v / (1 - beta2**a.t) + eps), _keep(a)


adam_slips.extend(adam_means_slips)
