"""What newcomers write in lesson 07: right in another way, or wrong, and then told which mistake it is."""

import numpy as np
import pytest

from course.exercises import ALL
from course.exercises.base import Case, Seen
from course.grading import judge
from course.grading.compare import _describe


def judged(name, answer):
    return judge(ALL[name], answer)


# clip_by_norm
def only_if_too_long(gradients, max_norm):
    norm = np.sqrt(np.sum([np.sum(np.square(g)) for g in gradients], dtype=gradients[0].dtype))
    if norm > max_norm:
        gradients = [g * (max_norm / (norm + 1e-6)) for g in gradients]
    return gradients, norm


def as_one_long_vector(gradients, max_norm):
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))
    return tuple(g * np.minimum(max_norm / (norm + 1e-6), 1).astype(g.dtype) for g in gradients), norm


def divide_by_the_larger_one(gradients, max_norm):
    norm = sum((g * g).sum() for g in gradients) ** 0.5
    clipped = [g.copy() for g in gradients]
    if max_norm < norm:
        for g in clipped:
            g *= max_norm / (norm + 1e-6)
    return clipped, norm


def norm_of_norms(gradients, max_norm):
    norm = np.linalg.norm([np.linalg.norm(g) for g in gradients])
    return [g * min(1.0, max_norm / (norm + 1e-6)) for g in gradients], norm


@pytest.mark.parametrize(
    "answer", [only_if_too_long, as_one_long_vector, divide_by_the_larger_one, norm_of_norms]
)
def test_other_ways_to_clip_by_norm_are_right(answer):
    verdict = judged("clip_by_norm", answer)
    assert verdict.passed, str(verdict)


def test_a_norm_in_float64_costs_one_point_in_float32_and_is_told():
    def clip_by_norm(gradients, max_norm):
        norm = np.sqrt(sum(float(np.sum(g**2)) for g in gradients))
        return [g * min(1.0, max_norm / (norm + 1e-6)) for g in gradients], norm

    verdict = judged("clip_by_norm", clip_by_norm)
    assert verdict.points - verdict.score == 1
    assert "float32" in verdict.message


def test_one_array_where_a_list_belongs_is_told():
    def clip_by_norm(gradients, max_norm):
        return gradients[0], max_norm

    assert "must be a list of arrays" in judged("clip_by_norm", clip_by_norm).message
    assert "clipped, norm" in judged("clip_by_norm", lambda gradients, max_norm: gradients * 3).message
    assert "returned None" in judged("clip_by_norm", lambda gradients, max_norm: None).message


def test_the_lesson_before_its_list_comprehension_is_per_tensor():
    def clip_by_norm(gradients, max_norm):
        clipped = []
        for g in gradients:
            n = np.linalg.norm(g)
            clipped.append(g * min(1, max_norm / (n + 1e-6)))
        return clipped, np.sqrt(sum((g**2).sum() for g in gradients))

    assert judged("clip_by_norm", clip_by_norm).slip == "each array by its own norm"


# clip_by_value
@pytest.mark.parametrize(
    "answer",
    [
        lambda gradients, limit: [np.clip(g, -limit, limit) for g in gradients],
        lambda gradients, limit: [g.clip(min=-limit, max=limit) for g in gradients],
        lambda gradients, limit: [
            np.asarray(np.where(g > limit, limit, np.where(g < -limit, -limit, g)), g.dtype)
            for g in gradients
        ],
    ],
    ids=["np.clip", "method", "where"],
)
def test_other_ways_to_clip_by_value_are_right(answer):
    verdict = judged("clip_by_value", answer)
    assert verdict.passed, str(verdict)


def test_the_sign_times_the_smaller_size_is_right_too():
    def clip_by_value(gradients, limit):
        return [np.sign(g) * np.minimum(np.abs(g), limit) for g in gradients]

    assert judged("clip_by_value", clip_by_value).passed


def test_where_infinities_and_nan_agree_the_difference_is_told_elsewhere():
    case = Case("", {})
    mine, right = np.array([np.inf, np.nan, 1.0]), np.array([np.inf, np.nan, 2.0])
    told = _describe(case, Seen(1, "x", mine), Seen(1, "x", right), False)
    assert "index (2,): 1 instead of 2" in told.factor


# accumulate
def with_a_counter(gradients, counts, k):
    steps, total, count = [], 0, 0
    for i, (g, n) in enumerate(zip(gradients, counts, strict=True), start=1):
        if n:
            total, count = total + g * n, count + n
        if i % k == 0 or i == len(gradients):
            steps.append(total / count)
            total, count = 0, 0
    return steps


def weights_first(gradients, counts, k):
    steps = []
    for s in range(0, len(gradients), k):
        pairs = [(g, n) for g, n in zip(gradients[s : s + k], counts[s : s + k], strict=True) if n != 0]
        whole = sum(n for _, n in pairs)
        steps.append(sum(n / whole * g for g, n in pairs))
    return steps


@pytest.mark.parametrize("answer", [with_a_counter, weights_first])
def test_other_ways_to_accumulate_are_right(answer):
    verdict = judged("accumulate", answer)
    assert verdict.passed, str(verdict)


def test_a_counter_that_forgets_the_rest_is_told():
    def accumulate(gradients, counts, k):
        steps, total, count = [], 0, 0
        for i, (g, n) in enumerate(zip(gradients, counts, strict=True), start=1):
            if n:
                total, count = total + g * n, count + n
            if i % k == 0:
                steps.append(total / count)
                total, count = 0, 0
        return steps

    assert judged("accumulate", accumulate).slip == "the last partial window dropped"


def test_a_total_that_is_changed_in_place_changes_the_first_gradient_and_is_told():
    def accumulate(gradients, counts, k):
        steps = []
        for s in range(0, len(gradients), k):
            total = gradients[s]
            total *= counts[s]
            for g, n in zip(gradients[s + 1 : s + k], counts[s + 1 : s + k], strict=True):
                total = total + n * g
            steps.append(total / sum(counts[s : s + k]))
        return steps

    assert "in place" in str(judged("accumulate", accumulate))


def test_popping_from_the_callers_list_is_told():
    def accumulate(gradients, counts, k):
        result = with_a_counter(gradients, counts, k)
        gradients.pop()
        return result

    assert "changed its input gradients" in judged("accumulate", accumulate).message


# ema
def as_a_blend(average, param, decay, step):
    average = average + (1 - decay) * (param.astype(np.float32) - average)
    return average, average / (1 - decay**step)


def widened_first(average, param, decay, step):
    param = np.float32(param)
    average = np.float32(decay) * average + np.float32(1 - decay) * param
    return average, average / np.float32(1 - decay**step)


@pytest.mark.parametrize("answer", [as_a_blend, widened_first])
def test_other_ways_to_average_are_right(answer):
    verdict = judged("ema", answer)
    assert verdict.passed, str(verdict)


def test_the_share_that_numpy_leaves_in_float16_is_told():
    def ema(average, param, decay, step):
        average = decay * average + (1 - decay) * param
        return average, average / (1 - decay**step)

    assert judged("ema", ema).slip == "the share in float16"
