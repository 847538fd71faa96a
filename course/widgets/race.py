"""Lesson 08: a race of all rules on a choice of landscapes, each with the best learning rate of one grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from course.widgets.models import race as model
from course.widgets.pane import Axis, Layer, Note, Pane, Runner
from course.widgets.player import Control, Mark, Player
from course.widgets.shading import bands
from course.widgets.style import COLORS, INK, MUTED
from course.widgets.words import plain

__all__ = ["race_of_rules"]

STEPS = 60
PAINT = dict(
    zip(
        model.RULES,
        [MUTED, COLORS["black"], COLORS["blue"], COLORS["orange"], COLORS["purple"], COLORS["vermillion"],
         COLORS["green"], COLORS["sky"]],
        strict=True,
    )
)  # fmt: skip


def race_of_rules() -> Player:
    """Return a player: eight rules from one start, on three landscapes, at a constant or a falling rate."""
    runs = {
        name: [model.best(rule, course, STEPS) for course in model.COURSES]
        for name, rule in model.RULES.items()
    }
    distances = {name: [np.linalg.norm(path - 1, axis=1) for _, path in each] for name, each in runs.items()}
    names = [course.name for course in model.COURSES]
    return Player(
        title="A race of eight rules",
        caption=(
            f"{STEPS} steps to the cross. Each rule has the learning rate that ends with the smallest loss, "
            f"out of the same {len(model.GRID)} from {model.GRID[0]:g} to {model.GRID[-1]:g}. The turned "
            "ravine is the first one turned together with its start: SGD, heavy ball and Muon run as before, "
            "rules that look at single elements do not, nor does LARS: its ratio depends on the distance to "
            "the origin. With ↓ the learning rate falls to zero, and rules whose steps have a fixed length "
            "come to rest. In the plane Muon sees a matrix of one row: there it is no more than normalised "
            "momentum."
        ),
        panes=[_plane(runs), _distance(distances)],
        controls=[
            Control(
                "Landscape",
                names,
                start=0,
                marks=[Mark(0, "ravine"), Mark(2, "turned"), Mark(4, "Rosenbrock's valley")],
            ),
            Control("Step", [str(step) for step in range(STEPS + 1)], start=12),
        ],
        labels=[f"{i} {name}" for i, name in enumerate(runs, start=1)],
        readouts=[
            tuple(
                f"{plain(float(far[at][step]))} away, lr {runs[name][at][0]:g}"
                for name, far in distances.items()
            )
            for at in range(len(names))
            for step in range(STEPS + 1)
        ],
        growing=True,
    )


def _pane(title: str, x: Axis, y: Axis, paths: dict[str, list[np.ndarray]]) -> Pane:
    """Return a pane in which all rules move; the first is the pane's own path, the others run beside it."""
    runners = [Runner(frames, PAINT[name], str(i)) for i, (name, frames) in enumerate(paths.items(), start=1)]
    first, *others = runners
    return Pane(
        title, x, y, first.paths, style="line", color=first.color, letter=first.letter, runners=others
    )


def _plane(runs: dict[str, list[tuple[float, np.ndarray]]]) -> Pane:
    x = Axis("θ₁", -2.2, 2.76, [(t, f"{t:d}".replace("-", "−")) for t in (-2, -1, 0, 1, 2)])
    y = Axis("θ₂", -1.3, 2.7, [(t, f"{t:d}".replace("-", "−")) for t in (-1, 0, 1, 2)])
    paths = {name: [path for _, path in each] for name, each in runs.items()}
    scenes = [bands(course.landscape, x, y) for course in model.COURSES if not course.falling]
    notes = [Note(1.0, 1.0, "", INK, mark="cross")]
    return replace(_pane("The paths", x, y, paths), scenes=scenes, notes=notes)


def _distance(distances: dict[str, list[np.ndarray]]) -> Pane:
    x = Axis("step", -1, STEPS + 2, [(t, str(t)) for t in range(0, STEPS + 1, 10)])
    ticks = [(1e-2, "10⁻²"), (0.1, "10⁻¹"), (1.0, "10⁰")]
    y = Axis("distance to the minimum", 0.006, 6.0, ticks, log=True)
    curves = {
        name: [np.stack([np.arange(len(far)), far], axis=1) for far in each]
        for name, each in distances.items()
    }
    start = Layer([np.array([[-1, 1.0], [STEPS + 2, 1.0]])], stroke=MUTED, width=0.5, dash="30 30")
    return replace(_pane("The distance that is left", x, y, curves), layers=[start])
