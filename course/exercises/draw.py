"""The inputs that cases are made of: plain ones first, then hard ones, all seeded."""

from __future__ import annotations

import numpy as np

__all__ = ["SHAPES", "hard", "plain"]

# No axes, one element, a column and a row (which broadcast, if an answer lets them), a matrix, nothing.
SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (3, 1), (1, 3), (2, 3), (0,), (2, 0))


def plain(
    shape: tuple[int, ...], seed: int, low: float = 0.5, high: float = 4.0, dtype: str = "float64"
) -> np.ndarray:
    """Return multiples of 1/4 from ``low`` to ``high``, of both signs: figures that a person can check."""
    rng = np.random.default_rng(seed)
    size = np.round(rng.uniform(low, high, shape) * 4) / 4
    return np.asarray(size * rng.choice([-1.0, 1.0], shape), dtype=dtype)


def hard(shape: tuple[int, ...], seed: int, scale: float = 1.0, dtype: str = "float64") -> np.ndarray:
    """Return values over four decades around ``scale``, of both signs, one in ten exactly zero."""
    rng = np.random.default_rng(seed)
    size = scale * 10 ** rng.uniform(-2, 2, shape) * rng.choice([-1.0, 1.0], shape)
    return np.asarray(np.where(rng.random(shape) < 0.1, 0.0, size), dtype=dtype)
