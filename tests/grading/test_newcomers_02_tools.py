"""Lesson 02's two instruments as newcomers write them: what is wrong is told by its name."""

from __future__ import annotations

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def ratio_with(at_zero):
    def answer(before, after):
        ratios = {}
        for name, w in before.items():
            moved, size = np.linalg.norm(after[name] - w), np.linalg.norm(w)
            ratios[name] = moved / size if size else at_zero(moved)
        return ratios

    return answer


def ratio_of_lengths(length):
    def answer(before, after):
        ratios = {}
        for name, w in before.items():
            moved, size = length(after[name] - w), length(w)
            ratios[name] = moved / size if size else (np.inf if moved else 0.0)
        return ratios

    return answer


def tiny_below(before, after):
    return {k: np.linalg.norm(after[k] - w) / (np.linalg.norm(w) + 1e-15) for k, w in before.items()}


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (tiny_below, "next to nothing below instead of a guard"),
        (ratio_with(lambda moved: np.inf), "weights of zero always infinite"),
        (ratio_with(lambda moved: 0.0), "weights of zero always 0"),
        (ratio_of_lengths(lambda a: np.abs(a).max()), "the largest entry instead of the norm"),
        (ratio_of_lengths(lambda a: np.abs(a).sum()), "mean of the absolute values"),
    ],
)
def test_ratios_near_the_right_one_have_names(answer, slip):
    verdict = judge(ALL["update_to_weight_ratio"], answer)
    assert verdict.slip == slip, str(verdict)
    assert "should be no, and is yes" not in str(verdict)


def held_by(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


def missing_in_list(model, optimizer):
    held = held_by(optimizer)
    return [name for name, p in model.named_parameters() if p.requires_grad and p not in held]


def missing_in_list_frozen_too(model, optimizer):
    held = held_by(optimizer)
    return [name for name, p in model.named_parameters() if p not in held]


def missing_by_memory(model, optimizer):
    held = {p.data_ptr() for p in held_by(optimizer)}
    return [n for n, p in model.named_parameters() if p.requires_grad and p.data_ptr() not in held]


def missing_on_top(model, optimizer):
    held = {id(p) for p in held_by(optimizer)}
    named = model.named_parameters(recurse=False)
    return [name for name, p in named if p.requires_grad and id(p) not in held]


def missing_by_state(model, optimizer):
    return [n for n, p in model.named_parameters() if p.requires_grad and p not in optimizer.state]


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (missing_in_list, "looked up in a list"),
        (missing_in_list_frozen_too, "looked up in a list"),
        (missing_by_memory, "compared by memory"),
        (missing_on_top, "layers within are not looked into"),
        (missing_by_state, "those without a state"),
    ],
)
def test_ways_to_look_for_the_missing_have_names(answer, slip):
    assert judge(ALL["find_missing_parameters"], answer).slip == slip


def test_what_is_no_name_is_shown_on_one_line():
    def answer(model, optimizer):
        return list(model.parameters())

    text = str(judge(ALL["find_missing_parameters"], answer))
    assert "yours holds Parameter containing: tensor" in text
