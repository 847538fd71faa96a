"""Turn a lesson into its two notebooks, without outputs: the solution's and the learner's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from course.authoring.lesson import COMPARED, SOLUTION_ONLY, Cell, Exercise, Lesson

# Fixed, without the patch version of the Python that happened to build it.
_KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}


def solution_notebook(lesson: Lesson, catalogue: Mapping[str, Exercise]) -> Any:
    """The notebook to be executed: every cell of the source, solutions included."""
    course = {"lesson": lesson.name, "role": "solution", "source_sha256": lesson.code_sha256()}
    cells = [_notebook_cell(cell, cell.source, cell.tags, catalogue) for cell in lesson.cells]
    return _notebook(cells, course)


def learner_notebook(lesson: Lesson, catalogue: Mapping[str, Exercise]) -> Any:
    """The notebook that is handed out: stubs for solutions, and nothing that only the solution shows."""
    cells = []
    for cell in lesson.cells:
        if SOLUTION_ONLY in cell.tags:
            continue
        source = lesson.stubs[cell.exercise].source if cell.exercise else cell.source
        # The learner's version has no outputs, so there is nothing to compare with.
        tags = tuple(tag for tag in cell.tags if tag != COMPARED)
        cells.append(_notebook_cell(cell, source, tags, catalogue))
    return _notebook(cells, {"lesson": lesson.name, "role": "learner"})


def _notebook(cells: list[Any], course: dict[str, str]) -> Any:
    import nbformat

    notebook = nbformat.from_dict({**_KERNEL, "course": course})
    return nbformat.from_dict({"cells": cells, "metadata": notebook, "nbformat": 4, "nbformat_minor": 5})


def _notebook_cell(
    cell: Cell, source: str, tags: tuple[str, ...], catalogue: Mapping[str, Exercise]
) -> dict[str, Any]:
    metadata: dict[str, Any] = dict(cell.extra)
    if tags:
        metadata["tags"] = list(tags)
    name = cell.exercise or cell.check
    if name:
        metadata["nbgrader"] = _nbgrader(cell, catalogue[name].points)
    made: dict[str, Any] = {"cell_type": cell.kind, "id": cell.id, "metadata": metadata, "source": source}
    if cell.kind == "code":
        made |= {"execution_count": None, "outputs": []}
    return made


def _nbgrader(cell: Cell, points: int) -> dict[str, Any]:
    grade = cell.check is not None
    metadata: dict[str, Any] = {
        "grade": grade,
        "grade_id": cell.id,
        "locked": grade,
        "schema_version": 3,
        "solution": not grade,
        "task": False,
    }
    if grade:
        metadata["points"] = points
    return metadata


def text_of(notebook: Any) -> str:
    """The notebook's file, byte for byte the same for the same content."""
    import nbformat

    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"
