"""Lesson 06: what weight decay takes from a weight, by the size of its gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from course.widgets.blit import Live, Picture, Readout
from course.widgets.controls import slider
from course.widgets.models.decay import RULES, decay_per_step, noisy_histories
from course.widgets.style import COLORS, MUTED, figure, plain_axes
from course.widgets.words import percent, plain

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

__all__ = ["effective_decay"]

LR = 0.01
STEPS = 200
LOW, HIGH = -3.0, 2.0  # powers of ten of the gradient scale
LOOK = {"Adam + L2": (COLORS["vermillion"], "-", "o"), "AdamW": (COLORS["blue"], "--", "s")}


def effective_decay() -> Live:
    """Return sliders for gradient scale, decay and eps, with the share that goes per step and a history."""
    made, moving = _stage()
    scales = np.geomspace(10**LOW, 10**HIGH, 120)
    curves, dots, histories, knee = moving[:2], moving[2:4], moving[4:6], moving[6]

    def update(scale: float, decay: float, eps: float) -> Readout:
        size, small = 10**scale, 10**eps
        runs = noisy_histories(size, LR, decay, small, STEPS)
        said = {"Size of the gradients": plain(size), "eps": plain(small)}
        for name, curve, dot, history in zip(RULES, curves, dots, histories, strict=True):
            share = decay_per_step(name, scales, LR, decay, small)
            here = float(decay_per_step(name, size, LR, decay, small))
            curve.set_data(scales, share)
            dot.set_data([size], [here])
            history.set_data(np.arange(STEPS + 1), runs[name])
            said[f"{name}: goes per step"] = percent(here)
            said[f"{name}: left after {STEPS} steps"] = percent(float(runs[name][-1]))
        knee.set_data([decay + small] * 2, [0, 1])
        return said

    return Live(
        "What decay takes, by the size of the gradients",
        {
            "scale": slider("log₁₀ gradients", 0.5, LOW, HIGH, 0.25),
            "decay": slider("Weight decay", 0.5, 0.05, 1.0, 0.05),
            "eps": slider("log₁₀ eps", LOW, LOW, HIGH, 0.25),
        },
        Picture(made, moving, update),
        f"A weight that begins at 1; its gradients are noise of the chosen size (learning rate {LR:g}). "
        "Left the share of it that goes per step, on logarithmic axes, with the chosen size marked: flat for "
        "AdamW; for Adam with L2 falling like one over the gradient scale, once the gradients outweigh the "
        "penalty and eps: beyond the dotted upright, at weight decay times the weight (here 1) plus eps. "
        f"Right the weight itself over {STEPS} steps, the mean of 64 runs of the real rules. (eps begins at "
        "0.001: the usual 1e-8 is too small to be seen beside these penalties.)",
    )


def _stage() -> tuple[Figure, list[Any]]:
    """Return the figure, and what moves in it: two curves, their marks, two histories, the knee."""
    made = figure(8.0, 3.4)
    left, right = made.subplots(1, 2)
    plain_axes(left, "gradient scale", "share that goes per step", "Decay per step")
    left.set(xscale="log", yscale="log", xlim=(10**LOW, 10**HIGH), ylim=(3e-6, 3e-2))
    plain_axes(right, "step", "weight (start = 1)", "The weight at the chosen scale")
    right.set(xlim=(0, STEPS), ylim=(-0.05, 1.08))
    right.axhline(0, color=MUTED, linewidth=0.8, linestyle=":")
    curves, dots, histories = [], [], []
    for name in RULES:
        color, dash, marker = LOOK[name]
        curves += left.plot([], [], dash, color=color, linewidth=1.8)
        dots += left.plot([], [], marker, color=color, markersize=9, markeredgecolor="white")
        histories += right.plot([], [], dash, color=color, linewidth=1.8)
        left.plot([], [], dash, color=color, marker=marker, label=name)  # stands still, for the legend
    upright = left.axvline(10**LOW, color=MUTED, linewidth=1.2, linestyle=":")
    left.legend(frameon=False, fontsize=9, loc="lower left")
    moving: list[Artist] = [*curves, *dots, *histories, upright]
    return made, moving
