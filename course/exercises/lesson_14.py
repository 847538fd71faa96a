"""Lesson 14: ``stale_sgd``, ``largest_stable_lr_with_delay``, ``hogwild``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from course.cluster import hogwild as library
from course.exercises import drive
from course.exercises.base import Case, Exercise
from course.exercises.draw import SHAPES, hard, plain
from course.exercises.drive_waiting import shared_memory, stale_path
from course.exercises.lesson_14_hogwild_slips import hogwild_slips
from course.exercises.lesson_14_hogwild_step_slips import hogwild_step_slips
from course.exercises.lesson_14_limit_slips import limit_slips
from course.exercises.lesson_14_stale_slips import stale_slips

__all__ = ["EXERCISES"]

Array = np.ndarray
FIXED = frozenset({"delay", "ranks", "width", "steps"})


# ---------------------------------------------------------------- stale_sgd
def stale_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], seed: int, **change: Any) -> Case:
        pull, start = abs(plain(shape, seed, 0.5, 1.5)), plain(shape, seed + 1, 1.0, 4.0)
        given = {"pull": pull, "push": 0.25, "start": start, "lr": 0.25, "steps": 6, "delay": 2}
        return Case(label, given | change, part, fixed=FIXED)

    one = {"pull": np.ones(1), "push": 0.0, "start": np.ones(1), "lr": 0.5}
    yield case("one number, a delay of 1", "formula", (1,), 0, **one, steps=2, delay=1)
    yield case("one number, a delay of 2", "formula", (1,), 0, **one, steps=5, delay=2)
    yield case("one number, no delay", "formula", (1,), 0, **one, steps=3, delay=0)
    yield case("gradients that depend on the step", "formula", (1,), 1, steps=5, delay=2, push=0.5)
    for seed, delay in enumerate((1, 3, 5)):
        yield case(f"three numbers, a delay of {delay}", "formula", (3,), seed, steps=9, delay=delay)
    yield case("a delay as long as the path", "edges", (2,), 5, steps=4, delay=4)
    yield case("a delay longer than the path", "edges", (2,), 6, steps=3, delay=10)
    yield case("no steps", "edges", (2,), 7, steps=0, delay=1)
    yield case("gradients of zero", "edges", (2,), 8, pull=np.zeros(2), push=0.0)
    yield case("a rate beyond the limit", "edges", (2,), 9, lr=3.0, steps=12, delay=1)
    for seed, shape in enumerate(SHAPES):
        yield case(f"shape {shape}", "edges", shape, seed)
    for scale in (1e-12, 1e12):
        yield case(f"numbers around {scale:g}", "edges", (4,), 3, start=hard((4,), 4, scale), push=scale)
    single = {"pull": np.array([1.0, 0.5], "f4"), "start": np.array([2.0, -3.0], "f4")}
    yield case("float32", "edges", (2,), 0, **single)


# ---------------------------------------------------------------- largest_stable_lr_with_delay
def limit_reference(curvature: float, delay: int) -> float:
    """Bisect for the rate at which a path no longer shrinks in the long run."""
    low, high = 0.0, 4.0
    for _ in range(60):
        a = (low + high) / 2
        low, high = (a, high) if library.long_run_factor(a, delay) < 1 else (low, a)
    return low / curvature


def limit_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    for curvature, delay in ((1.0, 0), (1.0, 1), (1.0, 2), (4.0, 1), (0.5, 3), (3.0, 7), (0.1, 20)):
        text = f"curvature {curvature:g}, a delay of {delay}"
        yield Case(text, {"curvature": curvature, "delay": delay}, fixed=FIXED)
    yield Case("a long delay", {"curvature": 2.0, "delay": 40}, "edges", fixed=FIXED)
    yield Case("hardly any curvature", {"curvature": 1e-12, "delay": 2}, "edges", fixed=FIXED)
    yield Case("huge curvature", {"curvature": 1e12, "delay": 5}, "edges", fixed=FIXED)
    yield Case("no delay, a steep bowl", {"curvature": 50.0, "delay": 0}, "edges", fixed=FIXED)


# ---------------------------------------------------------------- hogwild
def hogwild_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, part: str, shape: tuple[int, ...], ranks: int, width: int, **change: Any) -> Case:
        seed = 7 * ranks + width
        given = {"target": plain(shape, seed), "start": plain(shape, seed + 1), "push": 0.25, "width": width}
        given |= {"lr": 0.25, "steps": 3, "ranks": ranks}
        return Case(label, given | change, part, fixed=FIXED)

    one = {"target": np.zeros(1), "start": np.ones(1), "push": 0.0, "lr": 0.5}
    yield case("two ranks, one number, one step each", "formula", (1,), 2, 1, **one, steps=1)
    yield case("two ranks, one number, two steps each", "formula", (1,), 2, 1, **one, steps=2)
    yield case("two ranks that never touch the same entry", "formula", (8,), 2, 1)
    yield case("three ranks, every gradient touches all entries", "formula", (3,), 3, 3)
    yield case("three ranks that meet at some entries", "formula", (5,), 3, 2, steps=4)
    yield case("two ranks, gradients without a number of the step", "formula", (4,), 2, 2, push=0.0, steps=4)
    yield case("one rank alone", "edges", (4,), 1, 2)
    yield case("four ranks", "edges", (6,), 4, 2, steps=4)
    yield case("a matrix", "edges", (2, 3), 2, 2)
    yield case("no steps", "edges", (3,), 2, 1, steps=0)
    zero = {"target": np.ones(3), "start": np.ones(3), "push": 0.0}
    yield case("gradients of zero", "edges", (3,), 2, 3, **zero)
    for scale in (1e-12, 1e12):
        large = {"target": scale * plain((4,), 1), "start": scale * plain((4,), 2), "push": scale}
        yield case(f"numbers around {scale:g}", "edges", (4,), 2, 2, **large)
    single = {"target": plain((4,), 1, dtype="float32"), "start": plain((4,), 2, dtype="float32")}
    yield case("float32", "edges", (4,), 2, 2, **single)


EXERCISES = (
    Exercise(
        name="stale_sgd",
        lesson="14",
        arguments=("gradient", "start", "lr", "steps", "delay"),
        reference=library.stale_sgd,
        drive=stale_path,
        make_cases=stale_cases,
        slips=tuple(stale_slips),
        hints=(
            "Keep all points in a list, beginning with a copy of the start. The past is then at hand.",
            "At step t the gradient sees the point t - delay of the list, and before there is one, point 0.",
            "Subtract lr times that gradient from the last point, append the result, and np.stack the list.",
        ),
        meaning={"path": "one row for each point, the start first"},
    ),
    Exercise(
        name="largest_stable_lr_with_delay",
        lesson="14",
        arguments=("curvature", "delay"),
        reference=limit_reference,
        drive=drive.function("lr"),
        make_cases=limit_cases,
        slips=tuple(limit_slips),
        hints=(
            "Begin with a, the rate times the curvature, and divide by the curvature at the end.",
            "On the circle the size of z - 1 is the chord 2 sin(phi/2), and that is a.",
            "The smallest angle that fits is phi = pi/(2 delay + 1). Without a delay a must come out as 2.",
        ),
        meaning={"lr": "the limit of the learning rate"},
    ),
    Exercise(
        name="hogwild",
        lesson="14",
        arguments=("comm", "gradient", "start", "lr", "steps"),
        reference=library.hogwild,
        drive=shared_memory,
        make_cases=hogwild_cases,
        slips=(*hogwild_slips, *hogwild_step_slips),
        hints=(
            'comm.shared("theta", start) is the memory that all ranks see. Ask for it once, before the loop.',
            "In the loop: copy what you see, pause, compute at the copy, and subtract in place.",
            "np.nonzero(moved) gives the touched entries; use it as an index on both sides of -=. A barrier "
            "at the end, then return a copy.",
        ),
        meaning={"bytes that each rank sent": "counted by the cluster's ledger"},
        equivalent={
            "comm.pause() -> moved = lr * gradient(seen, t * comm.world_size + comm.rank)": (
                "what is computed at a copy may be computed before the pause or after it"
            ),
        },
    ),
)
