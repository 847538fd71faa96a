"""The slips of clip_by_norm and clip_by_value, as people write them."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["norm_slips", "value_slips"]

Array = np.ndarray
norm_slips, value_slips = Slips(), Slips()


def norm_of(gradients: list[Array]) -> Any:
    """Return the norm of all gradients together."""
    return np.sqrt(sum(np.sum(g**2) for g in gradients))


@norm_slips(
    "each array by its own norm",
    "You measure and shorten every array for itself. Long ones are cut and short ones are not, so the "
    "direction of the whole changes.",
    "Measure all arrays together first, then multiply all by the same factor.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    own = [min(1.0, max_norm / (norm_of([g]) + 1e-6)) for g in gradients]
    return [factor * g for factor, g in zip(own, gradients, strict=True)], norm_of(gradients)


@norm_slips(
    "short gradients made longer",
    "The factor has no bound: gradients that are shorter than max_norm are stretched to it.",
    "Clipping only shortens. What is the largest factor that it may ever use?",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    return [max_norm / (norm + 1e-6) * g for g in gradients], norm


@norm_slips(
    "max instead of min",
    "The factor is never below 1: long gradients stay as they are and short ones grow.",
    "The factor is the smaller one of 1 and max_norm / (norm + 1e-6).",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    return [max(1.0, max_norm / (norm + 1e-6)) * g for g in gradients], norm


@norm_slips(
    "the squared norm",
    "You take the sum of squares for the norm: the root is missing.",
    "A length has the unit of a gradient, not of its square.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients) ** 2
    return [min(1.0, max_norm / (norm + 1e-6)) * g for g in gradients], norm


@norm_slips(
    "the sum of the norms",
    "You add the norms of the arrays. That is longer than the vector they make together.",
    "Add the squares of all arrays, and take one root at the end.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = sum(norm_of([g]) for g in gradients)
    return [min(1.0, max_norm / (norm + 1e-6)) * g for g in gradients], norm


@norm_slips(
    "the mean of squares instead of their sum",
    "You take a root mean square. It does not grow with the number of parameters; a norm does.",
    "np.sum, not np.mean.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = np.sqrt(sum(np.sum(g**2) for g in gradients) / sum(g.size for g in gradients))
    return [min(1.0, max_norm / (norm + 1e-6)) * g for g in gradients], norm


@norm_slips(
    "the sum of the absolute values",
    "You take the 1-norm, the sum of the absolute values.",
    "The norm that is asked for is the length: the root of the sum of squares.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = sum(np.sum(np.abs(g)) for g in gradients)
    return [min(1.0, max_norm / (norm + 1e-6)) * g for g in gradients], norm


@norm_slips(
    "clipped by value",
    "You cut each element at max_norm. That turns the gradient; clipping by norm keeps its direction.",
    "Multiply everything by one factor.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    return [np.clip(g, -max_norm, max_norm) for g in gradients], norm_of(gradients)


@norm_slips(
    "the norm after clipping",
    "The gradients are right, but the norm that you return is measured after they were shortened. It would "
    "never tell anybody of an explosion.",
    "Keep the first norm and return that.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    factor = min(1.0, max_norm / (norm_of(gradients) + 1e-6))
    clipped = [factor * g for g in gradients]
    return clipped, norm_of(clipped)


@norm_slips(
    "without the 1e-6",
    "You divide by the norm alone, as the paper and Optax do. This exercise holds you to torch's form.",
    "torch divides by the norm plus 1e-6.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    return [g * (max_norm / norm) if norm > max_norm else g for g in gradients], norm


@norm_slips(
    "the 1e-6 beside the fraction",
    "Without parentheses max_norm / norm + 1e-6 divides first and adds the 1e-6 to the quotient.",
    "The 1e-6 belongs to the norm, below the fraction line: max_norm / (norm + 1e-6).",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    with np.errstate(all="ignore"):
        return [min(1.0, max_norm / norm + 1e-6) * g for g in gradients], norm


@norm_slips(
    "all to length one",
    "You divide by the norm and forget max_norm: every gradient comes out with length 1.",
    "The factor is max_norm over the norm, and never above 1.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    return [g / (norm + 1e-6) for g in gradients], norm


@norm_slips(
    "long gradients dropped",
    "Gradients that are too long become zeros. Clipping shortens them, it does not throw them away.",
    "Which factor brings a vector of length norm to length max_norm?",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    return [g if norm <= max_norm else np.zeros_like(g) for g in gradients], norm


@norm_slips(
    "the factor upside down",
    "You multiply by the norm over max_norm: long gradients get longer still.",
    "A gradient twice as long as allowed needs the factor one half.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    with np.errstate(all="ignore"):
        return [max(1.0, norm / np.float64(max_norm)) * g for g in gradients], norm


@norm_slips(
    "changed in place",
    "The numbers are right, but you wrote them into the caller's own arrays.",
    "factor * g makes a new array; g *= factor changes the one that you were given.",
)
def _(gradients: list[Array], max_norm: float) -> Any:
    norm = norm_of(gradients)
    factor = min(1.0, max_norm / (norm + 1e-6))
    for g in gradients:
        np.multiply(g, factor, out=g)
    return gradients, norm


@value_slips(
    "no lower bound",
    "You cut what is above the limit. What is below minus the limit stays.",
    "A gradient may be large in both directions.",
)
def _(gradients: list[Array], limit: float) -> Any:
    return [np.minimum(g, limit) for g in gradients]


@value_slips(
    "no upper bound",
    "You cut what is below minus the limit. What is above the limit stays.",
    "A gradient may be large in both directions.",
)
def _(gradients: list[Array], limit: float) -> Any:
    return [np.maximum(g, -limit) for g in gradients]


@value_slips(
    "the sign lost",
    "You clip the absolute values, and every element comes out positive.",
    "Negative elements stay negative: their bound is -limit.",
)
def _(gradients: list[Array], limit: float) -> Any:
    return [np.minimum(np.abs(g), limit) for g in gradients]


@value_slips(
    "zero instead of the limit",
    "Elements beyond the limit become 0. They should become the limit.",
    "Clipping leaves a large element as large as is allowed.",
)
def _(gradients: list[Array], limit: float) -> Any:
    return [np.where(np.abs(g) > limit, 0 * limit, g) for g in gradients]


@value_slips(
    "every element to the limit",
    "You return the sign times the limit: small elements grow to it.",
    "Elements within the limits stay as they are.",
)
def _(gradients: list[Array], limit: float) -> Any:
    return [np.sign(g) * limit for g in gradients]


@value_slips(
    "all scaled by the largest element",
    "You shorten all elements by one factor, so that the largest meets the limit. That is clipping by the "
    "norm that counts the largest element.",
    "Here every element is looked at alone; one that is small enough does not change.",
)
def _(gradients: list[Array], limit: float) -> Any:
    largest = max((np.abs(g).max() for g in gradients if g.size), default=0.0)
    return [g * min(1.0, limit / largest) if largest else g for g in gradients]


@value_slips(
    "each array scaled by its largest element",
    "You shorten each array by a factor of its own, so that its largest element meets the limit.",
    "Here every element is looked at alone; one that is small enough does not change.",
)
def _(gradients: list[Array], limit: float) -> Any:
    peaks = [np.abs(g).max() if g.size else 0.0 for g in gradients]
    return [g * min(1.0, limit / peak) if peak else g for g, peak in zip(gradients, peaks, strict=True)]


@value_slips(
    "clipped by norm",
    "You shorten everything to a common length. Here each element is bounded on its own.",
    "No norm is needed: compare each element with limit and -limit.",
)
def _(gradients: list[Array], limit: float) -> Any:
    factor = min(1.0, limit / (norm_of(gradients) + 1e-6))
    return [factor * g for g in gradients]


@value_slips(
    "a NaN swallowed",
    "A NaN comes out as a number. Then nobody will ever see that something broke.",
    "np.clip, np.minimum and np.maximum let a NaN pass; np.fmin, np.fmax and nan_to_num do not.",
)
def _(gradients: list[Array], limit: float) -> Any:
    return [np.clip(np.nan_to_num(g), -limit, limit) for g in gradients]


@value_slips(
    "changed in place",
    "The numbers are right, but you wrote them into the caller's own arrays.",
    "np.clip(g, -limit, limit) makes a new array; with out=g it changes the one that you were given.",
)
def _(gradients: list[Array], limit: float) -> Any:
    for g in gradients:
        np.clip(g, -limit, limit, out=g)
    return gradients
