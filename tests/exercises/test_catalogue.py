"""Every exercise, held to what a learner may expect of it."""

from __future__ import annotations

import inspect
import re
from importlib import import_module

import numpy as np
import pytest

from course.exercises import ALL, find
from course.grading import judge
from course.grading.compare import close, first_difference, soft_faults

every = pytest.mark.parametrize("exercise", ALL.values(), ids=ALL)


def test_the_syllabus_is_there():
    assert list(ALL) == [
        "step_downhill",
        "linear_gradients", "training_step", "minibatches",
        *(f"patient_{letter}" for letter in "abcdefgh"),
        "update_to_weight_ratio", "find_missing_parameters",
        "sgd", "largest_stable_lr", "steps_to_tolerance", "robbins_monro_mean",
        "heavy_ball", "nesterov", "optimal_heavy_ball", "ema_to_sum_form",
        "adagrad", "rmsprop", "adam", "first_step_size",
        "adam_l2", "adamw", "decay_groups",
        "clip_by_norm", "clip_by_value", "accumulate", "LossScaler", "master_weight_step", "ema",
        "lars", "lamb", "lion", "sophia", "newton_schulz", "muon",
        "warmup_cosine", "model_state_bytes", "tokens_per_step", "llm_step",
        "ring_all_reduce", "ddp_step", "bucketed_all_reduce",
        "model_states_per_rank", "shard", "zero1_step", "zero2_step", "zero3_step", "lamb_under_zero",
        "gpipe_schedule", "one_f_one_b", "bubble_fraction",
        "pipeline_stage", "column_parallel", "row_parallel",
        "stale_sgd", "largest_stable_lr_with_delay", "hogwild",
    ]  # fmt: skip
    assert all(name == exercise.name for name, exercise in ALL.items())
    assert [e.lesson for e in ALL.values()] == sorted(e.lesson for e in ALL.values())


@every
def test_there_are_at_least_five_slips_each_with_its_own_words(exercise):
    assert len(exercise.slips) >= 5
    for field in ("name", "sentence", "nudge"):
        texts = [getattr(slip, field) for slip in exercise.slips]
        assert all(texts)
        if field != "nudge":
            assert len(set(texts)) == len(texts), field
    for slip in exercise.slips:
        assert slip.sentence.endswith(".")
        assert slip.nudge[-1] in ".?"
        assert not slip.name.endswith(".")
        assert len(slip.name) <= 45
        assert exercise.misfit(slip.answer) is None


@every
def test_hints_go_from_gentle_to_plain(exercise):
    assert len(exercise.hints) >= 3
    assert len(set(exercise.hints)) == len(exercise.hints)
    assert all(text[-1] in ".?" and 20 < len(text) < 200 for text in exercise.hints)


@every
def test_the_first_case_is_the_simplest(exercise):
    def size(case):
        arrays = [v for v in case.inputs.values() if isinstance(v, np.ndarray)]
        steps = len(case.inputs["grads"]) if "grads" in case.inputs else case.inputs.get("steps", 1)
        return steps * max([a.size for a in arrays] or [case.inputs.get("n", 1)])

    first = exercise.cases[0]
    assert first.part == "formula"
    assert size(first) <= min(size(case) for case in exercise.cases if case.part == "formula")
    assert {case.part for case in exercise.cases} <= set(exercise.parts)
    assert sum(case.part == "formula" for case in exercise.cases) >= 2
    assert any(case.part == "edges" for case in exercise.cases)


@pytest.mark.thorough
@every
def test_the_reference_passes(exercise):
    verdict = judge(exercise, exercise.reference)
    assert verdict.passed, verdict
    assert verdict.score == exercise.points == sum(exercise.parts.values())


@pytest.mark.thorough
@every
def test_cases_and_outcomes_are_the_same_each_time(exercise):
    once, twice = list(exercise.make_cases()), list(exercise.make_cases())
    assert [str(case) for case in once] == [str(case) for case in twice]
    for case, other, expected in zip(once, twice, exercise.expected, strict=True):
        again = exercise.run(exercise.reference, other)
        assert first_difference(exercise, case, again, expected) is None
        assert soft_faults(again, expected) == []
        assert (again.notes, again.error, again.stopped) == (expected.notes, None, None)
        assert all(close(a.value, b.value) for a, b in zip(again.seen, expected.seen, strict=True))


@pytest.mark.thorough
@every
def test_running_changes_no_case(exercise):
    before = [str(case) for case in exercise.cases]
    for slip in exercise.slips:
        judge(exercise, slip.answer)
    assert [str(case) for case in exercise.cases] == before


def solution_lines(name: str) -> list[str]:
    """Return the lines of a lesson's own solution that compute something."""
    from pathlib import Path

    lesson = ALL[name].lesson
    source = next((Path(__file__).parents[2] / "solutions").glob(f"{lesson}_*.py")).read_text()
    body = (
        re.split(rf"\n(?:def|class) {name}\b", source, maxsplit=1)[1].split("\n# %%", 1)[0].splitlines()[1:]
    )
    return [
        line.strip()
        for line in body
        if re.search(r"[*/+(-].*", line) and '"""' not in line and "#" not in line
    ]


@every
def test_no_hint_or_nudge_gives_the_solutions_lines_away(exercise):
    texts = [*exercise.hints, *(s.nudge for s in exercise.slips), *(s.sentence for s in exercise.slips)]
    lines = solution_lines(exercise.name)
    assert lines
    for line in lines:
        given = [t for t in texts if line in t]
        assert not given or len(line) < 18, (line, given)  # optimizer.step() is the name of a thing


@every
def test_the_arguments_are_those_of_the_reference_and_the_slips(exercise):
    assert exercise.misfit(exercise.reference) is None
    for slip in exercise.slips:
        assert len(inspect.signature(slip.answer).parameters) == len(exercise.arguments)


def test_find_offers_the_nearest_name():
    assert find("sgd") is ALL["sgd"]
    for near, name in (("nestorov", "nesterov"), ("SGD ", None), ("heavyball", "heavy_ball")):
        with pytest.raises(KeyError, match=f"did you mean '{name}'" if name else "there is no exercise"):
            find(near)


def test_every_lesson_file_is_listed():
    for lesson in {exercise.lesson for exercise in ALL.values()}:
        module = import_module(f"course.exercises.lesson_{lesson}")
        assert all(ALL[e.name] is e for e in module.EXERCISES)
