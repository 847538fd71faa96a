"""Pipeline schedules as data: for each stage, the order of its work. And what they cost.

A ``Work`` is the forward (``F``) or backward (``B``) of one micro-batch through one chunk of layers. Where
the backward is split, ``B`` is the part in the input, for which the stage before waits, and ``W`` the part in
the weights, for which nobody waits. Chunk ``c`` of stage ``s`` is part ``c * stages + s`` of the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["SCHEDULES", "Timeline", "Work", "gpipe", "interleaved", "one_f_one_b", "timeline", "zero_bubble"]


class Work(NamedTuple):
    """One piece of work: ``kind`` is ``F``, ``B`` or ``W``."""

    kind: str
    micro: int
    chunk: int = 0

    def __str__(self) -> str:
        return f"{self.kind}{self.micro}" + (f".{self.chunk}" if self.chunk else "")


Schedule = list[list[Work]]


def gpipe(stages: int, micros: int) -> Schedule:
    """All forwards, then all backwards. Holds all micro-batches at once; bubble (p-1)/m of the ideal time.

    >>> print(*gpipe(2, 2)[0])
    F0 F1 B0 B1

    Source: Y. Huang et al. (2019), GPipe.
    """
    _demand(stages, micros)
    once = [Work("F", i) for i in range(micros)] + [Work("B", i) for i in range(micros)]
    return [list(once) for _ in range(stages)]


def one_f_one_b(stages: int, micros: int) -> Schedule:
    """As many forwards as there are later stages, then one forward and one backward in turn.

    The bubble is GPipe's; at most ``min(p - s, m)`` micro-batches are held at stage ``s``.

    >>> print(*one_f_one_b(2, 3)[0])
    F0 F1 B0 F2 B1 B2

    Sources: the order is that of PipeDream, D. Narayanan et al. (2019), which is asynchronous and keeps old
    weights. With all micro-batches done before the update it is PipeDream-Flush, D. Narayanan et al. (2021),
    Memory-Efficient Pipeline-Parallel DNN Training.
    """
    _demand(stages, micros)
    forwards, backwards = ([Work(kind, i) for i in range(micros)] for kind in "FB")
    return [_in_turn(forwards, backwards, min(stages - s - 1, micros)) for s in range(stages)]


def interleaved(stages: int, micros: int, chunks: int = 2) -> Schedule:
    """1F1B with several chunks of layers a stage: the bubble is divided by their number, messages multiplied.

    Raises:
        ValueError: the micro-batches do not divide by the stages.

    Source: D. Narayanan et al. (2021), Efficient Large-Scale Language Model Training on GPU Clusters.
    """
    _demand(stages, micros)
    if micros % stages or chunks < 1:
        raise ValueError(f"interleaved: {micros} micro-batches do not divide by {stages} stages")
    total = micros * chunks
    order = [(k // (stages * chunks) * stages + k % stages, k // stages % chunks) for k in range(total)]
    forwards = [Work("F", micro, chunk) for micro, chunk in order]
    backwards = [Work("B", micro, chunks - 1 - chunk) for micro, chunk in order]
    warm = [2 * (stages - s - 1) + (chunks - 1) * stages for s in range(stages)]
    return [_in_turn(forwards, backwards, min(w, total)) for w in warm]


def zero_bubble(stages: int, micros: int) -> Schedule:
    """1F1B with the backward in two parts: weights' gradients are computed where a stage would be idle.

    Forwards and backwards run as in 1F1B. Stage ``s`` is ``s`` weight gradients late: what it owes it does at
    the end, where it would be idle. With equal times for all three the bubble is a third of 1F1B's,
    and no stage holds more micro-batches than the first one does there (the schedule ZB-H1).

    >>> print(*zero_bubble(2, 3)[1])
    F0 B0 F1 B1 W0 F2 B2 W1 W2

    Source: P. Qi et al. (2023), Zero Bubble Pipeline Parallelism.
    """
    plan = []
    for s, works in enumerate(one_f_one_b(stages, micros)):
        order = []
        for work in works:
            order.append(work)
            if work.kind == "B" and work.micro >= s:
                order.append(Work("W", work.micro - s))
        plan.append(order + [Work("W", micro) for micro in range(max(micros - s, 0), micros)])
    return plan


SCHEDULES = {"gpipe": gpipe, "1f1b": one_f_one_b, "interleaved": interleaved, "zero_bubble": zero_bubble}


@dataclass(frozen=True)
class Timeline:
    """When each piece of work runs, and what it costs.

    Attributes:
        spans: for each stage, ``(work, start, end)`` in order. length: when the last one ends.
        bubble: the idle part of the whole time, over all stages.
        held: for each stage, the most micro-batches (of a chunk) whose activations it holds at a time.
    """

    spans: list[list[tuple[Work, float, float]]]
    length: float
    bubble: float
    held: list[int]


def timeline(schedule: Schedule, times: Mapping[str, float] | None = None) -> Timeline:
    """Run a schedule on paper, each piece as soon as what it needs is there.

    Args:
        schedule: for each stage, its work in order.
        times: how long ``F``, ``B`` and ``W`` take; 1 each by default, 2 for a backward that is whole.

    Raises:
        ValueError: a stage waits for what can never come; the line says which.
    """
    split = any(work.kind == "W" for works in schedule for work in works)
    spent = dict(times) if times is not None else {"F": 1.0, "B": 1.0 if split else 2.0, "W": 1.0}
    ends: dict[tuple[int, Work], float] = {}
    spans: list[list[tuple[Work, float, float]]] = [[] for _ in schedule]
    chunks = 1 + max((work.chunk for works in schedule for work in works), default=0)
    left = [list(works) for works in schedule]
    moved = True
    while moved:
        moved = False
        for s, works in enumerate(left):
            while works and (need := _needs(s, works[0], len(schedule), chunks)) <= ends.keys():
                work = works.pop(0)
                start = max([ends[one] for one in need] + [spans[s][-1][2] if spans[s] else 0.0])
                ends[(s, work)] = start + spent[work.kind]
                spans[s].append((work, start, ends[(s, work)]))
                moved = True
    _refuse_left(left, ends, len(schedule), chunks)
    length = max(ends.values(), default=0.0)
    busy = sum(end - start for row in spans for _, start, end in row)
    held = [_most_held(works, split) for works in schedule]
    return Timeline(spans, length, 1 - busy / (length * len(schedule)) if length else 0.0, held)


def _in_turn(forwards: list[Work], backwards: list[Work], warm: int) -> list[Work]:
    order = forwards[:warm]
    for i, backward in enumerate(backwards):
        order += [*forwards[warm + i : warm + i + 1], backward]
    return order


def _needs(s: int, work: Work, stages: int, chunks: int) -> set[tuple[int, Work]]:
    """Return the work, with its stage, that must have ended before."""
    kind, micro, chunk = work
    if kind == "W":
        return {(s, Work("B", micro, chunk))}
    place = chunk * stages + s
    if kind == "F":
        before = place - 1
        return {(before % stages, Work("F", micro, before // stages))} if place else set()
    needed = {(s, Work("F", micro, chunk))}
    if place + 1 < stages * chunks:
        needed.add(((place + 1) % stages, Work("B", micro, (place + 1) // stages)))
    return needed


def _refuse_left(
    left: Sequence[list[Work]], ends: Mapping[tuple[int, Work], float], stages: int, chunks: int
) -> None:
    for s, works in enumerate(left):
        if not works:
            continue
        missing = sorted(_needs(s, works[0], stages, chunks) - ends.keys())
        texts = ", ".join(f"{work} of stage {stage}" for stage, work in missing)
        raise ValueError(f"schedule: stage {s} waits in {works[0]} for {texts}, which never comes before it")


def _most_held(works: Sequence[Work], split: bool) -> int:
    now, most = 0, 0
    for work in works:
        now += (work.kind == "F") - (work.kind == ("W" if split else "B"))
        most = max(most, now)
    return most


def _demand(stages: int, micros: int) -> None:
    if stages < 1 or micros < 1:
        raise ValueError(f"schedule: needs at least one stage and one micro-batch, not {stages} and {micros}")
