"""Judging one answer: run it on every case, compare, name the slip, shrink what has no name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from course.exercises import ALL
from course.exercises.base import Case, Exercise, Outcome, Slip
from course.grading.compare import (
    Difference,
    first_difference,
    name_of_factor,
    same_outcome,
    show_inputs,
    soft_faults,
)
from course.grading.runner import TimeUp, line_of, silence, time_limit
from course.grading.shrink import shrink
from course.grading.verdict import Verdict

__all__ = ["attempted", "judge"]

LIMIT = 3.0  # seconds for all cases of one answer; a right one needs a hundredth of that

Answer = Callable[..., Any]


@dataclass
class _Trial:
    """What an answer did in the cases that it was run on."""

    outcomes: list[Outcome] = field(default_factory=list)
    ran_out: TimeUp | None = None


@dataclass
class _Judged:
    """One case: what an answer did there, what differs, what else is wrong.

    ``factor`` is the name of the factor by which it differs, where all cases agree on one.
    """

    case: Case
    got: Outcome
    different: Difference | None
    faults: list[tuple[int, str]]
    factor: str | None = None

    @property
    def wrong(self) -> bool:
        """Whether the values are not the right ones, or not all there."""
        return bool(self.got.error or self.got.stopped or self.different)


def judge(exercise: Exercise, answer: Answer) -> Verdict:
    """Return the verdict on an answer; nothing is recorded and nothing is shown."""
    misfit = exercise.misfit(answer)
    if misfit:
        return _failed(exercise, 0, message=" ".join(misfit.split()) + ".")
    trial = _try(exercise, answer)
    if trial.outcomes and isinstance(trial.outcomes[0].error, NotImplementedError):
        return Verdict(exercise.name, "not attempted", 0, exercise.points, nudge=_where_to_begin(exercise))
    judged = _compare(exercise, trial.outcomes)
    score = _score(exercise, judged, finished=trial.ran_out is None)
    if trial.ran_out:
        return _too_long(exercise, answer, trial, score)
    failure = _first_failure(judged)
    if failure is None:
        return Verdict(exercise.name, "passed", score, exercise.points)
    if failure.got.error:
        return _raised(exercise, answer, failure.case, failure.got.error, score)
    slip = _recognize(exercise, trial.outcomes)
    if slip:
        return _slipped(exercise, slip, _plainest(judged) or failure, score)
    return _unnamed(exercise, answer, failure, score)


def attempted(exercise: Exercise, answer: Answer) -> bool:
    """Say whether an answer is more than its stub, which raises NotImplementedError."""
    try:
        with silence(), time_limit(LIMIT):
            return not isinstance(_run(exercise, answer, exercise.cases[0]).error, NotImplementedError)
    except TimeUp:
        return True


def _try(exercise: Exercise, answer: Answer) -> _Trial:
    trial = _Trial()
    try:
        with silence():
            _ = exercise.expected  # the reference's time is not the answer's
        with silence(), time_limit(LIMIT):
            for case in exercise.cases:
                trial.outcomes.append(_run(exercise, answer, case))
    except TimeUp as time_up:
        trial.ran_out = time_up
    return trial


def _run(exercise: Exercise, answer: Answer, case: Case) -> Outcome:
    """Run an answer on a case, whatever it raises: only the interrupt key and the time limit pass."""
    try:
        return exercise.run(answer, case)
    except (KeyboardInterrupt, TimeUp):
        raise
    except BaseException as error:
        return Outcome(error=error)


def _compare(exercise: Exercise, outcomes: list[Outcome]) -> list[_Judged]:
    """Compare the outcomes, of all cases or of the first, with the reference's."""
    return [
        _Judged(case, got, first_difference(exercise, case, got, want), soft_faults(got, want))
        for case, got, want in zip(exercise.cases, outcomes, exercise.expected, strict=False)
    ]


def _score(exercise: Exercise, judged: list[_Judged], *, finished: bool) -> int:
    """Add up the parts in which every case is right. Without the formula, nothing counts."""
    lost = {case.part for case in exercise.cases[len(judged) :]} | (set() if finished else {"clean"})
    for one in judged:
        if one.wrong:
            lost.add(one.case.part)
        elif one.faults:
            lost.add("clean")
    return 0 if "formula" in lost else sum(p for part, p in exercise.parts.items() if part not in lost)


@cache
def _slip_outcomes(name: str, index: int) -> tuple[Outcome, ...]:
    exercise = ALL[name]
    with silence():
        return tuple(exercise.run(exercise.slips[index].answer, case) for case in exercise.cases)


def _plainest(judged: list[_Judged]) -> _Judged | None:
    """Return the first case whose values part by more than a rounding might, or None if that is the first."""
    tiny = [(one, one.different.tiny) for one in judged if one.different]
    if not tiny or not tiny[0][1]:
        return None
    return next((one for one, is_tiny in tiny if not is_tiny), None)


def _first_failure(judged: list[_Judged]) -> _Judged | None:
    failure = next((one for one in judged if one.wrong or one.faults), None)
    if failure is None or failure.different is None:
        return failure
    return replace(failure, factor=name_of_factor([one.different for one in judged if one.different]))


def _recognize(exercise: Exercise, outcomes: list[Outcome]) -> Slip | None:
    """Return the slip that does the same as the answer in every case.

    If none does, the edges do not count: who makes a known mistake may treat these in a way of their own.
    """
    for parts in (("formula", "steps", "edges"), ("formula", "steps")):
        inner = [i for i, case in enumerate(exercise.cases) if case.part in parts]
        if all(same_outcome(outcomes[i], exercise.expected[i]) for i in inner):
            return None  # the mistake is in the edges alone
        if "edges" not in parts and any(outcomes[i].stopped for i in inner):
            return None  # hardly anything was seen
        for index, slip in enumerate(exercise.slips):
            theirs = _slip_outcomes(exercise.name, index)
            compared = [i for i in inner if slip.shows(exercise.cases[i])]
            if all(same_outcome(outcomes[i], theirs[i], True) for i in compared):
                return slip
    return None


def _slipped(exercise: Exercise, slip: Slip, failure: _Judged, score: int) -> Verdict:
    evidence = _setting(failure.case)
    if failure.different and not failure.got.stopped:
        evidence = _evidence(exercise, failure.different, failure.factor)
    elif failure.got.stopped and failure.got.stopped.kind in ("deadlock", "mismatch", "schedule"):
        evidence = (*evidence, ("seen", failure.got.stopped.message))  # who waits for whom
    return _failed(
        exercise, score, slip=slip.name, message=slip.sentence, evidence=evidence, nudge=slip.nudge
    )


def _unnamed(exercise: Exercise, answer: Answer, failure: _Judged, score: int) -> Verdict:
    """Tell a mistake that has no name by the smallest case that shows it."""
    got, different = failure.got, failure.different
    if different and not got.stopped:
        small = _smallest(exercise, answer, failure.case)
        different = _again(exercise, answer, small) or different
        what = exercise.meaning.get(different.name, different.name)
        named = f"{different.name}, {what}," if what != different.name else different.name
        perhaps = ": a rounding, or a small term too many" if different.tiny else ""
        message = (
            f"{named} {different.factor}{_at(exercise, different.step)}{_because(failure.factor)}{perhaps}."
        )
        return _failed(exercise, score, message=message, evidence=_evidence(exercise, different, None))
    step, text = (got.stopped.step, got.stopped.message) if got.stopped else failure.faults[0]
    opening = text[0].upper() + text[1:] if text.startswith("your ") else text
    whole = got.stopped is not None and got.stopped.kind == "clinic"  # it has looked at all the steps
    message = f"{opening} (seen{'' if whole else _at(exercise, step)} in the case below)."
    return _failed(exercise, score, message=message, evidence=_setting(failure.case))


def _again(exercise: Exercise, answer: Answer, case: Case) -> Difference | None:
    """Return what differs in a case, or None where the answer does not do again what it did."""
    try:
        with silence(), time_limit(LIMIT / 6):
            outcome = _run(exercise, answer, case)
            return first_difference(exercise, case, outcome, exercise.run(exercise.reference, case))
    except TimeUp:
        return None


def _smallest(exercise: Exercise, answer: Answer, case: Case) -> Case:
    def still_fails(simpler: Case) -> bool:
        want = exercise.run(exercise.reference, simpler)
        if want.error or want.stopped:
            return False
        got = _run(exercise, answer, simpler)
        return (
            not got.error and not got.stopped and first_difference(exercise, simpler, got, want) is not None
        )

    try:
        with silence(), time_limit(LIMIT / 3):
            return shrink(case, still_fails)
    except TimeUp:
        return case


def _raised(exercise: Exercise, answer: Answer, case: Case, error: BaseException, score: int) -> Verdict:
    evidence = (*_line(error, answer), *_setting(case))
    text = _words(error)
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return _failed(exercise, score, message=f"Your function raised {what}.", evidence=evidence)


def _words(error: BaseException) -> str:
    """Return an exception's message on one line; one that cannot even be told has none."""
    try:
        return " ".join(str(error).split())
    except Exception:
        return ""


def _too_long(exercise: Exercise, answer: Answer, trial: _Trial, score: int) -> Verdict:
    assert trial.ran_out is not None
    case = exercise.cases[min(len(trial.outcomes), len(exercise.cases) - 1)]
    return _failed(
        exercise,
        score,
        message=f"Your function did not finish within {LIMIT:g} seconds, so it was stopped.",
        evidence=(*_line(trial.ran_out, answer), *_setting(case)),
        nudge="Is there a loop whose condition never becomes false?",
    )


def _line(error: BaseException, answer: Answer) -> tuple[tuple[str, str], ...]:
    line = line_of(error, answer)
    return (("in", line),) if line else ()


def _setting(case: Case) -> tuple[tuple[str, str], ...]:
    return (("case", case.label), ("with", show_inputs(case)))


def _evidence(exercise: Exercise, different: Difference, factor: str | None) -> tuple[tuple[str, str], ...]:
    return (
        *_setting(different.case),
        (f"yours{_at(exercise, different.step)}", f"{different.name} = {different.mine}"),
        ("expected", different.expected),
        ("so it", different.factor + _because(factor)),
    )


def _because(factor: str | None) -> str:
    return f": that is {factor}" if factor else ""


def _at(exercise: Exercise, step: int) -> str:
    """Name the step, for exercises whose answers are called more than once in a case."""
    several = any(seen.step > 1 for outcome in exercise.expected for seen in outcome.seen)
    return f" at step {step}" if several else ""


def _where_to_begin(exercise: Exercise) -> str:
    return f"Write {exercise.signature} in the cell above, run that cell, then this one. {_offer(exercise)}"


def _offer(exercise: Exercise) -> str:
    return f'hint("{exercise.name}") gives a hint.'


def _failed(exercise: Exercise, score: int, nudge: str = "", **more: Any) -> Verdict:
    nudge = f"{nudge} {_offer(exercise)}".strip()
    return Verdict(exercise.name, "failed", score, exercise.points, nudge=nudge, **more)
