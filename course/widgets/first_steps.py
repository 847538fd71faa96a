"""Lesson 00: ten steps down a parabola, for the learning rate that a slider sets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from course.rules import SGD
from course.widgets.blit import Live, Picture, Readout
from course.widgets.controls import slider
from course.widgets.models.paths import follow
from course.widgets.style import COLORS, INK, figure, plain_axes
from course.widgets.words import plain

__all__ = ["Parabola", "drag_a_step", "ten_steps"]

STEPS = 10
START = -1.6


class Parabola:
    """The loss theta**2, with the gradient 2 theta: curvature 2, minimum 0 at 0."""

    def value(self, theta: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the loss, elementwise."""
        return np.asarray(theta, dtype=float) ** 2

    def gradient(self, theta: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the slope, elementwise."""
        return 2 * theta


def ten_steps(lr: float) -> npt.NDArray[np.float64]:
    """Return where ten steps of gradient descent on the parabola lead, shape (11,)."""
    return follow(SGD(lr=lr), Parabola(), [START], STEPS)[:, 0]


def drag_a_step() -> Live:
    """Return the ten steps that a learning rate leads to, with a slider for it."""
    made = figure(7.2, 3.6)
    axes = plain_axes(made.subplots(), "θ", "loss", "Ten steps down the parabola θ²")
    grid = np.linspace(-2.4, 2.4, 200)
    axes.plot(grid, Parabola().value(grid), color=COLORS["blue"], linewidth=2)
    axes.set(xlim=(-2.4, 2.4), ylim=(-0.25, 5.2))
    axes.plot([0], [0], "+", color=INK, markersize=11, markeredgewidth=2)
    color = COLORS["vermillion"]
    (line,) = axes.plot([], [], "-o", color=color, markersize=5, linewidth=1.4)
    (first,) = axes.plot([], [], "o", color="white", markeredgecolor=color, markersize=9, markeredgewidth=1.8)
    (last,) = axes.plot([], [], "o", color=color, markeredgecolor="white", markersize=11, markeredgewidth=1.5)

    def update(lr: float) -> Readout:
        theta = ten_steps(lr)
        loss = Parabola().value(theta)
        line.set_data(theta, loss)
        first.set_data(theta[:1], loss[:1])
        last.set_data(theta[-1:], loss[-1:])
        return {
            "One step multiplies θ by": f"{1 - 2 * lr:z.2f}".replace("-", "−"),
            "θ after ten steps": plain(float(theta[-1])),
            "Loss after ten steps": plain(float(loss[-1])),
        }

    return Live(
        "Drag a step",
        {"lr": slider("Learning rate", 0.1, 0.01, 1.1, 0.01)},
        Picture(made, [line, first, last], update),
        "Gradient descent on the loss θ², from the ring at the left. Drag the slider, or press the arrow "
        "keys: the dots creep, or land at the bottom at once, or jump from side to side, or climb out of the "
        "bowl; the numbers say how far ten steps lead.",
    )
