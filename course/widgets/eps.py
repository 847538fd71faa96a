"""Lesson 05: how far a rule steps when the gradient is small, with eps outside the root and inside it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from course.widgets.pane import Axis, Layer, Note, Pane
from course.widgets.player import Control, Mark, Player
from course.widgets.style import COLORS, INK, MUTED

__all__ = ["small_gradients", "step_share"]

POWERS = tuple(range(-12, -1))  # of eps
GRADIENT = 1e-6  # the one that is read out


def step_share(gradient: npt.ArrayLike, eps: float, inside: bool) -> npt.NDArray[np.float64]:
    """Return the step in units of lr, under a gradient that has long had this size.

    >>> float(step_share(1e-8, 1e-8, inside=False))
    0.5
    """
    size = np.abs(np.asarray(gradient, dtype=float))
    return np.asarray(size / np.sqrt(size**2 + eps) if inside else size / (size + eps))


def small_gradients() -> Player:
    """Return a player: the step against the size of the gradient, for eps from 1e-12 to 0.01."""
    sizes = 10.0 ** np.linspace(-13, 1, 141)
    settings = [10.0**power for power in POWERS]
    return Player(
        title="Where the step fades: eps outside the root, and inside it",
        caption=(
            "The step of RMSProp, in units of the learning rate, when the gradient has long had the same "
            "size; both scales are logarithmic. Far to the right it is 1, whatever the gradient. To the left "
            "it fades: outside the root below eps, inside the root already below the root of eps. The "
            "dotted line marks a gradient of one millionth."
        ),
        panes=[
            _pane(f"eps {where} the root", inside, sizes, settings)
            for where, inside in (("outside", False), ("inside", True))
        ],
        controls=[
            Control(
                "eps",
                [_power(power) for power in POWERS],
                start=POWERS.index(-8),
                marks=(Mark(4, "usual"),),
            )
        ],
        labels=[
            "Fades below, eps outside",
            "Fades below, eps inside",
            "Step at 10⁻⁶, outside",
            "Step at 10⁻⁶, inside",
        ],
        readouts=[
            (_power(power), _power(power / 2), *(_share(power, inside) for inside in (False, True)))
            for power in POWERS
        ],
    )


def _pane(title: str, inside: bool, sizes: npt.NDArray[np.float64], settings: list[float]) -> Pane:
    x = Axis(
        "size of the gradient", sizes[0], sizes[-1], [(10.0**p, _power(p)) for p in range(-12, 1, 3)], True
    )
    y = Axis("step, in units of lr", 1e-5, 3.0, [(10.0**p, _power(p)) for p in range(-5, 1)], True)
    upright = np.array([[GRADIENT, y.low], [GRADIENT, y.high]])
    whole = np.array([[sizes[0], 1.0], [sizes[-1], 1.0]])
    return Pane(
        title,
        x,
        y,
        [np.stack([sizes, step_share(sizes, eps, inside)], axis=1) for eps in settings],
        layers=[
            Layer([whole], stroke=MUTED, width=1, dash="30 30"),
            Layer([upright], stroke=INK, width=1, dash="10 30"),
        ],
        notes=[Note(GRADIENT, y.low, "10⁻⁶", INK, "start", 5, -6)],
        style="line",
        color=COLORS["vermillion"] if inside else COLORS["blue"],
    )


def _share(power: float, inside: bool) -> str:
    share = float(step_share(GRADIENT, 10.0**power, inside))
    return f"{share:.2g} lr" if share >= 1e-3 else "below 0.001 lr"


def _power(power: float) -> str:
    """Write a power of ten as such, ``10⁻⁸``; the root of an odd one as ``3.2 · 10⁻⁵``."""
    whole = math.floor(power)
    exponent = str(whole).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return ("" if whole == power else "3.2 · ") + "10" + exponent
