"""Lesson 03: ``sgd``, ``largest_stable_lr``, ``steps_to_tolerance``, ``robbins_monro_mean``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from course.exercises import drive
from course.exercises.base import Case, Exercise
from course.exercises.draw import SHAPES, hard, plain
from course.exercises.lesson_03_sgd_slips import sgd_slips
from course.exercises.lesson_03_slips import (
    mean_slips,
    stable_slips,
    steps_needed,
    steps_slips,
)
from course.landscapes import Quadratic
from course.rules import SGD

__all__ = ["EXERCISES"]

Array = np.ndarray


# ---------------------------------------------------------------- sgd
def sgd_reference(grad: Array, state: dict, param: Array, lr: float, weight_decay: float) -> Any:
    """Step by the library's rule."""
    return SGD(lr=lr, weight_decay=weight_decay).update(grad, {}, param)


def sgd_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        steps = change.pop("steps", 1)
        grads = [plain(shape, seed + 50 * t) for t in range(steps)]
        given = {"grads": grads, "state": {}, "param": plain(shape, seed + 1), "lr": 0.1, "weight_decay": 0.0}
        return Case(label, given | change, part)

    yield case("one parameter, no decay", "formula", (1,), 0)
    yield case("one parameter, weight decay", "formula", (1,), 1, weight_decay=0.5)
    yield case("a zero gradient, weight decay", "formula", (1,), 1, grads=[np.zeros(1)], weight_decay=0.5)
    for seed in range(5):
        yield case(
            "three parameters", "formula", (3,), seed, lr=(0.1, 0.5, 1.0)[seed % 3], weight_decay=seed / 8
        )
    yield case("three steps", "steps", (2,), 4, steps=3, weight_decay=0.25)
    yield case(
        "a learning rate that changes", "steps", (2,), 5, steps=3, lr=[0.5, 0.1, 0.2], weight_decay=0.25
    )
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed, weight_decay=0.25)
    for scale in (1e-12, 1e12):
        yield case(
            f"gradients around {scale:g}", "edges", (4,), 8, grads=[hard((4,), 8, scale)], weight_decay=0.25
        )
    single = [plain((4,), 9, dtype="float32")]
    param = plain((4,), 10, dtype="float32")
    yield case("float32 arrays", "edges", (4,), 9, grads=single, param=param, weight_decay=0.25)


# ---------------------------------------------------------------- largest_stable_lr
def stable_reference(hessian: Array) -> float:
    """Return ``2 / L`` by the spectral norm, which for these matrices is the largest eigenvalue."""
    return float(2 / np.linalg.norm(hessian, 2))


def stable_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    yield Case("one direction of curvature 4", {"hessian": np.array([[4.0]])})
    yield Case("curvatures 1 and 4", {"hessian": np.diag([4.0, 1.0])})
    yield Case("the steepest direction last", {"hessian": np.diag([1.0, 4.0])})
    for condition, angle in ((3.0, 0.4), (10.0, 0.7), (100.0, 1.2)):
        yield Case("a rotated ravine", {"hessian": Quadratic.of(condition, angle, largest=2.0).matrix})
    for seed in range(4):
        root = np.random.default_rng(seed).normal(size=(4, 4))
        yield Case("four directions", {"hessian": root @ root.T + 0.1 * np.eye(4)})
    yield Case("hardly any curvature", {"hessian": np.diag([1e-9, 3e-9])}, "edges")
    yield Case("huge curvature", {"hessian": np.diag([1e9, 3e9])}, "edges")
    yield Case("condition number 1", {"hessian": 2 * np.eye(3)}, "edges")


# ---------------------------------------------------------------- steps_to_tolerance
def steps_reference(condition: float, tolerance: float) -> int:
    """Count by the best rate of gradient descent, ``(k - 1) / (k + 1)``."""
    return steps_needed((condition - 1) / (condition + 1), tolerance)


def steps_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    for condition, tolerance in (
        (3.0, 0.2),
        (3.0, 0.4),
        (10.0, 0.1),
        (10.0, 1e-6),
        (100.0, 1e-3),
        (1e4, 1e-8),
        (7.0, 0.03),
    ):
        yield Case(f"k = {condition:g}", {"condition": condition, "tolerance": tolerance})
    yield Case("a perfectly round bowl", {"condition": 1.0, "tolerance": 1e-6}, "edges")
    yield Case("nothing to do", {"condition": 10.0, "tolerance": 1.0}, "edges")
    yield Case("a round bowl and nothing to do", {"condition": 1.0, "tolerance": 1.0}, "edges")


# ---------------------------------------------------------------- robbins_monro_mean
def mean_reference(samples: Array) -> Array:
    """Return the running means, computed as sums over counts."""
    return np.asarray(np.cumsum(samples) / np.arange(1, len(samples) + 1), dtype=np.asarray(samples).dtype)


def mean_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    yield Case("one sample", {"samples": np.array([3.0])})
    yield Case("two samples", {"samples": np.array([2.0, 4.0])})
    for n, seed in ((3, 0), (5, 1), (20, 2), (200, 3)):
        yield Case(f"{n} samples", {"samples": plain((n,), seed)})
    yield Case("no samples", {"samples": np.zeros(0)}, "edges")
    yield Case("samples around 1e9", {"samples": hard((6,), 4, 1e9)}, "edges")
    yield Case("equal samples", {"samples": np.full(5, 2.5)}, "edges")


EXERCISES = (
    Exercise(
        name="sgd",
        lesson="03",
        arguments=("grad", "state", "param", "lr", "weight_decay"),
        reference=sgd_reference,
        drive=drive.rule(),
        make_cases=sgd_cases,
        slips=tuple(sgd_slips),
        hints=(
            "First without decay: delta is what the caller subtracts from param.",
            "An L2 penalty adds weight_decay * param to the gradient, before anything else happens.",
            "delta is lr times (gradient plus decay). Return it together with state, as it came.",
        ),
        meaning={"delta": "the amount to subtract"},
    ),
    Exercise(
        name="largest_stable_lr",
        lesson="03",
        arguments=("hessian",),
        reference=stable_reference,
        drive=drive.function("lr"),
        make_cases=stable_cases,
        slips=tuple(stable_slips),
        hints=(
            "Along an eigenvector with curvature h, one step multiplies the distance by 1 - lr * h.",
            "It shrinks as long as that factor lies between -1 and 1. The largest h decides.",
            "np.linalg.eigvalsh(hessian) gives the curvatures, smallest first. The limit is 2 over the last.",
        ),
        meaning={"lr": "the limit of the learning rate"},
    ),
    Exercise(
        name="steps_to_tolerance",
        lesson="03",
        arguments=("condition", "tolerance"),
        reference=steps_reference,
        drive=drive.function("steps", integer=True),
        make_cases=steps_cases,
        slips=tuple(steps_slips),
        hints=(
            "At the best learning rate each step multiplies the distance by r = (k - 1)/(k + 1).",
            "You look for the smallest whole n with r**n <= tolerance. Logarithms turn that around.",
            "For k = 1 the factor is 0, which has no logarithm: one step is enough. A loop works too.",
        ),
        meaning={"steps": "the number of steps"},
        positions=frozenset({"steps"}),
        equivalent={
            "if condition == 1: -> factor = (condition - 1) / (condition + 1)": "the branch needs no factor",
        },
    ),
    Exercise(
        name="robbins_monro_mean",
        lesson="03",
        arguments=("samples",),
        reference=mean_reference,
        drive=drive.function("path"),
        make_cases=mean_cases,
        slips=tuple(mean_slips),
        hints=(
            "Start at theta = 0. For each sample x, the gradient of (theta - x)**2 / 2 is theta - x.",
            "At step t (counted from 1) the learning rate is 1/t.",
            "Append theta after every step to a list and return np.array of it.",
        ),
        meaning={"path": "theta after each sample"},
        equivalent={
            f"theta, path = (0.0, []) -> theta, path = ({start}, [])": "the first step goes all the way"
            for start in ("1.0", "-1.0", "-0.0")
        },
    ),
)
