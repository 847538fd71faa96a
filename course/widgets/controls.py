"""Sliders and choices in one size, so that pictures line up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["choice", "menu", "slider"]

LABEL_WIDTH = "9.5em"  # as in the player


def slider(label: str, value: float, low: float, high: float, step: float, readout: str = ".2f") -> Any:
    """Return a slider that reports while it moves.

    Args:
        label: what it sets, with its unit if it has one.
        value: where it stands first.
        low, high, step: its range.
        readout: the format of the number beside it.
    """
    import ipywidgets as widgets

    return widgets.FloatSlider(
        value=value,
        min=low,
        max=high,
        step=step,
        description=label,
        readout_format=readout,
        continuous_update=True,
        layout=widgets.Layout(width="100%"),
        style={"description_width": LABEL_WIDTH},
    )


def choice(label: str, options: Sequence[str]) -> Any:
    """Return a row of buttons of which one is pressed, the first at the start; ``label`` is their tooltip."""
    import ipywidgets as widgets

    return widgets.ToggleButtons(
        options=list(options),
        tooltips=[f"{label}: {option}" for option in options],
        # In line with the sliders' tracks below; its own label would stand on a line of its own.
        layout=widgets.Layout(margin=f"2px 0 2px calc({LABEL_WIDTH} + 8px)"),
        style={"button_width": "112px"},
    )


def menu(label: str, options: Sequence[str], value: str) -> Any:
    """Return a menu that drops down, for more options than a row of buttons holds; ``value`` is chosen."""
    import ipywidgets as widgets

    return widgets.Dropdown(
        options=list(options),
        value=value,
        description=label,
        layout=widgets.Layout(width="26em"),
        style={"description_width": LABEL_WIDTH},
    )
