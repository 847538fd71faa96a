"""The cases of lesson 08."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from course.exercises.base import Case
from course.exercises.draw import SHAPES, hard, plain

Array = np.ndarray
Layers = dict[str, Array]
Shapes = dict[str, tuple[int, ...]]

__all__ = [
    "lamb_cases",
    "lars_cases",
    "lion_cases",
    "muon_cases",
    "newton_schulz_cases",
    "sophia_cases",
]


def _layered(shapes: Shapes, seed: int, dtype: str = "float64", **draw: float) -> Layers:
    return {k: plain(shape, seed + 7 * i, dtype=dtype, **draw) for i, (k, shape) in enumerate(shapes.items())}


def _layer_case(
    label: str, part: str, shapes: Shapes, seed: int, entries: tuple[str, ...],
    hyper: dict[str, Any], change: dict[str, Any],
) -> Case:  # fmt: skip
    """Return a case of several layers; ``change`` may set the number of steps, the dtype, or any input."""
    steps, dtype = change.pop("steps", 1), change.pop("dtype", "float64")
    empty = {
        k: {name: 0 if name == "step" else np.zeros(shape, dtype) for name in entries}
        for k, shape in shapes.items()
    }
    given = {
        "grads": [_layered(shapes, seed + 50 * t, dtype) for t in range(steps)],
        "state": empty,
        "params": _layered(shapes, seed + 1, dtype),
    }
    return Case(label, given | hyper | change, part)


ONE: Shapes = {"first": (2,)}
TWO: Shapes = {"first": (2,), "last": (3,)}


def _hard_layers(seed: int, scale: float) -> Layers:
    return {k: hard(shape, seed + i, scale) for i, (k, shape) in enumerate(TWO.items())}


def lars_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    hyper = {"lr": 0.5, "momentum": 0.75, "weight_decay": 0.0, "trust_coefficient": 0.1}

    def case(label: str, part: str, shapes: Shapes, seed: int, **change: Any) -> Case:
        return _layer_case(label, part, shapes, seed, ("buffer",), hyper, change)

    warm = {"first": {"buffer": np.array([2.0, -1.0])}}
    zero = {"first": np.zeros(2)}
    simple = {"grads": [{"first": np.array([0.0, 2.0])}], "params": {"first": np.array([3.0, 4.0])}}
    yield case("one layer", "formula", ONE, 0, **simple)
    yield case("weight decay", "formula", ONE, 0, **simple, weight_decay=0.5)
    yield case("a buffer that is already full", "formula", ONE, 1, state=warm)
    yield case("two layers of different size", "formula", TWO, 2, weight_decay=0.25)
    small = {"grads": [{"first": np.array([0.1, 0.2])}], "params": {"first": np.array([0.3, -0.4])}}
    yield case("small weights, a small gradient", "formula", ONE, 2, **small, weight_decay=0.25)
    yield case("a matrix", "formula", {"first": (2, 3)}, 3, weight_decay=0.1)
    yield case("a layer of zeros", "formula", ONE, 4, params=zero)
    yield case("a layer of zeros, with decay", "formula", ONE, 4, params=zero, weight_decay=0.5)
    yield case("a zero gradient", "formula", ONE, 5, grads=[zero], state=warm)
    yield case("a zero gradient, with decay", "formula", ONE, 5, grads=[zero], state=warm, weight_decay=0.5)
    for seed, lr in enumerate((0.1, 0.3, 2.0)):
        other = {"lr": lr, "momentum": (0.5, 0.9)[seed % 2], "trust_coefficient": (0.001, 0.02, 0.3)[seed]}
        yield case("two steps", "steps", TWO, seed, steps=2, weight_decay=seed / 8, **other)
    yield case("a learning rate that changes", "steps", TWO, 8, steps=4, lr=[0.5, 0.1, 0.2, 0.0])
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", {"first": shape}, seed, steps=2, weight_decay=0.1)
    for scale in (1e-12, 1e12):
        grads = [_hard_layers(s, scale) for s in (1, 5)]
        yield case(f"gradients around {scale:g}", "edges", TWO, 8, grads=grads, weight_decay=0.1)
    yield case("float32 arrays", "edges", TWO, 9, dtype="float32", steps=2, weight_decay=0.1)


def lamb_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    # 1 - beta1 is not the root of 1 - beta2, or the corrections would cancel at the first step.
    hyper = {"lr": 0.5, "beta1": 0.5, "beta2": 0.9375, "eps": 1e-6, "weight_decay": 0.0}

    def case(label: str, part: str, shapes: Shapes, seed: int, **change: Any) -> Case:
        return _layer_case(label, part, shapes, seed, ("m", "v", "step"), hyper, change)

    warm = {"first": {"m": np.array([2.0, -1.0]), "v": np.array([4.0, 0.25]), "step": 3}}
    zero, small = {"first": np.zeros(2)}, {"first": np.array([1e-3, -2.0])}
    simple = {"grads": [{"first": np.array([0.5, -2.0])}], "params": {"first": np.array([3.0, 4.0])}}
    yield case("one layer", "formula", ONE, 0, **simple)
    yield case("averages that are already there", "formula", ONE, 1, state=warm)
    yield case("weight decay", "formula", ONE, 1, state=warm, weight_decay=0.5)
    yield case("a large eps and a small gradient", "formula", ONE, 1, grads=[small], eps=0.01)
    yield case("two layers of different size", "formula", TWO, 2, weight_decay=0.25)
    yield case("small weights", "formula", ONE, 3, params={"first": np.array([0.3, -0.4])})
    yield case("large weights", "formula", ONE, 3, params={"first": np.array([30.0, -40.0])})
    yield case("a layer of zeros", "formula", ONE, 4, params=zero)
    yield case("a zero gradient", "formula", ONE, 5, grads=[zero])
    yield case("a zero gradient, with decay", "formula", ONE, 5, grads=[zero], weight_decay=0.5)
    for seed, lr in enumerate((0.1, 0.3, 2.0)):
        other = {"lr": lr, "beta1": (0.5, 0.9, 0.0)[seed], "beta2": (0.9, 0.99, 0.5)[seed]}
        yield case("two steps", "steps", TWO, seed, steps=2, weight_decay=seed / 8, **other)
    yield case("six steps", "steps", TWO, 7, steps=6, beta1=0.9, beta2=0.999, weight_decay=0.01)
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", {"first": shape}, seed, steps=2, weight_decay=0.1)
    for scale in (1e-12, 1e12):
        grads = [_hard_layers(s, scale) for s in (1, 5)]
        yield case(f"gradients around {scale:g}", "edges", TWO, 8, grads=grads)
    yield case("float32 arrays", "edges", TWO, 9, dtype="float32", steps=2, weight_decay=0.1)


def lion_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        steps, dtype = change.pop("steps", 1), change.pop("dtype", "float64")
        given = {
            "grads": [plain(shape, seed + 50 * t, dtype=dtype) for t in range(steps)],
            "state": {"m": np.zeros(shape, dtype)},
            "param": plain(shape, seed + 1, dtype=dtype),
            "lr": 0.1,
            "beta1": 0.75,
            "beta2": 0.875,
            "weight_decay": 0.0,
        }
        return Case(label, given | change, part)

    def against(m: float, g: float) -> dict[str, Any]:
        return {"state": {"m": np.array([m])}, "grads": [np.array([g])]}

    yield case("the first step", "formula", (1,), 0)
    yield case("a momentum of the same sign", "formula", (1,), 1, **against(2.0, 1.0))
    yield case("a momentum that wins against the gradient", "formula", (1,), 1, **against(2.0, -4.0))
    yield case("a gradient that wins against the momentum", "formula", (1,), 1, **against(1.0, -4.0))
    yield case("a strong gradient", "formula", (1,), 1, **against(1.0, -32.0))
    yield case("weight decay", "formula", (1,), 2, **against(1.0, 2.0), weight_decay=0.5)
    yield case("weight decay against the gradient", "formula", (1,), 3, weight_decay=2.0)
    yield case("a zero gradient", "formula", (1,), 1, **against(0.0, 0.0), weight_decay=0.5)
    yield case("two elements", "formula", (2,), 3)
    for seed, lr in enumerate((0.1, 0.3, 0.4, 0.6)):
        other = {"lr": lr, "beta1": (0.5, 0.9)[seed % 2], "beta2": (0.95, 0.6)[seed % 2]}
        yield case("three steps", "steps", (3,), seed, steps=3, weight_decay=seed / 8, **other)
    yield case("twelve steps", "steps", (5,), 7, steps=12, beta1=0.9, beta2=0.99)
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed, steps=2, weight_decay=0.1)
    for scale in (1e-12, 1e12):
        grads = [hard((4,), s, scale) for s in (1, 2)]
        yield case(f"gradients around {scale:g}", "edges", (4,), 8, grads=grads)
    yield case("float32 arrays", "edges", (4,), 9, dtype="float32", steps=2, weight_decay=0.1)


def sophia_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        steps, dtype = change.pop("steps", 1), change.pop("dtype", "float64")
        size = int(np.prod(shape))
        half = plain((size, size), seed + 2, dtype=dtype) / 2
        given = {
            "grads": [plain(shape, seed + 50 * t, dtype=dtype) for t in range(steps)],
            "state": {"m": np.zeros(shape, dtype), "h": np.zeros(shape, dtype), "step": 0},
            "param": plain(shape, seed + 1, dtype=dtype),
            "hessian": half + half.T,
            "probe": [plain(shape, seed + 50 * t + 3, dtype=dtype) for t in range(steps)],
            "lr": 0.1,
            "beta1": 0.5,
            "beta2": 0.75,
            "rho": 2.0,
            "weight_decay": 0.0,
            "every": 1,
        }
        return Case(label, given | change, part)

    def state(m: float, h: float, step: int) -> dict[str, Any]:
        return {"m": np.array([m]), "h": np.array([h]), "step": step}

    def known(g: float, hessian: float, probe: float = -1.0) -> dict[str, Any]:
        return {
            "grads": [np.array([g])],
            "hessian": np.array([[hessian]]),
            "probe": [np.array([probe])],
        }

    flat = {"hessian": np.zeros((1, 1)), "state": {"m": np.zeros(1), "h": np.zeros(1), "step": 0}}
    yield case("a steep curvature", "formula", (1,), 0, **known(3.0, 8.0))
    yield case("a probe that is not 1", "formula", (1,), 0, **known(-1.0, 2.0, -2.5))
    yield case(
        "averages that are already there", "formula", (1,), 1, **known(3.0, 8.0), state=state(4.0, 6.0, 4)
    )
    yield case("a small curvature", "formula", (1,), 1, **known(3.0, 0.25), rho=1.5)
    yield case("a small curvature uphill", "formula", (1,), 1, **known(-3.0, 0.25), rho=1.5)
    yield case("a negative curvature", "formula", (1,), 1, **known(1.0, -8.0))
    yield case("no curvature and no gradient", "formula", (1,), 1, **flat, grads=[np.zeros(1)])
    yield case("weight decay", "formula", (1,), 2, **known(3.0, 8.0), weight_decay=0.5)
    yield case("weight decay at the limit", "formula", (1,), 2, **known(3.0, 0.25), weight_decay=0.5)
    yield case(
        "a step without an estimate", "formula", (1,), 3, **known(3.0, 8.0), state=state(4.0, 6.0, 3), every=2
    )
    yield case(
        "a step with an estimate", "formula", (1,), 3, **known(3.0, 8.0), state=state(4.0, 6.0, 4), every=2
    )
    yield case("a Hessian that mixes", "formula", (2,), 4, hessian=np.array([[4.0, 1.0], [1.0, 9.0]]))
    for seed, lr in enumerate((0.1, 0.3, 0.4, 0.6)):
        other = {"lr": lr, "beta1": (0.5, 0.9)[seed % 2], "beta2": (0.9, 0.6)[seed % 2], "rho": 0.5 + seed}
        yield case("two steps", "steps", (2,), seed, steps=2, weight_decay=seed / 8, **other)
    yield case("an estimate at every third step", "steps", (3,), 7, steps=7, every=3)
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed, steps=2, weight_decay=0.1)
    for scale in (1e-12, 1e12):
        grads = [hard((4,), s, scale) for s in (1, 2)]
        yield case(f"gradients around {scale:g}", "edges", (4,), 8, grads=grads, steps=2)
    yield case("float32 arrays", "edges", (4,), 9, dtype="float32", steps=2, weight_decay=0.1)


def newton_schulz_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, matrix: Array, steps: int) -> Case:
        return Case(label, {"matrix": matrix, "steps": steps}, part)

    yield case("one number", "formula", np.array([[2.0]]), 1)
    yield case("a diagonal matrix", "formula", np.diag([3.0, 4.0]), 1)
    yield case("a square matrix", "formula", np.array([[1.0, 2.0], [-1.0, 0.5]]), 1)
    yield case("a square matrix, two steps", "formula", np.array([[1.0, 2.0], [-1.0, 0.5]]), 2)
    yield case("a wide matrix", "formula", plain((2, 3), 0), 1)
    yield case("a tall matrix", "formula", plain((3, 2), 1), 1)
    yield case("no steps", "steps", plain((2, 2), 2), 0)
    for seed, shape in enumerate([(2, 2), (3, 5), (5, 3), (4, 4)]):
        yield case("five steps", "steps", plain(shape, seed + 10), 5)
    yield case("seven steps", "steps", plain((3, 4), 20), 7)
    for shape in [(1, 1), (1, 4), (4, 1)]:
        yield case(f"shape {shape}", "edges", plain(shape, 3), 5)
    yield case("a matrix of zeros", "edges", np.zeros((2, 3)), 5)
    yield case("a matrix of rank one", "edges", np.outer([1.0, 2.0], [3.0, -1.0, 0.5]), 5)
    yield case("a norm of 1e-6", "edges", 1e-6 * np.diag([0.6, 0.8]), 3)
    yield case("a norm below 1e-7", "edges", 1e-12 * np.diag([0.6, 0.8]), 3)
    yield case("elements around 1e12", "edges", hard((3, 4), 5, 1e12), 5)
    yield case("float32 arrays", "edges", plain((3, 2), 6, dtype="float32"), 5)


def muon_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        steps, dtype = change.pop("steps", 1), change.pop("dtype", "float64")
        given = {
            "grads": [plain(shape, seed + 50 * t, dtype=dtype) for t in range(steps)],
            "state": {"buffer": np.zeros(shape, dtype)},
            "param": plain(shape, seed + 1, dtype=dtype),
            "lr": 0.1,
            "momentum": 0.75,
            "weight_decay": 0.0,
        }
        return Case(label, given | change, part)

    warm = {"buffer": np.array([[2.0, -1.0], [0.5, 3.0]])}
    yield case("one number", "formula", (1, 1), 0)
    yield case("a square matrix", "formula", (2, 2), 1)
    yield case("a buffer that is already full", "formula", (2, 2), 1, state=warm)
    yield case("a tall matrix", "formula", (3, 2), 2)
    yield case("a wide matrix", "formula", (2, 3), 3)
    yield case("weight decay", "formula", (2, 2), 4, weight_decay=0.5)
    yield case("weight decay of a tall matrix", "formula", (3, 2), 4, weight_decay=0.5)
    yield case("momentum 0", "formula", (2, 2), 1, state=warm, momentum=0.0)
    for seed, shape in enumerate([(2, 2), (4, 2), (2, 4)]):
        other = {"lr": (0.02, 0.3, 1.0)[seed], "momentum": (0.5, 0.95, 0.9)[seed]}
        yield case("two steps", "steps", shape, seed, steps=2, weight_decay=seed / 8, **other)
    yield case("six steps", "steps", (3, 3), 7, steps=6, momentum=0.95)
    for seed, shape in enumerate([(1, 4), (4, 1), (5, 3)]):
        yield case(f"shape {shape}", "edges", shape, seed, steps=2, weight_decay=0.1)
    yield case("a zero gradient", "edges", (2, 3), 1, grads=[np.zeros((2, 3))], weight_decay=0.1)
    for scale in (1e-12, 1e12):
        grads = [hard((3, 2), s, scale) for s in (1, 2)]
        yield case(f"gradients around {scale:g}", "edges", (3, 2), 8, grads=grads, steps=2)
    yield case("float32 arrays", "edges", (3, 2), 9, dtype="float32", steps=2, weight_decay=0.1)
