"""Lesson 03: the learning rate on a ravine, and where theory says that it ends."""

from __future__ import annotations

import numpy as np

from course.landscapes import Quadratic
from course.rules import SGD
from course.widgets.models.paths import follow, gradient_descent_rate
from course.widgets.pane import Axis, Layer, Note, Pane
from course.widgets.player import Control, Mark, Player
from course.widgets.shading import bands
from course.widgets.style import COLORS, INK, MUTED
from course.widgets.words import percent

__all__ = ["describe_rate", "learning_rate_on_a_ravine", "plane"]

START = (-2.2, 1.6)
STEPS = 40


def plane(reach_x: float = 3.0, reach_y: float = 2.4) -> tuple[Axis, Axis]:
    """Return the two axes of parameter space around the origin."""
    ticks = [(float(t), f"{t:d}".replace("-", "−")) for t in range(-2, 3)]
    return Axis("θ₁", -reach_x, reach_x, ticks), Axis("θ₂", -reach_y, reach_y, ticks)


def describe_rate(rate: float) -> str:
    """Return what a factor per step means for the learner."""
    if rate < 1 - 1e-9:
        return f"converges: ten times closer in {np.log(10) / -np.log(rate):.0f} steps" if rate else "at once"
    return "never settles" if rate < 1 + 1e-9 else "diverges"


def learning_rate_on_a_ravine(condition: float = 10.0, angle: float = 0.5, theory: bool = False) -> Player:
    """Return a player: 40 steps of gradient descent on a ravine, for learning rates up to past the limit.

    Args:
        condition: the largest curvature over the smallest.
        angle: how far the ravine is turned against the axes, radians.
        theory: show beside the path the factor per step that theory predicts, with the formulas of the best
            rate and of the limit, instead of the distance measured at each step.
    """
    ravine = Quadratic.of(condition=condition, angle=angle, largest=1.0)
    best, limit = ravine.best_lr, ravine.largest_stable_lr
    spacing = 0.025 * limit
    rates = spacing * np.arange(1, 51)
    factors = gradient_descent_rate(rates, ravine.eigenvalues)
    paths = [follow(SGD(lr=float(lr)), ravine, START, STEPS) for lr in rates]
    distances = [np.linalg.norm(path, axis=1) for path in paths]
    x, y = plane()
    walk = Pane(
        "Forty steps of gradient descent",
        x,
        y,
        paths,
        layers=bands(ravine, x, y),
        notes=[Note(0.0, 0.0, "", INK, mark="cross")],
    )
    marks = (
        Mark(best / spacing - 1, "best", COLORS["green"]),
        Mark(limit / spacing - 1, "limit", COLORS["vermillion"]),
    )
    return Player(
        title="Learning rate on a ravine",
        caption=(
            f"Gradient descent on a ravine whose walls curve {condition:g} times as strongly as its floor. A "
            "small rate creeps along the floor; a large one leaps from wall to wall; past the limit each "
            "leap lands farther out, and the path leaves the picture. The best rate lies close below it."
        ),
        panes=[
            walk,
            _factor_pane(rates, factors, ravine.eigenvalues, best, limit)
            if theory
            else _distance_pane(distances),
        ],
        controls=[Control("Learning rate", [f"{lr:.2f}" for lr in rates], start=9, marks=marks)],
        labels=["Factor per step", "Distance left after 40 steps", "Outcome"],
        readouts=[
            (f"{factor:.3f}", percent(float(far[-1] / far[0])), describe_rate(float(factor)))
            for factor, far in zip(factors, distances, strict=True)
        ],
    )


def _distance_pane(distances: list[np.ndarray]) -> Pane:
    """Return the distance to the minimum at each step; on this scale a steady rate is a straight line."""
    start = float(distances[0][0])
    x = Axis("step", -1, STEPS + 1, [(t, str(t)) for t in range(0, STEPS + 1, 10)])
    ticks = [(1e-3, "10⁻³"), (1e-2, "10⁻²"), (0.1, "10⁻¹"), (1.0, "10⁰"), (10.0, "10¹"), (100.0, "10²")]
    y = Axis("distance to the minimum", 3e-4, 300.0, ticks, log=True)
    return Pane(
        "The distance that is left",
        x,
        y,
        [np.stack([np.arange(len(far)), far], axis=1) for far in distances],
        layers=[Layer([np.array([[-1, start], [STEPS + 1, start]])], stroke=MUTED, width=1, dash="30 30")],
        notes=[Note(STEPS, start, "as far as at the start", MUTED, "end", -6, -6)],
        color=COLORS["blue"],
    )


def _factor_pane(
    rates: np.ndarray, factors: np.ndarray, eigenvalues: np.ndarray, best: float, limit: float
) -> Pane:
    """Return the V of theory: the factor per step against the learning rate, with its two landmarks."""
    end = float(rates[-1])
    x = Axis("learning rate", 0.0, end, [(t, f"{t:.1f}") for t in np.arange(0, end + 1e-9, limit / 4)])
    y = Axis("factor per step", 0.6, 1.5, [(t, f"{t:.1f}") for t in np.arange(0.6, 1.51, 0.1)])
    fine = np.sort([*np.linspace(0, end, 90), best])

    def upright(at: float) -> list[np.ndarray]:
        return [np.array([[at, y.low], [at, y.high]])]

    curve = np.stack([fine, gradient_descent_rate(fine, eigenvalues)], axis=1)
    return Pane(
        "What theory says of one step",
        x,
        y,
        [np.array([[lr, factor]]) for lr, factor in zip(rates, factors, strict=True)],
        layers=[
            Layer([np.array([[limit, y.low], [end, y.low], [end, y.high], [limit, y.high]])], fill="#fbeee6"),
            Layer([np.array([[0, 1], [end, 1]])], stroke=MUTED, width=1, dash="30 30"),
            Layer(upright(best), stroke=COLORS["green"], width=1.5, dash="50 30"),
            Layer(upright(limit), stroke=COLORS["vermillion"], width=1.5, dash="50 30"),
            Layer([curve], stroke=COLORS["blue"], width=2),
        ],
        notes=[
            Note(best, y.low, "best: 2/(L + ℓ)", "#00724F", "end", -6, -8),
            Note(limit, y.low, "limit: 2/L", "#A84A00", "start", 6, -8),
            Note(0.0, 1.0, "above 1: diverges", MUTED, "start", 6, -6),
        ],
        style="marker",
    )
