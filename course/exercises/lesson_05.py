"""Lesson 05: ``adagrad``, ``rmsprop``, ``adam``, ``first_step_size``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from course.exercises import drive
from course.exercises.base import Case, Exercise
from course.exercises.draw import SHAPES, hard, plain
from course.exercises.lesson_05_adagrad_slips import adagrad_slips
from course.exercises.lesson_05_adam_slips import adam_slips
from course.exercises.lesson_05_rmsprop_slips import rmsprop_slips
from course.exercises.lesson_05_slips import first_step_slips
from course.rules import AdaGrad, Adam, RMSProp

__all__ = ["EXERCISES"]

Array = np.ndarray
MakeCase = Callable[..., Case]


def adagrad_reference(grad: Array, state: dict, param: Array, lr: float, eps: float) -> Any:
    """Step by the library's rule, which counts its steps too (for ``lr_decay``)."""
    delta, after = AdaGrad(lr=lr, eps=eps).update(grad, {"sum": state["sum"], "step": 0}, param)
    return delta, {"sum": after["sum"]}


def rmsprop_reference(grad: Array, state: dict, param: Array, lr: float, alpha: float, eps: float) -> Any:
    """Step by the library's rule."""
    return RMSProp(lr=lr, alpha=alpha, eps=eps).update(grad, state, param)


def adam_reference(
    grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, eps: float
) -> Any:
    """Step by the library's rule."""
    return Adam(lr=lr, betas=(beta1, beta2), eps=eps).update(grad, state, param)


def first_step_reference(grad: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
    """Take the library's first step, and its size."""
    rule, theta = Adam(lr=lr, betas=(beta1, beta2), eps=eps), np.zeros_like(grad)
    delta, _ = rule.update(np.asarray(grad), rule.init(theta), theta)
    return np.abs(delta)


def rule_case(cold: Callable[[tuple[int, ...], str], dict], **hyper: float) -> MakeCase:
    """Return what makes the cases of a rule whose state before the first step is ``cold(shape, dtype)``."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        steps, dtype = change.pop("steps", 1), change.pop("dtype", "float64")
        given = {
            "grads": [plain(shape, seed + 50 * t, dtype=dtype) for t in range(steps)],
            "state": cold(shape, dtype),
            "param": plain(shape, seed + 1, dtype=dtype),
            **hyper,
        }
        return Case(label, given | change, part)

    return case


def of_eps(case: MakeCase, warm: dict) -> Iterator[Case]:
    """Yield the cases in which eps counts, where a sum or mean of squares that is 0 leaves it alone."""
    yield case("a large eps", "formula", (1,), 1, eps=0.5)
    yield case("a large eps and a full state", "formula", (1,), 1, state=warm, eps=0.25)
    yield case("a zero gradient at the first step", "formula", (1,), 1, grads=[np.zeros(1)], eps=0.5)
    yield case("a gradient as small as eps", "formula", (1,), 2, grads=[np.array([-1e-6])], eps=1e-6)


def of_steps_and_edges(case: MakeCase) -> Iterator[Case]:
    """Yield longer runs, a changing learning rate, shapes, scales and float32."""
    yield case("two steps", "steps", (1,), 4, steps=2)
    yield case("two steps of two parameters", "steps", (2,), 5, steps=2, eps=0.5)
    yield case("six steps", "steps", (3,), 7, steps=6, eps=1e-3)
    yield case("a learning rate that changes", "steps", (2,), 8, steps=4, lr=[0.5, 0.1, 0.2, 0.0])
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed, steps=2, eps=1e-3)
    for scale in (1e-12, 1e12):
        grads = [hard((4,), s, scale) for s in (1, 2)]
        yield case(f"gradients around {scale:g}", "edges", (4,), 8, grads=grads, eps=1e-8)
    yield case("gradients with zeros", "edges", (12,), 8, grads=[hard((12,), s) for s in (1, 2, 3)], eps=1e-8)
    yield case("float32 arrays", "edges", (4,), 9, steps=2, dtype="float32", eps=1e-3)


def adagrad_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    case = rule_case(lambda shape, dtype: {"sum": np.zeros(shape, dtype)}, lr=0.1, eps=0.0)
    warm = {"sum": np.array([4.0])}
    yield case("the first step", "formula", (1,), 0)
    yield case("a sum that is already full", "formula", (1,), 1, state=warm)
    yield case("a sum smaller than 1", "formula", (1,), 2, state={"sum": np.array([0.25])}, lr=0.3)
    yield case("a zero gradient", "formula", (1,), 1, state=warm, grads=[np.zeros(1)])
    yield case("a negative gradient", "formula", (1,), 1, state=warm, grads=[np.array([-1.5])])
    both = {"sum": np.array([1.0, 9.0])}
    yield case("two parameters", "formula", (2,), 3, state=both, grads=[np.array([0.5, -2.0])])
    yield from of_eps(case, warm)
    yield from of_steps_and_edges(case)


def rmsprop_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    case = rule_case(lambda shape, dtype: {"square_avg": np.zeros(shape, dtype)}, lr=0.1, alpha=0.75, eps=0.0)
    warm = {"square_avg": np.array([4.0])}
    yield case("the first step", "formula", (1,), 0)
    yield case("a mean that is already full", "formula", (1,), 1, state=warm)
    yield case("alpha 0.9", "formula", (1,), 2, state={"square_avg": np.array([0.25])}, lr=0.3, alpha=0.9)
    yield case("alpha 0", "formula", (1,), 2, state=warm, alpha=0.0)
    yield case("a zero gradient", "formula", (1,), 1, state=warm, grads=[np.zeros(1)])
    yield case("a negative gradient", "formula", (1,), 1, state=warm, grads=[np.array([-1.5])])
    both = {"square_avg": np.array([1.0, 9.0])}
    yield case("two parameters", "formula", (2,), 3, state=both, grads=[np.array([0.5, -2.0])])
    yield from of_eps(case, warm)
    yield from of_steps_and_edges(case)


def adam_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def cold(shape: tuple[int, ...], dtype: str) -> dict:
        return {"m": np.zeros(shape, dtype), "v": np.zeros(shape, dtype), "step": 0}

    case = rule_case(cold, lr=0.1, beta1=0.5, beta2=0.9375, eps=0.0)
    warm = {"m": np.array([0.5]), "v": np.array([4.0]), "step": 2}
    old = {"m": np.array([-1.0]), "v": np.array([0.25]), "step": 40}
    yield case("the first step", "formula", (1,), 0)
    yield case("moments that are already full", "formula", (1,), 1, state=warm)
    yield case("moments that are old", "formula", (1,), 2, state=old, beta1=0.9, beta2=0.96875, lr=0.3)
    yield case("beta1 0", "formula", (1,), 2, state=warm, beta1=0.0)
    yield case("a zero gradient", "formula", (1,), 1, state=warm, grads=[np.zeros(1)])
    yield case("a negative gradient", "formula", (1,), 1, state=warm, grads=[np.array([-1.5])])
    both = {"m": np.array([0.5, -1.0]), "v": np.array([1.0, 9.0]), "step": 3}
    yield case("two parameters", "formula", (2,), 3, state=both, grads=[np.array([0.5, -2.0])])
    yield from of_eps(case, warm)
    usual = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    yield case("the usual betas over ten steps", "steps", (3,), 11, steps=10, **usual)
    yield from of_steps_and_edges(case)


def first_step_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str = "formula", **change: Any) -> Case:
        given = {"grad": np.array([2.0]), "lr": 0.1, "beta1": 0.5, "beta2": 0.9375, "eps": 0.5}
        return Case(label, given | change, part)

    yield case("eps 0", eps=0.0)
    yield case("an eps that counts")
    yield case("a negative gradient", grad=np.array([-0.5]))
    yield case("the usual betas", beta1=0.9, beta2=0.999, lr=0.3)
    yield case("beta1 0", beta1=0.0)
    yield case("a gradient below eps", grad=np.array([1e-9]), beta1=0.9, beta2=0.999, eps=1e-8)
    yield case("a zero gradient", grad=np.zeros(1))
    yield case("a gradient far above eps", grad=np.array([100.0]), eps=1e-8)
    yield case("several parameters", grad=np.array([4.0, -0.5, 0.0, 1e-3]))
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", grad=plain(shape, seed))
    for scale in (1e-12, 1e12):
        grad = hard((4,), 1, scale)
        yield case(f"gradients around {scale:g}", "edges", grad=grad, beta1=0.9, beta2=0.999, eps=1e-8)
    yield case("float32 arrays", "edges", grad=plain((4,), 9, dtype="float32"))


_MEANING = {"delta": "the amount to subtract"}
_ANY_ORDER = "neither needs the other"

EXERCISES = (
    Exercise(
        name="adagrad",
        lesson="05",
        arguments=("grad", "state", "param", "lr", "eps"),
        reference=adagrad_reference,
        drive=drive.rule("sum"),
        make_cases=adagrad_cases,
        slips=tuple(adagrad_slips),
        hints=(
            "First the sum takes the new squares in, then the step divides by its root.",
            "Everything is element by element: each parameter has a sum of its own.",
            "The divisor is the root of the new sum, plus eps. Above the line stands lr times the gradient.",
            "Return a new dict with the new sum; leave the one you were given alone.",
        ),
        meaning=_MEANING | {"state['sum']": "the sum of squares after the step"},
    ),
    Exercise(
        name="rmsprop",
        lesson="05",
        arguments=("grad", "state", "param", "lr", "alpha", "eps"),
        reference=rmsprop_reference,
        drive=drive.rule("square_avg"),
        make_cases=rmsprop_cases,
        slips=tuple(rmsprop_slips),
        hints=(
            "It is AdaGrad with a running mean where the sum was.",
            "A running mean keeps the share alpha of the old value, and takes 1 - alpha of the new one.",
            "What is averaged are the squares. The divisor is the root of the new mean, plus eps.",
        ),
        meaning=_MEANING | {"state['square_avg']": "the running mean of the squares after the step"},
    ),
    Exercise(
        name="adam",
        lesson="05",
        arguments=("grad", "state", "param", "lr", "beta1", "beta2", "eps"),
        reference=adam_reference,
        drive=drive.rule("m", "v", "step"),
        make_cases=adam_cases,
        slips=tuple(adam_slips),
        hints=(
            "Four things in this order: count the step, average, correct, step.",
            "m averages the gradient with beta1, v averages its square with beta2. Both start at 0.",
            "To correct is to divide by 1 - beta to the power of t, where t is 1 at the first step.",
            "The state keeps the means as they are. The corrected ones serve this one step.",
        ),
        meaning=_MEANING
        | {
            "state['m']": "the running mean of the gradient after the step",
            "state['v']": "the running mean of its square after the step",
            "state['step']": "the number of steps taken",
        },
        equivalent={
            "t = state['step'] + 1 -> m = beta1 * state['m'] + (1 - beta1) * grad": _ANY_ORDER,
            "m = beta1 * state['m'] + (1 - beta1) * grad -> "
            "v = beta2 * state['v'] + (1 - beta2) * grad ** 2": _ANY_ORDER,
            "v = beta2 * state['v'] + (1 - beta2) * grad ** 2 -> m_hat = m / (1 - beta1 ** t)": _ANY_ORDER,
            "m_hat = m / (1 - beta1 ** t) -> v_hat = v / (1 - beta2 ** t)": _ANY_ORDER,
        },
    ),
    Exercise(
        name="first_step_size",
        lesson="05",
        arguments=("grad", "lr", "beta1", "beta2", "eps"),
        reference=first_step_reference,
        drive=drive.function("size"),
        make_cases=first_step_cases,
        slips=tuple(first_step_slips),
        hints=(
            "Put zeros for m and v and t = 1 into Adam's formula, on paper.",
            "The first m is (1 - beta1) times the gradient. What does the correction divide it by?",
            "Both corrections cancel exactly. What is the root of the gradient's square?",
        ),
        meaning={"size": "the size of the first step"},
    ),
)
