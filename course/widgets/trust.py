"""Lesson 08: batch size and the scale of the loss against LARS's trust ratio, layer by layer."""

from __future__ import annotations

import numpy as np

from course.widgets.models import trust as model
from course.widgets.pane import Axis, Layer, Note, Pane, Runner
from course.widgets.player import Control, Mark, Player
from course.widgets.style import COLORS, INK, MUTED

__all__ = ["trust_ratio_by_batch"]

ACROSS = np.arange(1.0, len(model.LAYERS) + 1)
SGD, LARS = COLORS["vermillion"], COLORS["blue"]
POWERS = {-5: "10⁻⁵", -4: "10⁻⁴", -3: "10⁻³", -2: "10⁻²", -1: "10⁻¹", 0: "10⁰", 1: "10¹", 2: "10²", 3: "10³"}


def trust_ratio_by_batch() -> Player:
    """Return a player: the layers of a network in training, as the batch grows and the loss is rescaled."""
    settings = [model.measure(batch, scale) for batch in model.BATCHES for scale in model.SCALES]
    return Player(
        title="Batch size and trust ratio",
        caption=(
            "Three layers of a network in training on the digits, medians over random batches. Left the norm "
            "of each layer's gradient (the line shows its weights); right how far one step moves each layer, "
            "as a share of its weights. The trust ratio is the norm of the weights over that of the "
            "gradient: LARS multiplies each layer's rate by it. A larger batch averages noise away, the "
            "gradients shrink, and the trust ratios grow. Multiply the loss by any number: SGD's steps "
            "follow, LARS's stay."
        ),
        panes=[_norms(settings), _steps(settings)],
        controls=[
            Control(
                "Batch size",
                [str(batch) for batch in model.BATCHES],
                start=5,
                marks=[Mark(0, "1"), Mark(len(model.BATCHES) - 1, "all")],
            ),
            Control(
                "Loss times",
                [f"{scale:g}" for scale in model.SCALES],
                start=model.SCALES.index(1.0),
                marks=[Mark(model.SCALES.index(1.0), "as it is")],
            ),
        ],
        labels=[*(f"Trust ratio, {name} layer" for name in model.LAYERS), "Largest step share, SGD", "LARS"],
        readouts=[
            (*(_figure(t) for t in s.trust), _share(s.sgd.max()), _share(s.lars.max())) for s in settings
        ],
    )


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def _share(value: float) -> str:
    return f"{100 * value:.3f} %" if value < 0.01 else f"{100 * value:.1f} %"


def _line(values: np.ndarray) -> np.ndarray:
    return np.stack([ACROSS, values], axis=1)


def _layers_axis() -> Axis:
    ticks = [(float(at), name) for at, name in zip(ACROSS, model.LAYERS, strict=True)]
    return Axis("layer", 0.5, len(model.LAYERS) + 0.5, ticks)


def _log_axis(label: str, low: int, high: int) -> Axis:
    ticks = [(10.0**power, POWERS[power]) for power in range(low, high + 1)]
    return Axis(label, 10.0**low, 10.0**high, ticks, log=True)


def _norms(settings: list[model.Setting]) -> Pane:
    weights = model.weights()
    return Pane(
        "Norm of weights and of gradients",
        _layers_axis(),
        _log_axis("norm", -4, 3),
        [_line(s.gradients) for s in settings],
        layers=[Layer([_line(weights)], stroke=MUTED, width=2)],
        notes=[
            Note(1.0, float(weights[0]), "weights", INK, "start", -4, -8),
            Note(3.4, 3e-4, "gradients: dots", "#A84A00", "end"),
        ],
        color=SGD,
        style="dots",
    )


def _steps(settings: list[model.Setting]) -> Pane:
    return Pane(
        "One step, as a share of the weights",
        _layers_axis(),
        _log_axis("norm of the step / norm of the weights", -5, 1),
        [_line(s.sgd) for s in settings],
        notes=[
            Note(0.55, 3.5, f"SGD, lr {model.LR:g}", "#A84A00"),
            Note(3.45, 3.5, f"LARS, lr × coefficient {model.TRUST:g}", LARS, "end"),
        ],
        color=SGD,
        style="dots",
        runners=[Runner([_line(s.lars) for s in settings], LARS, style="dots")],
    )
