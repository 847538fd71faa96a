"""The slips of sophia: its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_08_right import EPS, after, bounded, curvature, mean

__all__ = ["step_slips"]

Array = np.ndarray
Product = Callable[[Array], Array]
step_slips = Slips()


@step_slips(
    "clipped before the division",
    "You clip the momentum and divide afterwards. Where the curvature is small, the step has no bound.",
    "Divide first. The quotient is what must not grow too large.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    step = np.clip(m, -rho, rho) / np.maximum(h, EPS)
    return lr * (step + decay * param), after(state, m, h)


@step_slips(
    "not clipped",
    "The quotient is not clipped. Where the curvature is small or negative, the step is enormous.",
    "No element of the quotient may exceed rho in size.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (m / np.maximum(h, EPS) + decay * param), after(state, m, h)


@step_slips(
    "clipped from above only",
    "You bound the quotient above, but not below: negative steps grow without a limit.",
    "The bound holds for both signs.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (np.minimum(m / np.maximum(h, EPS), rho) + decay * param), after(state, m, h)


@step_slips(
    "curvature not kept positive",
    "You divide by h as it is. Where h is negative, the step goes uphill; where it is 0 like m, it is NaN.",
    "Take the larger of h and 1e-12 before you divide.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (np.clip(m / h, -rho, rho) + decay * param), after(state, m, h)


@step_slips(
    "eps added to the curvature",
    "You add 1e-12 to h. That keeps off the 0 / 0, but a negative curvature still turns the step uphill.",
    "Take the larger of the two instead.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (np.clip(m / (h + EPS), -rho, rho) + decay * param), after(state, m, h)


@step_slips(
    "absolute curvature",
    "You divide by |h|. Along a direction that curves downwards Sophia takes the bounded step instead.",
    "A negative h must count as no curvature at all.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, np.abs(h), rho) + decay * param), after(state, m, h)


@step_slips(
    "root of the curvature",
    "You divide by the root of h, as Adam does with v. h is a curvature already, no square.",
    "Newton's step is gradient over curvature, without a root.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, np.sqrt(np.maximum(h, EPS**2)), rho) + decay * param), after(state, m, h)


@step_slips(
    "rho times the curvature",
    "You divide by rho h and clip at 1: the form of SophiaG. Here h itself divides, and rho is the bound.",
    "rho limits the quotient. It does not stand in it.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (np.clip(m / np.maximum(rho * h, EPS), -1.0, 1.0) + decay * param), after(state, m, h)


@step_slips(
    "clipped at 1",
    "You clip at 1 instead of rho.",
    "What is rho for?",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, 1.0) + decay * param), after(state, m, h)


@step_slips(
    "no momentum",
    "You divide the gradient itself; m has no part in the step.",
    "The quotient is m over h.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(grad, h, rho) + decay * param), after(state, m, h)


@step_slips(
    "step from the old momentum",
    "The step uses the momentum from before this gradient came in.",
    "Update m first.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(state["m"], h, rho) + decay * param), after(state, m, h)


@step_slips(
    "m bias-corrected",
    "You correct m by 1 - beta1 to the power of the count, as Adam does. Sophia does not.",
    "m is used as it is.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    m_hat = m / (1 - beta1 ** (state["step"] + 1))
    return lr * (bounded(m_hat, h, rho) + decay * param), after(state, m, h)


@step_slips(
    "decay inside the clip",
    "The decay is added to m, divided and clipped with it.",
    "The decay is added to the clipped quotient.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * bounded(m + decay * param, h, rho), after(state, m, h)


@step_slips(
    "decay without lr",
    "The decay is not multiplied by the learning rate.",
    "lr stands before the sum of quotient and decay.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * bounded(m, h, rho) + decay * param, after(state, m, h)


@step_slips(
    "no decay",
    "Right without weight decay, which you do not use.",
    "Add weight_decay times the weights to the clipped quotient.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * bounded(m, h, rho), after(state, m, h)


@step_slips(
    "uphill",
    "delta has the wrong sign: the caller subtracts it.",
    "param - delta must go downhill.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return -lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@step_slips(
    "no learning rate",
    "delta lacks the learning rate.",
    "rho bounds the quotient; what makes it a step?",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return bounded(m, h, rho) + decay * param, after(state, m, h)
