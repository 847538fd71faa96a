"""What importing the widgets costs, and that every public name is there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import course.widgets
from course.widgets.style import COLORS, alt


def test_importing_loads_neither_torch_nor_the_picture_libraries() -> None:
    heavy = ("torch", "matplotlib", "ipywidgets")
    code = f"import course.widgets, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_players_load_no_torch() -> None:
    code = "from course.widgets import *; import sys; momentum_phase_diagram(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", course.widgets.__all__)
def test_every_name_is_there(name: str) -> None:
    assert callable(getattr(course.widgets, name))
    assert name in dir(course.widgets)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = course.widgets.nothing


def test_the_palette_is_matplotlibs_okabe_ito() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    known = matplotlib.color_sequences.get("okabe_ito")
    if known is None:
        pytest.skip("matplotlib before 3.11 has no okabe_ito to compare with")
    from matplotlib.colors import to_hex

    assert {to_hex(color).upper() for color in known} == set(COLORS.values())


def test_alt_shows_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    alt("It falls below 1 < 2.")
    assert shown[0]["text/plain"] == "It falls below 1 < 2."
    assert "1 &lt; 2." in shown[0]["text/html"]
