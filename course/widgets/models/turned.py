"""A ravine that is turned, and what scaling each axis by itself can make of it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from course.landscapes import Quadratic
from course.rules import Rule

__all__ = ["ARRIVED", "arrivals", "scaled_condition", "turned_ravine", "turned_start"]

Floats = npt.NDArray[np.float64]

ARRIVED = 0.05  # the share of the first distance within which a path counts as arrived
_START = (-2.0, 2.0)  # along the floor, up the wall: in the ravine's own frame


def turned_ravine(condition: float, degrees: float) -> Quadratic:
    """Return the ravine whose floor is turned by ``degrees`` against the first axis; largest curvature 1."""
    return Quadratic.of(condition=condition, angle=math.radians(degrees), largest=1.0)


def turned_start(degrees: npt.ArrayLike) -> Floats:
    """Return the start that turns with the ravine, shape (..., 2): seen from the floor, always the same."""
    angle = np.radians(np.asarray(degrees, dtype=float))
    along, up = _START
    return np.stack(
        [np.cos(angle) * along - np.sin(angle) * up, np.sin(angle) * along + np.cos(angle) * up], axis=-1
    )


def scaled_condition(ravine: Quadratic) -> float:
    """Return the condition number that the best scaling of the two axes leaves.

    Scaling theta_i by a factor d_i of its own turns H into D H D. In two dimensions the best D makes both
    entries on the diagonal equal; what is left is (1 + c)/(1 - c), with c the cosine between the axes.

    >>> [round(scaled_condition(turned_ravine(100.0, degrees))) for degrees in (0.0, 20.0, 45.0)]
    [1, 42, 100]
    """
    (a, b), (_, d) = ravine.matrix
    cosine = abs(b) / math.sqrt(a * d)
    return float((1 + cosine) / (1 - cosine))


def arrivals(rule: Rule, condition: float, degrees: npt.ArrayLike, most: int) -> npt.NDArray[np.int64]:
    """Return for each angle the first step at which the path has arrived, or ``most`` where it has not.

    The rule must be elementwise: all angles are walked at once, as one parameter of shape (angles, 2).

    Args:
        rule: any elementwise rule.
        condition: of the ravine.
        degrees: how far it is turned, shape (angles,).
        most: steps after which to give up.
    """
    angles = np.atleast_1d(np.asarray(degrees, dtype=float))
    hessians = np.stack([turned_ravine(condition, angle).matrix for angle in angles])
    theta = turned_start(angles)
    first = np.linalg.norm(theta, axis=1)
    arrived = np.full(len(angles), most)
    state = rule.init(theta)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(1, most):
            delta, state = rule.update(np.einsum("nij,nj->ni", hessians, theta), state, theta)
            theta = theta - delta
            there = np.linalg.norm(theta, axis=1) <= ARRIVED * first
            arrived = np.where(there & (arrived == most), step, arrived)
            if (arrived < most).all():
                break
    return arrived
