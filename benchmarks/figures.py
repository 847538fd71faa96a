"""The figures of the README, each measured anew: imports, checks, mutants, the test run."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course.authoring.proof import function_from, prove, solution_source
from course.exercises import ALL, Exercise
from course.grading import judge

ROOT = Path(__file__).resolve().parents[1]


def import_times(runs: int = 9) -> dict[str, float]:
    """Return the median seconds that ``import course`` and ``import numpy`` add to a bare interpreter.

    Each run measures the three in turn, so that a busy moment hits all of them.
    """
    programs = {"bare": "pass", "numpy": "import numpy", "course": "import numpy, course, course.rules"}
    seen: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            seen[name].append(time.perf_counter() - start)
    median = {name: statistics.median(times) for name, times in seen.items()}
    return {"numpy": median["numpy"] - median["bare"], "course": median["course"] - median["bare"]}


def check_times(rounds: int = 3) -> dict[str, float]:
    """Return the median and the largest seconds of a check, over every solution and every slip.

    The first check of each exercise, which also computes the reference's results, is not counted in the
    median; its largest value stands under "first".
    """
    first, later = [], []
    for exercise in ALL.values():
        solution = function_from(solution_source(exercise.name), exercise.name)
        answers = [solution, *(slip.answer for slip in exercise.slips)]
        first.append(_timed(exercise, answers[0]))
        later += [_timed(exercise, answer) for _ in range(rounds) for answer in answers]
    return {"median": statistics.median(later), "largest": max(later), "first": max(first)}


def _timed(exercise: Exercise, answer: Callable[..., Any]) -> float:
    start = time.perf_counter()
    judge(exercise, answer)
    return time.perf_counter() - start


def mutation_score() -> tuple[int, int, int]:
    """Return how many mutants of all solutions there are, were refused, and are listed as equivalent."""
    proofs = [prove(exercise, solution_source(exercise.name)).row for exercise in ALL.values()]
    return sum(p[1] for p in proofs), sum(p[2] for p in proofs), sum(p[3] for p in proofs)


def test_run() -> tuple[float, str]:
    """Return the seconds of a whole ``make test`` after installation, and pytest's closing line."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"COURSE_HOME": home}
        done = subprocess.run(
            [sys.executable, "-m", "tests", "all"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    closing = re.findall(r"^.*\d+ (?:passed|failed).*$", done.stdout, flags=re.MULTILINE)
    if done.returncode != 0:
        failed = re.findall(r"^(?:FAILED|ERROR|== .*FAILED).*$", done.stdout, flags=re.MULTILINE)
        raise SystemExit(
            "\n".join([f"the tests fail, so their time is no figure: {closing or done.stderr}", *failed])
        )
    return time.perf_counter() - start, closing[-1].strip("= ")
