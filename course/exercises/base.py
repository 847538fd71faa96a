"""What an exercise is: cases, a driver that runs an answer on a case, known slips and hints.

An answer is judged by what it does. The driver runs it on a case and writes down what was seen; the same
driver runs the reference and the slips, so that all are compared like with like.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from course.arrays import copy, is_array

__all__ = [
    "Case",
    "Exercise",
    "Fault",
    "Outcome",
    "Seen",
    "Slip",
    "Slips",
    "StopDriving",
    "copied",
    "mutated",
]

# The parts of an exercise that earn points, with their weight. Without the formula, nothing counts.
PARTS = {"formula": 2, "steps": 1, "edges": 1, "clean": 1}


@dataclass(frozen=True)
class Case:
    """One situation to run an answer in.

    Attributes:
        label: what is special about it, in words that complete "... with".
        inputs: the arguments by name (for a rule: also ``grads``, one gradient a step).
        part: which part of the exercise it belongs to: ``formula``, ``steps`` or ``edges``.
        row: what the answer's own argument is called of which ``grads`` holds one a step.
        fixed: inputs that are never made rounder, since that would make the case impossible.
    """

    label: str
    inputs: dict[str, Any]
    part: str = "formula"
    row: str = "grad"
    fixed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """One value that an answer produced: at which step, under which name."""

    step: int
    name: str
    value: Any


@dataclass(frozen=True)
class Fault:
    """Something wrong beside the numbers: an input changed, a list returned, a key missing.

    ``kind`` and ``what`` identify it (two answers with the same faults match); ``message`` tells it. The kind
    ``cost``, right numbers by needless work, does not count for that.
    """

    kind: str
    what: str
    message: str
    step: int = 1


class StopDriving(Exception):
    """Raised by a driver when it cannot go on with an answer; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass
class Outcome:
    """All that a driver saw of one answer in one case.

    ``faults`` are those that did not keep the driver from going on; ``stopped`` is one that did.
    ``notes`` say how an answer went about it. They are no reason to fail, but two slips with the same
    values are told apart by them.
    """

    seen: list[Seen] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stopped: Fault | None = None
    error: BaseException | None = None

    def see(self, step: int, name: str, value: Any) -> None:
        """Write a value down (as a copy: the answer may change it later)."""
        self.seen.append(Seen(step, name, np.array(value)))

    def fault(self, kind: str, what: str, message: str, step: int = 1) -> None:
        """Write a fault down, once for each kind and thing."""
        if not any((f.kind, f.what) == (kind, what) for f in self.faults):
            self.faults.append(Fault(kind, what, message, step))


Driver = Callable[[Callable[..., Any], Case, Outcome], None]


@dataclass(frozen=True)
class Slip:
    """A wrong answer that people really write, with the sentences that help.

    Attributes:
        name: a few words. sentence: what the answer does. nudge: where to look, not the solution.
        answer: the wrong implementation itself.
        shows: the cases in which it does the same each time; with dice in it, not in all.
    """

    name: str
    sentence: str
    nudge: str
    answer: Callable[..., Any]
    shows: Callable[[Case], bool] = lambda case: True


class Slips(list[Slip]):
    """A catalogue of slips; calling it is a decorator that adds one."""

    def __call__(
        self, name: str, sentence: str, nudge: str, shows: Callable[[Case], bool] = lambda case: True
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Add the decorated function under ``name``."""

        def add(answer: Callable[..., Any]) -> Callable[..., Any]:
            self.append(Slip(name, sentence, nudge, answer, shows))
            return answer

        return add


@dataclass(frozen=True)
class Exercise:
    """A function that a learner writes, and all that is needed to judge it.

    Attributes:
        name: the function's name and the exercise's id.
        lesson: the lesson's number, such as ``"04"``.
        arguments: the parameters, in order.
        reference: a right answer, independent of the lesson's own solution where the library has one.
        drive: runs an answer on a case.
        make_cases: returns the cases, the simplest first.
        slips: the catalogue. hints: from the gentlest on.
        meaning: a sentence for an observed name, where the name does not speak for itself.
        positions: observed names of places, counts and lists, of which a factor says nothing.
        equivalent: mutants of the solution that are right answers too: ``before -> after`` and the reason.
        broken: where the exercise is to mend something: the function as the learner finds it.
    """

    name: str
    lesson: str
    arguments: tuple[str, ...]
    reference: Callable[..., Any]
    drive: Driver
    make_cases: Callable[[], Iterable[Case]]
    slips: tuple[Slip, ...]
    hints: tuple[str, ...]
    meaning: Mapping[str, str] = field(default_factory=dict)
    positions: frozenset[str] = frozenset()
    equivalent: Mapping[str, str] = field(default_factory=dict)
    broken: Callable[..., Any] | None = None

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """The cases, the simplest first."""
        return tuple(self.make_cases())

    @cached_property
    def expected(self) -> tuple[Outcome, ...]:
        """What the reference does in each case."""
        return tuple(self.run(self.reference, case) for case in self.cases)

    @property
    def parts(self) -> dict[str, int]:
        """The points of each part that this exercise has."""
        there = {case.part for case in self.cases} | {"clean"}
        return {part: points for part, points in PARTS.items() if part in there}

    @property
    def points(self) -> int:
        """The points of the whole exercise."""
        return sum(self.parts.values())

    @property
    def signature(self) -> str:
        """The call as a learner writes it: ``sgd(grad, state, param, lr)``."""
        return f"{self.name}({', '.join(self.arguments)})"

    def run(self, answer: Callable[..., Any], case: Case) -> Outcome:
        """Run an answer on a case; an exception of the answer becomes part of the outcome."""
        outcome = Outcome()
        try:
            with np.errstate(all="ignore"):
                self.drive(answer, case, outcome)
        except StopDriving as stop:
            outcome.stopped = stop.fault
        except (Exception, SystemExit) as error:  # exit() in an answer must not end the learner's session
            outcome.error = error
        return outcome

    def misfit(self, answer: Callable[..., Any]) -> str | None:
        """Say what is wrong with the answer's parameters, or None when it can be called."""
        try:
            signature = inspect.signature(answer)
        except (TypeError, ValueError):
            return None  # built-in functions have none; calling them will tell
        try:
            signature.bind(*self.arguments)
        except TypeError:
            return f"{self.name} takes ({', '.join(self.arguments)}); yours takes {signature}"
        return None


def copied(value: Any) -> Any:
    """Copy arrays, and the dicts and lists that hold them, so that nothing is shared."""
    if isinstance(value, dict):
        return {key: copied(v) for key, v in value.items()}
    if isinstance(value, list):
        return [copied(v) for v in value]
    return copy(value) if is_array(value) else value


def mutated(before: Any, after: Any) -> bool:
    """Say whether ``after``, once a copy of ``before``, is no longer equal to it."""
    if isinstance(before, dict):
        return (
            not isinstance(after, dict)
            or set(before) != set(after)
            or any(mutated(before[k], after[k]) for k in before)
        )
    if isinstance(before, list | tuple):
        return (
            not isinstance(after, type(before))
            or len(before) != len(after)
            or any(map(mutated, before, after))
        )
    if is_array(before):
        return getattr(after, "shape", None) != before.shape or not np.array_equal(
            before, after, equal_nan=True
        )
    return False
