"""Paths that a rule walks on a landscape, and the rate at which theory says it must walk a quadratic."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "decay_factor",
    "follow",
    "gradient_descent_rate",
    "heavy_ball_rate",
    "nesterov_rate",
]

Floats = npt.NDArray[np.float64]


def follow(rule: Any, landscape: Any, start: npt.ArrayLike, steps: int) -> Floats:
    """Return the points that ``rule`` visits, shape (steps + 1, parameters).

    Args:
        rule: any update rule of ``course.rules``.
        landscape: anything with ``gradient(theta)``.
        start: the first point, shape (parameters,).
        steps: how many updates to make.
    """
    theta = np.array(start, dtype=np.float64)
    path = np.empty((steps + 1, theta.size))
    path[0] = theta
    state = rule.init(theta)
    # A path that diverges is something that the pictures show, not an accident to be warned about.
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps):
            delta, state = rule.update(landscape.gradient(theta), state, theta)
            theta = theta - delta
            path[step + 1] = theta
    return path


def decay_factor(path: Floats, optimum: npt.ArrayLike, skip: int = 0) -> float:
    """Return the factor by which one step multiplied the distance to the optimum, on (geometric) average.

    Args:
        path: shape (steps + 1, parameters).
        optimum: shape (parameters,).
        skip: how many first steps to leave out, where these are not yet typical.
    """
    distance = np.linalg.norm(path - np.asarray(optimum), axis=1)
    steps = len(distance) - 1 - skip
    if distance[skip] == 0:
        return 0.0
    return float((distance[-1] / distance[skip]) ** (1 / steps))


def gradient_descent_rate(lr: npt.ArrayLike, eigenvalues: npt.ArrayLike) -> Floats:
    """Return the exact factor per step of gradient descent on a quadratic: max abs(1 - lr * eigenvalue).

    Args:
        lr: learning rates, any shape.
        eigenvalues: of the Hessian, shape (n,).

    >>> float(gradient_descent_rate(0.5, [0.1, 1.0]))
    0.95
    """
    product = np.asarray(lr, dtype=float)[..., None] * np.asarray(eigenvalues, dtype=float)
    return np.asarray(np.abs(1 - product).max(axis=-1))


def heavy_ball_rate(lr: npt.ArrayLike, momentum: npt.ArrayLike, eigenvalues: npt.ArrayLike) -> Floats:
    """Return the exact factor per step of the heavy ball on a quadratic (the spectral radius of its step).

    Along an eigenvector the error obeys e(t+1) = (1 + momentum - lr * eigenvalue) e(t) - momentum e(t-1).

    Args:
        lr: learning rates, any shape.
        momentum: of a shape that broadcasts with ``lr``.
        eigenvalues: of the Hessian, shape (n,).
    """
    product = np.asarray(lr, dtype=float)[..., None] * np.asarray(eigenvalues, dtype=float)
    beta = np.asarray(momentum, dtype=float)[..., None]
    return np.asarray(_spectral_radius(1 + beta - product, beta).max(axis=-1))


def nesterov_rate(lr: npt.ArrayLike, momentum: npt.ArrayLike, eigenvalues: npt.ArrayLike) -> Floats:
    """Return the exact factor per step of Nesterov's momentum; arguments as in ``heavy_ball_rate``."""
    shrink = 1 - np.asarray(lr, dtype=float)[..., None] * np.asarray(eigenvalues, dtype=float)
    beta = np.asarray(momentum, dtype=float)[..., None]
    return np.asarray(_spectral_radius((1 + beta) * shrink, beta * shrink).max(axis=-1))


def _spectral_radius(trace: Floats, determinant: Floats) -> Floats:
    """Return the larger modulus of the two roots of z**2 - trace * z + determinant."""
    discriminant = trace**2 - 4 * determinant
    real = (np.abs(trace) + np.sqrt(np.maximum(discriminant, 0))) / 2
    complex_pair = np.sqrt(np.maximum(determinant, 0))
    return np.where(discriminant >= 0, real, complex_pair)
