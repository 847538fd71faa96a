"""Lesson 01: what the batch size does to the path, and how many steps it buys."""

from __future__ import annotations

import numpy as np

from course.widgets.models.batches import LeastSquares, digits_problem, gradient_spread, walk
from course.widgets.pane import Axis, Note, Pane
from course.widgets.player import Control, Mark, Player
from course.widgets.shading import bands
from course.widgets.style import COLORS, INK

__all__ = ["batch_size_noise"]

EPOCHS = 3
LR = 0.15
START = (-0.9, -0.55)


def batch_size_noise(seed: int = 0) -> Player:
    """Return a player: the same digits, learning rate and number of examples, in batches of 1 to all 64.

    Args:
        seed: of the order in which the examples come.
    """
    problem = digits_problem()
    count = len(problem.y)
    sizes = [2**power for power in range(int(np.log2(count)) + 1)]
    paths = [walk(problem, size, LR, EPOCHS, START, seed) for size in sizes]
    start = np.linalg.norm(np.asarray(START) - problem.optimum)
    rows = [
        (
            f"{count // size}",
            f"{gradient_spread(problem, problem.optimum, size):.3f}",
            f"{100 * np.linalg.norm(path[-1] - problem.optimum) / start:.0f} %",
        )
        for size, path in zip(sizes, paths, strict=True)
    ]
    return Player(
        title="Batch size: many rough steps, or few smooth ones",
        caption=(
            "A linear model asks of two pixels whether a digit is a 1 or a 0. Each setting looks at the same "
            f"{count} images {EPOCHS} times, with the same learning rate {LR:g}. Single images give a ragged "
            f"path of {EPOCHS * count} steps that ends jittering round the optimum (the cross); the full "
            f"batch gives a smooth one that stops after {EPOCHS}, still on its way."
        ),
        panes=[_path_pane(problem, paths), _loss_pane(problem, sizes, paths)],
        controls=[
            Control(
                "Batch size",
                [str(size) for size in sizes],
                start=3,
                marks=[Mark(0, "1"), Mark(len(sizes) - 1, "all 64")],
            )
        ],
        labels=["Steps per epoch", "Spread of the gradient at the optimum", "Distance left at the end"],
        readouts=rows,
    )


def _path_pane(problem: LeastSquares, paths: list[np.ndarray]) -> Pane:
    ticks = [(t, f"{t:.1f}".replace("-", "−")) for t in np.arange(-1.0, 1.01, 0.5)]
    x = Axis("weight of the middle pixel", -1.2, 1.2, ticks)
    y = Axis("weight of the side pixel", -1.1, 0.84, ticks[:-1])
    return Pane(
        "The weights, step by step",
        x,
        y,
        paths,
        layers=bands(problem, x, y, floor=float(problem.value(problem.optimum))),
        notes=[Note(float(problem.optimum[0]), float(problem.optimum[1]), "", INK, mark="cross")],
    )


def _loss_pane(problem: LeastSquares, sizes: list[int], paths: list[np.ndarray]) -> Pane:
    """Return the loss on all images against the number of images seen: the fair clock for batch sizes."""
    seen = EPOCHS * len(problem.y)
    curves = [
        np.stack([np.arange(len(path)) * size, problem.value(path)], axis=1)
        for size, path in zip(sizes, paths, strict=True)
    ]
    x = Axis("images seen", -5, seen + 5, [(t, str(t)) for t in range(0, seen + 1, len(problem.y))])
    y = Axis("loss on all images", 0.1, 2.0, [(t, f"{t:g}") for t in (0.1, 0.2, 0.5, 1, 2)], log=True)
    return Pane("Loss against images seen", x, y, curves, color=COLORS["blue"])
