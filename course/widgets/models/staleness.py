"""Stale gradient descent on a bowl: paths, and the factor per step that the roots of its recursion give."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from course.cluster.hogwild import largest_stable_lr, long_run_factor, stale_sgd

__all__ = ["CURVATURES", "DELAYS", "RATES", "STEPS", "best_lr", "walk", "worst"]

Floats = npt.NDArray[np.float64]

CURVATURES = (1.0, 0.2)
DELAYS = tuple(range(11))
RATES = 2.0 ** np.arange(-5.5, 1.3, 0.25)
STEPS = 50


def worst(lr: float, delay: int) -> float:
    """Return the factor per step of the slower direction."""
    return max(long_run_factor(lr * curvature, delay) for curvature in CURVATURES)


@cache
def best_lr(delay: int) -> float:
    """Return the rate with the smallest factor per step for both curvatures, to four digits."""
    low, high = 0.0, largest_stable_lr(max(CURVATURES), delay)
    for _ in range(6):  # the worst factor falls and then rises: narrow the grid around its lowest point
        grid = np.linspace(low, high, 12)
        at = int(np.argmin([worst(lr, delay) for lr in grid]))
        low, high = grid[max(at - 1, 0)], grid[min(at + 1, 11)]
    return float((low + high) / 2)


def walk(lr: float, delay: int) -> Floats:
    """Return the path from 1 along each curvature, shape (steps + 1, curvatures)."""
    curvatures = np.array(CURVATURES)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(stale_sgd(lambda theta, t: curvatures * theta, np.ones(2), lr, STEPS, delay))
