"""The slips of muon: its momentum and its direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_08_right import ahead, buffer, factor

__all__ = ["momentum_slips"]

Array = np.ndarray
Function = Callable[[Array], Array]
momentum_slips = Slips()


@momentum_slips(
    "orthogonalised before the momentum",
    "You orthogonalise each gradient and then average. A mean of orthogonal matrices is not orthogonal.",
    "Momentum first. What is orthogonalised is the step.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    o = flat(grad)
    b = buffer(state, o, momentum)
    return lr * (factor(param) * ahead(b, o, momentum) + decay * param), {"buffer": b}


@momentum_slips(
    "plain momentum",
    "You orthogonalise the buffer itself. Muon, by default, looks one step ahead, like Nesterov.",
    "Mix the new gradient in once more: (1 - momentum) of it, and momentum of the buffer.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    return lr * (factor(param) * flat(b) + decay * param), {"buffer": b}


@momentum_slips(
    "sign instead of orthogonal",
    "You take the sign of each element: that is Lion's step. Muon evens out the singular values, not the "
    "elements.",
    "orthogonalize is given to you as an argument.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (factor(param) * np.sign(u) + decay * param), {"buffer": b}


@momentum_slips(
    "normalised instead of orthogonal",
    "You divide the step by its norm. Its large singular values then still drown the small ones.",
    "orthogonalize is given to you as an argument.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (factor(param) * u / max(np.linalg.norm(u), u.dtype.type(1e-7)) + decay * param), {
        "buffer": b
    }


@momentum_slips(
    "exactly orthogonal",
    "You found the singular vectors yourself and set all values to 1. That is what orthogonalize aims at, "
    "and does not quite reach.",
    "Use the function that you are given.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    a, _, b = np.linalg.svd(u, full_matrices=False)
    return lr * (factor(param) * (a @ b) + decay * param), {"buffer": b}


@momentum_slips(
    "not orthogonalised",
    "The step is momentum alone: orthogonalize is not used.",
    "What does Muon do to the step before it takes it?",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (factor(param) * u + decay * param), {"buffer": b}


@momentum_slips(
    "no momentum",
    "You orthogonalise the gradient. The buffer is kept, but has no part in the step.",
    "The step is made of the gradient and the buffer.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    return lr * (factor(param) * flat(grad) + decay * param), {"buffer": b}


@momentum_slips(
    "a sum instead of an average",
    "The gradient enters the buffer whole. The direction is the same from the start, but the buffer is up "
    "to 1/(1 - momentum) times too large.",
    "What comes in has the factor 1 - momentum.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = momentum * state["buffer"] + grad
    u = grad + momentum * b
    return lr * (factor(param) * flat(u) + decay * param), {"buffer": b}


@momentum_slips(
    "look-ahead with the whole gradient",
    "The look-ahead takes the whole gradient where 1 - momentum of it belongs: the buffer hardly counts.",
    "Both parts of the look-ahead are shares: 1 - momentum and momentum.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = grad + momentum * b
    return lr * (factor(param) * flat(u) + decay * param), {"buffer": b}


@momentum_slips(
    "shares turned round",
    "You keep a share 1 - momentum of the buffer and let momentum of the gradient in.",
    "momentum is the share of the old that survives.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = momentum * grad + (1 - momentum) * state["buffer"]
    u = ahead(b, grad, momentum)
    return lr * (factor(param) * flat(u) + decay * param), {"buffer": b}


@momentum_slips(
    "look-ahead kept as buffer",
    "The step is right, but you keep the look-ahead as the buffer: the gradient comes in twice.",
    "What is kept is the buffer, not the step.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    u = ahead(buffer(state, grad, momentum), grad, momentum)
    b = u + 0.0
    return lr * (factor(param) * flat(u) + decay * param), {"buffer": b}


@momentum_slips(
    "orthogonal matrix kept as buffer",
    "You keep the orthogonalised matrix. The buffer must remember the gradients.",
    "Orthogonalise the step alone.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    fresh = buffer(state, grad, momentum)
    o = flat(ahead(fresh, grad, momentum))
    b = o + 0.0
    return lr * (factor(param) * o + decay * param), {"buffer": b}
