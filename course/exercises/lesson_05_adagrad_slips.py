"""The slips of adagrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["adagrad_slips"]

Array = np.ndarray
adagrad_slips = Slips()


def _step(grad: Array, total: Array, lr: float, eps: float) -> Any:
    """Return the right step for a sum: the slips below spoil one or the other."""
    return lr * grad / (np.sqrt(total) + eps), {"sum": total}


@adagrad_slips(
    "eps inside the root",
    "eps stands inside the root: sqrt(sum + eps). There it is a floor of sqrt(eps), far larger than eps.",
    "torch adds eps to the root, not to what is under it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad
    return lr * grad / np.sqrt(total + eps), {"sum": total}


@adagrad_slips(
    "no eps",
    "eps is not used. A parameter whose gradient was zero so far then divides zero by zero.",
    "Where does eps keep the quotient finite?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad
    return lr * grad / np.sqrt(total), {"sum": total}


@adagrad_slips(
    "eps added to the step",
    "eps is added to the quotient, not to the divisor: every parameter is moved by eps at every step.",
    "A division binds tighter than a sum. Which parentheses are missing?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad
    return lr * grad / np.sqrt(total) + eps, {"sum": total}


@adagrad_slips(
    "eps as a floor",
    "You take the larger of root and eps. The formula adds them.",
    "What does the step become where root and eps are equal?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad
    return lr * grad / np.maximum(np.sqrt(total), eps), {"sum": total}


@adagrad_slips(
    "eps kept in the sum",
    "eps goes into the sum and stays there: it adds up with every step.",
    "The sum holds squares of gradients and nothing else.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad + eps
    return lr * grad / np.sqrt(total), {"sum": total}


@adagrad_slips(
    "root missing",
    "You divide by the sum itself. A gradient ten times as large then gives a step ten times as small.",
    "Check the units: which power of the gradient stands above, which below?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad
    return lr * grad / (total + eps), {"sum": total}


@adagrad_slips(
    "step from the old sum",
    "You divide by the sum from before this gradient came in; at the first step that is zero.",
    "Update the sum first, then step by it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    delta, _ = _step(grad, state["sum"], lr, eps)
    return delta, {"sum": state["sum"] + grad * grad}


@adagrad_slips(
    "no memory",
    "The old sum is not used. Each step is then lr times the gradient's sign.",
    "What does the state hold, and where does it come in?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, grad * grad, lr, eps)


@adagrad_slips(
    "a running mean instead of a sum",
    "You keep a running mean of the squares, which forgets. That is RMSProp; AdaGrad adds up for ever.",
    "Nothing multiplies the old sum.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, 0.9 * state["sum"] + 0.1 * grad * grad, lr, eps)


@adagrad_slips(
    "the average of old and new",
    "You halve the sum of old and new, so the past fades by half at each step.",
    "AdaGrad's sum only grows.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, (state["sum"] + grad * grad) / 2, lr, eps)


@adagrad_slips(
    "not squared",
    "You add up the gradients themselves. They cancel, and the root of a negative sum is not a number.",
    "A sum of squares cannot be negative.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, state["sum"] + grad, lr, eps)


@adagrad_slips(
    "sizes instead of squares",
    "You add up the sizes |g| where the squares belong.",
    "The divisor is a root, and must be in the unit of a gradient. Of what is |g| the root?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, state["sum"] + np.abs(grad), lr, eps)


@adagrad_slips(
    "squared after adding",
    "You square old sum and gradient together. What is added up are the squares.",
    "Which comes first, the square or the sum?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, (state["sum"] + grad) ** 2, lr, eps)


@adagrad_slips(
    "the parameter's squares",
    "You add up squares of the parameter instead of the gradient.",
    "param has no part in this rule.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, state["sum"] + param * param, lr, eps)


@adagrad_slips(
    "one sum for all parameters",
    "You add the squares of all parameters up into one number. Right for a single parameter only.",
    "Each parameter is divided by the root of its own squares: no np.sum here.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, state["sum"] + np.sum(grad * grad), lr, eps)


@adagrad_slips(
    "gradient left out",
    "The step is lr over the root, without the gradient above the line: it has no direction.",
    "What is being divided?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    delta, after = _step(np.ones_like(grad), state["sum"] + grad * grad, lr, eps)
    return delta, after


@adagrad_slips(
    "no learning rate",
    "The quotient is right, but delta lacks the learning rate.",
    "How long is the very first step?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, state["sum"] + grad * grad, 1.0, eps)


@adagrad_slips(
    "uphill",
    "delta has the wrong sign: the caller subtracts it.",
    "param - delta must go downhill.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    return _step(grad, state["sum"] + grad * grad, -lr, eps)


@adagrad_slips(
    "old state returned",
    "The step is right, but you return the state as it came: the new squares are forgotten.",
    "The next step needs the new sum.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    delta, _ = _step(grad, state["sum"] + grad * grad, lr, eps)
    return delta, state


@adagrad_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict and a new array: += changes the array that you were given.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    delta, after = _step(grad, state["sum"] + grad * grad, lr, eps)
    state["sum"] = after["sum"]
    return delta, state


@adagrad_slips(
    "the new parameter instead of the update",
    "You return the parameter after the step. A rule returns the amount to subtract.",
    "The caller does the subtraction: param = param - delta. What should delta be?",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    delta, after = _step(grad, state["sum"] + grad * grad, lr, eps)
    return param - delta, after


@adagrad_slips(
    "one root for all parameters",
    "The sums are right, but you divide by one norm over all of them. Right for a single parameter only.",
    "Each parameter is divided by the root of its own sum: no np.sum and no norm here.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad
    return lr * grad / (np.sqrt(np.sum(total)) + eps), {"sum": total}


@adagrad_slips(
    "the root kept",
    "The step is right, but you keep the root in the state. The next step adds squares to it.",
    "The root is for this step's divisor alone.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    delta, after = _step(grad, state["sum"] + grad * grad, lr, eps)
    return delta, {"sum": np.sqrt(after["sum"])}


@adagrad_slips(
    "eps inside and outside",
    "eps stands twice: under the root and beside it.",
    "Once is enough: it is added to the root, not to what is under it.",
)
def _(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    total = state["sum"] + grad * grad
    return lr * grad / (np.sqrt(total + eps) + eps), {"sum": total}
