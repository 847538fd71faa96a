"""The cases of lesson 07's exercises, of each the simplest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from course.exercises.base import Case
from course.exercises.draw import SHAPES, hard, plain

__all__ = ["accumulate_cases", "ema_cases", "master_cases", "norm_cases", "scaler_cases", "value_cases"]

Array = np.ndarray


def norm_cases() -> Iterator[Case]:
    """Yield the cases of ``clip_by_norm``; none right at the limit, where an ``if`` may fall either way."""

    def case(label: str, part: str, max_norm: float, *gradients: Any) -> Case:
        return Case(label, {"gradients": [np.asarray(g) for g in gradients], "max_norm": max_norm}, part)

    yield case("one array that is too long", "formula", 2.5, [3.0, 4.0])
    yield case("one array that is short enough", "formula", 8.0, [3.0, 4.0])
    yield case("two arrays, together too long", "formula", 2.5, [3.0], [4.0])
    yield case("two arrays, each short enough and together too long", "formula", 4.5, [3.0], [4.0])
    yield case("three arrays, of which one is long", "formula", 1.5, [0.25, -0.5], [[6.0, -2.0]], [0.5])
    yield case("three arrays, all short", "formula", 6.0, [0.25, -0.5], [[1.0, -2.0]], [0.5])
    yield case("one large element", "formula", 0.5, [0.25, -8.0, 0.5], [1.0])
    yield case("zeros", "edges", 1.0, [0.0, 0.0], [0.0])
    yield case("zeros and a limit of zero", "edges", 0.0, [0.0, 0.0])
    yield case("a limit of zero", "edges", 0.0, [3.0, 4.0])
    yield case("no limit: infinity", "edges", np.inf, [3.0, 4.0], [1.0])
    yield case("an infinite element", "edges", 1.0, [np.inf, 1.0], [2.0])
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", 1.0, plain(shape, seed), plain((2,), seed + 1))
    for scale in (1e-12, 1e12):
        gradients = hard((4,), 8, scale), hard((3,), 9, scale)
        yield case(f"gradients around {scale:g}", "edges", 1.0, *gradients)
    yield case("gradients around 1e-6, and such a limit", "edges", 1e-6, hard((4,), 8, 1e-6))
    yield case(
        "float32 arrays", "edges", 1.0, plain((3,), 4, dtype="float32"), plain((2,), 5, dtype="float32")
    )


def value_cases() -> Iterator[Case]:
    """Yield the cases of ``clip_by_value``."""

    def case(label: str, part: str, limit: float, *gradients: Any) -> Case:
        return Case(label, {"gradients": [np.asarray(g) for g in gradients], "limit": limit}, part)

    yield case("one element above the limit", "formula", 1.0, [3.0])
    yield case("one element below minus the limit", "formula", 1.0, [-3.0])
    yield case("one element within the limits", "formula", 1.0, [0.5])
    yield case("elements of all three kinds", "formula", 1.5, [0.25, -4.0, 3.0, -0.75])
    yield case("two arrays", "formula", 1.5, [0.25, -2.0], [[6.0, -0.5]])
    yield case("nothing to clip", "formula", 8.0, [3.0, -4.0], [0.5])
    yield case("zeros", "edges", 1.0, [0.0, 0.0])
    yield case("a limit of zero", "edges", 0.0, [3.0, -4.0])
    yield case("an infinite element", "edges", 1.0, [np.inf, -np.inf, 0.5])
    yield case("a NaN, which stays one", "edges", 1.0, [np.nan, 2.0])
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", 1.0, plain(shape, seed), plain((2,), seed + 1))
    for scale in (1e-12, 1e12):
        yield case(f"gradients around {scale:g}", "edges", scale, hard((6,), 8, scale))
    yield case("float32 arrays", "edges", 1.0, plain((3,), 4, dtype="float32"))


def accumulate_cases() -> Iterator[Case]:
    """Yield the cases of ``accumulate``."""

    def case(label: str, part: str, k: int, counts: list[int], *gradients: Any, **draw: Any) -> Case:
        drawn = [plain(draw.get("shape", (2,)), 7 + i, dtype=draw.get("dtype", "float64")) for i in counts]
        rows = [np.asarray(g) for g in gradients] or [g + i for i, g in enumerate(drawn)]
        rows = [np.asarray(g, row.dtype) for g, row in zip(rows, drawn, strict=True)]
        return Case(label, {"gradients": rows, "counts": counts, "k": k}, part)

    yield case("one micro-batch", "formula", 1, [4], [3.0])
    yield case("two micro-batches of one size", "formula", 2, [4, 4], [1.0], [5.0])
    yield case("two micro-batches of 20 and 12", "formula", 2, [20, 12], [1.0], [5.0])
    yield case("four unequal micro-batches", "formula", 4, [7, 1, 3, 5])
    yield case("two windows", "steps", 2, [4, 4, 4, 4], [1.0], [5.0], [-2.0], [4.0])
    yield case("two windows of unequal sizes", "steps", 2, [20, 12, 3, 9])
    yield case("a last window with one micro-batch", "steps", 2, [4, 4, 4], [1.0], [5.0], [3.0])
    yield case("a last window with two of three", "steps", 3, [5, 2, 8, 1, 6])
    yield case("a window larger than the epoch", "steps", 4, [5, 2])
    yield case("a step at every micro-batch", "steps", 1, [5, 2, 9])
    yield case("a micro-batch that counts nothing", "edges", 2, [4, 0], [3.0], [np.nan])
    yield case(
        "one that counts nothing, first in its window",
        "edges",
        2,
        [4, 4, 0, 6],
        [3.0],
        [1.0],
        [np.nan],
        [2.0],
    )
    yield case(
        "one that counts nothing, in a window before the last",
        "edges",
        2,
        [4, 0, 6, 2],
        [3.0],
        [np.nan],
        [1.0],
        [5.0],
    )
    yield case("a NaN in a micro-batch that counts, which stays one", "edges", 2, [4, 4], [np.nan], [1.0])
    yield case("zero gradients", "edges", 2, [3, 5], [0.0], [0.0])
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", 2, [3 + seed, 5, 2], shape=shape)
    yield case("a million tokens and one", "edges", 2, [1_000_000, 1], [1.0], [1e6])
    for scale in (1e-12, 1e12):
        yield case(
            f"gradients around {scale:g}", "edges", 2, [3, 5], hard((4,), 8, scale), hard((4,), 9, scale)
        )
    yield case("float32 arrays", "edges", 2, [3, 5, 2], dtype="float32")


def scaler_cases() -> Iterator[Case]:
    """Yield the cases of ``LossScaler``: training in float16, where the scaled gradient may be infinite."""

    def case(label: str, part: str, *grads: Any, **change: Any) -> Case:
        usual = {"init_scale": 1024.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 3}
        steps = [
            [np.asarray(g, np.float32) for g in (row if isinstance(row, tuple) else (row,))] for row in grads
        ]
        return Case(label, usual | change | {"grads": steps}, part)

    one, nan = [0.5, -2.0], [np.nan, 1.0]
    yield case("one step, all finite", "formula", one)
    yield case("two gradients", "formula", (one, [[0.25]]))
    yield case("an overflow: 100 * 1024 is beyond float16", "formula", [100.0, 1.0])
    yield case("a NaN", "formula", nan)
    yield case("a NaN in the second gradient", "formula", (one, nan))
    yield case("an overflow in the first of two", "formula", ([100.0], one))
    yield case(
        "the smallest gradients, which float16 would lose", "formula", [1e-6, 2e-8], init_scale=65536.0
    )
    yield case("as many good steps as it takes to grow", "steps", one, one, one, one)
    yield case("good steps enough to grow twice", "steps", *[one] * 7)
    yield case("an overflow among good steps", "steps", one, one, [100.0, 1.0], one, one, one)
    yield case("a NaN among good steps", "steps", one, one, nan, one, one, one, one)
    yield case("two overflows in a row", "steps", [100.0, 1.0], [200.0, 1.0], one)
    yield case("growth until the overflow, and back", "steps", *[[20.0, 1.0]] * 9)
    yield case(
        "other factors",
        "steps",
        one,
        one,
        nan,
        one,
        one,
        growth_factor=3.0,
        backoff_factor=0.125,
        growth_interval=2,
    )
    yield case("growth at every step", "steps", one, one, one, growth_interval=1)
    yield case(
        "a scale that is no power of two", "steps", one, nan, one, init_scale=1000.0, backoff_factor=0.3
    )
    yield case("minus infinity", "edges", [-100.0, 1.0], one)
    yield case("zero gradients", "edges", [0.0, 0.0], [0.0, 0.0])
    for shape in ((), (3, 1), (2, 3), (0,)):
        yield case(f"shape {shape}", "edges", plain(shape, 3), plain(shape, 4))


def master_cases() -> Iterator[Case]:
    """Yield the cases of ``master_weight_step``: no scale and a limit far off, then each alone, then both."""

    def case(label: str, part: str, master: Any, *grads: Any, lr: float = 0.25, **change: Any) -> Case:
        copy = np.asarray(master, np.float32)
        given = {"grads": [np.asarray(g, np.float16) for g in grads], "weight": copy.astype(np.float16)}
        usual = {"master": copy, "lr": lr, "scale": 1.0, "max_norm": 100.0}
        return Case(label, given | usual | change, part)

    yield case("one step", "formula", [1.0], [2.0])
    yield case("two weights", "formula", [1.0, -3.0], [2.0, -0.5], lr=0.1)
    yield case("a loss scale", "formula", [1.0], [2048.0], scale=1024.0, max_norm=4096.0)
    yield case("a gradient that is too long", "formula", [1.0, 1.0], [3.0, 4.0], max_norm=2.5)
    yield case("a gradient that is short enough", "formula", [1.0, 1.0], [3.0, 4.0], max_norm=8.0)
    yield case(
        "a scale, and a gradient too long",
        "formula",
        [1.0, 1.0],
        [3072.0, 4096.0],
        scale=1024.0,
        max_norm=2.5,
    )
    yield case(
        "a scale, and a gradient short enough",
        "formula",
        [1.0, 1.0],
        [3072.0, 4096.0],
        scale=1024.0,
        max_norm=8.0,
    )
    yield case("a large learning rate and a limit", "formula", [1.0, 1.0], [3.0, 4.0], lr=4.0, max_norm=2.5)
    yield case(
        "a scale that is no power of two", "formula", [0.0, 0.0], [300.0, -100.0], scale=1000.0, max_norm=0.25
    )
    yield case(
        "gradients that float16 would lose, and a scale",
        "formula",
        [0.0, 0.0],
        [1e-3, 0.07],
        lr=100.0,
        scale=65536.0,
    )
    yield case("a step that float16 loses", "formula", [1.0], [0.5], lr=2e-4)
    yield case("a copy between two numbers of float16", "formula", [1.0002, 0.99985], [0.5, 0.5], lr=2e-4)
    yield case("a step below the smallest number of float16", "formula", [0.0], [1e-4], lr=1e-5)
    yield case("a step that float16 would round", "formula", [0.0], [0.7], lr=0.001)
    yield case("four steps, each too small for float16", "steps", [1.0], *[[0.5]] * 4, lr=2e-4)
    yield case("steps of both signs", "steps", [2.0, 1.0], [1.0, -1.0], [-3.0, 0.5], [0.5, 2.0], lr=1e-3)
    yield case("steps from zero", "steps", [0.0, 0.0], *[[3e-5, 1.0]] * 3, lr=1e-3)
    yield case("a weight that is not its copy", "steps", [1.5], [2.0], weight=np.array([1.0], np.float16))
    yield case(
        "three steps, of which one is too long",
        "steps",
        [0.5, -0.25],
        [512.0, 0.0],
        [4096.0, -3072.0],
        [-256.0, 512.0],
        scale=1024.0,
        max_norm=2.0,
    )
    yield case("zero gradients", "edges", [1.0002, 0.0], [0.0, 0.0], scale=1024.0)
    yield case("a learning rate of zero", "edges", [1.0002], [2.0], lr=0.0)
    yield case("a limit of zero", "edges", [1.0002, 0.5], [3.0, 4.0], max_norm=0.0)
    yield case("no limit: infinity", "edges", [1.0, 0.5], [3.0, 4.0], max_norm=np.inf)
    yield case("a product beyond float16", "edges", [1.0], [60000.0], lr=2.0, max_norm=np.inf)
    yield case("a norm beyond float16", "edges", [1.0, 1.0], [60000.0, 50000.0], scale=4096.0, max_norm=2.0)
    yield case(
        "gradients around 1e-6, and such a limit",
        "edges",
        [0.0, 0.0],
        [0.1, -0.2],
        scale=65536.0,
        lr=1000.0,
        max_norm=1e-6,
    )
    for seed, shape in enumerate(SHAPES):
        grads = 16 * plain(shape, seed + 1), 2 * plain(shape, seed + 2)
        yield case(f"shape {shape}", "edges", plain(shape, seed), *grads, scale=16.0, max_norm=0.75)
    yield case("small gradients and a large rate", "edges", [0.5, 2.0], hard((2,), 3, 1e-5), lr=100.0)
    for scale in (2.0**-8, 2.0**24):
        grad = hard((4,), 8, 1.0)
        yield case(
            f"a scale of {scale:g}", "edges", np.zeros(4), grad, lr=scale, scale=scale, max_norm=1 / scale
        )


def ema_cases() -> Iterator[Case]:
    """Yield the cases of ``ema``; ``grads`` holds one parameter a step. At step 1 the average is zero."""

    def case(label: str, part: str, average: Any, *params: Any, **change: Any) -> Case:
        dtype = change.pop("dtype", "float32")
        rows = [np.asarray(p, dtype) for p in params]
        given = {"average": np.asarray(average, np.float32), "grads": rows, "decay": 0.75, "step": 1} | change
        return Case(
            label, given, part, row="param", fixed=frozenset({"average"} if given["step"] == 1 else ())
        )

    half = {"dtype": "float16"}
    yield case("the first step", "formula", [0.0], [4.0])
    yield case("the first step of two weights", "formula", [0.0, 0.0], [4.0, -1.0], decay=0.9)
    yield case("a later step", "formula", [3.0], [4.0], step=5)
    yield case("a float16 parameter", "formula", [0.0], [4.0], **half)
    yield case(
        "a float16 parameter and an average that float16 would round",
        "formula",
        [1.0002],
        [1.0],
        step=40,
        decay=0.999,
        **half,
    )
    yield case("three steps", "steps", [0.0, 0.0], [1.0, 2.0], [3.0, -1.0], [2.0, 0.5])
    yield case("three steps in float16", "steps", [0.0], [0.1], [0.3], [0.7], decay=0.999, **half)
    yield case("steps that go on from the tenth", "steps", [1.0], [2.0], [3.0], step=10, decay=0.95)
    yield case("a decay of zero", "edges", [3.0], [4.0], [5.0], decay=0.0, step=5)
    yield case("a parameter of zero", "edges", [0.0], [0.0])
    yield case("a very long memory", "edges", [0.5], [1.0], step=1000, decay=0.99999)
    for seed, shape in enumerate(SHAPES):
        yield case(
            f"shape {shape}", "edges", np.zeros(shape), plain(shape, seed), plain(shape, seed + 1), **half
        )
    yield case("parameters around 1e-12", "edges", np.zeros(4), hard((4,), 8, 1e-12))
    yield case("parameters around 1e12", "edges", np.zeros(4), hard((4,), 9, 1e12))
