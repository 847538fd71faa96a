"""What a verdict says and how: the smallest case, the factor, escaped HTML, and never 'not close'."""

from __future__ import annotations

import html
import re
import time

import numpy as np
import pytest

from course.exercises import ALL
from course.exercises.base import Case
from course.grading import Verdict, check, judge
from course.grading.shrink import shrink


def heavy_ball_that(spoil):
    """Return a right heavy ball whose delta is spoiled."""

    def heavy_ball(grad, state, param, lr, momentum, dampening):
        buffer = grad + 0.0 if state["step"] == 0 else momentum * state["buffer"] + (1 - dampening) * grad
        return spoil(lr * buffer, state["step"]), {"buffer": buffer, "step": state["step"] + 1}

    return heavy_ball


def evidence(verdict):
    return dict(verdict.evidence)


def test_a_mistake_that_needs_steps_and_elements_is_told_on_few():
    """Wrong at the third step, with several elements: told on three steps and one or two elements."""
    verdict = check(heavy_ball_that(lambda d, step: d * 1.3 if step == 2 and d.size > 1 else d))
    assert (verdict.status, verdict.slip) == ("failed", None)
    told = evidence(verdict)
    assert verdict.message == "delta, the amount to subtract, is 1.3 times what it should be at step 3."
    assert "yours at step 3" in told
    grads = re.search(r"grads = \[(.*?)\], state", told["with"]).group(1)
    assert grads.count("[") == 3


def test_a_mistake_in_many_elements_is_told_on_one():
    verdict = check(heavy_ball_that(lambda d, step: d * 1.3 if step == 1 else d))
    told = evidence(verdict)
    assert "array of shape" not in told["with"]
    assert re.search(r"param = \[[^,\]]+\]", told["with"]), told["with"]
    assert "at step 2" in verdict.message


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d, step: d * 0.37, "is 0.37 times what it should be"),
        (lambda d, step: d * 0, "is 0"),
        (lambda d, step: d * 0.1**2, "is 0.01 times what it should be"),
        (lambda d, step: d + np.nan, "is not a number (NaN)"),
        (lambda d, step: d + np.inf, "is infinite"),
    ],
)
def test_the_factor_is_told(spoil, says):
    assert says in check(heavy_ball_that(spoil)).message


@pytest.mark.thorough
def test_never_not_close():
    spoils = [1.3, -1, 0, 1e9, 1 + 1e-6, np.nan]
    for exercise in ALL.values():
        for slip in exercise.slips:
            told = str(judge(exercise, slip.answer)).lower()
            assert "not close" not in told
            assert "a rounding" not in told, "a mistake that is named is no rounding"
    for factor in spoils:
        assert "not close" not in str(check(heavy_ball_that(lambda d, step, f=factor: d * f))).lower()


@pytest.mark.parametrize("part", [1e-7, 1e-11])
def test_two_values_are_printed_to_the_digits_in_which_they_differ(part):
    verdict = check(heavy_ball_that(lambda d, step, p=part: d * (1 + p) if step == 1 else d))
    told = evidence(verdict)
    assert ("expected" in told) == (part > 1e-9), "less is a rounding"
    if "expected" in told:
        mine = next(text for label, text in told.items() if label.startswith("yours"))
        assert mine.split(" = ")[1] != told["expected"]
        assert len(told["expected"]) < 16


@pytest.mark.parametrize(
    ("name", "slip"),
    [
        ("adam_l2", "no bias correction"),
        ("adam_l2", "half the penalty"),
        ("adamw", "no bias correction"),
        ("lamb", "no bias correction"),
        ("lamb", "v not corrected"),
        ("newton_schulz", "eps added to the norm"),
    ],
)
def test_a_named_mistake_is_shown_where_it_can_be_seen(name, slip):
    answer = next(each.answer for each in ALL[name].slips if each.name == slip)
    told = evidence(judge(ALL[name], answer))
    assert "off by" not in told["so it"]
    assert "=" in told["with"]


def test_a_recognized_slip_has_name_sentence_evidence_and_nudge():
    exercise = ALL["nesterov"]
    slip = exercise.slips[0]
    verdict = judge(exercise, slip.answer)
    assert (verdict.slip, verdict.message) == (slip.name, slip.sentence)
    assert slip.nudge in verdict.nudge
    assert 'hint("nesterov")' in verdict.nudge
    assert {"case", "with", "expected", "so it"} <= set(evidence(verdict))


def test_a_return_that_is_no_pair_is_not_taken_for_another_mistake():
    for value in ((1, 2, 3), {}, None, "text"):
        answer = lambda grad, state, param, lr, weight_decay, v=value: v  # noqa: E731
        assert judge(ALL["sgd"], answer).slip is None


def test_html_escapes_what_learners_write():
    def sgd(grad, state, param, lr, weight_decay):
        raise ValueError("<script>alert(1)</script> & more")

    page = check(sgd)._repr_html_()
    assert "<script>" not in page
    assert html.escape("<script>alert(1)</script> & more", quote=False) in page
    hostile = Verdict("<i>", "failed", 0, 1, "<i>", "<i>", (("<i>", "<i>"),), "<i>")
    assert "<i>" not in hostile._repr_html_()


@pytest.mark.parametrize("status", ["passed", "failed", "not attempted"])
def test_every_status_has_a_card_that_a_screen_reader_meets(status):
    page = Verdict("sgd", status, 0, 5)._repr_html_()
    assert "role='status'" in page
    assert f"course-{status.replace(' ', '-')}" in page
    assert page.count("<div") == page.count("</div>")


def test_shrink_finds_the_smallest_case():
    inputs = {"grads": [np.array([3.7, -1.2, 8.9])] * 6, "param": np.array([1.1, 2.2, 3.3]), "lr": 0.1}
    tried = []

    def fails(case: Case) -> bool:
        tried.append(case)
        return len(case.inputs["grads"]) >= 2 and any(abs(case.inputs["param"]) > 3)

    small = shrink(Case("six steps", inputs), fails, seconds=5)
    assert len(small.inputs["grads"]) == 2
    assert small.inputs["param"].tolist() == [3.0] or small.inputs["param"].tolist() == [3.3]
    assert small.inputs["grads"][0].tolist() == [1.0]
    assert len(inputs["grads"]) == 6


def test_shrink_keeps_a_case_that_has_nothing_simpler_and_keeps_time():
    case = Case("one", {"x": np.array([1.0])})
    assert shrink(case, lambda _: False) is case
    assert shrink(case, lambda _: True, seconds=0) is case


def test_shrink_counts_its_own_work_not_what_else_the_machine_does():
    def fails(case: Case) -> bool:
        time.sleep(0.02)  # as if another process had the core
        return len(case.inputs["grads"]) >= 2

    small = shrink(Case("six steps", {"grads": [np.ones(3)] * 6, "param": np.ones(3)}), fails, seconds=0.03)
    assert (len(small.inputs["grads"]), small.inputs["param"].size) == (2, 1)


def test_answers_are_equal_up_to_rounding_whatever_their_scale():
    from course.grading.compare import close

    big = np.array([1e200, 2e200])
    assert close(big * (1 + 1e-12), big)
    assert not close(big * 1.5, big)
    assert close(np.float32([1 + 1e-6]), np.float32([1]))
    assert not close(np.float32([1 + 1e-4]), np.float32([1]))
    assert not close(np.ones(2), np.ones((1, 2)))
    assert not close(np.array("1"), np.array(1))
    assert not close(np.array(1 + 1j), np.array(1.0))
