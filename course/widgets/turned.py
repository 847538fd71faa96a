"""Lesson 05: a ravine that can be turned, and rules that scale each axis by itself."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from course.rules import AdaGrad, Adam, HeavyBall, RMSProp, Rule
from course.widgets.blit import Live, Picture, Readout
from course.widgets.controls import choice, slider
from course.widgets.models.paths import follow
from course.widgets.models.turned import ARRIVED, arrivals, scaled_condition, turned_ravine, turned_start
from course.widgets.ravine import plane
from course.widgets.shading import band_levels, surface
from course.widgets.style import COLORS, INK, MUTED, VALLEY, figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RULES", "make_rule", "rotate_the_ravine"]

MOST = 400  # steps that are waited for
SHOWN = 60  # steps that are drawn
TUNED = 0.6  # the learning rate at which momentum arrives first, of those on the slider
ANGLES = np.arange(0.0, 91.0, 3.0)
RULES = ("Adam", "AdaGrad", "RMSProp", "Momentum")
_COLOR = dict(
    zip(RULES, (COLORS["vermillion"], COLORS["orange"], COLORS["purple"], COLORS["blue"]), strict=True)
)


def make_rule(name: str, lr: float) -> Rule:
    """Return the rule of that name; the mean of RMSProp is a short one, so that it follows a short path."""
    if name == "Momentum":
        return HeavyBall(lr=lr, momentum=0.9)
    if name == "RMSProp":
        return RMSProp(lr=lr, alpha=0.9)
    return {"Adam": Adam, "AdaGrad": AdaGrad}[name](lr=lr)


@lru_cache(maxsize=64)
def _curve(name: str, lr: float, condition: float) -> npt.NDArray[np.int64]:
    return arrivals(make_rule(name, lr), condition, ANGLES, MOST)


def rotate_the_ravine(condition: float = 100.0) -> Live:
    """Return sliders that turn a ravine and set the learning rate, a choice of rule, and how long it takes.

    Args:
        condition: the largest curvature over the smallest.
    """
    made, artists = _stage(condition)
    walls, _, path_line, path_start, path_end, curve, here, _ = artists
    x, y = plane()

    def update(rule: str, angle: float, lr: float) -> Readout:
        ravine = turned_ravine(condition, angle)
        walls.set_data(_shades(surface(ravine, x, y, 120)[2]))
        path = follow(make_rule(rule, lr), ravine, turned_start(angle), SHOWN)
        shown = np.clip(path, -1e4, 1e4)
        path_line.set_data(shown[:, 0], shown[:, 1])
        path_start.set_data(shown[:1, 0], shown[:1, 1])
        path_end.set_data(shown[-1:, 0], shown[-1:, 1])
        steps = int(arrivals(make_rule(rule, lr), condition, angle, MOST)[0])
        curve.set_data(ANGLES, _curve(rule, lr, condition))
        here.set_data([angle], [steps])
        for artist in (path_line, path_end, curve, here):
            artist.set_color(_COLOR[rule])
        path_start.set_markeredgecolor(_COLOR[rule])
        for artist in (path_end, here):
            artist.set_markeredgecolor("white")
        return {
            "Steps until 5 % of the distance is left": f"{steps}"
            if steps < MOST
            else f"more than {MOST - 1}",
            "Condition number of the ravine": f"{condition:.0f}",
            "With each axis scaled as well as can be": f"{scaled_condition(ravine):.3g}",
        }

    return Live(
        "Turn the ravine",
        {
            "rule": choice("Rule", RULES),
            "angle": slider("Angle, degrees", 0.0, 0.0, 90.0, 3.0, ".0f"),
            "lr": slider("Learning rate", 0.2, 0.02, 0.6, 0.02),
        },
        Picture(made, artists, update),
        f"Left: {SHOWN} steps from the ring, in a ravine of condition number {condition:g}; the start turns "
        "with it. Right: after how many steps the rule first comes within 5 % of the distance, at this "
        "learning rate, for every angle; the dot is the angle at hand, the dashed line momentum 0.9 at "
        f"learning rate {TUNED:g}, the best of this slider for it. (RMSProp has alpha 0.9.) Along the "
        "axes the adaptive rules need few steps at a rate that suits them, since each axis gets a scale of "
        "its own. Turned, they need many; momentum needs the same number at every angle.",
    )


def _shades(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the bands of a loss surface as pixels, in the shades of the other pictures."""
    from matplotlib.colors import to_rgb

    shades = np.array([to_rgb(color) for color in VALLEY[::-1]])
    return shades[np.searchsorted(band_levels(values, 0.0), values)]


def _stage(condition: float) -> tuple[Figure, list[Any]]:
    """Return the figure with all that stands still, and the artists that move (or lie on one that does)."""
    made = figure(8.0, 3.6)
    left, right = made.subplots(1, 2)
    x, y = plane()
    plain_axes(left, x.label, y.label, "The path")
    left.set(xlim=(x.low, x.high), ylim=(y.low, y.high))
    nothing = np.ones((2, 2, 3))
    walls = left.imshow(
        nothing, extent=(x.low, x.high, y.low, y.high), origin="lower", aspect="auto",
        interpolation="bilinear",
    )  # fmt: skip
    (optimum,) = left.plot([0], [0], "+", color=INK, markersize=10, markeredgewidth=2)
    color = COLORS["vermillion"]
    (path_line,) = left.plot([], [], "-o", color=color, markersize=3.0, linewidth=1.2)
    (path_start,) = left.plot([], [], "o", color="white", markeredgecolor=color, markersize=8, mew=1.6)
    (path_end,) = left.plot([], [], "o", color=color, markeredgecolor="white", markersize=9)
    plain_axes(
        right,
        "angle of the ravine, degrees",
        f"steps until {100 * ARRIVED:.0f} % is left",
        "How long it takes",
    )
    right.set(xlim=(-2, 92), yscale="log", ylim=(4, MOST * 1.4), xticks=np.arange(0, 91, 15))
    right.set_yticks([5, 10, 20, 50, 100, 200, MOST], ["5", "10", "20", "50", "100", "200", f"≥ {MOST}"])
    right.minorticks_off()
    steady = int(arrivals(HeavyBall(lr=TUNED, momentum=0.9), condition, 0.0, MOST)[0])
    right.axhline(steady, color=COLORS["blue"], linewidth=1.0, linestyle="--")
    label = right.text(45, steady * 0.9, "momentum, tuned", color=INK, fontsize=8, ha="center", va="top")
    label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0})
    right.axhline(MOST, color=MUTED, linewidth=0.8, linestyle=":")
    (curve,) = right.plot([], [], color=color, linewidth=1.8)
    (here,) = right.plot([], [], "o", color=color, markeredgecolor="white", markersize=10)
    return made, [
        walls,
        optimum,
        path_line,
        path_start,
        path_end,
        curve,
        here,
        label,
    ]  # the label last: it lies on top
