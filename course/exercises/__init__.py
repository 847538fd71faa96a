"""The exercises, one file a lesson: each with its cases, its known slips and its hints."""

from __future__ import annotations

import difflib

from course.exercises import (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_09,
    lesson_11,
    lesson_12,
    lesson_13,
    lesson_14,
)
from course.exercises.base import Case, Exercise, Fault, Outcome, Slip

__all__ = ["ALL", "Case", "Exercise", "Fault", "Outcome", "Slip", "find"]

# Every exercise by name, in the order of the lessons.
ALL: dict[str, Exercise] = {
    exercise.name: exercise
    for lesson in (
        lesson_00,
        lesson_01,
        lesson_02,
        lesson_03,
        lesson_04,
        lesson_05,
        lesson_06,
        lesson_07,
        lesson_08,
        lesson_09,
        lesson_11,
        lesson_12,
        lesson_13,
        lesson_14,
    )
    for exercise in lesson.EXERCISES
}


def find(name: str) -> Exercise:
    """Return the exercise of this name.

    Raises:
        KeyError: there is none; the message offers the nearest name.

    >>> find("nestorov")
    Traceback (most recent call last):
    KeyError: "there is no exercise 'nestorov'; did you mean 'nesterov'?"
    """
    if name in ALL:
        return ALL[name]
    near = difflib.get_close_matches(str(name), ALL, n=1, cutoff=0.5)
    rest = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(ALL)}"
    raise KeyError(f"there is no exercise {name!r}; {rest}")
