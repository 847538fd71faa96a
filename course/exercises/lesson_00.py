"""Lesson 00: ``step_downhill``, the one line that all rules share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from course.exercises import drive
from course.exercises.base import Case, Exercise, Slips
from course.exercises.draw import SHAPES, hard, plain
from course.rules import SGD

__all__ = ["EXERCISES"]

slips = Slips()


@slips(
    "uphill",
    "You add the step. The gradient points to where the loss grows, so this climbs.",
    "Which sign takes you against the gradient?",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    return theta + lr * gradient


@slips(
    "no learning rate",
    "You subtract the whole gradient; lr is not used.",
    "The gradient gives the direction. What sets the length of the step?",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    return theta - gradient


@slips(
    "the step instead of the new place",
    "You return the step lr * gradient, not the parameter after the step.",
    "Your step is right. Where does theta stand after it?",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    return lr * gradient


@slips(
    "minus the step",
    "You return -lr * gradient, the move, not the parameter after the move.",
    "The move is right. Where does theta stand after it?",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    return -lr * gradient


@slips(
    "divided by the learning rate",
    "You divide the gradient by lr: a small learning rate then takes a huge step.",
    "A smaller lr must give a shorter step.",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    return theta - gradient / lr


@slips(
    "learning rate on the parameter",
    "lr multiplies theta as well: the parameter shrinks even where the gradient is zero.",
    "With a zero gradient, theta must stay as it is. Check your brackets.",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    return lr * (theta - gradient)


@slips(
    "only the direction",
    "You use the sign of the gradient, so every step has the same length.",
    "A steep slope should move theta further than a gentle one.",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    return theta - lr * np.sign(gradient)


@slips(
    "theta changed in place",
    "The value is right, but you wrote it into the caller's own array (-= does that).",
    "Make a new array: theta - ... does, theta -= ... does not.",
)
def _(theta: Any, gradient: Any, lr: float) -> Any:
    theta -= lr * gradient
    return theta


def reference(theta: Any, gradient: Any, lr: float) -> Any:
    """Step by the library's rule."""
    rule = SGD(lr=lr)
    delta, _ = rule.update(gradient, rule.init(theta), theta)
    return theta - delta


def cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    yield Case("one parameter", {"theta": np.array([1.0]), "gradient": np.array([2.0]), "lr": 0.25})
    yield Case("lr = 0", {"theta": np.array([1.0]), "gradient": np.array([2.0]), "lr": 0.0}, "edges")
    yield Case("a zero gradient", {"theta": np.array([1.5]), "gradient": np.zeros(1), "lr": 0.5}, "edges")
    for seed in range(6):
        given = {
            "theta": plain((3,), seed),
            "gradient": plain((3,), seed + 50),
            "lr": (0.1, 0.5, 2.0)[seed % 3],
        }
        yield Case("three parameters", given)
    for seed, shape in enumerate(SHAPES):
        given = {"theta": plain(shape, seed), "gradient": plain(shape, seed + 50), "lr": 0.1}
        yield Case(f"shape {shape}", given, "edges")
    for scale in (1e-12, 1e12):
        given = {"theta": plain((4,), 7), "gradient": hard((4,), 8, scale), "lr": 0.1}
        yield Case(f"gradients around {scale:g}", given, "edges")
    given = {"theta": plain((4,), 7, dtype="float32"), "gradient": plain((4,), 9, dtype="float32"), "lr": 0.1}
    yield Case("float32 arrays", given, "edges")


EXERCISES = (
    Exercise(
        name="step_downhill",
        lesson="00",
        arguments=("theta", "gradient", "lr"),
        reference=reference,
        drive=drive.function("theta"),
        make_cases=cases,
        slips=tuple(slips),
        hints=(
            "The gradient points uphill. You want to go the other way.",
            "The step is the gradient times the learning rate lr. Subtract it from theta.",
            "Return the new theta, as a new array: new theta = old theta minus (lr times gradient).",
        ),
        meaning={"theta": "the parameter after the step"},
        positions=frozenset({"theta"}),
    ),
)
