"""The slips of heavy_ball."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["heavy_slips"]

Array = np.ndarray
heavy_slips = Slips()


def _heavy(grad: Array, state: dict, momentum: float, dampening: float) -> Array:
    """Return the right buffer: the slips below spoil what is done with it."""
    return grad + 0.0 if state["step"] == 0 else momentum * state["buffer"] + (1 - dampening) * grad


@heavy_slips(
    "lr inside the buffer",
    "The learning rate is multiplied into the buffer. While lr is constant the path is the same; after lr "
    "changes, old gradients still carry the old lr.",
    "The buffer collects gradients. Let lr come in at the very end, in delta.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    fresh = grad if state["step"] == 0 else (1 - dampening) * grad
    buffer = momentum * state["buffer"] + lr * fresh
    return buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "an average instead of a sum",
    "You average: the gradient enters with the factor 1 - momentum. The steps come out that much shorter.",
    "Heavy ball sums. What stands before the gradient is 1 - dampening.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = momentum * state["buffer"] + (1 - momentum) * grad
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "first buffer dampened",
    "Right, except at the first step: there the buffer is the whole gradient, not (1 - dampening) of it.",
    "At the first step there is nothing to dampen against. state['step'] tells you when that is.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = momentum * state["buffer"] + (1 - dampening) * grad
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "dampening ignored",
    "Right without dampening, but the argument dampening is not used.",
    "Which share of the gradient is left out of the buffer?",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = momentum * state["buffer"] + grad
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "dampening as the share kept",
    "The gradient enters with the factor dampening. It should lose that share, not keep it.",
    "With dampening 0 the whole gradient enters.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = grad + 0.0 if state["step"] == 0 else momentum * state["buffer"] + dampening * grad
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "dampening on everything",
    "You scale the whole buffer by 1 - dampening. Only the new gradient loses that share.",
    "What the old buffer keeps is momentum's affair alone.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    fresh = momentum * state["buffer"] + grad
    buffer = grad + 0.0 if state["step"] == 0 else (1 - dampening) * fresh
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "first step by the look of the buffer",
    "You take a buffer of zeros for the sign of the first step. Gradients can be zero at any time.",
    "state['step'] counts the steps. That is what it is for.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    later = momentum * state["buffer"] + (1 - dampening) * grad
    buffer = later if np.any(state["buffer"]) else grad + 0.0
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "step from the old buffer",
    "The step uses the buffer from before this gradient came in: every gradient arrives one step late.",
    "Update the buffer first, then step by it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = _heavy(grad, state, momentum, dampening)
    return lr * state["buffer"], {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "momentum on the gradient",
    "You scale the new gradient by momentum and keep the old buffer whole: it can only grow.",
    "momentum says how much of the past survives.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = grad + 0.0 if state["step"] == 0 else state["buffer"] + momentum * (1 - dampening) * grad
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "no memory",
    "The old buffer is not used: this is plain gradient descent.",
    "What does momentum multiply?",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = grad + 0.0 if state["step"] == 0 else (1 - dampening) * grad
    return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "Nesterov's step",
    "The buffer is right, but you step by gradient + momentum * buffer: that is Nesterov's step.",
    "Heavy ball steps by the buffer alone.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = _heavy(grad, state, momentum, dampening)
    return lr * (grad + momentum * buffer), {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "no learning rate",
    "The buffer is right, but delta lacks the learning rate.",
    "How long is the step along the buffer?",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = _heavy(grad, state, momentum, dampening)
    return buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "uphill",
    "delta has the wrong sign: the caller subtracts it.",
    "param - delta must go downhill.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = _heavy(grad, state, momentum, dampening)
    return -lr * buffer, {"buffer": buffer, "step": state["step"] + 1}


@heavy_slips(
    "steps not counted",
    "The count state['step'] stays where it was, so every step looks like the first.",
    "Return the count one higher than it came.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = _heavy(grad, state, momentum, dampening)
    return lr * buffer, {"buffer": buffer, "step": state["step"]}


@heavy_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict and new arrays: *= and += change the array that you were given.",
)
def _(grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float) -> Any:
    buffer = _heavy(grad, state, momentum, dampening)
    state["buffer"] = buffer
    state["step"] += 1
    return lr * buffer, state
