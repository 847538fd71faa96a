"""Each lesson as a learner opens it: all cells run, every widget moves, nothing pops up or fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser import driver, moves

ROOT = Path(__file__).parents[2]
# How many widgets each lesson must at least have: players, kernel-driven pictures, predictions.
LESSONS = {
    "00": (0, 1, 1),
    "01": (1, 0, 1),
    "02": (1, 0, 2),
    "03": (1, 0, 1),
    "04": (1, 1, 1),
    "05": (1, 1, 2),
    "06": (0, 1, 3),
    "07": (1, 1, 3),
    "08": (2, 0, 2),
    "09": (0, 1, 3),
    "11": (1, 0, 3),
    "12": (1, 0, 2),
    "13": (1, 0, 3),
    "14": (1, 0, 2),
}


@pytest.mark.parametrize("number", sorted(LESSONS))
def test_lesson(number: str, browser: Any, server: driver.Server, artifacts: Path) -> None:
    names = [path.name for path in (ROOT / "notebooks").glob(f"{number}_*.ipynb")]
    assert len(names) == 1, f"notebooks/ holds {names or 'nothing'} for lesson {number}"
    notebook = driver.Notebook(browser, server, names[0])
    try:
        notebook.run_all()
        page, name = notebook.page, Path(names[0]).stem
        page.screenshot(path=artifacts / f"{name}.png")
        assert notebook.errors() == []
        assert notebook.not_run() == []
        assert notebook.pop_ups() == []
        found = (
            moves.move_players(page, artifacts, name),
            moves.move_live(page, artifacts, name),
            moves.commit_predictions(page, artifacts, name),
        )
        wanted = LESSONS[number]
        assert all(count >= least for count, least in zip(found, wanted, strict=True)), f"{found} < {wanted}"
        assert notebook.errors() == []
    finally:
        notebook.close()
