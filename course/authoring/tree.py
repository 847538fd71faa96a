"""Where things are in a checkout, and all its lessons read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from course.authoring import AuthoringError
from course.authoring.lesson import Exercise, Lesson, LessonError, read_lesson
from course.authoring.stub import Stub

Catalogue = Mapping[str, Exercise]


@dataclass(frozen=True)
class Tree:
    """Where things are in a checkout."""

    root: Path

    def sources(self) -> list[Path]:
        """The lessons' sources in order; two with one number are an error."""
        found = sorted((self.root / "solutions").glob("[0-9][0-9]_*.py"))
        if not found:
            raise AuthoringError(f"no lessons: there is no solutions/NN_topic.py in {self.root}")
        for one, two in pairwise(found):
            if one.name[:2] == two.name[:2]:
                raise AuthoringError(f"two lessons have the number {one.name[:2]}: {one.name} and {two.name}")
        return found

    def solution(self, name: str) -> Path:
        """The executed notebook of a lesson."""
        return self.root / "solutions" / f"{name}.ipynb"

    def learner(self, name: str) -> Path:
        """The learner's notebook of a lesson."""
        return self.root / "notebooks" / f"{name}.ipynb"

    @property
    def stubs(self) -> Path:
        """The stubs of all exercises, from which `reset` takes them."""
        return self.root / "course" / "exercises" / "stubs.json"

    def show(self, path: Path) -> str:
        """A path as seen from the root."""
        return path.relative_to(self.root).as_posix()


@dataclass(frozen=True)
class Sources:
    """All lessons that could be read, the selected ones among them, and what was wrong with the others."""

    lessons: Mapping[str, Lesson]
    selected: Sequence[str]
    broken: Mapping[str, str]

    @property
    def stubs(self) -> dict[str, Stub]:
        """The stub of every exercise of every lesson."""
        return {name: stub for lesson in self.lessons.values() for name, stub in sorted(lesson.stubs.items())}


def find_root() -> Path:
    """The checkout this package was imported from."""
    return Path(__file__).resolve().parents[2]


def all_exercises() -> Catalogue:
    """The course's own catalogue."""
    catalogue: Catalogue = import_module("course.exercises").ALL
    return catalogue


def read_sources(tree: Tree, catalogue: Catalogue, only: Iterable[str] = ()) -> Sources:
    """Read every lesson, and select those that ``only`` names by number or name (none: all)."""
    lessons, broken = {}, {}
    paths = tree.sources()
    for path in paths:
        try:
            lessons[path.stem] = read_lesson(path, catalogue)
        except LessonError as error:
            broken[path.stem] = str(error)
    return Sources(lessons, _select([path.stem for path in paths], only), broken)


def _select(names: list[str], only: Iterable[str]) -> list[str]:
    wanted = []
    for word in only:
        key = Path(word).stem
        match = [name for name in names if name == key or name[:2] == key.zfill(2)]
        if not match:
            raise AuthoringError(f"no lesson {word!r}; there are {', '.join(name[:2] for name in names)}")
        wanted += match
    return [name for name in names if name in wanted] if wanted else names


def read_notebook(path: Path) -> Any:
    """A notebook, or None where there is none that can be read."""
    import nbformat

    try:
        notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
        nbformat.validate(notebook)
    except (OSError, ValueError, AttributeError, nbformat.ValidationError):
        return None
    return notebook


def stubs_text(tree: Tree, sources: Sources) -> str:
    """What the file of stubs must hold."""
    stubs = {name: stub.source for name, stub in sources.stubs.items()}
    if sources.broken:
        # The stubs of a lesson that cannot be read now stay as they are.
        try:
            stubs = {**json.loads(tree.stubs.read_text(encoding="utf-8")), **stubs}
        except (OSError, ValueError):
            stubs = dict(stubs)
    return json.dumps(stubs, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
