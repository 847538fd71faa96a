"""Lesson 09: ``warmup_cosine``, ``model_state_bytes``, ``tokens_per_step``, ``llm_step``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from course import recipes
from course.exercises import drive
from course.exercises.base import Case, Exercise
from course.exercises.lesson_09_bytes_slips import bytes_slips
from course.exercises.lesson_09_llm import ARGUMENTS, drive_llm, llm_cases, llm_reference
from course.exercises.lesson_09_llm_slips import llm_slips
from course.exercises.lesson_09_slips import warmup_slips
from course.exercises.lesson_09_tokens_slips import tokens_slips
from course.schedules import Cosine

__all__ = ["EXERCISES"]

# A rule of the library for each number of moments.
_RULES = ("SGD", "HeavyBall", "AdamW", "AMSGrad")
_SHARE = "share = (step - warmup) / (total - warmup)"
_EVEN = "the cosine of minus an angle is the same"
_ORDER = "neither line needs the other"
_LLM_EQUIVALENT = {
    before + " -> " + after: _ORDER
    for before, after in (
        (
            "from course import averaging",
            "mean = {name: sum((n * g[name] for n, g in zip(tokens, grads))) / sum(tokens) "
            "for name in master}",
        ),
        ("factor = min(1.0, max_norm / (norm + 1e-06))", "lr = schedule(state['step'])"),
        ("lr = schedule(state['step'])", "t = state['step'] + 1"),
        ("t = state['step'] + 1", "m, v, new = ({}, {}, {})"),
        (
            "m[name] = beta1 * state['m'][name] + (1 - beta1) * g",
            "v[name] = beta2 * state['v'][name] + (1 - beta2) * g ** 2",
        ),
        (
            "adam = m[name] / (1 - beta1 ** t) / (np.sqrt(v[name] / (1 - beta2 ** t)) + eps)",
            "decay = weight_decay * theta if theta.ndim >= 2 else 0.0",
        ),
    )
} | {
    "factor = min(1.0, max_norm / (norm + 1e-06)) -> factor = min(1.0, max_norm / norm)": "1e-6 is less than "
    "float32 shows in a norm that is clipped, and min(1, 1/0) is 1 in NumPy",
    "decay = weight_decay * theta if theta.ndim >= 2 else 0.0 -> "
    "decay = weight_decay * theta if theta.ndim >= 2 else -0.0": "minus zero is zero",
}


def warmup_reference(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    """Ask the library's schedule."""
    return Cosine(lr=peak, total=total, warmup=warmup, floor=floor)(step)


def bytes_reference(parameters: int, precision: str, moments: int) -> Any:
    """Ask the library for a rule that keeps so many numbers; whole bytes."""
    parts = recipes.memory(parameters, _RULES[moments], precision)
    return tuple(int(part) for part in (parts.weights, parts.gradients, parts.master, parts.states))


def tokens_reference(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    """Ask the library."""
    return recipes.tokens_per_step(micro_batch, sequence, accumulation, ranks)


def warmup_cases() -> Iterator[Case]:
    """Yield the cases: the ends and the middle first, then whole runs, then the edges."""

    def case(label: str, step: int, part: str = "formula", **change: Any) -> Case:
        given = {"step": step, "peak": 0.5, "warmup": 4, "total": 12, "floor": 0.125}
        return Case(label, given | change, part)

    yield case("a step in the middle of the warmup", 2)
    yield case("the first step", 0)
    yield case("the second step", 1)
    yield case("the last step of the warmup", 3)
    yield case("the step at the peak", 4)
    yield case("the step halfway down", 8)
    yield case("a step after a quarter of the decay", 6)
    yield case("the last step but one", 11)
    yield case("the step at which the floor is reached", 12)
    yield case("a step past the end", 15)
    yield case("a floor of zero", 7, floor=0.0)
    yield case("another peak", 9, peak=3.0, floor=0.75)
    yield case("a floor above 1", 10, peak=4.0, floor=1.5)
    usual = {"peak": 3e-4, "warmup": 2000, "total": 100_000, "floor": 3e-5}
    for step in (0, 1, 1999, 2000, 30_000, 51_000, 99_999, 100_000, 250_000):
        yield case(f"a usual recipe at step {step}", step, "steps", **usual)
    for step in (0, 1, 6, 11, 12, 13):
        yield case(f"no warmup, at step {step}", step, "edges", warmup=0)
    for step in (0, 11, 12, 13):
        yield case(f"nothing but warmup, at step {step}", step, "edges", warmup=12)
    for step in (0, 1, 7):
        yield case(f"a warmup of one step, at step {step}", step, "edges", warmup=1)
    for step in (2, 8, 13):
        yield case(f"a floor as high as the peak, at step {step}", step, "edges", floor=0.5)
    for step in (2, 8, 12):
        yield case(f"a peak of zero, at step {step}", step, "edges", peak=0.0, floor=0.0)


def bytes_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, parameters: int, precision: str, moments: int, part: str = "formula") -> Case:
        return Case(label, {"parameters": parameters, "precision": precision, "moments": moments}, part)

    yield case("one parameter in float32, AdamW", 1, "float32", 2)
    yield case("one parameter in mixed precision, AdamW", 1, "mixed", 2)
    yield case("one parameter in bfloat16, AdamW", 1, "bfloat16", 2)
    yield case("a thousand parameters", 1000, "mixed", 2)
    for precision in ("float32", "mixed", "bfloat16"):
        yield case(f"momentum in {precision}", 10, precision, 1)
        yield case(f"plain SGD in {precision}", 10, precision, 0, "edges")
        yield case(f"three moments in {precision}", 10, precision, 3, "edges")
    for billions in (1.5, 70, 405):
        yield case(f"{billions:g} billion parameters", round(billions * 10**9), "mixed", 2, "edges")


def tokens_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""

    def case(label: str, *counts: int, part: str = "formula") -> Case:
        names = ("micro_batch", "sequence", "accumulation", "ranks")
        return Case(label, dict(zip(names, counts, strict=True)), part)

    yield case("one micro-batch on one rank", 4, 128, 1, 1)
    yield case("accumulation", 4, 128, 3, 1)
    yield case("several ranks", 4, 128, 1, 5)
    yield case("accumulation on several ranks", 2, 64, 3, 5)
    yield case("sequences of one token", 6, 1, 2, 2, part="edges")
    yield case("one of everything", 1, 1, 1, 1, part="edges")
    yield case("four million tokens", 2, 4096, 8, 64, part="edges")
    yield case("the batch of DeepSeek-V3", 4, 4096, 30, 128, part="edges")


EXERCISES = (
    Exercise(
        name="warmup_cosine",
        lesson="09",
        arguments=("step", "peak", "warmup", "total", "floor"),
        reference=warmup_reference,
        drive=drive.function("lr"),
        make_cases=warmup_cases,
        slips=tuple(warmup_slips),
        hints=(
            "Three cases, one after the other: before warmup, from total on, and what lies between.",
            "Between the two, count how much of the decay is over: a share from 0 to 1.",
            "1 + cos(angle) falls from 2 to 0 while the angle goes from 0 to pi. Scale it to peak and floor.",
        ),
        meaning={"lr": "the learning rate of this step"},
        equivalent={
            "if step < warmup: -> if step >= total:": "no step is both before warmup and past total",
            f"{_SHARE} -> share = (warmup - step) / (total - warmup)": _EVEN,
            f"{_SHARE} -> share = (step - warmup) / (warmup - total)": _EVEN,
        },
    ),
    Exercise(
        name="model_state_bytes",
        lesson="09",
        arguments=("parameters", "precision", "moments"),
        reference=bytes_reference,
        drive=drive.function("weights", "gradients", "master", "states"),
        make_cases=bytes_cases,
        slips=tuple(bytes_slips),
        hints=(
            "32 bits are 4 bytes, 16 bits are 2. Begin with one parameter in each precision.",
            "Only mixed precision has a master copy, in float32. Elsewhere that part is 0.",
            "The states are moments numbers for each parameter; in mixed precision they are in float32.",
        ),
        meaning={
            "weights": "the bytes of the weights",
            "gradients": "the bytes of the gradients",
            "master": "the bytes of the master copy",
            "states": "the bytes of the optimizer's states",
        },
        equivalent={
            "wide = 2 if precision == 'bfloat16' else 4 -> "
            "narrow = 4 if precision == 'float32' else 2": _ORDER,
            "narrow = 4 if precision == 'float32' else 2 -> "
            "master = 4 * parameters if precision == 'mixed' else 0": _ORDER,
        },
    ),
    Exercise(
        name="tokens_per_step",
        lesson="09",
        arguments=("micro_batch", "sequence", "accumulation", "ranks"),
        reference=tokens_reference,
        drive=drive.function("tokens", integer=True),
        make_cases=tokens_cases,
        slips=tuple(tokens_slips),
        hints=(
            "How many tokens does one backward pass on one rank see?",
            "Each rank runs backward so many times before it steps: the accumulation.",
            "All ranks step together, on the mean of all their gradients.",
        ),
        meaning={"tokens": "the tokens that one update has seen"},
    ),
    Exercise(
        name="llm_step",
        lesson="09",
        arguments=ARGUMENTS,
        reference=llm_reference,
        drive=drive_llm,
        make_cases=llm_cases,
        slips=tuple(llm_slips),
        hints=(
            "Five parts, in this order: accumulate, clip, ask the schedule, AdamW, round.",
            "Accumulate: add up tokens times gradient for each name, and divide by the sum of the tokens.",
            "Clip: one norm over all arrays. Its square is the sum of all squares of all of them.",
            "The schedule takes the number of steps before this one; the bias correction has one more.",
            "AdamW steps the master copy, with decay for ndim >= 2. The weights are the new copy, rounded.",
        ),
        meaning={
            "state['step']": "the number of steps taken",
            **{f"master[{name!r}]": "the master copy after the step" for name in ("w", "b", "p")},
            **{
                f"weights[{name!r}]": "the weights that the forward pass will use" for name in ("w", "b", "p")
            },
            **{f"state['m'][{name!r}]": "the mean of the gradients" for name in ("w", "b", "p")},
            **{f"state['v'][{name!r}]": "the mean of their squares" for name in ("w", "b", "p")},
        },
        equivalent=_LLM_EQUIVALENT,
    ),
)
