"""Exercises that are classes: what a learner finds of them, and what of them is mutated."""

from __future__ import annotations

import re
from typing import Any

import pytest

from course.authoring.mutants import mutants
from course.authoring.stub import Stub

CLASS = """class Scaler:
    \"\"\"Scales.\"\"\"

    def __init__(self, factor):
        self.factor = factor

    def scale(self, loss):
        \"\"\"Return more.\"\"\"
        ### BEGIN SOLUTION
        return loss * self.factor + 0
        ### END SOLUTION

    def update(self):
        ### BEGIN SOLUTION
        self.factor = self.factor / 2
        ### END SOLUTION
"""


def test_a_class_is_cut_out_method_by_method_and_what_is_given_stays() -> None:
    stub = Stub.of(CLASS, "Scaler")
    assert "self.factor = factor" in stub.source
    assert stub.source.count("# YOUR CODE HERE") == 2
    assert 'raise NotImplementedError("write Scaler.update")' in stub.source
    assert stub.secrets() == ["return loss * self.factor + 0", "self.factor = self.factor / 2"]
    names: dict[str, Any] = {}
    exec(stub.source, names)
    with pytest.raises(NotImplementedError, match=r"write Scaler\.scale"):
        names["Scaler"](2.0).scale(1.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class Scaler:", "class Other:", "must hold the one function 'Scaler'"),
        ("        return loss * self.factor + 0\n", "", "whole body"),
        ("        ### END SOLUTION\n\n    def", "    def", "2 lines '### BEGIN SOLUTION' and 1 '### END"),
        ("    def update(self):\n", "", "whole body"),
    ],
)
def test_breach_of_a_convention_in_a_class_is_told(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Stub.of(CLASS.replace(old, new), "Scaler")


def test_mutants_of_a_class_leave_alone_what_is_given() -> None:
    changed = mutants(CLASS)
    assert changed
    assert all("self.factor = factor\n" in mutant.source for mutant in changed)
    assert any("loss / self.factor" in mutant.source for mutant in changed)
