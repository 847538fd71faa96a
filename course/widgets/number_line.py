"""Lesson 07: the numbers that a format has around a weight, and where an update lands among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from course.widgets.blit import Live, Picture, Readout
from course.widgets.controls import slider
from course.widgets.models.number_line import FORMATS, walk
from course.widgets.style import COLORS, INK, MUTED, figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["line_of_numbers"]

STEPS = 100
BELOW, ABOVE = 1.3, 3.3  # what the line shows, in spacings of bfloat16
ROWS = (2.0, 1.0, 0.0)
LOOK = {
    "bfloat16": (COLORS["vermillion"], "-"),
    "float16": (COLORS["blue"], "--"),
    "float32": (COLORS["green"], "-."),
}


def line_of_numbers() -> Live:
    """Return sliders for a weight and an update, with the line of numbers and a hundred updates."""
    made, parts = _stage()

    def update(weight: float, size: float) -> Readout:
        start, added = float(FORMATS[0].round(2.0**weight)), 10.0**size
        unit = FORMATS[0].spacing(start)
        said = {"Weight": _digits(start), "Update": _digits(added)}
        for row, form in zip(ROWS, FORMATS, strict=True):
            numbers = form.around(start, BELOW * unit, ABOVE * unit) if form.bits < 20 else np.empty(0)
            parts[f"{form.name} ticks"].set_segments(
                [[((n - start) / unit, row - 0.16), ((n - start) / unit, row + 0.16)] for n in numbers]
            )
            after = float(form.round(start + added))
            at = (after - start) / unit
            parts[f"{form.name} lands"].set_data([at] if at <= ABOVE else [], [row] if at <= ABOVE else [])
            path = walk(form, start, added, STEPS)
            parts[f"{form.name} walk"].set_data(np.arange(STEPS + 1), (path - start) / (STEPS * added))
            moved = (after - start) / added
            said[form.name] = f"{_digits(after)} ({'swallowed' if moved == 0 else f'{100 * moved:.0f} %'})"
        half, lower = 0.5, -0.5 * FORMATS[0].spacing_below(start) / unit
        parts["zone"].set_xy([(lower, 1.75), (half, 1.75), (half, 2.25), (lower, 2.25)])
        _draw_update(parts, added / unit)
        for i, word in enumerate(parts["words"]):
            word.set_text(_digits(start + i * unit, 8))
        return said

    moving = [part for name, part in parts.items() if name != "words"] + parts["words"]
    return Live(
        "The numbers there are, and an update between them",
        {
            "weight": slider("log₂ weight", 0.0, -6.0, 6.0, 0.25),
            "size": slider("log₁₀ update", -3.0, -5.0, -1.0, 0.25),
        },
        Picture(made, moving, update),
        "Left the numbers that three formats have around the weight; float32 has so many that they make a "
        "band. The weight stands at 0, the arrow is the update, and the filled marks show where it lands "
        "after rounding; an update that is too long for the picture is a broken arrow with its length beside "
        "it, and its marks lie outside. In the shaded zone, half a spacing to each side, a bfloat16 weight "
        f"swallows the update. Right {STEPS} such updates: 1 is where they should lead.",
    )


def _draw_update(parts: dict[str, Any], length: float) -> None:
    """Draw the update as an arrow; one that leaves the picture is broken, and says how long it is."""
    fits = length <= ABOVE
    parts["arrow"].set_data([0, min(length, ABOVE)], [2.62, 2.62])
    parts["tip"].set_data([min(length, ABOVE)], [2.62])
    parts["break"].set_text("" if fits else "//")
    parts["length"].set_text("" if fits else f"{length:.3g} spacings")


def _digits(x: float, digits: int = 7) -> str:
    """Return a number with at most so many digits, and no exponent."""
    text = f"{x:.{max(0, digits - len(str(int(abs(x)))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _stage() -> tuple[Figure, dict[str, Any]]:
    """Return the figure, and by name what moves in it."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Polygon

    made = figure(9.0, 3.6)
    left, right = made.subplots(1, 2, width_ratios=(1.35, 1))
    plain_axes(left, "distance from the weight, in spacings of bfloat16", "", "The line of numbers")
    left.set(xlim=(-BELOW - 0.1, ABOVE + 0.1), ylim=(-0.45, 3.05))
    left.set_yticks([*ROWS, 2.62], [*LOOK, "update"])
    left.axvline(0, color=MUTED, linewidth=0.8, linestyle=":")
    plain_axes(right, "updates", "share of the way", f"{STEPS} updates")
    right.set(xlim=(0, STEPS), ylim=(-0.08, 2.08))
    right.plot([0, STEPS], [0, 1], color=INK, linewidth=4, alpha=0.15, label="exact")
    parts: dict[str, Any] = {"zone": Polygon([(0, 0)] * 4, facecolor=COLORS["vermillion"], alpha=0.18)}
    left.add_patch(parts["zone"])
    for row, (name, (color, dash)) in zip(ROWS, LOOK.items(), strict=True):
        left.axhline(row, color=color, linewidth=8 if name == "float32" else 0.8, alpha=0.45)
        parts[f"{name} ticks"] = left.add_collection(LineCollection([], colors=color, linewidths=1.4))
        (parts[f"{name} lands"],) = left.plot(
            [], [], "o", color=color, markersize=9, markeredgecolor="white", zorder=5
        )
        (parts[f"{name} walk"],) = right.plot([], [], dash, color=color, linewidth=1.8, label=name)
    (parts["arrow"],) = left.plot([], [], color=INK, linewidth=2)
    (parts["tip"],) = left.plot([], [], ">", color=INK, markersize=7)
    parts["break"] = left.text(1.5, 2.62, "", ha="center", va="center", fontsize=11, color=INK)
    parts["length"] = left.text(ABOVE, 2.78, "", ha="right", fontsize=8, color=INK)
    parts["words"] = [left.text(i, 2.26, "", ha="center", fontsize=8, color=INK) for i in range(4)]
    right.legend(frameon=False, fontsize=9, loc="upper left")
    return made, parts
