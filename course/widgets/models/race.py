"""A race: every rule from the same start, each with the best learning rate of one grid for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from course.landscapes import Landscape, Quadratic, Rosenbrock
from course.rules import LAMB, LARS, SGD, Adam, HeavyBall, Lion, Muon, Rule, Sophia, hutchinson

__all__ = ["COURSES", "GRID", "RULES", "Course", "Moved", "best", "run"]

Floats = npt.NDArray[np.float64]

GRID = tuple(float(f"{base}e{power}") for power in (-3, -2, -1, 0, 1) for base in (1, 2, 5))  # 0.001 to 50

# Decay would pull to the origin, which is not where the minima are. Sophia's usual betas, (0.965, 0.99), are
# made for thousands of steps: within sixty, h would still be close to its start at zero.
RULES: dict[str, Rule] = {
    "SGD": SGD(),
    "heavy ball": HeavyBall(),
    "Adam": Adam(),
    "LARS": LARS(trust_coefficient=1.0),
    "LAMB": LAMB(),
    "Lion": Lion(),
    "Sophia": Sophia(variant="H", rho=1.0, betas=(0.9, 0.9), weight_decay=0.0),
    "Muon": Muon(weight_decay=0.0),
}


@dataclass(frozen=True)
class Moved:
    """A landscape moved so that its minimum lies at (1, 1)."""

    landscape: Landscape

    @property
    def by(self) -> Floats:
        """How far it was moved."""
        optimum = self.landscape.optimum
        assert optimum is not None
        return np.ones(2) - optimum

    def value(self, theta: Floats) -> Floats:
        """Return the loss at ``theta``, shape (..., 2)."""
        return self.landscape.value(np.asarray(theta) - self.by)

    def gradient(self, theta: Floats) -> Floats:
        """Return the gradient at ``theta``."""
        return self.landscape.gradient(theta - self.by)

    def hessian(self, theta: Floats) -> Floats:
        """Return the Hessian at ``theta``."""
        return self.landscape.hessian(theta - self.by)


@dataclass(frozen=True)
class Course:
    """What is run on: a landscape, and whether the learning rate falls to zero or stays."""

    name: str
    landscape: Moved
    start: tuple[float, float]
    falling: bool = False


ANGLE = 0.6  # by which the second ravine is turned, start and all
AWAY = (
    -1.93,
    1.37,
)  # the ravine's start, seen from its minimum; round figures would suit rules of fixed steps


def _turned(x: float, y: float, angle: float) -> tuple[float, float]:
    c, s = np.cos(angle), np.sin(angle)
    return float(1 + c * x - s * y), float(1 + s * x + c * y)


COURSES = tuple(
    Course(name + ("↓" if falling else ""), Moved(landscape), start, falling)
    for name, landscape, start in (
        ("ravine", Quadratic.of(condition=25.0, angle=0.0), _turned(*AWAY, 0.0)),
        ("turned", Quadratic.of(condition=25.0, angle=ANGLE), _turned(*AWAY, ANGLE)),
        ("valley", Rosenbrock(), (-1.17, 0.93)),
    )
    for falling in (False, True)
)


def run(rule: Rule, course: Course, lr: float, steps: int) -> Floats:
    """Return the points that a rule visits, shape (steps + 1, 2).

    A rule for matrices gets a matrix of one row. Sophia gets a Hutchinson estimate at each step, with a
    seeded probe of random signs.
    """
    theta: Any = np.array(course.start)
    if rule.only_matrices:
        theta = theta[None]
    state, path, rng = rule.init(theta), [course.start], np.random.default_rng(0)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps):
            now = rule.with_hyperparameters(lr=lr * (1 - step / steps if course.falling else 1.0))
            point = theta.reshape(2)
            if isinstance(now, Sophia):
                hessian = course.landscape.hessian(point)
                probe = rng.choice([-1.0, 1.0], 2)
                state = now.with_hessian(state, hutchinson(hessian.__matmul__, probe))
            grad = course.landscape.gradient(point).reshape(theta.shape)
            delta, state = now.update(grad, state, theta)
            theta = theta - delta
            path.append(theta.reshape(2))
            if not np.abs(theta).max() < 1e6:
                break
    gone = [np.full(2, np.inf)] * (steps + 1 - len(path))
    return np.array([*path, *gone])


def best(rule: Rule, course: Course, steps: int) -> tuple[float, Floats]:
    """Return the learning rate of the grid that ends with the smallest loss, and its path."""
    runs = [(lr, run(rule, course, lr, steps)) for lr in GRID]
    with np.errstate(over="ignore", invalid="ignore"):
        losses = [course.landscape.value(path[-1]) for _, path in runs]
    return runs[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]
