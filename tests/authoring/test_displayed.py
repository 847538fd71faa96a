"""A card, a widget or a table is shown by being the last expression of its cell; `alt` shows itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import jupytext
import pytest

import course
from course import widgets

LESSONS = sorted((Path(course.__file__).parents[1] / "solutions").glob("*.py"))
SHOWN = {"check", "hint", "look", "progress", *widgets.__all__} - {"alt"}


def unseen(source: str) -> Iterator[str]:
    """Yield what a cell makes and does not show: a call that stands alone, but not at the cell's end."""
    body = ast.parse(source).body
    last = body[-1] if body and not source.rstrip().endswith(";") else None
    for node in ast.walk(ast.Module(body, [])):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node is not last:
            name = node.value.func
            if isinstance(name, ast.Name) and name.id in SHOWN:
                yield f"{name.id}(...) in line {node.lineno} of the cell"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_what_a_cell_is_to_show_is_its_last_expression(lesson):
    code = [cell.source for cell in jupytext.read(lesson).cells if cell.cell_type == "code"]
    lost = {source.splitlines()[0]: found for source in code if (found := list(unseen(source)))}
    assert not lost


@pytest.mark.parametrize(
    "source",
    ['reveal("a", 1)\nprint(2)', "if written(f):\n    look(f, 1)", "check(f);", "momentum_slider()\nx = 1"],
)
def test_what_is_lost_is_found(source):
    assert list(unseen(source))


@pytest.mark.parametrize(
    "source", ['print(2)\nreveal("a", 1)', 'plt.show()\nalt("a")\nprint(1)', "x = look(f)"]
)
def test_what_is_shown_or_kept_is_not(source):
    assert not list(unseen(source))
