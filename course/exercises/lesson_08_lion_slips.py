"""The slips of lion."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["lion_slips"]

Array = np.ndarray
lion_slips = Slips()


def _mean(m: Array, g: Array, beta: float) -> Array:
    return beta * m + (1 - beta) * g


@lion_slips(
    "momentum updated before the sign",
    "You update the momentum first and take the sign of that (and of the gradient once more). In Lion the "
    "sign is taken of a mix with the old momentum.",
    "The step looks at state['m'] as it came. Only afterwards does the momentum take the gradient in.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(_mean(m, grad, beta1))
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "sign of the new momentum",
    "You step by the sign of the updated momentum, with beta2. Lion mixes its step with a beta of its own, "
    "beta1.",
    "There are two means: one for the step, with beta1, and one that is kept, with beta2.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(m)
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "beta1 for both",
    "The momentum is kept with beta1 too. It then forgets ten times as fast as it should.",
    "What does beta2 do?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta1)
    step = np.sign(m)
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "no sign",
    "You step by the mean itself, so large gradients make large steps. In Lion every element moves equally "
    "far.",
    "Only the direction of each element counts.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = _mean(state["m"], grad, beta1)
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "betas swapped",
    "beta1 and beta2 have changed places.",
    "beta1 mixes the step; beta2 keeps the momentum.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta1)
    step = np.sign(_mean(state["m"], grad, beta2))
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "sign of the gradient alone",
    "You step by the sign of the gradient: the momentum has no part in it.",
    "The step's direction is a mix of the momentum and the gradient.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(grad)
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "sign of the old momentum alone",
    "You step by the sign of the momentum as it came: the new gradient has no part in it.",
    "The step's direction is a mix of the momentum and the gradient.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(state["m"])
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "sign taken before the mix",
    "You mix the momentum with the sign of the gradient, and take no sign of the mix.",
    "Mix first, then take the sign of the result.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = _mean(state["m"], np.sign(grad), beta1)
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "signs collected in the momentum",
    "The momentum collects signs. It should collect the gradients themselves.",
    "The sign is for the step alone.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], np.sign(grad), beta2)
    step = np.sign(_mean(state["m"], grad, beta1))
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "shares turned round",
    "In the mix, beta1 stands before the gradient and 1 - beta1 before the momentum.",
    "A beta is the share of the old that survives.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(_mean(grad, state["m"], beta1))
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "shares of the momentum turned round",
    "In the kept mean, beta2 stands before the gradient and 1 - beta2 before the momentum.",
    "A beta is the share of the old that survives.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(grad, state["m"], beta2)
    step = np.sign(_mean(state["m"], grad, beta1))
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "one sign for the whole array",
    "You divide the mix by its norm. Then only the whole array has a fixed length; in Lion each element has.",
    "The sign is taken element by element.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    mix = _mean(state["m"], grad, beta1)
    step = mix / max(np.linalg.norm(mix), np.float64(1e-300))
    return lr * (step + decay * param), {"m": m}


@lion_slips(
    "decay without lr",
    "The decay is not multiplied by the learning rate: the weights shrink far too fast.",
    "lr stands before the sum of sign and decay.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(_mean(state["m"], grad, beta1))
    return lr * step + decay * param, {"m": m}


@lion_slips(
    "decay inside the sign",
    "You add the decay to the gradient. The sign then throws its size away.",
    "The decay is added after the sign is taken.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    whole = grad + decay * param
    m = _mean(state["m"], whole, beta2)
    step = np.sign(_mean(state["m"], whole, beta1))
    return lr * step, {"m": m}


@lion_slips(
    "decay with the wrong sign",
    "The decay makes the weights grow.",
    "delta is subtracted: what must stand in it for param to shrink?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(_mean(state["m"], grad, beta1))
    return lr * (step - decay * param), {"m": m}


@lion_slips(
    "no decay",
    "Right without weight decay, which you do not use.",
    "Add weight_decay times the weights to the sign.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    return lr * np.sign(_mean(state["m"], grad, beta1)), {"m": m}


@lion_slips(
    "no learning rate",
    "delta lacks the learning rate.",
    "How far does every element move?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(_mean(state["m"], grad, beta1))
    return step + decay * param, {"m": m}


@lion_slips(
    "uphill",
    "delta has the wrong sign: the caller subtracts it.",
    "param - delta must go downhill.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    m = _mean(state["m"], grad, beta2)
    step = np.sign(_mean(state["m"], grad, beta1))
    return -lr * (step + decay * param), {"m": m}


@lion_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict and a new array.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    step = np.sign(_mean(state["m"], grad, beta1))
    state["m"] = _mean(state["m"], grad, beta2)
    return lr * (step + decay * param), state


@lion_slips(
    "zero counted as negative",
    "Where the mix is exactly 0, you step as if it were negative. The sign of 0 is 0: nothing moves there.",
    "np.sign knows three cases.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    step = np.where(_mean(state["m"], grad, beta1) > 0, 1.0, -1.0)
    return lr * (step + decay * param), {"m": _mean(state["m"], grad, beta2)}


@lion_slips(
    "zero counted as positive",
    "Where the mix is exactly 0, you step as if it were positive. The sign of 0 is 0: nothing moves there.",
    "np.sign knows three cases.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, decay: float) -> Any:
    step = np.where(_mean(state["m"], grad, beta1) >= 0, 1.0, -1.0)
    return lr * (step + decay * param), {"m": _mean(state["m"], grad, beta2)}
