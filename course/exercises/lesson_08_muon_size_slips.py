"""The slips of muon: the size of its step, and its decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_08_right import ahead, buffer, factor

__all__ = ["size_slips"]

Array = np.ndarray
Function = Callable[[Array], Array]
size_slips = Slips()


@size_slips(
    "no factor for the shape",
    "Right for square and wide matrices. A tall one moves too little: its factor is missing.",
    "The factor is the root of rows over columns, where that is above 1.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (1.0 * flat(u) + decay * param), {"buffer": b}


@size_slips(
    "factor of columns over rows",
    "You divide columns by rows, as Optax does, whose layers multiply from the other side.",
    "Rows over columns.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (float(np.sqrt(max(1.0, param.shape[1] / param.shape[0]))) * flat(u) + decay * param), {
        "buffer": b
    }


@size_slips(
    "factor below 1 for wide matrices",
    "You take the root of rows over columns also where that is below 1.",
    "The factor is never smaller than 1.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (float(np.sqrt(param.shape[0] / param.shape[1])) * flat(u) + decay * param), {"buffer": b}


@size_slips(
    "factor without the root",
    "The factor for tall matrices lacks its root.",
    "The root of rows over columns.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (max(1.0, param.shape[0] / param.shape[1]) * flat(u) + decay * param), {"buffer": b}


@size_slips(
    "factor of whole numbers",
    "You divide rows by columns with //, which drops the fraction: 3 rows over 2 columns are then 1.",
    "One slash.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (max(1, param.shape[0] // param.shape[1]) ** 0.5 * flat(u) + decay * param), {"buffer": b}


@size_slips(
    "factor to match Adam",
    "Your factor is 0.2 times the root of the longer side: PyTorch's match_rms_adamw. Here the original one"
    " is asked for.",
    "The root of rows over columns, or 1 where that is larger.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * (0.2 * float(np.sqrt(max(param.shape))) * flat(u) + decay * param), {"buffer": b}


@size_slips(
    "decay without lr",
    "The decay is not multiplied by the learning rate.",
    "lr multiplies both parts of delta.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * factor(param) * flat(u) + decay * param, {"buffer": b}


@size_slips(
    "decay inside the gradient",
    "You add the decay to the gradient, so it is averaged and orthogonalised with it.",
    "The decay is added to the step, after all else.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    whole = grad + decay * param
    b = buffer(state, whole, momentum)
    u = ahead(b, whole, momentum)
    return lr * factor(param) * flat(u), {"buffer": b}


@size_slips(
    "decay scaled by the shape",
    "The factor for the shape multiplies the decay too.",
    "The factor belongs to the orthogonal matrix alone.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * factor(param) * (flat(u) + decay * param), {"buffer": b}


@size_slips(
    "no decay",
    "Right without weight decay, which you do not use.",
    "Add lr times weight_decay times the weights.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return lr * factor(param) * flat(u), {"buffer": b}


@size_slips(
    "uphill",
    "delta has the wrong sign: the caller subtracts it.",
    "param - delta must go downhill.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return -lr * (factor(param) * flat(u) + decay * param), {"buffer": b}


@size_slips(
    "no learning rate",
    "delta lacks the learning rate.",
    "How long is the step along an orthogonal matrix?",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    return factor(param) * flat(u) + decay * param, {"buffer": b}


@size_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict and a new array.",
)
def _(
    grad: Array, state: dict, param: Array, flat: Function, lr: float, momentum: float, decay: float
) -> Any:
    b = buffer(state, grad, momentum)
    u = ahead(b, grad, momentum)
    state["buffer"] = b
    return lr * (factor(param) * flat(u) + decay * param), state
