"""The slips of newton_schulz."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["newton_schulz_slips"]

Array = np.ndarray
newton_schulz_slips = Slips()

A, B, C = 3.4445, -4.7750, 2.0315
EPS = 1e-7


def _iterate(x: Array, steps: int) -> Array:
    """Return the right iteration from the point where the matrix is wide and normalised."""
    for _ in range(steps):
        gram = x @ x.T
        x = A * x + (B * gram + C * (gram @ gram)) @ x
    return x


def _norm(x: Array) -> Any:
    return max(np.linalg.norm(x), x.dtype.type(EPS))


def _wide(matrix: Array) -> tuple[Array, bool]:
    tall = matrix.shape[0] > matrix.shape[1]
    return (matrix.T if tall else matrix), tall


@newton_schulz_slips(
    "no normalisation",
    "You iterate on the matrix as it came. A singular value above 1.26 or so is not brought to 1 but blown "
    "up.",
    "Divide by the norm first, so that no singular value exceeds 1.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x, steps)
    return x.T if tall else x


@newton_schulz_slips(
    "divided by the largest element",
    "You divide by the largest element. Singular values can still exceed 1.",
    "Divide by the Frobenius norm: the root of the sum of all squares.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / max(np.abs(x).max(), x.dtype.type(EPS)), steps)
    return x.T if tall else x


@newton_schulz_slips(
    "spectral norm",
    "You divide by the largest singular value. That would do, and better; but it costs a singular value "
    "decomposition, and Muon divides by the Frobenius norm.",
    "np.linalg.norm without further arguments.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / max(np.linalg.norm(x, 2), x.dtype.type(EPS)), steps)
    return x.T if tall else x


@newton_schulz_slips(
    "each row normalised",
    "You divide each row by a norm of its own: that changes the singular vectors.",
    "One number for the whole matrix.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), x.dtype.type(EPS)), steps)
    return x.T if tall else x


@newton_schulz_slips(
    "squared norm",
    "You divide by the sum of squares; its root is missing.",
    "A norm is the root of the sum of squares.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / max(np.sum(x * x), x.dtype.type(EPS)), steps)
    return x.T if tall else x


@newton_schulz_slips(
    "normalised at every step",
    "You normalise within the loop, so each step begins with small singular values again.",
    "Once, before the loop.",
    shows=lambda case: case.inputs["steps"] > 0,  # without a step it is normalised or not
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    for _ in range(steps):
        x = _iterate(x / _norm(x), 1)
    return x.T if tall else x


@newton_schulz_slips(
    "zeros divided by zero",
    "A matrix of zeros becomes NaN.",
    "Divide by the norm, or by 1e-7 where that is larger.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / np.linalg.norm(x), steps)
    return x.T if tall else x


@newton_schulz_slips(
    "eps added to the norm",
    "You add 1e-7 to the norm, as the first published code did. Here, as in PyTorch, the larger of the two "
    "divides.",
    "np.maximum, or max.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / (np.linalg.norm(x) + x.dtype.type(EPS)), steps)
    return x.T if tall else x


@newton_schulz_slips(
    "one step too few",
    "The loop runs one time too few.",
    "range(steps) runs steps times.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / _norm(x), max(steps - 1, 0))
    return x.T if tall else x


@newton_schulz_slips(
    "one step too many",
    "The loop runs one time too many.",
    "range(steps) runs steps times.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / _norm(x), steps + 1)
    return x.T if tall else x


@newton_schulz_slips(
    "always five steps",
    "You take five steps, whatever steps says.",
    "The number of steps is an argument.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = _iterate(x / _norm(x), 5)
    return x.T if tall else x


@newton_schulz_slips(
    "not transposed back",
    "A tall matrix comes back lying on its side.",
    "What you transposed at the start you must transpose again at the end.",
)
def _(matrix: Array, steps: int) -> Any:
    x, _tall = _wide(matrix)
    return _iterate(x / _norm(x), steps)


@newton_schulz_slips(
    "every result transposed",
    "You transpose the result whether or not you transposed the matrix.",
    "Only what was turned must be turned back.",
)
def _(matrix: Array, steps: int) -> Any:
    x, _tall = _wide(matrix)
    return _iterate(x / _norm(x), steps).T


@newton_schulz_slips(
    "gram matrix the wrong way round",
    "You take x.T @ x where x @ x.T belongs: for a square matrix that mixes the directions.",
    "In every product, each x.T stands between two x.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = x / _norm(x)
    for _ in range(steps):
        gram = x.T @ x
        x = (
            A * x + (B * gram + C * (gram @ gram)) @ x
            if len(x) == len(gram)
            else x @ (A * np.eye(len(gram), dtype=x.dtype) + B * gram + C * (gram @ gram))
        )
    return x.T if tall else x


@newton_schulz_slips(
    "elementwise powers",
    "You take powers element by element. The polynomial must act on the singular values, and for that it "
    "takes matrix products.",
    "@ multiplies matrices, * multiplies elements.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = x / _norm(x)
    for _ in range(steps):
        x = A * x + B * x**3 + C * x**5
    return x.T if tall else x


@newton_schulz_slips(
    "cubic without the fifth power",
    "The last term is missing: with these coefficients a and b alone the iteration does not converge.",
    "There are three terms: x, its third and its fifth power.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = x / _norm(x)
    for _ in range(steps):
        x = A * x + B * (x @ x.T) @ x
    return x.T if tall else x


@newton_schulz_slips(
    "coefficients in another order",
    "b and c have changed places.",
    "The third power has the factor -4.7750, the fifth 2.0315.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = x / _norm(x)
    for _ in range(steps):
        gram = x @ x.T
        x = A * x + (C * gram + B * (gram @ gram)) @ x
    return x.T if tall else x


@newton_schulz_slips(
    "the sign of b lost",
    "The middle coefficient is negative.",
    "The third power is subtracted.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = x / _norm(x)
    for _ in range(steps):
        gram = x @ x.T
        x = A * x + (-B * gram + C * (gram @ gram)) @ x
    return x.T if tall else x


@newton_schulz_slips(
    "the classical coefficients",
    "You take 15/8, -10/8 and 3/8. They lead to exactly 1, but slowly; Muon takes steeper ones.",
    "3.4445, -4.7750, 2.0315.",
)
def _(matrix: Array, steps: int) -> Any:
    x, tall = _wide(matrix)
    x = x / _norm(x)
    for _ in range(steps):
        gram = x @ x.T
        x = 1.875 * x + (-1.25 * gram + 0.375 * (gram @ gram)) @ x
    return x.T if tall else x


@newton_schulz_slips(
    "exactly orthogonal",
    "You found the singular vectors and set all values to 1. That is what the iteration aims at, not what "
    "it gives: it stops between 0.7 and 1.1, for a small part of the cost.",
    "Only products of matrices, steps times.",
)
def _(matrix: Array, steps: int) -> Any:
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    return u @ v


@newton_schulz_slips(
    "the signs of the elements",
    "You return the sign of each element. That is Lion's idea; the matrix is not made orthogonal by it.",
    "Think of the singular values, not of the elements.",
)
def _(matrix: Array, steps: int) -> Any:
    return np.sign(matrix)


@newton_schulz_slips(
    "input changed in place",
    "The numbers are right, but the caller's matrix is no longer what it was.",
    "x /= norm writes into the array that you were given; x = x / norm does not.",
)
def _(matrix: Array, steps: int) -> Any:
    norm = _norm(matrix)
    matrix /= norm
    x, tall = _wide(matrix)
    x = _iterate(x, steps)
    return x.T if tall else x
