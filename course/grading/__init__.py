"""Checking answers: the verdict that names the mistake, hints, and the state of the course."""

from __future__ import annotations

from course.grading.desk import Progress, check, hint, passed, progress, progress_text, reset, stub, written
from course.grading.judge import attempted, judge
from course.grading.verdict import CourseError, Verdict, ZeroPoints

__all__ = [
    "CourseError",
    "Progress",
    "Verdict",
    "ZeroPoints",
    "attempted",
    "check",
    "hint",
    "judge",
    "passed",
    "progress",
    "progress_text",
    "reset",
    "stub",
    "written",
]
