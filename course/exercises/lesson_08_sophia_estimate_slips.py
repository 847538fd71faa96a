"""The slips of sophia: its estimates, its averages and its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_08_right import after, bounded, curvature, mean

__all__ = ["estimate_slips"]

Array = np.ndarray
Product = Callable[[Array], Array]
estimate_slips = Slips()


@estimate_slips(
    "probe not multiplied",
    "You keep H z, the product with the probe. Its mean over random probes is zero: it says nothing of the "
    "diagonal.",
    "Multiply the product by the probe once more, element by element.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = state["h"] + 0.0 if state["step"] % every else beta2 * state["h"] + (1 - beta2) * hv(z)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "divided by the probe",
    "You divide H z by the probe. For probes of +1 and -1 that is the same; for others its mean is not the "
    "diagonal.",
    "The estimate is a product: z times H z.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = state["h"] + 0.0 if state["step"] % every else beta2 * state["h"] + (1 - beta2) * hv(z) / z
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "gradient in place of the probe",
    "You ask for the Hessian times the gradient. The gradient is no random probe, and so this is no "
    "estimate of the diagonal.",
    "hessian_vector takes the probe.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = state["h"] + 0.0 if state["step"] % every else beta2 * state["h"] + (1 - beta2) * grad * hv(grad)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "squared gradient as curvature",
    "You take the squared gradient for the curvature: that is Adam's v. The Hessian is not used.",
    "The estimate comes from hessian_vector and the probe.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = state["h"] + 0.0 if state["step"] % every else beta2 * state["h"] + (1 - beta2) * grad * grad
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "curvature with the gradient's sign",
    "You turn the estimate over by the sign of the gradient. Curvature is even: it does not know which way "
    "is down.",
    "The direction comes from m alone.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = (
        state["h"] + 0.0
        if state["step"] % every
        else beta2 * state["h"] + (1 - beta2) * np.sign(grad) * z * hv(z)
    )
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "estimates not averaged",
    "h is the latest estimate alone. A single probe is far too noisy.",
    "Keep a share beta2 of the old h.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = state["h"] + 0.0 if state["step"] % every else z * hv(z)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "an estimate at every step",
    "You make an estimate at each step, whatever every says. Each one costs as much as a backward pass.",
    "Only where the count of steps is divisible by every.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = beta2 * state["h"] + (1 - beta2) * z * hv(z)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "curvature fading without an estimate",
    "On steps without an estimate you still multiply h by beta2: it shrinks, and the steps grow.",
    "Without a new estimate h stays as it is.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = beta2 * state["h"] + (0.0 if state["step"] % every else (1 - beta2) * z * hv(z))
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "estimate one step early",
    "You make the estimate where step + 1 is divisible by every; so the first steps go without one.",
    "The count as it came decides: at step 0 there is an estimate.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = state["h"] + 0.0 if (state["step"] + 1) % every else beta2 * state["h"] + (1 - beta2) * z * hv(z)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "step with the old curvature",
    "The new estimate comes in only after the step: at the first step nothing is known, and all is clipped.",
    "Mix the estimate in first, then divide by h.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, state["h"], rho) + decay * param), after(state, m, h)


@estimate_slips(
    "betas swapped",
    "beta1 and beta2 have changed places.",
    "beta1 belongs to m, beta2 to h.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta1, every)
    m = mean(state["m"], grad, beta2)
    return lr * (bounded(m, h, rho) + decay * param), after(state, m, h)


@estimate_slips(
    "steps not counted",
    "The count stays where it was, so each step makes an estimate like the first.",
    "Return the count one higher than it came.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    return lr * (bounded(m, h, rho) + decay * param), {**after(state, m, h), "step": state["step"]}


@estimate_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict.",
)
def _(
    grad: Array, state: dict, param: Array, hv: Product, z: Array, lr: float, beta1: float, beta2: float,
    rho: float, decay: float, every: int,
) -> Any:  # fmt: skip
    h = curvature(state, hv, z, beta2, every)
    m = mean(state["m"], grad, beta1)
    state.update(after(state, m, h))
    return lr * (bounded(m, h, rho) + decay * param), state
