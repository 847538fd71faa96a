"""The proof of the checks: for every exercise the solution passes, the stub is not attempted, every slip is
named as itself, and every mutant of the solution fails."""

import sys

import pytest

from course.authoring.proof import function_from, prove, solution_source
from course.authoring.stub import Stub
from course.exercises import ALL
from course.grading import judge

EXERCISES = list(ALL.values())
SLIPS = [(exercise, slip) for exercise in EXERCISES for slip in exercise.slips]


@pytest.fixture
def short_limit(monkeypatch, exercise):
    """Stop mutants that loop for ever after a fifth of a second: a solution needs a hundredth of that.

    A loop that is to be mended trains real models, and a rank program starts a thread for each rank: on a
    busy machine these need a fifth of a second themselves.
    """
    slow = exercise.broken or "comm" in exercise.arguments
    monkeypatch.setattr(sys.modules[judge.__module__], "LIMIT", 2.0 if slow else 0.2)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_the_solution_passes_with_all_points(exercise):
    verdict = judge(exercise, function_from(solution_source(exercise.name), exercise.name))
    assert verdict.status == "passed", str(verdict)
    assert verdict.score == verdict.points == exercise.points


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_the_stub_is_not_attempted(exercise):
    stub = Stub.of(solution_source(exercise.name), exercise.name, exercise.broken).source
    verdict = judge(exercise, function_from(stub, exercise.name))
    assert verdict.status == "not attempted"
    assert verdict.score == 0


@pytest.mark.thorough
@pytest.mark.parametrize(("exercise", "slip"), SLIPS, ids=lambda x: x.name.replace(" ", "-"))
def test_every_slip_fails_and_is_named_as_itself(exercise, slip):
    verdict = judge(exercise, slip.answer)
    assert (verdict.status, verdict.slip) == ("failed", slip.name)
    assert slip.sentence in str(verdict)
    assert slip.nudge in str(verdict)


@pytest.mark.thorough
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.name)
def test_every_mutant_of_the_solution_fails(exercise, short_limit, record_property):
    proof = prove(exercise, solution_source(exercise.name))
    record_property("mutation", proof.row)
    assert proof.killed >= 5, "too few mutants to prove anything"
    assert not proof.survivors, "the check lets these pass:\n" + "\n".join(map(str, proof.survivors))
    assert not proof.unused, "listed as equivalent, but no mutant is: " + "; ".join(proof.unused)
    assert all(exercise.equivalent.values()), "every equivalent needs its reason"
