"""The cases of lesson 12's exercises: 1 to 7 ranks, sizes that do and do not divide among them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from course.exercises.base import Case
from course.exercises.draw import SHAPES, plain
from course.rules import SGD, AdamW, HeavyBall

__all__ = ["lamb_cases", "shard_cases", "states_cases", "zero1_cases", "zero2_cases", "zero3_cases"]

PLAIN, HEAVY, ADAMW = SGD(lr=0.5), HeavyBall(lr=0.25, momentum=0.5), AdamW(lr=0.125, weight_decay=0.5)


def shard_cases() -> Iterator[Case]:
    """Yield the cases: every rank of small clusters, then other shapes."""

    def case(label: str, x: Any, ranks: int, rank: int, part: str = "formula") -> Case:
        return Case(label, {"x": np.asarray(x), "world_size": ranks, "rank": rank}, part)

    row = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    for rank in (0, 1):
        yield case(f"six numbers, rank {rank} of 2", row, 2, rank)
    for rank in range(4):
        yield case(f"six numbers, rank {rank} of 4", row, 4, rank)
    for rank in range(3):
        yield case(f"a matrix, rank {rank} of 3", plain((2, 5), 1), 3, rank)
    for rank in (0, 1, 2, 6):
        yield case(f"two numbers, rank {rank} of 7", row[:2], 7, rank, "edges")
    yield case("one rank", row, 1, 0, "edges")
    for shape in SHAPES:
        for rank in (0, 2):
            yield case(f"shape {shape}, rank {rank} of 3", plain(shape, 5), 3, rank, "edges")
    yield case("float32", plain((5,), 2, dtype="float32"), 2, 1, "edges")


def zero1_cases() -> Iterator[Case]:
    """Yield the cases: a size that divides first."""

    def case(
        label: str, ranks: int, size: int, rule: Any, steps: int, part: str, dtype: str = "float64"
    ) -> Case:
        grads = [[plain((size,), 100 * t + r + 1, dtype=dtype) for r in range(ranks)] for t in range(steps)]
        given = {"ranks": ranks, "param": plain((size,), 0, dtype=dtype), "grads": grads, "rule": rule}
        return Case(label, given, part)

    yield case("4 parameters on 2 ranks", 2, 4, PLAIN, 1, "formula")
    yield case("5 parameters on 2 ranks", 2, 5, PLAIN, 1, "formula")
    yield case("7 parameters on 3 ranks, momentum", 3, 7, HEAVY, 2, "formula")
    yield case("three steps of AdamW on 4 ranks", 4, 10, ADAMW, 3, "steps")
    yield case("one rank", 1, 3, HEAVY, 2, "edges")
    yield case("3 parameters on 7 ranks", 7, 3, HEAVY, 1, "edges")
    yield case("float32", 2, 3, HEAVY, 1, "edges", "float32")


def zero2_cases() -> Iterator[Case]:
    """Yield the cases: several layers, the gradients of the last come first."""

    def case(label: str, ranks: int, sizes: tuple[int, ...], rule: Any, steps: int, part: str) -> Case:
        grads = [
            [[plain((n,), 1000 * t + 10 * r + i + 1) for i, n in enumerate(sizes)] for r in range(ranks)]
            for t in range(steps)
        ]
        params = [plain((n,), 7 + i) for i, n in enumerate(sizes)]
        return Case(label, {"ranks": ranks, "params": params, "grads": grads, "rule": rule}, part)

    yield case("layers of 4 and 2 on 2 ranks", 2, (4, 2), PLAIN, 1, "formula")
    yield case("layers of 5, 3 and 4 on 2 ranks", 2, (5, 3, 4), PLAIN, 1, "formula")
    yield case("layers of 4 and 4 on 3 ranks, momentum", 3, (4, 4), HEAVY, 2, "formula")
    yield case("two steps of AdamW on 4 ranks", 4, (6, 3, 5), ADAMW, 2, "steps")
    yield case("one rank", 1, (3, 2, 2), HEAVY, 2, "edges")
    yield case("layers of 3 and 1 on 7 ranks", 7, (3, 1), HEAVY, 1, "edges")


def zero3_cases() -> Iterator[Case]:
    """Yield the cases: networks of two and three layers."""

    def case(label: str, ranks: int, widths: tuple[int, ...], rule: Any, steps: int, part: str) -> Case:
        rng = np.random.default_rng(sum(widths) + ranks)
        weights = [rng.normal(size=pair).round(2) for pair in pairwise(widths)]
        shape = (steps, ranks, 2)
        x, target = rng.normal(size=(*shape, widths[0])), rng.normal(size=(*shape, widths[-1]))
        given = {"ranks": ranks, "weights": weights, "x": list(x.round(2)), "target": list(target.round(2))}
        return Case(label, given | {"rule": rule}, part)

    yield case("layers of 4 and 2 weights on 2 ranks", 2, (2, 2, 1), PLAIN, 1, "formula")
    yield case("layers of 3 and 9 weights on 2 ranks", 2, (1, 3, 3), PLAIN, 1, "formula")
    yield case("three layers on 3 ranks, momentum", 3, (2, 2, 2, 2), HEAVY, 2, "formula")
    yield case("two steps of AdamW on 4 ranks", 4, (3, 2, 3), ADAMW, 2, "steps")
    yield case("one rank", 1, (2, 3, 1), HEAVY, 2, "edges")
    yield case("layers of 2 weights on 7 ranks", 7, (1, 2, 1), HEAVY, 1, "edges")


def states_cases() -> Iterator[Case]:
    """Yield the cases: the paper's figure first."""

    def case(label: str, parameters: float, ranks: int, stage: int, k: float, part: str) -> Case:
        given = {"parameters": parameters, "ranks": ranks, "stage": stage, "optimizer_bytes": k}
        return Case(label, given, part)

    for stage in range(4):
        yield case(f"16 parameters, 4 ranks, stage {stage}", 16, 4, stage, 12, "formula")
    for stage in range(4):
        yield case(f"the paper's model in stage {stage}", 7_500_000_000, 64, stage, 12, "formula")
        yield case(f"momentum in stage {stage}", 48, 3, stage, 8, "formula")
    for stage in range(4):
        yield case(f"one rank in stage {stage}", 10, 1, stage, 12, "edges")
        yield case(f"no state in stage {stage}", 7, 3, stage, 0, "edges")
    unsaid = case("optimizer_bytes not given", 16, 4, 1, 12, "edges")
    unsaid.inputs.pop("optimizer_bytes")
    yield unsaid


def lamb_cases() -> Iterator[Case]:
    """Yield the cases: one layer, cut among the ranks."""

    def case(label: str, ranks: int, param: Any, update: Any, lr: float, part: str = "formula") -> Case:
        row, u = (np.asarray(a, float) for a in (param, update))
        return Case(label, {"ranks": ranks, "param": row, "update": u, "lr": lr}, part)

    yield case("a norm of 5 on 2 ranks", 2, [3.0, 4.0], [0.6, 0.8], 0.5)
    yield case("8 weights on 2 ranks", 2, plain((8,), 1), plain((8,), 2), 0.25)
    yield case("7 weights on 3 ranks", 3, plain((7,), 3), plain((7,), 4), 0.25)
    yield case("10 weights on 4 ranks", 4, plain((10,), 5), plain((10,), 6), 0.1)
    yield case("a weight norm of 50 and a small update", 2, [30.0, 40.0], [0.6, -0.8], 0.1)
    yield case("one rank", 1, plain((3,), 7), plain((3,), 8), 0.25, "edges")
    yield case("a shard of zeros", 2, [0.0, 0.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0], 0.1, "edges")
    yield case("3 weights on 7 ranks", 7, plain((3,), 9), plain((3,), 10), 0.25, "edges")
    yield case("weights of zero", 2, np.zeros(4), plain((4,), 11), 0.25, "edges")
    yield case("an update of zero", 2, plain((4,), 12), np.zeros(4), 0.25, "edges")
    yield case("small and large", 3, 1e-6 * plain((4,), 13), 1e6 * plain((4,), 14), 0.25, "edges")
