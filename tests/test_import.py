"""`import course` is light: whoever needs one rule does not pay for torch or the widgets."""

from __future__ import annotations

import subprocess
import sys

import pytest

import course

HEAVY = ("torch", "ipywidgets", "matplotlib", "IPython", "jupytext", "nbformat", "filelock")


def fresh(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import course", HEAVY),
        ("from course.rules import SGD; import course.landscapes, course.oracle", HEAVY),
        ("import course.gradients, course.averaging, course.schedules, course.recipes", HEAVY),
        ("from course import check", ("torch", "ipywidgets", "matplotlib")),
    ],
)
def test_nothing_heavy_is_imported(code, heavy):
    loaded = f"print([m for m in {heavy!r} if m in sys.modules])"
    assert fresh(f"import sys; {code}; {loaded}") == "[]"


def test_every_public_name_is_there():
    for name in course.__all__:
        assert name in dir(course)
        assert getattr(course, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        _ = course.chekc
