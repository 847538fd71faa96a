"""The slips of nesterov."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["nesterov_slips"]

Array = np.ndarray
nesterov_slips = Slips()


@nesterov_slips(
    "look-ahead without lr",
    "You look ahead to param - momentum * velocity. The velocity is a sum of gradients and has no lr in it, "
    "so this point lies 1/lr times too far away; on a steep loss the method diverges at any lr.",
    "How far would the momentum alone move param? That move has lr in it.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param - momentum * state["velocity"])
    velocity = momentum * state["velocity"] + g
    return lr * velocity, {"velocity": velocity}


@nesterov_slips(
    "gradient where you stand",
    "You measure the gradient at param itself. This is the heavy ball; Nesterov looks ahead first.",
    "Which point would the momentum alone carry you to? Measure there.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    velocity = momentum * state["velocity"] + grad_fn(param)
    return lr * velocity, {"velocity": velocity}


@nesterov_slips(
    "looking back",
    "Your look-ahead point lies behind you: the sign before the momentum is wrong.",
    "param moves by minus lr * velocity, so ahead is minus as well.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param + lr * momentum * state["velocity"])
    velocity = momentum * state["velocity"] + g
    return lr * velocity, {"velocity": velocity}


@nesterov_slips(
    "look-ahead without momentum",
    "You look ahead by lr * velocity. Only a share momentum of the velocity survives the step.",
    "In the next velocity the old one stands with the factor momentum. Look ahead by just that.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param - lr * state["velocity"])
    velocity = momentum * state["velocity"] + g
    return lr * velocity, {"velocity": velocity}


@nesterov_slips(
    "lr inside the velocity",
    "Your velocity carries the learning rate (Sutskever's form). The path is right while lr is constant; "
    "here the velocity sums bare gradients.",
    "Let lr come in only where param is moved: in the look-ahead and in delta.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param - momentum * state["velocity"])
    velocity = momentum * state["velocity"] + lr * g
    return velocity, {"velocity": velocity}


@nesterov_slips(
    "torch's form at the wrong point",
    "You step by gradient + momentum * velocity, as torch does. That fits torch's stored point, which is "
    "already the look-ahead point; param here is not.",
    "Either look ahead and step by the velocity, or be torch throughout. Here: look ahead.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param)
    velocity = momentum * state["velocity"] + g
    return lr * (g + momentum * velocity), {"velocity": velocity}


@nesterov_slips(
    "ahead twice",
    "You look ahead and then also step by gradient + momentum * velocity: the look-ahead counts twice.",
    "Having measured ahead, step by the velocity alone.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param - lr * momentum * state["velocity"])
    velocity = momentum * state["velocity"] + g
    return lr * (g + momentum * velocity), {"velocity": velocity}


@nesterov_slips(
    "step by the gradient alone",
    "You measure at the right point, but the step leaves the velocity out.",
    "delta is lr times the new velocity.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param - lr * momentum * state["velocity"])
    return lr * g, {"velocity": momentum * state["velocity"] + g}


@nesterov_slips(
    "an average instead of a sum",
    "The gradient enters the velocity with the factor 1 - momentum: that is an average.",
    "Here the velocity is a sum: the gradient enters whole.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param - lr * momentum * state["velocity"])
    velocity = momentum * state["velocity"] + (1 - momentum) * g
    return lr * velocity, {"velocity": velocity}


@nesterov_slips(
    "no learning rate in the step",
    "The velocity is right, but delta lacks the learning rate.",
    "How long is the step along the velocity?",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    velocity = momentum * state["velocity"] + grad_fn(param - lr * momentum * state["velocity"])
    return velocity, {"velocity": velocity}


@nesterov_slips(
    "state changed in place",
    "The numbers are right, but you changed the caller's own state.",
    "Build a new array and a new dict; *= and += change what you were given.",
)
def _(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    g = grad_fn(param - lr * momentum * state["velocity"])
    state["velocity"] = momentum * state["velocity"] + g
    return lr * state["velocity"], state
