"""The proof of a check: the solution passes, and what is wrong does not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from course.authoring.lesson import read_lesson
from course.authoring.mutants import Mutant, mutants
from course.authoring.tree import Tree, find_root
from course.exercises import ALL, Exercise
from course.grading import judge

__all__ = ["Proof", "function_from", "prove", "solution_source", "table"]


@dataclass(frozen=True)
class Proof:
    """What happened to the mutants of one exercise's solution.

    Attributes:
        exercise: its name. killed: mutants that the check refused.
        equivalent: mutants that passed and are listed as right answers.
        survivors: mutants that passed and should not have.
        unused: listed equivalents that no mutant matches: a list that has gone stale.
    """

    exercise: str
    killed: int
    equivalent: tuple[Mutant, ...]
    survivors: tuple[Mutant, ...]
    unused: tuple[str, ...]

    @property
    def score(self) -> float:
        """The share of non-equivalent mutants that the check refused."""
        wrong = self.killed + len(self.survivors)
        return self.killed / wrong if wrong else 1.0

    @property
    def row(self) -> tuple[str, int, int, int, str]:
        """``(exercise, mutants, killed, equivalent, score)`` for the table."""
        total = self.killed + len(self.equivalent) + len(self.survivors)
        return self.exercise, total, self.killed, len(self.equivalent), f"{100 * self.score:.0f} %"


def prove(exercise: Exercise, source: str) -> Proof:
    """Judge every mutant of a solution's source."""
    killed, equivalent, survivors = 0, [], []
    for mutant in mutants(source):
        verdict = judge(exercise, function_from(mutant.source, exercise.name))
        if verdict.status == "failed":
            killed += 1
        elif mutant.change in exercise.equivalent:
            equivalent.append(mutant)
        else:
            survivors.append(mutant)
    matched = {mutant.change for mutant in equivalent}
    unused = tuple(line for line in exercise.equivalent if line not in matched)
    return Proof(exercise.name, killed, tuple(equivalent), tuple(survivors), unused)


def function_from(source: str, name: str) -> Any:
    """Run a function's source, as a lesson's cell would be run, and return the function."""
    import numpy as np
    import torch

    from course import clinic

    names: dict[str, Any] = {"np": np, "torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    names |= {"clinic": clinic, "__name__": "lesson"}
    exec(compile(source, f"<{name}>", "exec"), names)
    return names[name]


@lru_cache(maxsize=1)
def _sources(root: Path) -> dict[str, str]:
    lessons = [read_lesson(path, ALL) for path in Tree(root).sources()]
    return {cell.exercise: cell.source for lesson in lessons for cell in lesson.cells if cell.exercise}


def solution_source(name: str, root: Path | None = None) -> str:
    """Return the source of an exercise's solution, from its lesson."""
    return _sources(root or find_root())[name]


def table(rows: list[tuple[str, int, int, int, str]]) -> str:
    """Write the rows of all proofs as a table, with the sum below."""
    head = ("exercise", "mutants", "killed", "equivalent", "score")
    total, killed, equivalent = sum(r[1] for r in rows), sum(r[2] for r in rows), sum(r[3] for r in rows)
    score = f"{100 * killed / max(total - equivalent, 1):.1f} %"
    lines = [head, *rows, ("all", total, killed, equivalent, score)]
    texts = [[str(cell) for cell in line] for line in lines]
    width = [max(len(line[i]) for line in texts) for i in range(5)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(width[0]), *(cell.rjust(w) for cell, w in zip(line[1:], width[1:], strict=True))]
        )
        for line in texts
    )
