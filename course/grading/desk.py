"""What a learner calls: ``check``, ``hint``, ``progress``, ``reset``, ``written``."""

from __future__ import annotations

import ast
import html
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, ClassVar

from course.exercises import ALL, Exercise, find, store
from course.grading.judge import attempted, judge
from course.grading.verdict import CourseError, Verdict, ZeroPoints, grading_now
from course.microscope.table import UNWRITTEN

__all__ = [
    "Hint",
    "Progress",
    "check",
    "hint",
    "passed",
    "progress",
    "progress_text",
    "reset",
    "stub",
    "written",
]


def check(answer: Callable[..., Any]) -> Verdict:
    """Judge an answer: is it right in all cases, and if not, which mistake is it?

    Args:
        answer: your function; its name says which exercise it answers.

    Returns:
        a :class:`Verdict`, shown as a card in a notebook and as text in a terminal.

    Raises:
        CourseError: the name is no exercise's, or ``answer`` is no function.
    """
    exercise = _exercise_of(answer, "check")
    verdict = judge(exercise, answer)
    if grading_now():
        if verdict.score == 0:
            raise ZeroPoints(
                f"{verdict.exercise}: 0 of {verdict.points} points ({verdict.slip or verdict.status})"
            )
        return verdict
    if verdict.status != "not attempted":
        store.change(lambda data: _record(data, verdict))
    return verdict


def hint(exercise: str | Callable[..., Any]) -> Hint:
    """Return the next hint of an exercise, from the gentlest on; the last one stays.

    Args:
        exercise: its name, or your function.
    """
    known = _named(exercise, "hint")
    shown = int(store.read()["exercises"].get(known.name, {}).get("hints", 0))
    number = min(shown + 1, len(known.hints))
    store.change(lambda data: data["exercises"].setdefault(known.name, {}).update(hints=number))
    return Hint(known.name, number, len(known.hints), known.hints[number - 1])


def progress() -> Progress:
    """Return the state of the course, shown as a table."""
    done = store.read()["exercises"]
    return Progress(tuple(_row(exercise, done.get(exercise.name, {})) for exercise in ALL.values()))


def progress_text() -> str:
    """Return the state of the course as a text table."""
    return str(progress())


def reset(exercise: str | Callable[..., Any]) -> None:
    """Bring an exercise's stub back and begin its hints anew; no other cell is touched, no point is lost.

    In a notebook the cell that holds nothing but this call turns into the stub; a cell that holds more is
    left alone, and the stub comes in a new cell below it. Elsewhere the stub is printed.

    Args:
        exercise: its name, or your function.
    """
    known = _named(exercise, "reset")
    source = stub(known.name)
    store.change(lambda data: data["exercises"].get(known.name, {}).pop("hints", None))
    shell = _notebook_shell()
    if shell is None:
        print(source)
        return
    shell.set_next_input(source, replace=_is_one_call(shell.user_ns.get("In", [""])[-1]))


def written(answer: Callable[..., Any]) -> bool:
    """Say whether an exercise is more than its stub; where it is not, say so in a line.

    Lessons ask this before they use an answer, so that a notebook runs from top to bottom on the first day.
    """
    exercise = _exercise_of(answer, "written")
    if attempted(exercise, answer):
        return True
    print(UNWRITTEN.format(exercise.name))
    return False


def passed(answer: Callable[..., Any]) -> bool:
    """Say whether an answer is right in all cases; where it is not, say so in a line.

    Lessons ask this before they run an answer where a wrong one would stop the notebook: on a cluster.
    """
    verdict = judge(_exercise_of(answer, "passed"), answer)
    if verdict.status == "failed":
        print(f"Your {verdict.exercise} is not right yet: this cell goes on without it.")
    elif not verdict.passed:
        print(UNWRITTEN.format(verdict.exercise))
    return verdict.passed


def stub(name: str) -> str:
    """Return the source of an exercise's stub."""
    stubs = json.loads((resources.files("course.exercises") / "stubs.json").read_text(encoding="utf-8"))
    return stubs[find(name).name]


@dataclass(frozen=True)
class Hint:
    """One hint, and its place among the others."""

    exercise: str
    number: int
    of: int
    text: str

    def __repr__(self) -> str:
        last = " This is the last one." if self.number == self.of else ""
        return f"{self.exercise}, hint {self.number} of {self.of}: {self.text}{last}"

    def _repr_html_(self) -> str:
        return (
            "<div style='border-left:4px solid #0072B2;padding:8px 14px;max-width:52em;line-height:1.5'>"
            f"{html.escape(repr(self), quote=False)}</div>"
        )


@dataclass(frozen=True)
class Progress:
    """The state of every exercise: ``(lesson, exercise, state, score, points, checks, hints)``."""

    rows: tuple[tuple[str, str, str, int, int, int, int], ...]
    _head: ClassVar = ("lesson", "exercise", "state", "points", "checks", "hints")

    @property
    def passed(self) -> int:
        """How many exercises are solved."""
        return sum(row[2] == "solved" for row in self.rows)

    def __repr__(self) -> str:
        table = [self._head, *(self._cells(row) for row in self.rows)]
        width = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(line, width, strict=True)).rstrip() for line in table]
        return "\n".join([*lines, "", self._sum()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{h}</th>" for h in self._head)
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in self._cells(row))
            + "</tr>"
            for row in self.rows
        )
        return f"<table><tr>{head}</tr>{body}</table><div>{self._sum()}</div>"

    def _cells(self, row: tuple[str, str, str, int, int, int, int]) -> tuple[str, ...]:
        lesson, name, state, score, points, checks, hints = row
        return lesson, name, state, f"{score} of {points}", str(checks or ""), str(hints or "")

    def _sum(self) -> str:
        score, points = sum(row[3] for row in self.rows), sum(row[4] for row in self.rows)
        return f"{self.passed} of {len(self.rows)} exercises solved, {score} of {points} points"


def _row(exercise: Exercise, done: dict[str, Any]) -> tuple[str, str, str, int, int, int, int]:
    state = {"passed": "solved", "failed": "begun"}.get(done.get("status", ""), "open")
    score = min(int(done.get("score", 0)), exercise.points)
    return (
        exercise.lesson,
        exercise.name,
        state,
        score,
        exercise.points,
        done.get("checks", 0),
        done.get("hints", 0),
    )


def _record(data: dict[str, Any], verdict: Verdict) -> None:
    """Keep the best result: a later experiment does not take the tick away."""
    entry = data["exercises"].setdefault(verdict.exercise, {})
    entry["checks"] = int(entry.get("checks", 0)) + 1
    entry["score"] = max(int(entry.get("score", 0)), verdict.score)
    if entry.get("status") != "passed":
        entry["status"] = verdict.status
    if verdict.slip:
        slips = entry.setdefault("slips", {})
        slips[verdict.slip] = int(slips.get(verdict.slip, 0)) + 1


def _named(exercise: str | Callable[..., Any], caller: str) -> Exercise:
    if not isinstance(exercise, str):
        return _exercise_of(exercise, caller)
    try:
        return find(exercise)
    except KeyError as unknown:
        raise CourseError(f"{caller}: {unknown.args[0]}") from None


def _exercise_of(answer: Any, caller: str) -> Exercise:
    if isinstance(answer, str) and answer in ALL:
        raise CourseError(f"{caller} takes your function itself: {caller}({answer}), without the quotes")
    if not callable(answer) or not hasattr(answer, "__name__"):
        shown = " ".join(f"{answer!r:.60}".split())
        raise CourseError(
            f"{caller} takes a function that answers an exercise, not {type(answer).__name__} {shown}"
        )
    if answer.__name__ == "<lambda>":
        raise CourseError(
            f"{caller}: a lambda has no name; write the answer as def, named as the exercise is"
        )
    return _named(answer.__name__, caller)


def _notebook_shell() -> Any:
    """Return the running IPython kernel's shell, or None outside a notebook."""
    if "IPython" not in sys.modules:
        return None
    shell = sys.modules["IPython"].get_ipython()
    return shell if shell is not None and hasattr(shell, "kernel") else None


def _is_one_call(source: str) -> bool:
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return False
    if len(body) != 1 or not isinstance(body[0], ast.Expr) or not isinstance(body[0].value, ast.Call):
        return False
    called = body[0].value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
    # A comment beside the call, or a magic's whole cell (IPython turns it into a call), is somebody's work.
    return name == "reset" and ast.get_source_segment(source, body[0]) == source.strip().rstrip(";")
