"""What a learner opens holds no solution: not in a source, an output or metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from course.authoring import AuthoringError
from course.authoring.build import build
from course.authoring.leaks import leaks
from course.authoring.lesson import read_lesson
from course.authoring.stub import Stub
from course.authoring.tree import Tree, find_root, read_notebook
from course.exercises import find

SOURCE = "solutions/04_double.py"
LEARNER = "notebooks/04_double.ipynb"


def test_leak_is_seen_in_source_output_and_metadata(tree: Path, catalogue: Any) -> None:
    stubs = read_lesson(tree / SOURCE, catalogue).stubs
    secret = "result_to_return = doubled_value * 1.0"

    def leaked(change: Any) -> list[str]:
        notebook = nbformat.read(tree / LEARNER, as_version=4)
        change(next(cell for cell in notebook.cells if cell.id == "double"), notebook)
        return leaks(notebook, stubs)

    assert leaked(lambda cell, notebook: None) == []
    assert leaked(lambda cell, notebook: cell.update(source=f"{cell.source}\n    # {secret}"))
    assert leaked(lambda cell, notebook: cell.metadata.update(note=[{"x": secret}]))
    assert leaked(lambda cell, notebook: notebook.metadata.update(course={"answer": secret}))
    shown = nbformat.v4.new_output("stream", name="stdout", text=secret)
    assert leaked(lambda cell, notebook: cell.update(outputs=[shown]))
    pair = f"doubled_value = x + x\n{secret}"
    assert leaked(lambda cell, notebook: notebook.cells[0].update(source=pair))
    assert not leaked(lambda cell, notebook: notebook.cells[0].update(source=secret)), (
        "a line that the prose explains"
    )


def test_solution_pasted_into_another_cell_is_refused(tree: Path, catalogue: Any) -> None:
    source = tree / SOURCE
    pasted = "doubled_value = x + x\n# result_to_return = doubled_value * 1.0"
    source.write_text(source.read_text(encoding="utf-8").replace("A formula.", pasted), encoding="utf-8")
    with pytest.raises(AuthoringError, match="would show a solution"):
        build(tree, catalogue=catalogue)


# The course's own notebooks, as they lie in the checkout.

_ROOT = find_root()
_LEARNERS = sorted((_ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def course_stubs() -> dict[str, Stub]:
    """Every solution of the course, cut out of the sources without the generator's conventions in the way."""
    stubs = {}
    for path in sorted((_ROOT / "solutions").glob("[0-9][0-9]_*.ipynb")):
        for cell in read_notebook(path).cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                stubs[cell.id] = Stub.of(cell.source, cell.id, find(cell.id).broken)
    return stubs


@pytest.mark.parametrize("path", _LEARNERS, ids=[path.stem for path in _LEARNERS])
def test_learners_notebook_holds_no_solution(path: Path, course_stubs: dict[str, Stub]) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert leaks(notebook, course_stubs) == []
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert Tree(_ROOT).solution(path.stem).is_file()
