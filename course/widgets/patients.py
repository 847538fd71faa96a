"""Lesson 02: eight sick training runs beside the healthy one; the cause is shown when asked for."""

from __future__ import annotations

import numpy as np

from course.widgets.models import illnesses as model
from course.widgets.pane import Axis, Layer, Note, Pane, Runner
from course.widgets.player import Control, Mark, Player
from course.widgets.style import COLORS, MUTED
from course.widgets.words import percent, plain

__all__ = ["illnesses"]

FIRST, LAST, LOSS = COLORS["blue"], COLORS["vermillion"], COLORS["purple"]
STEP = np.arange(1.0, model.STEPS + 1)
WIDTH, HEIGHT = 222, 250  # of a pane, pixels: three stand side by side
POWERS = {
    -6: "10⁻⁶",
    -5: "10⁻⁵",
    -4: "10⁻⁴",
    -3: "10⁻³",
    -2: "10⁻²",
    -1: "10⁻¹",
    0: "10⁰",
    1: "10¹",
    2: "10²",
}


def illnesses() -> Player:
    """Return a player: choose a patient, follow the run, name the cause; the last step tells it."""
    runs = [model.course_of(each) for each in model.PATIENTS]
    steps = range(model.STEPS)
    return Player(
        title="Eight patients and a healthy run",
        caption=(
            f"The same network on the same {model.EXAMPLES} digits, {model.STEPS} steps of SGD. Dashed: the "
            "healthy run. Left the loss. In the middle what is in .grad when the step is taken, right "
            "how far the step moves the layer as a share of its weights: blue the first layer, vermillion "
            "the last. A line at the bottom is exactly zero. Name the cause; the last step tells it. "
            "Another patient begins in the middle of the run again."
        ),
        panes=[_losses(runs), _gradients(runs), _ratios(runs)],
        controls=[
            Control(
                "Patient",
                [str(i) for i in range(1, len(runs) + 1)],
                marks=[Mark(0, "1"), Mark(len(runs) - 1, "8")],
            ),
            Control(
                "Step",
                [str(step + 1) for step in steps],
                start=model.STEPS // 2 - 1,
                marks=[Mark(model.STEPS - 1, "cause")],
            ),
        ],
        labels=[
            "Loss",
            "Gradient, first layer",
            "last layer",
            "Step, first layer",
            "last layer",
            "Cause",
        ],
        readouts=[
            (*_figures(run, step), each.cause if step == steps[-1] else "?")
            for run, each in zip(runs, model.PATIENTS, strict=True)
            for step in steps
        ],
        growing=True,
        rewinds=True,
        steady=True,
    )


def _figures(run: model.Course, step: int) -> tuple[str, ...]:
    """Return the loss, the gradients and the ratios at a step."""
    gradients = [plain(float(run.gradient[name][step])) for name in ("first", "last")]
    ratios = [percent(float(run.ratio[name][step])) for name in ("first", "last")]
    return plain(float(run.loss[step])), *gradients, *ratios


def _line(values: np.ndarray, axis: Axis) -> np.ndarray:
    """Return a curve; what is out of the picture runs along the lowest tick or the upper edge."""
    seen = np.nan_to_num(values, nan=axis.high, posinf=axis.high)
    return np.stack([STEP, np.clip(seen, axis.ticks[0][0], axis.high)], axis=1)


def _steps() -> Axis:
    return Axis("step", 0, model.STEPS + 1, [(t, str(t)) for t in range(0, model.STEPS + 1, 20)])


def _dashed(values: np.ndarray, axis: Axis, color: str) -> Layer:
    return Layer([_line(values, axis)], stroke=color, width=1.5, dash="40 40")


def _losses(runs: list[model.Course]) -> Pane:
    y = Axis("loss (nats)", 0.0, 5.0, [(float(t), str(t)) for t in range(6)])
    healthy = model.course_of(model.HEALTHY).loss
    return Pane(
        "Loss", _steps(), y, [_line(run.loss, y) for run in runs], layers=[_dashed(healthy, y, MUTED)],
        notes=[Note(2, 0.3, "dashed: healthy", MUTED)], style="line", color=LOSS, width=WIDTH, height=HEIGHT,
    )  # fmt: skip


def _by_layer(
    title: str,
    label: str,
    low: int,
    high: int,
    runs: list[dict[str, np.ndarray]],
    healthy: dict[str, np.ndarray],
) -> Pane:
    """Return a pane with a curve for the first and one for the last layer."""
    ticks = [(10.0**low, "0"), *((10.0**power, POWERS[power]) for power in range(low + 1, high + 1))]
    y = Axis(label, 10.0 ** (low - 0.3), 10.0**high, ticks, log=True)
    return Pane(
        title, _steps(), y, [_line(run["first"], y) for run in runs],
        layers=[_dashed(healthy["first"], y, FIRST), _dashed(healthy["last"], y, LAST)],
        style="line", color=FIRST, runners=[Runner([_line(run["last"], y) for run in runs], LAST)],
        width=WIDTH, height=HEIGHT,
    )  # fmt: skip


def _gradients(runs: list[model.Course]) -> Pane:
    healthy = model.course_of(model.HEALTHY).gradient
    return _by_layer("Gradient", "norm of .grad", -4, 2, [run.gradient for run in runs], healthy)


def _ratios(runs: list[model.Course]) -> Pane:
    healthy = model.course_of(model.HEALTHY).ratio
    return _by_layer("Step", "norm of update / of weights", -6, 1, [run.ratio for run in runs], healthy)
