"""Lesson 06: ``adam_l2``, ``adamw``, ``decay_groups``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from course.exercises import drive
from course.exercises.base import Case, Exercise
from course.exercises.draw import SHAPES, hard, plain
from course.exercises.lesson_06_adam_slips import adam_l2_slips
from course.exercises.lesson_06_adamw_slips import adamw_slips
from course.exercises.lesson_06_groups import drive_groups, group_cases, group_reference
from course.exercises.lesson_06_groups_slips import group_slips
from course.rules import Adam, AdamW

__all__ = ["EXERCISES"]

Array = np.ndarray
ARGUMENTS = ("grad", "state", "param", "lr", "beta1", "beta2", "eps", "weight_decay")
MEANING = {
    "delta": "the amount to subtract",
    "state['m']": "the running mean of the gradients after the step",
    "state['v']": "the running mean of their squares after the step",
    "state['step']": "the number of steps taken",
}


def reference(rule: type[Adam]) -> Callable[..., Any]:
    """Return an answer that steps by the library's rule."""

    def answer(
        grad: Array, state: dict, param: Array,
        lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
    ) -> Any:  # fmt: skip
        made = rule(lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
        return made.update(grad, state, param)

    return answer


def adam_cases() -> Iterator[Case]:
    """Yield the cases of both rules, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        steps, dtype = change.pop("steps", 1), change.pop("dtype", "float64")
        given = {
            "grads": [plain(shape, seed + 50 * t, dtype=dtype) for t in range(steps)],
            "state": {"m": np.zeros(shape, dtype), "v": np.zeros(shape, dtype), "step": 0},
            "param": plain(shape, seed + 1, dtype=dtype),
            "lr": 0.1,
            "beta1": 0.5,
            "beta2": 0.9375,  # 1 - beta1 is not the root of 1 - beta2, or the corrections would cancel
            "eps": 1e-3,
            "weight_decay": 0.25,
        }
        return Case(label, given | change, part)

    warm = {"m": np.array([2.0]), "v": np.array([9.0]), "step": 3}
    yield case("no decay", "formula", (1,), 0, weight_decay=0.0)
    yield case("weight decay", "formula", (1,), 0)
    yield case("a state that is already warm", "formula", (1,), 1, state=warm)
    large = {"grads": [np.array([0.25])], "param": np.array([8.0])}
    yield case("a small gradient and a large weight", "formula", (1,), 1, state=warm, **large)
    yield case("a zero gradient", "formula", (1,), 2, state=warm, grads=[np.zeros(1)])
    yield case("a zero gradient at the first step", "formula", (1,), 2, grads=[np.zeros(1)])
    yield case("a parameter that is zero", "formula", (1,), 3, state=warm, param=np.zeros(1))
    for seed, lr in enumerate((0.3, 0.5, 0.05)):
        other = {"lr": lr, "beta2": (0.9, 0.99)[seed % 2], "weight_decay": (0.5, 0.1, 2.0)[seed]}
        yield case("two steps", "steps", (2,), seed + 4, steps=2, **other)
    yield case("the usual hyperparameters, six steps", "steps", (3,), 7, steps=6, **USUAL)
    rates = [0.5, 0.1, 0.2, 0.0]
    yield case("a learning rate that changes", "steps", (2,), 8, steps=4, lr=rates)
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed, steps=2)
    for scale in (1e-12, 1e12):
        grads = [hard((4,), s, scale) for s in (1, 2)]
        yield case(f"gradients around {scale:g}", "edges", (4,), 8, grads=grads, eps=1e-8)
    yield case("parameters around 1e6", "edges", (4,), 8, param=hard((4,), 6, 1e6), steps=2)
    yield case("betas of zero", "edges", (2,), 9, steps=2, beta1=0.0, beta2=0.0)
    yield case("a learning rate of zero", "edges", (2,), 9, steps=2, lr=0.0)
    yield case("float32 arrays", "edges", (4,), 9, steps=2, dtype="float32")


USUAL = {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1}

# Mutants that do the same: neighbouring lines of which neither needs the other.
NEIGHBOURS = {
    before + " -> " + after: "neither line needs the other"
    for before, after in (
        ("step = state['step'] + 1", "m = beta1 * state['m'] + (1 - beta1) * {g}"),
        ("m = beta1 * state['m'] + (1 - beta1) * {g}", "v = beta2 * state['v'] + (1 - beta2) * {g} ** 2"),
        ("v = beta2 * state['v'] + (1 - beta2) * {g} ** 2", "m_hat = m / (1 - beta1 ** step)"),
        ("m_hat = m / (1 - beta1 ** step)", "v_hat = v / (1 - beta2 ** step)"),
    )
}


EXERCISES = (
    Exercise(
        name="adam_l2",
        lesson="06",
        arguments=ARGUMENTS,
        reference=reference(Adam),
        drive=drive.rule("m", "v", "step"),
        make_cases=adam_cases,
        slips=tuple(adam_l2_slips),
        hints=(
            "Start from Adam. The penalty changes one thing only: the gradient.",
            "The gradient of weight_decay / 2 * param**2 is weight_decay * param.",
            "First line: grad = grad + weight_decay * param (not +=). Then Adam as it is.",
        ),
        meaning=MEANING,
        equivalent={
            "g = grad + weight_decay * param -> step = state['step'] + 1": "neither line needs the other",
            **{change.replace("{g}", "g"): reason for change, reason in NEIGHBOURS.items()},
        },
    ),
    Exercise(
        name="adamw",
        lesson="06",
        arguments=ARGUMENTS,
        reference=reference(AdamW),
        drive=drive.rule("m", "v", "step"),
        make_cases=adam_cases,
        slips=tuple(adamw_slips),
        hints=(
            "Start from Adam. m and v take the bare gradient, as if there were no decay.",
            "The parameter loses the share lr * weight_decay of itself, beside Adam's step.",
            "delta = lr * weight_decay * param + lr * m_hat / (sqrt(v_hat) + eps).",
        ),
        meaning=MEANING,
        equivalent={change.replace("{g}", "grad"): reason for change, reason in NEIGHBOURS.items()},
    ),
    Exercise(
        name="decay_groups",
        lesson="06",
        arguments=("named_parameters", "weight_decay"),
        reference=group_reference,
        drive=drive_groups,
        make_cases=group_cases,
        slips=tuple(group_slips),
        hints=(
            "Walk through the pairs once; put each parameter into one of two lists by parameter.dim().",
            "Skip those with requires_grad False, and those that you have met before: keep a set of id(p).",
            'Return two dicts: {"params": decayed, "weight_decay": weight_decay}, and the rest with 0.0.',
        ),
        equivalent={
            "seen.add(id(p)) -> (decayed if p.dim() >= 2 else rest).append(p)": "in any order",
            " -> ".join(
                "return [{'params': decayed, 'weight_decay': weight_decay}, "
                f"{{'params': rest, 'weight_decay': {zero}}}]"
                for zero in ("0.0", "-0.0")
            ): "minus zero is zero",
        },
    ),
)
