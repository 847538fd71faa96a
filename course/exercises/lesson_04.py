"""Lesson 04: ``heavy_ball``, ``nesterov``, ``optimal_heavy_ball``, ``ema_to_sum_form``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from course.exercises import drive
from course.exercises.base import Case, Exercise
from course.exercises.draw import SHAPES, hard, plain
from course.exercises.lesson_04_heavy_ball_slips import heavy_slips
from course.exercises.lesson_04_nesterov_slips import nesterov_slips
from course.exercises.lesson_04_slips import ema_slips, optimal_slips
from course.landscapes import Quadratic
from course.rules import HeavyBall

__all__ = ["EXERCISES"]

Array = np.ndarray


def heavy_reference(
    grad: Array, state: dict, param: Array, lr: float, momentum: float, dampening: float
) -> Any:
    """Step by the library's rule."""
    return HeavyBall(lr=lr, momentum=momentum, dampening=dampening).update(grad, state, param)


def heavy_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        steps = change.pop("steps", 1)
        given = {
            "grads": [plain(shape, seed + 50 * t) for t in range(steps)],
            "state": {"buffer": np.zeros(shape), "step": 0},
            "param": plain(shape, seed + 1),
            "lr": 0.1,
            "momentum": 0.7,
            "dampening": 0.0,
        }
        return Case(label, given | change, part)

    warm = {"buffer": np.array([2.0]), "step": 3}
    yield case("the first step", "formula", (1,), 0)
    yield case("a buffer that is already full", "formula", (1,), 1, state=warm)
    yield case("dampening", "formula", (1,), 1, state=warm, dampening=0.25)
    yield case("dampening at the first step", "formula", (1,), 2, dampening=0.25)
    yield case("momentum 0", "formula", (1,), 1, state=warm, momentum=0.0)
    yield case("a zero gradient", "formula", (1,), 1, state=warm, grads=[np.zeros(1)])
    still = {"buffer": np.zeros(1), "step": 3}
    yield case("a buffer that is zero again", "formula", (1,), 3, state=still, dampening=0.25)
    partly = {"buffer": np.array([0.0, 2.0]), "step": 3}
    yield case("a buffer with a zero in it", "formula", (2,), 3, state=partly, dampening=0.25)
    for seed, lr in enumerate((0.1, 0.3, 0.4, 0.6)):
        other = {"lr": lr, "momentum": (0.5, 0.9)[seed % 2], "dampening": seed / 8}
        yield case("two steps", "steps", (2,), seed, steps=2, **other)
    yield case("six steps", "steps", (3,), 7, steps=6, momentum=0.9)
    yield case(
        "a learning rate that changes", "steps", (2,), 8, steps=4, lr=[0.5, 0.1, 0.2, 0.0], momentum=0.9
    )
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed, steps=2)
    for scale in (1e-12, 1e12):
        yield case(
            f"gradients around {scale:g}", "edges", (4,), 8, grads=[hard((4,), s, scale) for s in (1, 2)]
        )
    low = {
        "grads": [plain((4,), s, dtype="float32") for s in (1, 2)],
        "param": plain((4,), 3, dtype="float32"),
    }
    yield case(
        "float32 arrays", "edges", (4,), 9, **low, state={"buffer": np.zeros(4, np.float32), "step": 0}
    )


def nesterov_reference(grad_fn: Any, state: dict, param: Array, lr: float, momentum: float) -> Any:
    """Step by Nesterov's form: the gradient where the momentum alone would carry the parameter."""
    carried = lr * momentum * state["velocity"]
    velocity = momentum * state["velocity"] + grad_fn(param - carried)
    return lr * velocity, {"velocity": velocity}


def nesterov_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        dtype = change.pop("dtype", "float64")
        given = {
            "curvature": np.abs(plain(shape, seed, dtype=dtype)),
            "slope": np.zeros(shape, dtype),
            "steps": 1,
            "state": {"velocity": np.zeros(shape, dtype)},
            "param": plain(shape, seed + 1, dtype=dtype),
            "lr": 0.1,
            "momentum": 0.5,
        }
        return Case(label, given | change, part)

    warm = {"velocity": np.array([2.0])}
    yield case("the first step", "formula", (1,), 0)
    yield case("a velocity that is already there", "formula", (1,), 1, state=warm)
    yield case("a constant slope", "formula", (1,), 2, state=warm, curvature=np.zeros(1), slope=np.ones(1))
    yield case("momentum 0", "formula", (1,), 1, state=warm, momentum=0.0)
    for seed in range(4):
        yield case(
            "two steps", "steps", (2,), seed, steps=2, momentum=(0.5, 0.9)[seed % 2], slope=plain((2,), 9)
        )
    yield case("six steps", "steps", (3,), 7, steps=6, momentum=0.9)
    yield case("a large learning rate", "steps", (2,), 8, steps=4, lr=0.25, momentum=0.75)
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed, steps=2)
    for scale in (1e-12, 1e12):
        param = hard((4,), 3, scale)
        yield case(f"parameters around {scale:g}", "edges", (4,), 8, param=param, steps=2)
    yield case("float32 arrays", "edges", (4,), 9, dtype="float32", steps=2)


def optimal_reference(smallest: float, largest: float) -> tuple[float, float]:
    """Return Polyak's optimum, as the landscape that has these curvatures knows it."""
    return Quadratic(np.diag([smallest, largest])).best_heavy_ball


def optimal_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    for smallest, largest in ((1.0, 4.0), (1.0, 9.0), (0.1, 1.0), (0.01, 1.0), (2.0, 50.0), (0.5, 100.0)):
        yield Case(f"curvatures {smallest:g} and {largest:g}", {"smallest": smallest, "largest": largest})
    yield Case("a perfectly round bowl", {"smallest": 2.0, "largest": 2.0}, "edges")
    yield Case("condition number 1e8", {"smallest": 1e-6, "largest": 100.0}, "edges")


def ema_reference(lr: float, beta: float) -> tuple[float, float]:
    """Return the pair that makes ``b = momentum b + g`` step as ``m = beta m + (1 - beta) g`` does.

    Found by running the averaged form for two steps, not by the formula.
    """
    m1 = (1 - beta) * 1.0  # the averages after a first gradient of 1 ...
    first, second = lr * m1, lr * beta * m1  # ... and the steps it causes, now and one step later
    return first, second / first if first else beta


def ema_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    for lr, beta in ((1.0, 0.5), (0.1, 0.9), (0.3, 0.99), (2.0, 0.25), (1e-3, 0.95)):
        yield Case(f"lr = {lr:g}, beta = {beta:g}", {"lr": lr, "beta": beta})
    yield Case("no averaging", {"lr": 0.1, "beta": 0.0}, "edges")
    yield Case("beta = 0.9999", {"lr": 0.1, "beta": 0.9999}, "edges")
    yield Case("lr = 0", {"lr": 0.0, "beta": 0.9}, "edges")


EXERCISES = (
    Exercise(
        name="heavy_ball",
        lesson="04",
        arguments=("grad", "state", "param", "lr", "momentum", "dampening"),
        reference=heavy_reference,
        drive=drive.rule("buffer", "step"),
        make_cases=heavy_cases,
        slips=tuple(heavy_slips),
        hints=(
            "The buffer takes the gradient in, the step is made from the buffer, the count goes up.",
            "buffer = momentum * old buffer + (1 - dampening) * gradient. The lr comes in only in delta.",
            "At the first step (state['step'] is 0) the buffer is the gradient itself, undampened.",
            "Return a new dict {'buffer': ..., 'step': ...}; leave the one you were given alone.",
        ),
        meaning={
            "delta": "the amount to subtract",
            "state['buffer']": "the buffer after the step",
            "state['step']": "the number of steps taken",
        },
    ),
    Exercise(
        name="nesterov",
        lesson="04",
        arguments=("grad_fn", "state", "param", "lr", "momentum"),
        reference=nesterov_reference,
        drive=drive.rule_of_gradient_function("velocity"),
        make_cases=nesterov_cases,
        slips=tuple(nesterov_slips),
        hints=(
            "Before you measure, go where the momentum alone would take you: the look-ahead point.",
            "The old velocity alone would move param by lr * momentum * velocity (it has no lr in it).",
            "g = grad_fn(look-ahead); then velocity = momentum * velocity + g; delta = lr * velocity.",
        ),
        meaning={"delta": "the amount to subtract", "state['velocity']": "the velocity after the step"},
    ),
    Exercise(
        name="optimal_heavy_ball",
        lesson="04",
        arguments=("smallest", "largest"),
        reference=optimal_reference,
        drive=drive.function("lr", "momentum"),
        make_cases=optimal_cases,
        slips=tuple(optimal_slips),
        hints=(
            "Everything depends on the roots of the two curvatures.",
            "lr is the square of 2 over the sum of the roots.",
            "momentum is the square of (difference over sum of the roots). Return (lr, momentum).",
        ),
        equivalent={
            "lr = (2 / (high + low)) ** 2 -> momentum = ((high - low) / (high + low)) ** 2": "in any order",
            "low, high = (np.sqrt(smallest), np.sqrt(largest)) -> "
            "low, high = (np.sqrt(largest), np.sqrt(smallest))": "sum and square do not change",
            "lr = (2 / (high + low)) ** 2 -> lr = (-2 / (high + low)) ** 2": "the square takes the sign away",
            "momentum = ((high - low) / (high + low)) ** 2 -> "
            "momentum = ((low - high) / (high + low)) ** 2": "the square takes the sign away",
        },
    ),
    Exercise(
        name="ema_to_sum_form",
        lesson="04",
        arguments=("lr", "beta"),
        reference=ema_reference,
        drive=drive.function("lr", "momentum"),
        make_cases=ema_cases,
        slips=tuple(ema_slips),
        hints=(
            "Unroll both forms for two steps with a gradient of 1, then 0.",
            "Both forget at the same speed: momentum equals beta.",
            "The average keeps a share 1 - beta of each gradient. Put that share into the learning rate.",
        ),
        meaning={"lr": "the learning rate of the sum form", "momentum": "the momentum of the sum form"},
    ),
)
