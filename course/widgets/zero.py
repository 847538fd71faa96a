"""Lesson 12: what a rank holds and sends, as the number of ranks and the stage of ZeRO change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from course.widgets.models.zero import RANKS, STAGES, Holding, holding
from course.widgets.pane import Axis, Pane, Runner
from course.widgets.player import Control, Mark, Player
from course.widgets.style import COLORS

__all__ = ["memory_bars"]

PARTS = ("weights", "gradients", "states")
SENT = ("forward", "backward", "gradients", "update")
MARKS = (Mark(0, "nothing cut"), Mark(1, "states"), Mark(2, "and gradients"), Mark(3, "and weights"))
HELD_COLORS = (COLORS["blue"], COLORS["orange"], COLORS["green"])
SENT_COLORS = (COLORS["blue"], COLORS["sky"], COLORS["orange"], COLORS["purple"])


def memory_bars() -> Player:
    """Return a player: bars of a rank's memory and of its bytes a step, for 1 to 1,024 ranks and stages."""
    frames = [holding(ranks, stage) for stage in range(len(STAGES)) for ranks in RANKS]
    return Player(
        title="Who keeps what: 7.5 billion parameters under ZeRO",
        caption=(
            "One rank of many. Left its memory in decimal GB: weights and gradients in 2 bytes, states in 12 "
            "a parameter. Right the bytes that it sends at a step, in multiples of the weights' bytes Psi: "
            "weights gathered for the forward and for the backward, gradients reduced, new weights gathered "
            "after the update (in stage 0: reduced gradients). Raise the stage, and one bar after the "
            "other shrinks with the ranks; only stage 3 sends more."
        ),
        panes=[_memory(frames), _sent(frames)],
        controls=[
            Control("Stage", STAGES, start=1, marks=MARKS),
            Control("Ranks", [f"{n:,}" for n in RANKS], start=RANKS.index(64), marks=(Mark(6, "paper"),)),
        ],
        labels=["Weights", "Gradients", "States", "A rank in all", "Sent a step"],
        readouts=[
            [*(_gb(getattr(one, p)) for p in PARTS), _gb(one.total), f"{sum(one.sent.values()):.3f} Psi"]
            for one in frames
        ],
    )


def bar(place: int, height: float, strokes: int = 44) -> npt.NDArray[np.float64]:
    """Return a bar on the base line as one dense zigzag, around x = ``place``."""
    across = np.repeat(np.linspace(place - 0.3, place + 0.3, strokes), 2)
    up = np.tile([0.0, height, height, 0.0], strokes // 2)
    return np.stack([across, up], axis=1)


def _memory(frames: list[Holding]) -> Pane:
    bars = [[bar(i, getattr(one, part)) for one in frames] for i, part in enumerate(PARTS)]
    y = Axis("memory of a rank, GB", 0, 95, [(v, str(v)) for v in (0, 30, 60, 90)])
    return _pane("What a rank holds", "part", PARTS, y, bars, HELD_COLORS)


def _sent(frames: list[Holding]) -> Pane:
    bars = [[bar(i, one.sent[kind]) for one in frames] for i, kind in enumerate(SENT)]
    y = Axis("sent a step, Psi", 0, 1.05, [(0, "0"), (0.5, "0.5"), (1, "1")])
    return _pane("What it sends at a step", "occasion", SENT, y, bars, SENT_COLORS)


def _pane(
    title: str,
    label: str,
    names: Sequence[str],
    y: Axis,
    bars: list[list[npt.NDArray[np.float64]]],
    colors: Sequence[str],
) -> Pane:
    x = Axis(label, -0.5, len(names) - 0.5, list(enumerate(names)))
    first, *others = bars
    runners = [Runner(paths, color) for paths, color in zip(others, colors[1:], strict=True)]
    return Pane(title, x, y, first, style="line", color=colors[0], width=330, height=220, runners=runners)


def _gb(value: float) -> str:
    return f"{value:.2f} GB" if value < 10 else f"{value:.1f} GB"
