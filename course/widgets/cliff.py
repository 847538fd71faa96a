"""Lesson 07: gradient descent at a wall in the loss, with and without clipping."""

from __future__ import annotations

import math

import numpy as np

from course.widgets.models.cliff import OneUnit, descend
from course.widgets.pane import Axis, Pane
from course.widgets.player import Control, Player
from course.widgets.shading import bands
from course.widgets.style import COLORS
from course.widgets.words import OUT_OF_RANGE, plain

__all__ = ["the_cliff"]

START = (4.75, -2.05)
STEPS = 100
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
NORMS = (math.inf, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05)


def the_cliff() -> Player:
    """Return a player: a hundred steps near the wall, for eleven learning rates and eight limits."""
    loss = OneUnit()
    rates = [lr for lr in RATES for _ in NORMS]
    limits = [limit for _ in RATES for limit in NORMS]
    runs = list(zip(*descend(loss, START, rates, limits, STEPS), strict=True))
    x = Axis("w", 3.5, 5.7, [(t, f"{t:g}") for t in (4.0, 4.5, 5.0, 5.5)])
    y = Axis("b", -2.9, -1.2, [(t, f"{t:g}".replace("-", "−")) for t in (-2.5, -2.0, -1.5)])
    walk = Pane("A hundred steps", x, y, [path for path, _, _ in runs], layers=bands(loss, x, y))
    return Player(
        title="A wall in the loss",
        caption=(
            "One recurrent unit, run for fifty steps: its loss over its weight w and its bias b; darker is "
            "higher. Upper right lies a gentle slope, lower left a plateau, and between them stands a wall. "
            "The slope leads down to the foot of the wall, where a gradient may be hundreds of times as "
            "long. Without a limit, one such gradient throws the path far away, to where nothing slopes any "
            "more. With a limit that is small enough it comes back. Which is enough, at every rate?"
        ),
        panes=[walk, _loss_pane([losses for _, losses, _ in runs])],
        controls=[
            Control("Learning rate", [f"{lr:g}" for lr in RATES], start=RATES.index(0.3)),
            Control("Limit of the norm", ["none" if math.isinf(m) else f"{m:g}" for m in NORMS]),
        ],
        labels=["Longest gradient met", "Clipped", "Longest step", "Loss at the end", "Where it ends"],
        readouts=[
            (*_said(*run, limit), _end(loss, run[0][-1], x, y))
            for run, limit in zip(runs, limits, strict=True)
        ],
    )


def _end(loss: OneUnit, theta: np.ndarray, x: Axis, y: Axis) -> str:
    """Return where a path ends, and of one that has left the picture, how little of a gradient there is."""
    place = f"w = {theta[0]:.1f}, b = {theta[1]:z.1f}".replace("-", "−")
    if x.low <= theta[0] <= x.high and y.low <= theta[1] <= y.high:
        return place
    return f"{place}, outside; gradient {plain(float(np.linalg.norm(loss.gradient(theta))))}"


def _loss_pane(losses: list[np.ndarray]) -> Pane:
    x = Axis("step", 0, STEPS, [(t, str(t)) for t in range(0, STEPS + 1, 20)])
    y = Axis("loss", 0.0, 0.4, [(t, f"{t:.1f}") for t in (0.0, 0.1, 0.2, 0.3, 0.4)])
    paths = [np.stack([np.arange(len(each)), each], axis=1) for each in losses]
    return Pane("The loss on the way", x, y, paths, style="line", color=COLORS["blue"])


def _said(path: np.ndarray, losses: np.ndarray, norms: np.ndarray, limit: float) -> tuple[str, str, str, str]:
    """Return what the numbers below the picture say of one run."""
    longest, step = float(norms.max()), float(np.linalg.norm(np.diff(path, axis=0), axis=1).max())
    clipped = int((norms > limit).sum())
    size = plain(longest) if plain(longest) != OUT_OF_RANGE else f"{longest:.0f}"
    return size, f"{clipped} of {STEPS} steps", plain(step), f"{losses[-1]:.4f}"
