"""Lesson 07 again: counts of zero, a NaN that must be seen, norms of any type, and what a verdict shows."""

import math
import re

import numpy as np
import pytest

from course.exercises import ALL
from course.exercises.base import Case, Seen
from course.exercises.lesson_07_scaler_slips import Right
from course.grading import judge
from course.grading.compare import _describe, show_inputs


def judged(name, answer):
    return judge(ALL[name], answer)


def windows(gradients, counts, k):
    return [(gradients[s : s + k], counts[s : s + k]) for s in range(0, len(gradients), k)]


def test_what_counts_nothing_fills_a_place_in_its_window():
    def accumulate(gradients, counts, k):
        p = [(g, n) for g, n in zip(gradients, counts, strict=True) if n]
        return [
            sum(n * g for g, n in p[s : s + k]) / sum(n for _, n in p[s : s + k]) for s in range(0, len(p), k)
        ]

    assert judged("accumulate", accumulate).slip == "what counts nothing loses its place"


def test_a_micro_batch_that_counts_keeps_its_nan():
    def accumulate(gradients, counts, k):
        return [
            np.nansum([n * g for g, n in zip(gs, ns, strict=True)], axis=0) / sum(ns)
            for gs, ns in windows(gradients, counts, k)
        ]

    assert judged("accumulate", accumulate).slip == "a NaN swallowed"


@pytest.mark.parametrize("rest", [True, False])
def test_a_step_at_the_first_micro_batch_is_told(rest):
    def accumulate(gradients, counts, k):
        steps, total, count = [], 0, 0
        for i, (g, n) in enumerate(zip(gradients, counts, strict=True)):
            if n:
                total, count = total + n * g, count + n
            if i % k == 0 or (rest and i == len(gradients) - 1):
                steps.append(total / count)
                total, count = 0, 0
        return steps

    named = judged("accumulate", accumulate).slip
    assert named == (
        "the first window closed after one micro-batch"
        if rest
        else "closed after one micro-batch, the rest lost"
    )


def test_a_window_that_is_never_cleared_is_called_that():
    def accumulate(gradients, counts, k):
        steps, total, count = [], 0, 0
        for s in range(0, len(gradients), k):
            for g, n in zip(gradients[s : s + k], counts[s : s + k], strict=True):
                if n:
                    total, count = total + n * g, count + n
            steps.append(total / count)
        return steps

    assert judged("accumulate", accumulate).slip == "nothing cleared after a step"


@pytest.mark.parametrize("root", [lambda x: float(np.sqrt(x)), math.sqrt, lambda x: np.array(math.sqrt(x))])
def test_a_norm_of_any_scalar_type_is_right(root):
    def clip_by_norm(gradients, max_norm):
        n = root(sum((g**2).sum() for g in gradients))
        return [g * min(1.0, max_norm / (float(n) + 1e-6)) for g in gradients], n

    assert judged("clip_by_norm", clip_by_norm).passed


def test_a_norm_that_is_an_array_of_one_is_no_number():
    def clip_by_norm(gradients, max_norm):
        n = np.sqrt(sum((g**2).sum() for g in gradients))
        return [g * min(1.0, max_norm / (n + 1e-6)) for g in gradients], np.reshape(n, (1,))

    assert not judged("clip_by_norm", clip_by_norm).passed


def test_the_array_that_widened_is_named_and_its_cause_is_a_possibility():
    def accumulate(gradients, counts, k):
        return [
            sum(n * g.astype(np.float64) for g, n in zip(gs, ns, strict=True) if n) / sum(ns)
            for gs, ns in windows(gradients, counts, k)
        ]

    message = judged("accumulate", accumulate).message
    assert message.startswith("steps[0] comes out as float64 where the inputs are float32; keep the dtype")
    assert "may" in message


def test_the_1e_6_without_parentheses_is_told():
    def clip_by_norm(gradients, max_norm):
        n = np.sqrt(sum((g**2).sum() for g in gradients))
        return [g * min(1.0, max_norm / n + 1e-6) for g in gradients], n

    assert judged("clip_by_norm", clip_by_norm).slip == "the 1e-6 beside the fraction"


def test_an_average_times_its_correction_is_told():
    def ema(average, param, decay, step):
        average = decay * average + (1 - decay) * param.astype(np.float32)
        return average, average * (1 - decay**step)

    assert judged("ema", ema).slip == "multiplied by the correction"


def test_an_increment_that_waits_is_told_as_such():
    class LossScaler(Right):
        def update(self):
            if not self.finite:
                self.shrink()
            elif self.good_steps == self.growth_interval:
                self.grow()
            else:
                self.good_steps += 1

    verdict = judged("LossScaler", LossScaler)
    assert verdict.slip == "one good step too late"
    assert "only when the scale does not grow" in verdict.message


# What the verdict shows
def wrong_ema(average, param, decay, step):
    average = decay * average + (1 - decay) * param.astype(np.float32)
    return average + np.float32(0.125), average / (1 - decay**step)


def test_inputs_are_shown_by_the_names_and_values_that_the_function_gets():
    shown = {name: show_inputs(ALL[name].cases[0]) for name in ("ema", "llm_step", "LossScaler", "sgd")}
    assert shown["ema"].startswith("average = [0], param = [4], decay = 0.75, step = 1")
    assert re.match(r"grads = \[\{", shown["llm_step"])
    assert re.search(r"tokens = \[[^\[]", shown["llm_step"])
    assert "grads = [[" in shown["LossScaler"]
    assert shown["sgd"].startswith("grad = [")
    later = next(case for case in ALL["ema"].cases if case.label == "three steps")
    assert "param = [1, 2], then [3, -1], then [2, 0.5]" in show_inputs(later)


def test_an_average_that_has_not_begun_stays_zero_in_the_smallest_case():
    told = dict(judged("ema", wrong_ema).evidence)
    assert told["with"].startswith("average = [0], param = [1]")
    for case in ALL["ema"].cases:
        assert case.inputs["step"] > 1 or not case.inputs["average"].any(), case.label


@pytest.mark.parametrize("name", ["accumulate", "warmup_cosine"])
def test_a_function_that_is_called_once_has_no_steps(name):
    for slip in ALL[name].slips:
        assert "at step 1" not in str(judged(name, slip.answer)).replace(", at step 1", "")


def test_the_step_of_ema_is_its_own():
    def ema(average, param, decay, step):
        average = decay * average + (1 - decay) * param.astype(np.float32)
        return average, average / (1 - decay ** min(step, 4))

    told = dict(judged("ema", ema).evidence)
    assert "step = 5" in told["with"]
    assert "yours at step 5" in told


@pytest.mark.parametrize("factor", [1.0002, 1.00002])
def test_a_factor_next_to_1_is_never_told_as_1(factor):
    right = np.array([1.5, 2.0])
    told = _describe(Case("", {}), Seen(1, "x", factor * right), Seen(1, "x", right), False)
    assert "is 1 times" not in told.factor
    assert told.mine != told.expected
