"""Losses over two parameters that can be drawn: ravines, valleys and a saddle.

Every landscape has ``value``, ``gradient`` and ``hessian`` for points of shape ``(..., 2)``, the known
``optimum`` and the ``window`` that is worth drawing. Quadratics know their best learning rates too.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

__all__ = ["ALL", "Beale", "Landscape", "Quadratic", "Rosenbrock", "Saddle"]

Window = tuple[float, float, float, float]  # x from, x to, y from, y to


class Landscape(ABC):
    """A loss over the plane, with its derivatives written out."""

    window: ClassVar[Window] = (-2.0, 2.0, -2.0, 2.0)

    @property
    @abstractmethod
    def optimum(self) -> np.ndarray | None:
        """Where the loss is least, shape (2,); None where it is unbounded below."""

    @abstractmethod
    def value(self, theta: np.ndarray) -> np.ndarray:
        """Return the loss at ``theta``, shape ``(..., 2)`` to ``(...)``."""

    @abstractmethod
    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient at ``theta``, shape ``(..., 2)`` to ``(..., 2)``."""

    @abstractmethod
    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the matrix of second derivatives, shape ``(..., 2)`` to ``(..., 2, 2)``."""

    def grid(self, points: int = 81) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return ``x``, ``y`` and the loss over the window, each of shape ``(points, points)``."""
        left, right, low, high = self.window
        x, y = np.meshgrid(np.linspace(left, right, points), np.linspace(low, high, points))
        return x, y, self.value(np.stack([x, y], axis=-1))


@dataclass(frozen=True, eq=False)
class Quadratic(Landscape):
    """``theta^T H theta / 2``: a bowl, or a ravine where H is ill-conditioned; minimum 0 at the origin.

    Args:
        matrix: H, symmetric and positive definite, shape (2, 2).

    >>> ravine = Quadratic.of(condition=10.0, angle=0.0)
    >>> float(ravine.condition), float(ravine.largest_stable_lr)
    (10.0, 2.0)
    """

    matrix: np.ndarray

    def __post_init__(self) -> None:
        h = np.array(self.matrix, dtype=np.float64)  # its own copy
        if h.shape != (2, 2) or not np.allclose(h, h.T):
            raise ValueError(f"Quadratic: matrix must be symmetric of shape (2, 2), not shape {h.shape}")
        if np.linalg.eigvalsh(h)[0] <= 0:
            raise ValueError("Quadratic: matrix must be positive definite; for a saddle take Saddle()")
        object.__setattr__(self, "matrix", h)

    @classmethod
    def of(cls, condition: float = 10.0, angle: float = 0.5, largest: float = 1.0) -> Quadratic:
        """Build a quadratic from its condition number, rotation and largest curvature.

        Args:
            condition: largest over smallest curvature, >= 1.
            angle: rotation of the ravine's floor against the first axis, in radians.
            largest: the largest eigenvalue L, > 0.
        """
        if not (condition >= 1 and largest > 0):
            raise ValueError(
                f"Quadratic: condition must be >= 1 and largest > 0, not {condition} and {largest}"
            )
        c, s = math.cos(angle), math.sin(angle)
        turn = np.array([[c, -s], [s, c]])
        return cls(turn @ np.diag([largest / condition, largest]) @ turn.T)

    @property
    def optimum(self) -> np.ndarray:
        """The origin."""
        return np.zeros(2)

    @property
    def eigenvalues(self) -> np.ndarray:
        """The curvatures ``(mu, L)``, smallest first, shape (2,)."""
        return np.linalg.eigvalsh(self.matrix)

    @property
    def condition(self) -> float:
        """The condition number ``L / mu``."""
        mu, largest = self.eigenvalues
        return float(largest / mu)

    @property
    def largest_stable_lr(self) -> float:
        """Gradient descent converges for learning rates below this: ``2 / L``."""
        return float(2 / self.eigenvalues[1])

    @property
    def best_lr(self) -> float:
        """The fastest constant learning rate of gradient descent: ``2 / (L + mu)``."""
        return float(2 / self.eigenvalues.sum())

    @property
    def best_heavy_ball(self) -> tuple[float, float]:
        """The fastest ``(lr, momentum)`` of heavy ball (Polyak 1964)."""
        root_mu, root_l = np.sqrt(self.eigenvalues)
        return float((2 / (root_l + root_mu)) ** 2), float(((root_l - root_mu) / (root_l + root_mu)) ** 2)

    def value(self, theta: np.ndarray) -> np.ndarray:
        """Return the loss at ``theta``."""
        theta = _points(theta)
        return 0.5 * np.einsum("...i,ij,...j->...", theta, self.matrix, theta)

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return ``H theta``."""
        return _points(theta) @ self.matrix

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return H, the same everywhere."""
        return np.broadcast_to(self.matrix, (*np.shape(theta)[:-1], 2, 2))


@dataclass(frozen=True)
class Rosenbrock(Landscape):
    """``(1 - x)^2 + steepness (y - x^2)^2``: a bent valley, flat along its floor; minimum 0 at (1, 1).

    Source: H. H. Rosenbrock (1960), An automatic method for finding the greatest or least value.
    """

    steepness: float = 100.0
    window: ClassVar[Window] = (-2.0, 2.0, -1.0, 3.0)

    @property
    def optimum(self) -> np.ndarray:
        """(1, 1)."""
        return np.array([1.0, 1.0])

    def value(self, theta: np.ndarray) -> np.ndarray:
        """Return the loss at ``theta``."""
        x, y = _xy(theta)
        return (1 - x) ** 2 + self.steepness * (y - x**2) ** 2

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient at ``theta``."""
        x, y = _xy(theta)
        bend = y - x**2
        return np.stack([-2 * (1 - x) - 4 * self.steepness * x * bend, 2 * self.steepness * bend], axis=-1)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the Hessian at ``theta``."""
        x, y = _xy(theta)
        k = self.steepness
        return _matrix(2 - 4 * k * (y - 3 * x**2), -4 * k * x, 2 * k + 0 * x)


@dataclass(frozen=True)
class Beale(Landscape):
    """``sum_i (c_i - x (1 - y^i))^2``, c = 1.5, 2.25, 2.625: flat plains, steep corners; minimum at (3, .5).

    Source: E. M. L. Beale (1958), On an iterative method for finding a local minimum.
    """

    window: ClassVar[Window] = (-4.5, 4.5, -4.5, 4.5)
    _targets: ClassVar[tuple[float, ...]] = (1.5, 2.25, 2.625)

    @property
    def optimum(self) -> np.ndarray:
        """(3, 0.5)."""
        return np.array([3.0, 0.5])

    def value(self, theta: np.ndarray) -> np.ndarray:
        """Return the loss at ``theta``."""
        x, y = _xy(theta)
        return sum(((c - x * (1 - y**i)) ** 2 for i, c in self._terms()), np.zeros_like(x))

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient at ``theta``."""
        x, y = _xy(theta)
        dx, dy = np.zeros_like(x), np.zeros_like(x)
        for i, c in self._terms():
            rest, along_x, along_y = c - x * (1 - y**i), y**i - 1, i * x * y ** (i - 1)
            dx, dy = dx + 2 * rest * along_x, dy + 2 * rest * along_y
        return np.stack([dx, dy], axis=-1)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the Hessian at ``theta``."""
        x, y = _xy(theta)
        xx, xy, yy = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
        for i, c in self._terms():
            rest, along_x, along_y = c - x * (1 - y**i), y**i - 1, i * x * y ** (i - 1)
            curve_y = i * (i - 1) * x * y ** max(i - 2, 0)
            xx = xx + 2 * along_x**2
            xy = xy + 2 * (along_y * along_x + rest * i * y ** (i - 1))
            yy = yy + 2 * (along_y**2 + rest * curve_y)
        return _matrix(xx, xy, yy)

    def _terms(self) -> list[tuple[int, float]]:
        return list(enumerate(self._targets, start=1))


@dataclass(frozen=True)
class Saddle(Landscape):
    """``(x^2 - curvature y^2) / 2``: down along y, up along x; no minimum.

    The gradient vanishes at the origin, and a start exactly on the x axis ends there.
    """

    curvature: float = 1.0

    @property
    def optimum(self) -> None:
        """None: the loss falls without end along y."""
        return

    def value(self, theta: np.ndarray) -> np.ndarray:
        """Return the loss at ``theta``."""
        x, y = _xy(theta)
        return 0.5 * (x**2 - self.curvature * y**2)

    def gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient at ``theta``."""
        x, y = _xy(theta)
        return np.stack([x, -self.curvature * y], axis=-1)

    def hessian(self, theta: np.ndarray) -> np.ndarray:
        """Return the Hessian at ``theta``."""
        x, _ = _xy(theta)
        return _matrix(1 + 0 * x, 0 * x, -self.curvature + 0 * x)


def _points(theta: np.ndarray) -> np.ndarray:
    theta = np.asarray(theta, dtype=np.float64)
    if theta.ndim == 0 or theta.shape[-1] != 2:
        raise ValueError(f"theta must have shape (..., 2), not {theta.shape}")
    return theta


def _xy(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    theta = _points(theta)
    return theta[..., 0], theta[..., 1]


def _matrix(xx: np.ndarray, xy: np.ndarray, yy: np.ndarray) -> np.ndarray:
    return np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2)


ALL: dict[str, Landscape] = {
    "Quadratic": Quadratic.of(),
    "Rosenbrock": Rosenbrock(),
    "Beale": Beale(),
    "Saddle": Saddle(),
}
