"""Lesson 14: every learning rate with every delay, and what stale gradients make of a path."""

from __future__ import annotations

import numpy as np

from course.cluster.hogwild import largest_stable_lr
from course.widgets.models import staleness as model
from course.widgets.pane import Axis, Layer, Note, Pane, Runner
from course.widgets.phase_diagram import factor_legend, heat_map
from course.widgets.player import Control, Player
from course.widgets.ravine import describe_rate
from course.widgets.style import COLORS, INK, MUTED
from course.widgets.words import percent

__all__ = ["staleness_map"]

STEEP, GENTLE = COLORS["vermillion"], COLORS["blue"]
_TICKS = (0.03, 0.1, 0.3, 1.0)


def staleness_map() -> Player:
    """Return a player: factor per step for each learning rate and delay, and the paths of the pair chosen."""
    cells = [(float(lr), delay) for lr in model.RATES for delay in model.DELAYS]
    factors = np.array([model.worst(lr, delay) for lr, delay in cells])
    paths = [model.walk(lr, delay) for lr, delay in cells]
    steep, gentle = model.CURVATURES
    return Player(
        title="Stale gradients: delay against learning rate",
        caption=(
            f"Gradient descent on a bowl with curvatures {steep:g} and {gentle:g}, where each gradient is "
            "some steps old. Left the factor per step in the slower direction: the lighter, the faster; grey "
            "diverges. The black line is the limit of theory, the white one the best rate for each delay. "
            f"Right {model.STEPS} steps of the pair that is framed, along either curvature. Raise the delay "
            "and leave the rate at 0.5: a ripple, a swing, and away. Then lower the rate until it settles: "
            "it creeps along the gentle curvature."
        ),
        panes=[_map(cells, factors), _walks(paths)],
        controls=[
            Control("Learning rate", [f"{lr:.3f}" for lr in model.RATES], start=18),
            Control("Delay, steps", [str(delay) for delay in model.DELAYS], start=0),
        ],
        labels=["Factor per step", "Limit of the rate", f"Left after {model.STEPS} steps", "Outcome"],
        readouts=[
            (
                f"{found:.3f}",
                f"{largest_stable_lr(steep, delay):.3f}",
                percent(float(np.linalg.norm(path[-1]) / np.linalg.norm(path[0]))),
                describe_rate(float(found)),
            )
            for (_, delay), found, path in zip(cells, factors, paths, strict=True)
        ],
        picker=0,
    )


def _map(cells: list[tuple[float, int]], factors: np.ndarray) -> Pane:
    """Return the map; its axis counts doublings of the rate, so that all cells are equally wide."""
    across = float(np.log2(model.RATES[1] / model.RATES[0]))
    low, high = (float(end) for end in np.log2(model.RATES[[0, -1]]) + np.array([-across, across]) / 2)
    x = Axis("learning rate", low, high, [(float(np.log2(t)), f"{t:g}") for t in _TICKS])
    last = model.DELAYS[-1]
    y = Axis("delay, steps", -0.5, last + 0.5, [(d, str(d)) for d in range(0, last + 1, 2)])
    limit = [[np.log2(largest_stable_lr(model.CURVATURES[0], d)), d] for d in model.DELAYS]
    best = [[np.log2(model.best_lr(d)), d] for d in model.DELAYS]
    return Pane(
        "Factor per step",
        x,
        y,
        [np.array([[np.log2(lr), delay]]) for lr, delay in cells],
        layers=[
            Layer([np.array(best)], stroke="#ffffff", width=2, dash="50 35"),
            Layer([np.array(limit)], stroke=INK, width=2.2),
        ],
        notes=[Note(0.35, 7.0, "diverges", INK, "middle"), Note(-5.5, 0.0, "creeps", "#ffffff", "start")],
        image=heat_map(factors.reshape(len(model.RATES), len(model.DELAYS))),
        style="cell",
        cell=(across, 1.0),
        extra=factor_legend(),
    )


def _walks(paths: list[np.ndarray]) -> Pane:
    across = np.arange(model.STEPS + 1.0)
    lines = [[np.stack([across, path[:, i]], axis=1) for path in paths] for i in range(2)]
    x = Axis("step", 0, model.STEPS, [(float(t), str(t)) for t in range(0, model.STEPS + 1, 10)])
    y = Axis("θ along either curvature", -2.2, 2.2, [(t, f"{t:d}".replace("-", "−")) for t in range(-2, 3)])
    steep, gentle = model.CURVATURES
    return Pane(
        "The path of the chosen pair",
        x,
        y,
        lines[0],
        layers=[Layer([np.array([[0, 0], [model.STEPS, 0]])], stroke=MUTED, width=1, dash="30 30")],
        notes=[
            Note(model.STEPS, 1.95, f"curvature {steep:g}", "#A84A00", "end", -8),
            Note(model.STEPS, 1.7, f"curvature {gentle:g}", GENTLE, "end", -8),
        ],
        style="line",
        color=STEEP,
        runners=[Runner(lines[1], GENTLE)],
    )
