"""Pipeline schedules run on paper: what the chart shows of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from course.cluster.schedules import SCHEDULES, timeline

__all__ = ["FORMS", "PER_STAGE", "STAGES", "Chart", "Span", "chart"]

FORMS = {"GPipe": "gpipe", "1F1B": "1f1b", "interleaved": "interleaved", "zero bubble": "zero_bubble"}
STAGES = (2, 3, 4)
PER_STAGE = (1, 2, 4)  # micro-batches for each stage: so that interleaving always works


@dataclass(frozen=True)
class Span:
    """One piece of work: its kind, micro-batch, place in the model, and when it runs."""

    kind: str
    micro: int
    place: int
    start: float
    end: float


@dataclass(frozen=True)
class Chart:
    """What is shown of one schedule.

    Attributes:
        spans: for each stage its work; times are in multiples of the work that a stage has to do.
        bubble: the waiting part of the whole time. ideal: the waiting in multiples of the work.
        held: for each stage, the most micro-batches it holds; a chunk counts as its part of the stage.
    """

    spans: list[list[Span]]
    bubble: float
    ideal: float
    held: list[float]


@cache
def chart(form: str, stages: int, per_stage: int) -> Chart:
    """Run a schedule of so many stages and micro-batches for each of them.

    >>> found = chart("1F1B", 4, 1)
    >>> round(found.bubble, 3), found.ideal, found.held
    (0.429, 0.75, [4.0, 3.0, 2.0, 1.0])
    """
    run = timeline(SCHEDULES[FORMS[form]](stages, stages * per_stage))
    work = sum(end - start for _, start, end in run.spans[0])
    chunks = 1 + max(one.chunk for one, _, _ in run.spans[0])
    spans = [
        [
            Span(one.kind, one.micro, one.chunk * stages + s, start / work, end / work)
            for one, start, end in row
        ]
        for s, row in enumerate(run.spans)
    ]
    return Chart(spans, run.bubble, run.length / work - 1, [held / chunks for held in run.held])
