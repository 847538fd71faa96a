"""Lesson 09: two published recipes side by side, each figure with its source."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from course.recipes import gibibytes, gigabytes
from course.widgets.blit import Live, Picture, Readout
from course.widgets.controls import menu
from course.widgets.models.recipes import (
    EXPLORED,
    Figure,
    figures,
    model_states,
    schedule_over_tokens,
    tokens_of_a_step,
)
from course.widgets.style import COLORS, figure, plain_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

__all__ = ["RecipeExplorer", "comparison", "recipe_explorer"]

LOOK = ((COLORS["blue"], "-"), (COLORS["vermillion"], "--"))


class RecipeExplorer(Live):
    """A picture of two schedules, and below it the table of both recipes' figures."""

    def __init__(self, *args: Any) -> None:
        import ipywidgets as widgets

        super().__init__(*args)
        self.table = widgets.HTML(comparison(**self.state()))
        *above, keys = self.box.children
        self.box.children = (*above, self.table, keys)

    def _follow(self, change: Any) -> None:
        super()._follow(change)
        self.table.value = comparison(**self.state())


def recipe_explorer(first: str = "Llama 2 70B", second: str = "DeepSeek-V3") -> RecipeExplorer:
    """Return two menus of published recipes, their learning rates over tokens, and a table of their figures.

    Args:
        first: the recipe chosen at the beginning. second: the one that it is compared with.
    """
    made, lines, names = _stage()

    def update(first: str, second: str) -> Readout:
        said: dict[str, str] = {}
        for name, pair, text in zip((first, second), lines, names, strict=True):
            recipe = EXPLORED[name]
            tokens, rate = schedule_over_tokens(recipe)
            pair[0].set_data(tokens, rate)
            pair[1].set_data(100 * tokens / tokens[-1], 100 * rate / recipe.lr)
            text.set_text(name)
            states = model_states(recipe).total
            each = states / recipe.parameters
            said[name] = (
                f"{tokens_of_a_step(recipe) / 1e6:.1f} million tokens a step; model states "
                f"{each:.0f} bytes per parameter, {gigabytes(states)} = {gibibytes(states)}"
            )
        return said

    return RecipeExplorer(
        "Published recipes, two at a time",
        {
            "first": menu("Recipe", list(EXPLORED), first),
            "second": menu("Compared with", list(EXPLORED), second),
        },
        Picture(made, [artist for pair in lines for artist in pair] + names, update),
        "Left the learning rate against the tokens read before the step, on logarithmic axes, from 100 "
        "million tokens on; right the same schedule as a share of its peak against the share of the run. "
        "The first recipe is the solid line, the second the dashed one. The batch is drawn full from the "
        "start, though some recipes let it grow. Model states are weights, gradients, master copy and "
        "moments, without activations. In the table, values that differ are bold; 'not checked' means "
        "that the figure was not read at that place, and where a source is silent a usual value stands "
        "in.",
    )


def comparison(first: str, second: str) -> str:
    """Return the table of both recipes as HTML; where their values differ, these are bold."""
    left, right = ({f.label: f for f in figures(EXPLORED[name])} for name in (first, second))
    rows = []
    for label in dict.fromkeys([*left, *right]):
        pair = (left.get(label), right.get(label))
        differ = pair[0] is None or pair[1] is None or pair[0].value != pair[1].value
        cells = "".join(_cells(each, differ) for each in pair)
        rows.append(f'<tr><th scope="row">{html.escape(label)}</th>{cells}</tr>')
    heads = "".join(
        f'<th scope="col">{html.escape(name)}</th><th scope="col">source</th>' for name in (first, second)
    )
    notes = "".join(
        f"<p>{html.escape(f'{name}: {EXPLORED[name].document}. {EXPLORED[name].note}')}</p>"
        for name in dict.fromkeys((first, second))
    )
    return f'<div class="pu-sources"><table><tr><th></th>{heads}</tr>{"".join(rows)}</table>{notes}</div>'


def _cells(shown: Figure | None, differ: bool) -> str:
    if shown is None:
        return "<td>not given</td><td></td>"
    value = html.escape(shown.value)
    where = html.escape(shown.where) + ("" if shown.checked else " <i>(not checked)</i>")
    return f"<td>{f'<b>{value}</b>' if differ else value}</td><td>{where}</td>"


def _stage() -> tuple[Drawing, list[tuple[Any, Any]], list[Any]]:
    """Return the figure, for each recipe its two lines, and the two names in the picture."""
    made = figure(8.6, 3.4)
    left, right = made.subplots(1, 2)
    plain_axes(left, "tokens read", "learning rate", "Learning rate over tokens")
    left.set(xscale="log", yscale="log", xlim=(1e8, 3e13), ylim=(3e-8, 1e-2))
    plain_axes(right, "share of the run, per cent", "share of the peak, per cent", "The shape alone")
    right.set(xlim=(-2, 102), ylim=(-3, 106))
    lines = [
        (
            left.plot([], [], dash, color=color, linewidth=1.8)[0],
            right.plot([], [], dash, color=color, linewidth=1.8)[0],
        )
        for color, dash in LOOK
    ]
    names = [
        left.text(0.03, 0.93 - 0.09 * i, "", color=color, fontsize=9, transform=left.transAxes, va="center")
        for i, (color, _) in enumerate(LOOK)
    ]
    return made, lines, names
