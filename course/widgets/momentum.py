"""Lesson 04: learning rate, momentum and the rule by hand, on the ravine, computed as the sliders move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from course.landscapes import Quadratic
from course.rules import SGD, HeavyBall, Nesterov
from course.widgets.blit import Live, Picture, Readout
from course.widgets.controls import choice, slider
from course.widgets.models.paths import follow, gradient_descent_rate, heavy_ball_rate, nesterov_rate
from course.widgets.ravine import START, describe_rate, plane
from course.widgets.shading import shade
from course.widgets.style import COLORS, INK, MUTED, figure, plain_axes
from course.widgets.words import percent

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

__all__ = ["exact_rate", "make_rule", "momentum_slider"]

STEPS = 100
RULES = ("Heavy ball", "Nesterov", "SGD")


def make_rule(name: str, lr: float, momentum: float) -> Any:
    """Return the rule of that name; plain SGD has no momentum and leaves it out."""
    if name == "SGD":
        return SGD(lr=lr)
    return {"Heavy ball": HeavyBall, "Nesterov": Nesterov}[name](lr=lr, momentum=momentum)


def exact_rate(name: str, lr: float, momentum: float, eigenvalues: npt.ArrayLike) -> float:
    """Return the factor per step that theory gives this rule on a quadratic."""
    if name == "SGD":
        return float(gradient_descent_rate(lr, eigenvalues))
    return float({"Heavy ball": heavy_ball_rate, "Nesterov": nesterov_rate}[name](lr, momentum, eigenvalues))


def momentum_slider(condition: float = 25.0, angle: float = 0.5) -> Live:
    """Return sliders for learning rate and momentum, a choice of rule, and the path of 100 steps.

    Args:
        condition: the largest curvature over the smallest.
        angle: how far the ravine is turned against the axes, radians.
    """
    ravine = Quadratic.of(condition=condition, angle=angle, largest=1.0)
    made, moving = _stage(ravine)
    path_line, _, path_end, distance_line = moving

    def update(rule: str, lr: float, momentum: float) -> Readout:
        path = follow(make_rule(rule, lr, momentum), ravine, START, STEPS)
        distance = np.linalg.norm(path, axis=1) / np.linalg.norm(START)
        shown = np.clip(
            path, -1e4, 1e4
        )  # far outside the picture, where matplotlib's clipping still counts exactly
        path_line.set_data(shown[:, 0], shown[:, 1])
        path_end.set_data(shown[-1:, 0], shown[-1:, 1])
        distance_line.set_data(np.arange(STEPS + 1), np.maximum(distance, 1e-300))
        rate = exact_rate(rule, lr, momentum, ravine.eigenvalues)
        return {
            "Factor per step": f"{rate:.3f}",
            f"Distance left after {STEPS} steps": percent(float(distance[-1])),
            "Outcome": describe_rate(rate),
        }

    return Live(
        "Momentum by hand",
        {
            "rule": choice("Rule", RULES),
            "lr": slider("Learning rate", 1.0, 0.05, 4.0, 0.05),
            "momentum": slider("Momentum", 0.5, 0.0, 0.98, 0.02),
        },
        Picture(made, moving, update),
        f"A hundred steps from the ring on a ravine of condition number {condition:g} with largest curvature "
        "1: left the path, right the distance that is left, on a logarithmic scale, where a steady rate is a "
        "straight line.",
    )


def _stage(ravine: Quadratic) -> tuple[Figure, list[Any]]:
    """Return the figure with all that stands still, and the artists that move: path, its end, distance."""
    made = figure(8.0, 3.4)
    left, right = made.subplots(1, 2)
    x, y = plane()
    plain_axes(left, x.label, y.label, "The path")
    shade(left, ravine, x, y)
    left.plot([0], [0], "+", color=INK, markersize=10, markeredgewidth=2)
    color = COLORS["vermillion"]
    plain_axes(right, "step", "distance left (start = 1)", "Distance to the optimum")
    right.set(xlim=(0, STEPS), yscale="log", ylim=(1e-8, 1e2))
    right.axhline(1, color=MUTED, linewidth=0.8, linestyle=":")
    (path_line,) = left.plot([], [], "-o", color=color, markersize=3.2, linewidth=1.2)
    (path_start,) = left.plot(
        *START, "o", color="white", markeredgecolor=color, markersize=8, markeredgewidth=1.6
    )
    (path_end,) = left.plot(
        [], [], "o", color=color, markeredgecolor="white", markersize=9, markeredgewidth=1.2
    )
    (distance_line,) = right.plot([], [], color=COLORS["blue"], linewidth=1.8)
    moving: list[Artist] = [path_line, path_start, path_end, distance_line]
    return made, moving
