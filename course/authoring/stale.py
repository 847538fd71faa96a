"""Is everything that was generated what its source gives? Answered in seconds, without running a cell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from course.authoring.build import carry_outputs, lacks_output
from course.authoring.leaks import leaks
from course.authoring.lesson import COMPARED, Lesson
from course.authoring.render import learner_notebook, solution_notebook, text_of
from course.authoring.tree import (
    Catalogue,
    Sources,
    Tree,
    all_exercises,
    read_notebook,
    read_sources,
    stubs_text,
)


def check(root: Path, only: Iterable[str] = (), *, catalogue: Catalogue | None = None) -> list[str]:
    """One line for everything that is stale, lacks its pair or breaks a convention; none if all is well."""
    tree, catalogue = Tree(root), all_exercises() if catalogue is None else catalogue
    sources = read_sources(tree, catalogue, only)
    problems: list[str] = []
    for name in sources.selected:
        if name in sources.broken:
            problems.append(sources.broken[name])
        else:
            lesson = sources.lessons[name]
            problems += _check_solution(tree, lesson, catalogue)
            problems += _check_learner(tree, lesson, catalogue, sources)
    return problems + _check_stubs(tree, sources) + _orphans(tree)


def _mend(lesson: Lesson) -> str:
    return f"mend it with: course build {lesson.number}"


def _check_solution(tree: Tree, lesson: Lesson, catalogue: Catalogue) -> list[str]:
    path = tree.solution(lesson.name)
    where, mend = tree.show(path), _mend(lesson)
    actual, expected = read_notebook(path), solution_notebook(lesson, catalogue)
    if actual is None:
        return [f"{where} is missing or no notebook; {mend}"]
    for number, cell in enumerate(actual.cells, 1):
        if lacks_output(cell):
            return [
                f"{where}: cell {number} ({cell.id}) is tagged {COMPARED} and has no stored output; {mend}"
            ]
    stale = _first_stale(expected, actual)
    if stale:
        return [f"{where} is stale at {stale}; {mend}"]
    if not carry_outputs(actual, expected):
        return [f"{where}: its outputs are not those of this code; {mend}"]
    if text_of(expected) != path.read_text(encoding="utf-8"):
        return [f"{where} differs in metadata or form from what the generator writes; {mend}"]
    return []


def _check_learner(tree: Tree, lesson: Lesson, catalogue: Catalogue, sources: Sources) -> list[str]:
    path = tree.learner(lesson.name)
    where, mend = tree.show(path), _mend(lesson)
    actual, expected = read_notebook(path), learner_notebook(lesson, catalogue)
    if actual is None:
        return [f"{where} is missing or no notebook; {mend}"]
    problems = [f"{where} shows a solution: {leak}" for leak in leaks(actual, sources.stubs)[:1]]
    stale = _first_stale(expected, actual)
    if stale:
        problems.append(f"{where} is stale at {stale}; {mend}")
    elif text_of(expected) != path.read_text(encoding="utf-8"):
        problems.append(
            f"{where} differs in outputs, metadata or form from what the generator writes; {mend}"
        )
    return problems


def _first_stale(expected: Any, actual: Any) -> str:
    """The first cell that differs, as a person would look it up; empty if none does."""
    for number, (want, have) in enumerate(zip_longest(expected.cells, actual.cells), 1):
        if want is None or have is None or any(want[key] != have.get(key) for key in _COMPARE):
            cell = have if want is None else want
            first = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
            return f"cell {number} ({cell.id}): {first[:60]}"
    return ""


_COMPARE = ("id", "cell_type", "source", "metadata")


def _check_stubs(tree: Tree, sources: Sources) -> list[str]:
    where = tree.show(tree.stubs)
    try:
        text = tree.stubs.read_text(encoding="utf-8")
        actual = dict(json.loads(text))
    except (OSError, ValueError):
        return [] if sources.broken else [f"{where} is missing or damaged; mend it with: course build"]
    wanted = stubs_text(tree, sources)
    if text == wanted:
        return []
    expected = json.loads(wanted)
    differ = sorted(name for name in {*actual, *expected} if actual.get(name) != expected.get(name))
    at = f"is stale at {differ[0]!r}" if differ else "has another form than the generator writes"
    return [f"{where} {at}; mend it with: course build"]


def _orphans(tree: Tree) -> list[str]:
    names = {path.stem for path in tree.sources()}
    found = sorted([*(tree.root / "notebooks").glob("*.ipynb"), *(tree.root / "solutions").glob("*.ipynb")])
    return [
        f"{tree.show(path)} has no source solutions/{path.stem}.py; delete it"
        for path in found
        if path.stem not in names
    ]
