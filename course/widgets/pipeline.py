"""Lesson 13: pipeline schedules as time charts, with what each stage holds."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import numpy.typing as npt

from course.widgets.models.pipeline import FORMS, PER_STAGE, STAGES, Chart, Span, chart
from course.widgets.pane import Axis, Layer, Note, Pane, Runner
from course.widgets.player import Control, Mark, Player
from course.widgets.style import COLORS, MUTED
from course.widgets.zero import bar

__all__ = ["pipeline_chart"]

SHORT = ("GPipe", "1F1B", "slices", "split")  # beside the slider; the names stand on its scale
Floats = npt.NDArray[np.float64]
KINDS = {"F": COLORS["blue"], "B": COLORS["orange"], "W": COLORS["green"]}
ROWS = max(STAGES)
END = 1.8  # of the time axis, in multiples of the work
WIDTH, HEIGHT = 400, 270
GAP, MOST = 1.7 / WIDTH * END, 0.3  # on both sides of a box, and at most so much of its width
HALF = 0.36  # of a row: a forward's box rises so far above its middle, the others hang below
LINES = 5  # in the box of a backward: so that colour is not the only sign


def pipeline_chart() -> Player:
    """Return a player: four schedules, two to four stages, and micro-batches for each."""
    frames = [chart(*setting) for setting in product(FORMS, STAGES, PER_STAGE)]
    return Player(
        title="A pipeline at work",
        caption=(
            "First picture: a row for each stage, stage 0 on top, and time to the right, in multiples of the "
            "work that a stage has to do. A box is one micro-batch. Above a row's middle, solid and blue: "
            "forwards. Below it, lined and orange: backwards; under zero bubble, with upright lines and "
            "green: the weights' part of the backward, which may wait. The thin line along the middle only "
            "joins boxes: where none stands on it or hangs from it, the stage waits. The black line follows "
            "the first micro-batch through the stages and back. All work would end at 1 if no stage ever "
            "waited. Second picture: the most micro-batches whose activations a stage holds at a time. "
            "Interleaved cuts each stage into two slices, zero bubble splits each backward. The last slider "
            "sets how many micro-batches there are for each stage."
        ),
        panes=[_time(frames), _memory(frames)],
        controls=[
            Control("Schedule", SHORT, marks=[Mark(i, form) for i, form in enumerate(FORMS)]),
            Control("Stages", [str(n) for n in STAGES], start=1),
            Control("Micro-batches", [f"{n} each" for n in PER_STAGE], start=1),
        ],
        labels=[
            "Waiting, of the whole time",
            "Waiting, of the work",
            "First stage holds",
            "Last stage holds",
        ],
        readouts=[_numbers(frame) for frame in frames],
    )


def _numbers(frame: Chart) -> tuple[str, ...]:
    holds = (f"{held:g} micro-batch{'es' * (held != 1)}" for held in (frame.held[0], frame.held[-1]))
    return (f"{frame.bubble:.1%}", f"{frame.ideal:.1%}", *holds)


def _time(frames: list[Chart]) -> Pane:
    tracks = [
        ([_boxes(frame, row, kind) for frame in frames], KINDS[kind]) for kind in KINDS for row in range(ROWS)
    ]
    (first, color), *others = tracks
    runners = [Runner(paths, shade) for paths, shade in others]
    runners.append(Runner([_first_micro_batch(frame) for frame in frames], COLORS["black"]))
    return Pane(
        "When each stage works",
        Axis("time, in multiples of the work", 0, END, [(v, f"{v:g}") for v in (0, 0.5, 1, 1.5)]),
        Axis("stage", -ROWS + 0.5, 0.5, [(-float(s), str(s)) for s in range(ROWS)]),
        first,
        layers=[Layer([np.array([[1.0, -ROWS + 0.5], [1.0, 0.5]])], stroke=MUTED, width=1, dash="40 40")],
        notes=[Note(1.0, 0.5, "without waiting", MUTED, "start", 4, 12)],
        style="line",
        color=color,
        width=WIDTH,
        height=HEIGHT,
        runners=runners,
    )


def _memory(frames: list[Chart]) -> Pane:
    bars = [[bar(s, (frame.held + [0.0] * ROWS)[s]) for frame in frames] for s in range(ROWS)]
    most = max(max(frame.held) for frame in frames)
    return Pane(
        "What it holds",
        Axis("stage", -0.5, ROWS - 0.5, [(float(s), str(s)) for s in range(ROWS)]),
        Axis("micro-batches held at a time", 0, most + 1, [(float(n), str(n)) for n in (0, 4, 8, 12, 16)]),
        bars[0],
        style="line",
        color=COLORS["purple"],
        width=WIDTH,
        height=HEIGHT,
        runners=[Runner(paths, COLORS["purple"]) for paths in bars[1:]],
    )


def _boxes(frame: Chart, row: int, kind: str) -> Floats:
    """Return all boxes of a kind in a row as one line; where there is none, a point outside the picture."""
    found = [s for s in (frame.spans[row] if row < len(frame.spans) else []) if s.kind == kind]
    if not found:
        return np.array([[-1.0, 1.0]])
    return np.concatenate([_box(span, -float(row)) for span in found])


def _box(span: Span, middle: float) -> Floats:
    """Return a box as a zigzag that begins and ends at the row's middle: dense if solid, wide if lined."""
    gap = min(GAP, MOST * (span.end - span.start))
    left, right, edge = span.start + gap, span.end - gap, middle + (HALF if span.kind == "F" else -HALF)
    if span.kind == "B":
        y = np.repeat(np.linspace(middle, edge, LINES), 2)
        x = np.tile([left, right, right, left], LINES)[: 2 * LINES]
    else:
        apart = 1.5 if span.kind == "F" else 4.0
        strokes = max(2, math.ceil((right - left) / END * WIDTH / apart) + 1)
        x = np.repeat(np.linspace(left, right, strokes), 2)
        y = np.tile([middle, edge, edge, middle], strokes)[: 2 * strokes]
    return np.concatenate([np.stack([x, y], axis=1), [[right, middle]]])


def _first_micro_batch(frame: Chart) -> Floats:
    """Return the way of micro-batch 0: forward through all places of the model, and back."""
    own = [(row, span) for row, spans in enumerate(frame.spans) for span in spans if span.micro == 0]
    way = [(s.start, -row + HALF / 2, -row + HALF / 2, s.end) for row, s in own if s.kind == "F"]
    back = [(s.start, -row - HALF / 2, -row - HALF / 2, s.end) for row, s in own if s.kind == "B"]
    points = [p for a, y, z, b in sorted(way) + sorted(back) for p in ((a, y), (b, z))]
    return np.array(points)
