"""The cases of lesson 13's exercises: 1 to 8 stages, 1 to 4 ranks, few and many micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from course.cluster import schedules
from course.exercises.base import Case
from course.exercises.draw import plain

__all__ = ["bubble_cases", "layer_cases", "pairs", "schedule_cases", "stage_cases"]


def pairs(schedule: schedules.Schedule) -> list[list[tuple[str, int]]]:
    """Return a schedule of one chunk a stage as pairs of kind and micro-batch."""
    return [[(work.kind, work.micro) for work in works] for works in schedule]


def schedule_cases() -> Iterator[Case]:
    """Yield the cases: two stages first; fewer micro-batches than stages at the end."""
    for stages, micros in ((2, 3), (3, 5), (4, 8), (4, 4)):
        yield Case(f"{stages} stages, {micros} micro-batches", {"stages": stages, "micros": micros})
    for stages, micros in ((4, 2), (1, 3), (3, 1), (1, 1)):
        label = f"{stages} stage{'s' * (stages > 1)}, {micros} micro-batch{'es' * (micros > 1)}"
        yield Case(label, {"stages": stages, "micros": micros}, "edges")


def bubble_cases() -> Iterator[Case]:
    """Yield the cases: one chunk first; with more, micro-batches that divide by the stages."""

    def case(stages: int, micros: int, chunks: int, part: str = "formula") -> Case:
        label = f"{stages} stages, {micros} micro-batches, {chunks} chunk{'s' * (chunks > 1)} a stage"
        return Case(label, {"stages": stages, "micros": micros, "chunks": chunks}, part)

    for stages, micros in ((2, 3), (4, 8), (8, 5)):
        yield case(stages, micros, 1)
    for stages, micros, chunks in ((2, 4, 2), (4, 8, 2), (3, 6, 3)):
        yield case(stages, micros, chunks)
    yield case(16, 32, 2)
    yield case(1, 4, 1, "edges")
    yield case(1, 4, 3, "edges")
    yield case(4, 1, 1, "edges")
    unsaid = case(4, 6, 1, "edges")
    unsaid.inputs.pop("chunks")
    yield Case("chunks not given", unsaid.inputs, "edges")


def stage_cases() -> Iterator[Case]:
    """Yield the cases: two stages and equal micro-batches first."""

    def case(
        label: str,
        order: Callable[[int, int], schedules.Schedule],
        widths: tuple[int, ...],
        rows: tuple[int, ...],
        part: str = "formula",
        dtype: str = "float64",
        size: float = 1.0,
    ) -> Case:
        plan = pairs(order(len(widths) - 1, len(rows)))
        seed = 10 * sum(widths) + len(rows)
        given: dict[str, Any] = {"schedule": plan, "widths": widths, "rows": rows}
        return Case(label, given | {"seed": seed, "dtype": dtype, "size": size}, part)

    gpipe, turns = schedules.gpipe, schedules.one_f_one_b
    yield case("GPipe, two stages, two micro-batches", gpipe, (2, 3, 1), (2, 2))
    yield case("1F1B, two stages, five micro-batches", turns, (2, 3, 2), (2,) * 5)
    yield case("1F1B, uneven micro-batches", turns, (3, 2, 2, 1), (3, 1, 2, 2, 1, 3))
    yield case("GPipe, uneven micro-batches", gpipe, (3, 4, 2), (1, 4, 2, 2, 1))
    yield case("1F1B, four stages", turns, (2, 2, 2, 2, 2), (1, 2, 1, 2, 1, 2))
    yield case("fewer micro-batches than stages", turns, (2, 3, 3, 2, 1), (2, 1), "edges")
    yield case("one micro-batch", turns, (2, 3, 2), (3,), "edges")
    yield case("one stage", turns, (3, 2), (2, 1, 3, 1), "edges")
    yield case("float32", turns, (2, 3, 2), (2, 1, 2), "edges", "float32")
    yield case("tiny and huge numbers", turns, (2, 3, 2), (2, 1, 2), "edges", size=1e12)


def layer_cases(by: str) -> Iterator[Case]:
    """Yield the cases: a part of the weight that is square first, so that a transpose fits."""

    def case(
        label: str, ranks: int, shape: tuple[int, int, int], part: str = "formula",
        dtype: str = "float64", sizes: tuple[float, float] = (1.0, 1.0),
    ) -> Case:  # fmt: skip
        rows, *widths = shape
        inputs, outputs = widths if by == "column" else widths[::-1]
        drawn = {"x": (rows, inputs), "weight": (inputs, outputs), "bias": (outputs,), "dy": (rows, outputs)}
        given: dict[str, Any] = {"ranks": ranks}
        for i, (name, each) in enumerate(drawn.items()):
            scale = sizes[0] if name == "x" else sizes[1] if name == "dy" else 1.0
            given[name] = (scale * plain(each, 10 * i + ranks)).astype(dtype)
        return Case(label, given, part)

    yield case("a part of 2 by 2 on 2 ranks", 2, (3, 2, 4))
    yield case("3 ranks", 3, (2, 5, 6))
    yield case("4 ranks", 4, (5, 3, 8))
    yield case("one rank", 1, (3, 2, 5), "edges")
    yield case("one row", 2, (1, 4, 6), "edges")
    yield case("float32", 2, (3, 3, 4), "edges", "float32")
    yield case("tiny inputs, huge gradients", 2, (3, 2, 4), "edges", sizes=(1e-12, 1e12))
