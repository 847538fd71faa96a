"""The slips of sgd: gradient descent with weight decay written wrong, in the ways that people do write it."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["sgd_slips"]

Array = np.ndarray
sgd_slips = Slips()


@sgd_slips(
    "the new parameter instead of the update",
    "You return the parameter after the step. A rule returns the amount to subtract.",
    "The caller does the subtraction: param = param - delta. What should delta be?",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return param - lr * (grad + weight_decay * param), state


@sgd_slips(
    "uphill",
    "Your delta has the wrong sign. The caller subtracts it, so this climbs.",
    "param - delta must go against the gradient.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return -lr * (grad + weight_decay * param), state


@sgd_slips(
    "no learning rate",
    "lr is not used: the whole gradient is the step.",
    "What sets the length of the step?",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return grad + weight_decay * param, state


@sgd_slips(
    "no weight decay",
    "Right without weight decay, but weight_decay is not used.",
    "The penalty weight_decay / 2 * ||param||^2 has a gradient too. Add it to grad.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return lr * grad, state


@sgd_slips(
    "decay with the wrong sign",
    "The decay pushes the parameter away from zero: weights grow where they should shrink.",
    "With a zero gradient, the parameter must move towards zero. delta is subtracted.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return lr * (grad - weight_decay * param), state


@sgd_slips(
    "decay without the learning rate",
    "The decay is not multiplied by lr, so it does not shrink with the step.",
    "Add the decay to the gradient before the learning rate comes in.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return lr * grad + weight_decay * param, state


@sgd_slips(
    "decay counted twice",
    "The decay is twice as strong: d/dw of (weight_decay / 2) w^2 is weight_decay * w, without a 2.",
    "Differentiate the penalty with its factor 1/2.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return lr * (grad + 2 * weight_decay * param), state


@sgd_slips(
    "the penalty instead of its gradient",
    "You add the penalty itself, weight_decay / 2 * param**2, to the gradient. Its gradient belongs there.",
    "Differentiate weight_decay / 2 * param**2 with respect to param.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return lr * (grad + weight_decay / 2 * param**2), state


@sgd_slips(
    "decay of the gradient",
    "You scale the gradient by weight_decay; decay belongs to the parameter.",
    "What does the penalty on large weights depend on: grad or param?",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return lr * (grad + weight_decay * grad), state


@sgd_slips(
    "gradient changed in place",
    "The value is right, but you wrote the decay into the caller's grad (+= does that).",
    "Make a new array instead of +=.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    grad += weight_decay * param
    return lr * grad, state


@sgd_slips(
    "state not returned",
    "You return delta alone. A rule returns the pair (delta, state), even when the state is empty.",
    "End with two values, separated by a comma.",
)
def _(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    return lr * (grad + weight_decay * param)
