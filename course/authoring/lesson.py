"""Read the source of a lesson, ``solutions/NN_topic.py``, and say what its notebooks must hold."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from course.authoring import AuthoringError
from course.authoring.stub import Stub

COMPARED = "nbval-check-output"
SOLUTION_ONLY = "solution-only"
_NAME = re.compile(r"\d\d_[a-z0-9_]+")
# What a cell's header may say, besides what jupytext adds of its own.
_KEYS = {"exercise", "check", "tags", "jupyter", "editable", "deletable"}
_JUPYTEXT_KEYS = {"lines_to_next_cell", "lines_to_end_of_cell_marker", "cell_marker"}


class Exercise(Protocol):
    """What the generator needs to know of an exercise: an entry of ``course.exercises.ALL``."""

    @property
    def points(self) -> int:
        """Points that the check cell is worth."""

    @property
    def lesson(self) -> str:
        """Number of the lesson, such as ``"04"``."""


class LessonError(AuthoringError):
    """The source of a lesson breaks a convention, or a cell of it fails."""


@dataclass(frozen=True)
class Cell:
    """One cell of the source; ``exercise`` or ``check`` names the exercise it belongs to."""

    id: str
    kind: str
    source: str
    tags: tuple[str, ...] = ()
    exercise: str | None = None
    check: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The first line, by which a person finds the cell."""
        return next((line.strip() for line in self.source.splitlines() if line.strip()), "")[:60]


@dataclass(frozen=True)
class Lesson:
    """A lesson as its source has it: the cells in order, and the stub of every exercise."""

    name: str
    cells: tuple[Cell, ...]
    stubs: Mapping[str, Stub]

    @property
    def number(self) -> str:
        """The two digits in front."""
        return self.name[:2]

    def code_sha256(self) -> str:
        """A hash of the code, in order: outputs belong to exactly this code."""
        code = [(cell.source, cell.tags) for cell in self.cells if cell.kind == "code"]
        return hashlib.sha256(repr(code).encode()).hexdigest()


def read_lesson(path: Path, catalogue: Mapping[str, Exercise]) -> Lesson:
    """The lesson in a py:percent file; a breach of the conventions raises a one-line `LessonError`."""
    import jupytext

    if not _NAME.fullmatch(path.stem):
        raise LessonError(f"{path.name}: name a lesson NN_topic.py, in lower case")
    try:
        parsed = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    except Exception as error:
        raise LessonError(
            f"{path.name}: jupytext cannot read it: {str(error).strip().splitlines()[0]}"
        ) from error
    cells: list[Cell] = []
    taken: set[str] = set()
    for raw in parsed.cells:
        if raw.source.strip():
            cells.append(_cell(raw, len(cells) + 1, path.name, taken))
    stubs = _stubs(cells, path.name, catalogue)
    _demand_all_exercises(path, stubs, catalogue)
    return Lesson(path.stem, tuple(cells), stubs)


def _cell(raw: Any, number: int, file: str, taken: set[str]) -> Cell:
    meta = {key: value for key, value in raw.metadata.items() if key not in _JUPYTEXT_KEYS}
    unknown = sorted(set(meta) - _KEYS)
    if unknown:
        raise LessonError(f"{file}: cell {number}: unknown key {unknown[0]!r} in its header")
    exercise, check = meta.pop("exercise", None), meta.pop("check", None)
    tags = tuple(meta.pop("tags", ()))
    key = exercise or (check and f"check-{check}")
    if key and key in taken:
        raise LessonError(f"{file}: cell {number}: a second cell for {key!r}")
    if not key:
        digest = hashlib.sha256(f"{raw.cell_type}\0{raw.source}".encode()).hexdigest()[:12]
        key, repeat = digest, 1
        while key in taken:
            repeat += 1
            key = f"{digest}-{repeat}"
    taken.add(key)
    return Cell(key, raw.cell_type, raw.source, tags, exercise, check, meta)


def _stubs(cells: list[Cell], file: str, catalogue: Mapping[str, Exercise]) -> dict[str, Stub]:
    stubs: dict[str, Stub] = {}
    checked = set()
    for number, cell in enumerate(cells, 1):
        name = cell.exercise or cell.check
        if name is None:
            continue
        where = f"{file}: cell {number} ({cell.title})"
        if name not in catalogue:
            raise LessonError(f"{where}: course.exercises knows no exercise {name!r}")
        if catalogue[name].lesson != file[:2]:
            raise LessonError(f"{where}: exercise {name!r} belongs to lesson {catalogue[name].lesson}")
        if cell.exercise:
            try:
                stubs[name] = Stub.of(cell.source, name, getattr(catalogue[name], "broken", None))
            except ValueError as error:
                raise LessonError(f"{where}: {error}") from error
        else:
            if name not in stubs:
                raise LessonError(f"{where}: the check cell of {name!r} stands before its exercise cell")
            if not _calls_check(cell.source, name):
                raise LessonError(f"{where}: a check cell must call check({name})")
            checked.add(name)
    missing = sorted(set(stubs) - checked)
    if missing:
        raise LessonError(f"{file}: exercise {missing[0]!r} has no check cell")
    return stubs


def _calls_check(source: str, name: str) -> bool:
    try:
        last = ast.parse(source).body[-1]
    except (SyntaxError, IndexError):
        return False
    return isinstance(last, ast.Expr) and ast.unparse(last).startswith(f"check({name}")


def _demand_all_exercises(path: Path, stubs: Mapping[str, Stub], catalogue: Mapping[str, Exercise]) -> None:
    for name, exercise in sorted(catalogue.items()):
        if exercise.lesson == path.stem[:2] and name not in stubs:
            raise LessonError(f"{path.name}: exercise {name!r} of this lesson has no cell here")
