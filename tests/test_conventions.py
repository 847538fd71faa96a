"""The convention table: every figure measured anew, and every option shown to do what it says."""

from __future__ import annotations

import dataclasses

import pytest

from course import conventions
from course.authoring.tree import find_root
from course.conventions import CONVENTIONS, Convention, lines, measure
from course.references import Missing
from course.rules import ALL, SGD

PAGE = find_root() / "course" / "rules" / "CONVENTIONS.md"


def rows_of_the_page() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip().replace("\\|", "|") for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def name_of(convention: Convention) -> str:
    return f"{type(convention.rule).__name__} {convention.where}"


@pytest.mark.parametrize(
    ("convention", "row"),
    list(zip(CONVENTIONS, rows_of_the_page(), strict=True)),
    ids=lambda x: name_of(x) if isinstance(x, Convention) else "",
)
def test_the_page_states_what_is_measured(convention, row):
    try:
        measured = measure(convention)
    except Missing as missing:
        pytest.skip(str(missing))
    assert row[:3] == [type(convention.rule).__name__, convention.where, convention.what]
    assert measured.apart == pytest.approx(float(row[3]), rel=0.051)
    if measured.left is not None:
        assert measured.left <= convention.gate
        assert measured.left < measured.apart or measured.apart == 0 or not convention.switched


def test_what_is_more_than_rounding_has_a_reason():
    """A wider gate than 1e-13 stands only where the other computes less exactly, in three places."""
    wide = {name_of(c): c.gate for c in CONVENTIONS if c.gate > 1e-13}
    assert wide == {"Adafactor optax": 1e-6, "Muon torch": 1e-2, "Muon Keras": 1e-5}


def test_every_rule_is_in_the_table():
    assert {type(c.rule).__name__ for c in CONVENTIONS} == set(ALL)
    for convention in CONVENTIONS:
        known = {f.name for f in dataclasses.fields(convention.rule)}
        assert set(convention.switched or {}) <= known


def test_a_missing_package_leaves_a_dash(monkeypatch):
    def none(name):
        raise Missing(f"{name} is not installed")

    monkeypatch.setattr(lines, "load", none)
    monkeypatch.setattr(conventions, "CONVENTIONS", [c for c in CONVENTIONS if c.where == "optax"][:2])
    assert [row[3] for row in conventions.table()] == ["-", "-"]


def test_a_convention_of_nobody_is_an_error():
    with pytest.raises(ValueError, match="neither an option nor an implementation"):
        measure(Convention(SGD(), "nobody", "nothing", switched=None))
