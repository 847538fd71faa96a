"""Lesson 13: ``gpipe_schedule``, ``one_f_one_b``, ``bubble_fraction``, ``pipeline_stage``,
``column_parallel``, ``row_parallel``."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.cluster import schedules
from course.exercises import drive, drive_pipeline, drive_tensor
from course.exercises.base import Exercise
from course.exercises.lesson_13_bubble_slips import bubble_slips
from course.exercises.lesson_13_cases import bubble_cases, layer_cases, pairs, schedule_cases, stage_cases
from course.exercises.lesson_13_column_slips import column_slips
from course.exercises.lesson_13_mean_slips import mean_slips
from course.exercises.lesson_13_row_slips import row_slips
from course.exercises.lesson_13_schedule_slips import gpipe_slips
from course.exercises.lesson_13_stage_slips import stage_slips
from course.exercises.lesson_13_turn_slips import turn_slips

__all__ = ["EXERCISES"]

Array = np.ndarray
_ORDER = "neither line needs the other"
_ROWS = "rows = sum((len(x) for x in inputs))"
_TOTAL = "total = total + gradient * (len(inputs[i]) / rows)"
_ORDERS = frozenset(drive_pipeline.order_of(s) for s in range(5))
_SCHEDULE = {
    "length": "the time of the whole, with 1 for a forward and 2 for a backward",
    "bubble": "the idle part of the time",
    "held": "the most micro-batches that each stage holds at a time",
}
_PLACES = frozenset({*_ORDERS, "held", "kept after use", "sends not waited for"})
_PARTS = {"dx": "a row a rank", "dweight": "a row a rank", "dbias": "a row a rank", "y": "a row a rank"}
_WIRE = {f"bytes sent in the {way}": "by each rank" for way in ("forward", "backward")}


def bubble_reference(stages: int, micros: int, chunks: int = 1) -> float:
    """Measure it: the library's schedule, run on paper."""
    if chunks == 1:
        return schedules.timeline(schedules.one_f_one_b(stages, micros)).bubble
    return schedules.timeline(schedules.interleaved(stages, micros, chunks)).bubble


def stage_reference(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    """Scale what goes back by the share of the rows at the last stage, as the library's pipeline does."""
    share = [len(x) / sum(map(len, inputs)) for x in inputs]
    saved, gradients, pending, before, after = {}, [], [], comm.rank - 1, comm.rank + 1
    for kind, i in works:
        if kind == "F":
            y, saved[i] = forward(comm.recv(before, tag=i) if comm.rank else inputs[i])
            if after < comm.world_size:
                pending.append(comm.isend(y, after, tag=i))
            else:
                saved[i] = saved[i], share[i] * loss(i, y)
        else:
            here = saved.pop(i)
            here = here if after == comm.world_size else (here, comm.recv(after, tag=i))
            dx, gradient = backward(*here)
            gradients.append(gradient)
            if comm.rank:
                pending.append(comm.isend(dx, before, tag=i))
    for one in pending:
        one.wait()
    return np.sum(gradients, axis=0)


def column_reference(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    """Write out the indices: rows r, inputs i, outputs o of this rank."""

    def backward(dy: Array) -> Any:
        dx = comm.all_reduce(np.einsum("ro,io->ri", dy, weight))
        return dx, np.einsum("ri,ro->io", x, dy), np.einsum("ro->o", dy)

    return np.einsum("ri,io->ro", x, weight) + bias, backward


def row_reference(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    """Write out the indices: rows r, inputs i of this rank, outputs o."""

    def backward(dy: Array) -> Any:
        dx = np.einsum("ro,io->ri", dy, weight)
        return dx, np.einsum("ri,ro->io", x, dy), np.einsum("ro->o", dy)

    return comm.all_reduce(np.einsum("ri,io->ro", x, weight)) + bias, backward


EXERCISES = (
    Exercise(
        name="gpipe_schedule",
        lesson="13",
        arguments=("stages", "micros"),
        reference=lambda stages, micros: pairs(schedules.gpipe(stages, micros)),
        drive=drive_pipeline.schedule,
        make_cases=schedule_cases,
        slips=tuple(gpipe_slips),
        hints=(
            "All stages have the same list.",
            '[("F", i) for i in range(micros)] are the forwards.',
            "Forwards plus backwards, in a list comprehension over the stages.",
        ),
        meaning=_SCHEDULE,
        positions=_PLACES,
        equivalent={
            "forwards = [('F', i) for i in range(micros)] -> "
            "backwards = [('B', i) for i in range(micros)]": _ORDER,
        },
    ),
    Exercise(
        name="one_f_one_b",
        lesson="13",
        arguments=("stages", "micros"),
        reference=lambda stages, micros: pairs(schedules.one_f_one_b(stages, micros)),
        drive=drive_pipeline.schedule,
        make_cases=schedule_cases,
        slips=tuple(turn_slips),
        hints=(
            "Stage s has stages - s - 1 later stages: so many forwards come first, if there are as many.",
            "Then for each micro-batch i: the forward of warm + i, if there is one, and the backward of i.",
            "forwards[warm + i : warm + i + 1] is a list with one entry, or with none at the end.",
        ),
        meaning=_SCHEDULE,
        positions=_PLACES,
        equivalent={"for i in range(micros): -> plan.append(works)": "what is put in grows afterwards"},
    ),
    Exercise(
        name="bubble_fraction",
        lesson="13",
        arguments=("stages", "micros", "chunks"),
        reference=bubble_reference,
        drive=drive.function("bubble"),
        make_cases=bubble_cases,
        slips=tuple(bubble_slips),
        hints=(
            "Count in pieces: a forward and a backward of one micro-batch through one chunk.",
            "A stage has chunks * micros pieces to do. How many does it wait for?",
            "It waits for stages - 1. The fraction is waiting over work and waiting.",
        ),
        meaning={"bubble": "the idle share of the whole time"},
    ),
    Exercise(
        name="pipeline_stage",
        lesson="13",
        arguments=("comm", "works", "forward", "backward", "loss", "inputs"),
        reference=stage_reference,
        drive=drive_pipeline.stage,
        make_cases=stage_cases,
        slips=(*mean_slips, *stage_slips),
        hints=(
            "One loop: for kind, i in works. Keep what forward saves in a dict by i, pop it in the backward.",
            "The first stage takes inputs[i], sends nothing back. The last asks loss, and sends nothing on.",
            "Weigh by len(inputs[i]) / sum(map(len, inputs)). Keep what isend returns; wait() at the end.",
        ),
        meaning={f"gradient of stage {s}": "the mean over all rows" for s in range(5)}
        | {
            "bytes sent onwards": "by each stage to the next",
            "bytes sent back": "by each stage to the one before",
            "other bytes": "sent by each stage to others, or by collectives",
            "kept after use": "how many micro-batches' activations each stage keeps after their backward",
        },
        positions=_PLACES,
        equivalent={
            f"last = comm.rank == comm.world_size - 1 -> {_ROWS}": _ORDER,
            f"{_ROWS} -> saved, slopes, pending, total = ({{}}, {{}}, [], 0)": _ORDER,
            f"{_TOTAL} -> total = total + np.multiply(gradient, len(inputs[i]) / rows, out=gradient)": (
                "what backward returns belongs to its caller"
            ),
        },
    ),
    Exercise(
        name="column_parallel",
        lesson="13",
        arguments=("comm", "x", "weight", "bias"),
        reference=column_reference,
        drive=drive_tensor.layer("column"),
        make_cases=lambda: layer_cases("column"),
        slips=tuple(column_slips),
        hints=(
            "The forward is that of a plain linear layer, with fewer outputs.",
            "Define backward(dy) inside, so that it still sees x and weight. Return y, backward.",
            "x went into all ranks' columns: dx is the sum of all ranks' dy @ weight.T.",
        ),
        meaning=_PARTS | _WIRE,
    ),
    Exercise(
        name="row_parallel",
        lesson="13",
        arguments=("comm", "x", "weight", "bias"),
        reference=row_reference,
        drive=drive_tensor.layer("row"),
        make_cases=lambda: layer_cases("row"),
        slips=tuple(row_slips),
        hints=(
            "A product over all inputs is a sum of products over some of them.",
            "The bias belongs to the sum, not to its parts.",
            "In the backward every rank has the whole dy. It needs nobody.",
        ),
        meaning=_PARTS | _WIRE,
    ),
)
