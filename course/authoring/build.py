"""From ``solutions/NN_topic.py`` to the executed solution, the learner's notebook and the stubs.

One source, one direction: nothing is ever read back from a generated file but the outputs of code that has
not changed since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from course.authoring import AuthoringError
from course.authoring.execute import execute, normalise
from course.authoring.files import write_if_new
from course.authoring.leaks import leaks
from course.authoring.lesson import COMPARED, Lesson, LessonError
from course.authoring.render import learner_notebook, solution_notebook, text_of
from course.authoring.stub import Stub
from course.authoring.tree import Catalogue, Tree, all_exercises, read_notebook, read_sources, stubs_text


def build(
    root: Path,
    only: Iterable[str] = (),
    *,
    force: bool = False,
    catalogue: Catalogue | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Make what is stale anew and return the files written; ``force`` executes even what is fresh.

    Raises `AuthoringError` with one line for every lesson that could not be made; the others are made first.
    """
    tree, catalogue = Tree(root), all_exercises() if catalogue is None else catalogue
    sources = read_sources(tree, catalogue, only)
    written: list[Path] = []
    failures = [text for name, text in sources.broken.items() if name in sources.selected]
    for name in sources.selected:
        if name not in sources.lessons:
            continue
        try:
            written += _build_lesson(tree, sources.lessons[name], catalogue, sources.stubs, force, say)
        except LessonError as error:
            failures.append(str(error))
    if write_if_new(tree.stubs, stubs_text(tree, sources)):
        written.append(tree.stubs)
    for path in written:
        say(f"wrote {tree.show(path)}")
    if failures:
        raise AuthoringError("\n".join(failures))
    return written


def _build_lesson(
    tree: Tree,
    lesson: Lesson,
    catalogue: Catalogue,
    stubs: Mapping[str, Stub],
    force: bool,
    say: Callable[[str], None],
) -> list[Path]:
    learner = learner_notebook(lesson, catalogue)
    leaked = leaks(learner, stubs)
    if leaked:
        raise LessonError(f"{lesson.name}: the learner's notebook would show a solution: {leaked[0]}")
    solution = solution_notebook(lesson, catalogue)
    if force or not carry_outputs(read_notebook(tree.solution(lesson.name)), solution):
        began = time.monotonic()
        execute(solution, lesson.name)
        _demand_outputs(solution, lesson.name)
        say(f"ran {lesson.name} in {time.monotonic() - began:.1f} s")
    pairs = ((tree.solution(lesson.name), solution), (tree.learner(lesson.name), learner))
    return [path for path, notebook in pairs if write_if_new(path, text_of(notebook))]


def carry_outputs(old: Any, fresh: Any) -> bool:
    """Copy the outputs of an executed notebook into one of the same code; False where they do not fit."""
    if (
        old is None
        or old.metadata.get("course", {}).get("source_sha256") != fresh.metadata.course.source_sha256
    ):
        return False
    before = [cell for cell in old.cells if cell.cell_type == "code"]
    after = [cell for cell in fresh.cells if cell.cell_type == "code"]
    if [cell.source for cell in before] != [cell.source for cell in after]:
        return False
    if any(cell.execution_count is None for cell in before):
        return False
    for source, target in zip(before, after, strict=True):
        target.outputs = source.outputs
        target.execution_count = source.execution_count
    normalise(fresh)
    return not any(lacks_output(cell) for cell in after)


def lacks_output(cell: Any) -> bool:
    """Is this cell's output to be compared, and none stored?"""
    return COMPARED in cell.metadata.get("tags", ()) and not cell.get("outputs")


def _demand_outputs(notebook: Any, name: str) -> None:
    for number, cell in enumerate(notebook.cells, 1):
        where = f"{name}: cell {number} ({cell.id})"
        if lacks_output(cell):
            raise LessonError(f"{where} is tagged {COMPARED} and shows nothing to compare")
        raises = "raises-exception" in cell.metadata.get("tags", ())
        if raises and all(output.output_type != "error" for output in cell.get("outputs", ())):
            raise LessonError(f"{where} is tagged raises-exception and raises none")
        if cell.metadata.get("nbgrader", {}).get("grade") and not _passes(cell):
            raise LessonError(f"{where}: the solution does not pass its own check")


def _passes(cell: Any) -> bool:
    cards = [str(output.get("data", {}).get("text/html", "")) for output in cell.outputs]
    return all(f"course-{status}" not in card for card in cards for status in ("failed", "not-attempted"))
