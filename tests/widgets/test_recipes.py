"""The recipe explorer: what it says of each recipe is what the recipe says, and both menus move it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from course.recipes import RECIPES
from course.widgets import recipe_explorer
from course.widgets.models.recipes import (
    EXPLORED,
    figures,
    model_states,
    schedule_over_tokens,
    tokens_of_a_step,
)
from course.widgets.recipes import comparison

every = pytest.mark.parametrize("recipe", EXPLORED.values(), ids=EXPLORED)


def test_all_that_read_text_are_there():
    assert set(RECIPES) - set(EXPLORED) == {"ResNet-50 with LARS"}


@every
def test_the_curve_is_the_schedule_and_ends_with_the_tokens_of_the_run(recipe):
    tokens, rate = schedule_over_tokens(recipe)
    assert np.all(np.diff(tokens) > 0)
    assert rate.max() == pytest.approx(recipe.lr, rel=0.01)
    steps = np.rint(tokens / tokens_of_a_step(recipe)).astype(int)
    assert steps[-1] == recipe.steps - 1
    schedule = recipe.schedule()
    np.testing.assert_allclose(rate[::37], [schedule(int(step)) for step in steps[::37]])
    if recipe.tokens:
        assert tokens[-1] == pytest.approx(
            recipe.tokens, rel=0.25
        )  # where the batch grows, or steps are rounded


@every
def test_every_figure_has_its_source_and_says_whether_it_was_read(recipe):
    rows = {row.label: row for row in figures(recipe)}
    assert all(row.value and row.where for row in rows.values())
    unread = [row.label for row in rows.values() if not row.checked]
    assert len(unread) == len([name for name in recipe.unchecked() if name != "momentum"])
    page = comparison(recipe.name, recipe.name)
    assert page.count("(not checked)") == 2 * len(unread)
    assert "<b>" not in page  # a recipe does not differ from itself


def test_known_figures_are_shown_as_known():
    rows = {row.label: row.value for row in figures(EXPLORED["Llama 2 70B"])}
    assert rows["Betas"] == "0.9 and 0.95"
    assert rows["eps"] == "10⁻⁵"
    assert rows["Peak learning rate"] == "0.00015"
    assert rows["After the warmup"] == "cosine down to 10 %"
    assert model_states(EXPLORED["Llama 2 70B"]).total == 16 * 70e9
    assert model_states(EXPLORED["Llama 3 405B"]).total == 18 * 405e9  # gradients summed in float32
    assert model_states(EXPLORED["DeepSeek-V3"]).total == 13 * 671e9
    assert tokens_of_a_step(EXPLORED["BERT-Large with LAMB"]) == 65536 * 128


def test_both_menus_change_picture_numbers_and_table():
    live = recipe_explorer()
    for name in ("first", "second"):
        image, numbers, table = live.image.value, live.numbers.value, live.table.value
        live.controls[name].value = "GPT-3 175B"
        assert live.image.value != image
        assert live.numbers.value != numbers
        assert live.table.value != table
    assert live.error is None


def test_every_pair_with_the_first_can_be_drawn_and_read():
    live = recipe_explorer()
    for name in EXPLORED:
        live.controls["second"].value = name
        assert not re.search(r"\d[eE][+-]?\d|inf|nan", " ".join(live.readout.values()))
        assert not re.search(r"\d[eE][+-]\d|>nan|None", live.table.value.split("</table>")[0])


def test_what_differs_is_bold_and_the_text_is_escaped():
    page = comparison("Llama 2 70B", "BERT-Large with LAMB")
    assert "<b>AdamW</b>" in page
    assert "<b>LAMB</b>" in page
    assert "not given" in page  # BERT's tokens
    assert not re.search(r"&(?!amp;|lt;|gt;|quot;|#x27;)", page)


@every
def test_the_warmup_is_a_straight_line_on_logarithmic_axes(recipe):
    tokens, rate = schedule_over_tokens(recipe)
    up = tokens < recipe.warmup * tokens_of_a_step(recipe)
    assert up.sum() > 10
    np.testing.assert_allclose(rate[up] / tokens[up], rate[0] / tokens[0], rtol=1e-9)


def test_the_readout_gives_each_recipe_its_bytes_per_parameter():
    live = recipe_explorer("Llama 3 405B", "DeepSeek-V3")
    assert list(live.readout) == ["Llama 3 405B", "DeepSeek-V3"]
    assert "18 bytes per parameter, 7,290.0 GB" in live.readout["Llama 3 405B"]
    assert "13 bytes per parameter, 8,723.0 GB" in live.readout["DeepSeek-V3"]


def test_the_curve_stays_inside_the_picture_from_its_left_edge_on():
    live = recipe_explorer()
    left, _ = live.picture.figure.axes
    for recipe in EXPLORED.values():
        tokens, rate = schedule_over_tokens(recipe)
        (low, high), (bottom, top) = left.get_xlim(), left.get_ylim()
        shown = tokens >= low
        assert low < recipe.warmup * tokens_of_a_step(recipe) < tokens.max() < high
        assert bottom < rate[shown].min() < rate.max() < top
