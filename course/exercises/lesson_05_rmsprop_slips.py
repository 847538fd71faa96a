"""The slips of rmsprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["rmsprop_slips"]

Array = np.ndarray
rmsprop_slips = Slips()


def _mean(grad: Array, state: dict, alpha: float) -> Array:
    """Return the right running mean: the slips below spoil what is done with it."""
    return alpha * state["square_avg"] + (1 - alpha) * grad * grad


def _step(grad: Array, v: Array, lr: float, eps: float) -> Any:
    """Return the right step for a mean: the slips below spoil the mean."""
    return lr * grad / (np.sqrt(v) + eps), {"square_avg": v}


@rmsprop_slips(
    "eps inside the root",
    "eps stands inside the root, as in optax and Keras. There it is a floor of sqrt(eps), far above eps.",
    "Here, as in torch, eps is added to the root.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    v = _mean(grad, state, alpha)
    return lr * grad / np.sqrt(v + eps), {"square_avg": v}


@rmsprop_slips(
    "no eps",
    "eps is not used. A parameter whose gradient was zero so far then divides zero by zero.",
    "Where does eps keep the quotient finite?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, _mean(grad, state, alpha), lr, 0.0)


@rmsprop_slips(
    "eps added to the step",
    "eps is added to the quotient, not to the divisor: every parameter is moved by eps at every step.",
    "A division binds tighter than a sum. Which parentheses are missing?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    v = _mean(grad, state, alpha)
    return lr * grad / np.sqrt(v) + eps, {"square_avg": v}


@rmsprop_slips(
    "eps as a floor",
    "You take the larger of root and eps. The formula adds them.",
    "What does the step become where root and eps are equal?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    v = _mean(grad, state, alpha)
    return lr * grad / np.maximum(np.sqrt(v), eps), {"square_avg": v}


@rmsprop_slips(
    "root missing",
    "You divide by the mean square itself. A gradient ten times as large then steps a tenth as far.",
    "Check the units: which power of the gradient stands above, which below?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    v = _mean(grad, state, alpha)
    return lr * grad / (v + eps), {"square_avg": v}


@rmsprop_slips(
    "a sum instead of a mean",
    "The new square enters whole. A mean takes the share 1 - alpha of it.",
    "Under a constant gradient, which value should the running mean approach?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, alpha * state["square_avg"] + grad * grad, lr, eps)


@rmsprop_slips(
    "AdaGrad's sum",
    "You add the squares up and forget nothing. That is AdaGrad; alpha has no part in it.",
    "What does alpha multiply?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, state["square_avg"] + grad * grad, lr, eps)


@rmsprop_slips(
    "shares swapped",
    "alpha multiplies the new square. It is the share of the old mean that survives.",
    "With alpha near 1, should one gradient change the mean much, or little?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, _mean(grad, state, 1 - alpha), lr, eps)


@rmsprop_slips(
    "squared after averaging",
    "You average first and square the result. Gradients of both signs then cancel.",
    "RMS is short for root of the mean of the squares: read it from the back.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, (alpha * state["square_avg"] + (1 - alpha) * grad) ** 2, lr, eps)


@rmsprop_slips(
    "not squared",
    "You average the gradients themselves. Their mean can be negative, and has no root then.",
    "Which power of the gradient does the state hold?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, alpha * state["square_avg"] + (1 - alpha) * grad, lr, eps)


@rmsprop_slips(
    "sizes instead of squares",
    "You average the sizes |g| where the squares belong.",
    "The divisor is a root, and must be in the unit of a gradient. Of what is |g| the root?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, alpha * state["square_avg"] + (1 - alpha) * np.abs(grad), lr, eps)


@rmsprop_slips(
    "the parameter's squares",
    "You average squares of the parameter instead of the gradient.",
    "param has no part in this rule.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, _mean(param, state, alpha), lr, eps)


@rmsprop_slips(
    "step from the old mean",
    "You divide by the mean from before this gradient came in; at the first step that is zero.",
    "Update the mean first, then step by it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    delta, _ = _step(grad, state["square_avg"], lr, eps)
    return delta, {"square_avg": _mean(grad, state, alpha)}


@rmsprop_slips(
    "no memory",
    "The old mean is not used: the divisor is the size of this one gradient.",
    "What does the state hold, and where does it come in?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, (1 - alpha) * grad * grad, lr, eps)


@rmsprop_slips(
    "one mean for all parameters",
    "You average over the parameters too, into one number. Right for a single parameter only.",
    "Each parameter is divided by the root of its own mean: no np.mean here.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    square = np.mean(grad * grad) if grad.size else grad
    return _step(grad, alpha * state["square_avg"] + (1 - alpha) * square, lr, eps)


@rmsprop_slips(
    "the root kept",
    "The step is right, but you keep the root in the state. The next step averages squares into it.",
    "The root is for this step's divisor alone.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    delta, after = _step(grad, _mean(grad, state, alpha), lr, eps)
    return delta, {"square_avg": np.sqrt(after["square_avg"])}


@rmsprop_slips(
    "gradient left out",
    "The step is lr over the root, without the gradient above the line: it has no direction.",
    "What is being divided?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(np.ones_like(grad), _mean(grad, state, alpha), lr, eps)


@rmsprop_slips(
    "no learning rate",
    "The quotient is right, but delta lacks the learning rate.",
    "What sets how far a step goes?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, _mean(grad, state, alpha), 1.0, eps)


@rmsprop_slips(
    "uphill",
    "delta has the wrong sign: the caller subtracts it.",
    "param - delta must go downhill.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, _mean(grad, state, alpha), -lr, eps)


@rmsprop_slips(
    "old state returned",
    "The step is right, but you return the state as it came: the new square is forgotten.",
    "The next step needs the new mean.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    delta, _ = _step(grad, _mean(grad, state, alpha), lr, eps)
    return delta, state


@rmsprop_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict and a new array: *= and += change the array that you were given.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    delta, after = _step(grad, _mean(grad, state, alpha), lr, eps)
    state["square_avg"] = after["square_avg"]
    return delta, state


@rmsprop_slips(
    "the new parameter instead of the update",
    "You return the parameter after the step. A rule returns the amount to subtract.",
    "The caller does the subtraction: param = param - delta. What should delta be?",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    delta, after = _step(grad, _mean(grad, state, alpha), lr, eps)
    return param - delta, after


@rmsprop_slips(
    "one root for all parameters",
    "The means are right, but you divide by one norm over all of them. Right for a single parameter only.",
    "Each parameter is divided by the root of its own mean: no np.sum and no norm here.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    v = _mean(grad, state, alpha)
    return lr * grad / (np.sqrt(np.sum(v)) + eps), {"square_avg": v}


@rmsprop_slips(
    "the share squared too",
    "You square 1 - alpha together with the gradient. With alpha near 1, next to nothing comes in.",
    "Square the gradient alone; the share 1 - alpha multiplies the square.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    return _step(grad, alpha * state["square_avg"] + ((1 - alpha) * grad) ** 2, lr, eps)


@rmsprop_slips(
    "eps inside and outside",
    "eps stands twice: under the root and beside it.",
    "Once is enough: it is added to the root, not to what is under it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    v = _mean(grad, state, alpha)
    return lr * grad / (np.sqrt(v + eps) + eps), {"square_avg": v}
