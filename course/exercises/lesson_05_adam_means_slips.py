"""The slips of adam in its two running means and in what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["Array", "Moments", "adam_means_slips", "means", "step"]

Array = np.ndarray
adam_means_slips = Slips()


@dataclass(frozen=True)
class Moments:
    """Both running means after a step, and its number from 1."""

    m: Array
    v: Array
    t: int

    def at(self, t: int) -> Moments:
        """Return the same means at another step."""
        return replace(self, t=t)


def means(grad: Array, state: dict, beta1: float, beta2: float) -> Moments:
    """Return the right means: many slips spoil only what is done with them."""
    m = beta1 * state["m"] + (1 - beta1) * grad
    v = beta2 * state["v"] + (1 - beta2) * grad * grad
    return Moments(m, v, state["step"] + 1)


def step(a: Moments, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    """Return the right step for two means: many slips spoil only these."""
    one = 1 + np.zeros_like(a.m)  # an array of their kind: with beta ** 0 it divides by zero without raising
    m_hat, v_hat = a.m / (one * (1 - beta1**a.t)), a.v / (one * (1 - beta2**a.t))
    return lr * m_hat / (np.sqrt(v_hat) + eps), {"m": a.m, "v": a.v, "step": a.t}


@adam_means_slips(
    "v from the new m",
    "v averages the square of the mean m. It should average the squares of the gradients.",
    "Gradients of both signs cancel in m. Should they cancel in v?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    v = beta2 * state["v"] + (1 - beta2) * a.m * a.m
    return step(replace(a, v=v), lr, beta1, beta2, eps)


@adam_means_slips(
    "squared after averaging",
    "v is squared as a whole after the average. The squares come first, then their mean.",
    "What are the units of v?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    v = (beta2 * state["v"] + (1 - beta2) * grad) ** 2
    return step(replace(a, v=v), lr, beta1, beta2, eps)


@adam_means_slips(
    "v is the square of m",
    "v is just the new m squared; the old v is not used. m_hat over its own size is then only a sign.",
    "v has a memory of its own, with beta2.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return step(replace(a, v=a.m * a.m), lr, beta1, beta2, eps)


@adam_means_slips(
    "v from sizes",
    "v averages the sizes |g| where the squares belong.",
    "The divisor is a root, and must be in the unit of a gradient. Of what is |g| the root?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    v = beta2 * state["v"] + (1 - beta2) * np.abs(grad)
    return step(replace(a, v=v), lr, beta1, beta2, eps)


@adam_means_slips(
    "v not squared",
    "v averages the gradients themselves: it can be negative, and its root is then not a number.",
    "v is the second moment.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return step(replace(a, v=beta2 * state["v"] + (1 - beta2) * grad), lr, beta1, beta2, eps)


@adam_means_slips(
    "v from the parameter",
    "v averages squares of the parameter instead of the gradient.",
    "param has no part in this rule.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    v = beta2 * state["v"] + (1 - beta2) * param * param
    return step(replace(a, v=v), lr, beta1, beta2, eps)


@adam_means_slips(
    "betas swapped",
    "m is averaged with beta2 and v with beta1.",
    "beta1 belongs to the first moment, beta2 to the second.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return step(means(grad, state, beta2, beta1), lr, beta2, beta1, eps)


@adam_means_slips(
    "betas swapped in the means only",
    "The corrections are right, but m is averaged with beta2 and v with beta1.",
    "beta1 belongs to the first moment, beta2 to the second.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return step(means(grad, state, beta2, beta1), lr, beta1, beta2, eps)


@adam_means_slips(
    "shares swapped",
    "The betas multiply the new gradient and its square. They are the shares of the old that survive.",
    "With beta near 1, should one gradient change the mean much, or little?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return step(means(grad, state, 1 - beta1, 1 - beta2), lr, beta1, beta2, eps)


@adam_means_slips(
    "m as a sum",
    "The gradient enters m whole, as in the heavy ball. A mean takes the share 1 - beta1 of it.",
    "Under a constant gradient, which value should m approach?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return step(replace(a, m=beta1 * state["m"] + grad), lr, beta1, beta2, eps)


@adam_means_slips(
    "v as a sum",
    "The square enters v whole. A mean takes the share 1 - beta2 of it.",
    "Under a constant gradient, which value should v approach?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return step(replace(a, v=beta2 * state["v"] + grad * grad), lr, beta1, beta2, eps)


@adam_means_slips(
    "step by the gradient, not by m",
    "Above the line stands the gradient itself; m is kept and never used. That is RMSProp, corrected.",
    "Which of the two means gives the direction?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    return lr * grad / (np.sqrt(a.v / (1 - beta2**a.t)) + eps), {"m": a.m, "v": a.v, "step": a.t}


@adam_means_slips(
    "step from the old means",
    "The step uses m and v from before this gradient came in.",
    "Update both means first, then step by them.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    delta, _ = step(Moments(state["m"], state["v"], a.t), lr, beta1, beta2, eps)
    return delta, {"m": a.m, "v": a.v, "step": a.t}


@adam_means_slips(
    "one v for all parameters",
    "You average the squares over the parameters too, into one number. Right for a single parameter only.",
    "Each parameter is divided by the root of its own v: no np.mean here.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    square = np.mean(grad * grad) if grad.size else grad
    return step(replace(a, v=beta2 * state["v"] + (1 - beta2) * square), lr, beta1, beta2, eps)


@adam_means_slips(
    "no learning rate",
    "The quotient is right, but delta lacks the learning rate.",
    "How long is the very first step?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return step(means(grad, state, beta1, beta2), 1.0, beta1, beta2, eps)


@adam_means_slips(
    "uphill",
    "delta has the wrong sign: the caller subtracts it.",
    "param - delta must go downhill.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    return step(means(grad, state, beta1, beta2), -lr, beta1, beta2, eps)


@adam_means_slips(
    "old state returned",
    "The step is right, but you return the state as it came: nothing is remembered.",
    "The next step needs the new m, the new v and the new count.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    delta, _ = step(means(grad, state, beta1, beta2), lr, beta1, beta2, eps)
    return delta, state


@adam_means_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict and new arrays: *= and += change the array that you were given.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    delta, after = step(means(grad, state, beta1, beta2), lr, beta1, beta2, eps)
    state.update(after)
    return delta, state


@adam_means_slips(
    "step from the old m",
    "Above the line stands the m from before this gradient came in; v is up to date.",
    "Update both means first, then step by them.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    delta, _ = step(replace(a, m=state["m"]), lr, beta1, beta2, eps)
    return delta, {"m": a.m, "v": a.v, "step": a.t}


@adam_means_slips(
    "shares squared too",
    "In v you square 1 - beta2 together with the gradient. With beta2 near 1, next to nothing comes in.",
    "Square the gradient alone; the share 1 - beta2 multiplies the square.",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    a = means(grad, state, beta1, beta2)
    v = beta2 * state["v"] + ((1 - beta2) * grad) ** 2
    return step(replace(a, v=v), lr, beta1, beta2, eps)


@adam_means_slips(
    "the new parameter instead of the update",
    "You return the parameter after the step. A rule returns the amount to subtract.",
    "The caller does the subtraction: param = param - delta. What should delta be?",
)
def _(grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    delta, after = step(means(grad, state, beta1, beta2), lr, beta1, beta2, eps)
    return param - delta, after
