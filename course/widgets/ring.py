"""Lesson 11: a ring in motion, hop by hop, beside two ways that send more."""

from __future__ import annotations

import numpy as np

from course.widgets.models.ring import HOPS, RANKS, WAYS, Run, run
from course.widgets.pane import Axis, Floats, Layer, Note, Pane, Runner
from course.widgets.player import Control, Mark, Player
from course.widgets.style import COLORS, INK, MUTED

__all__ = ["ring_in_motion"]

BLOCKS = tuple(COLORS[name] for name in ("blue", "vermillion", "green", "purple"))
_ANGLES = np.pi * (0.75 - np.arange(RANKS) / 2)  # clockwise from the upper left
PLACES = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def ring_in_motion() -> Player:
    """Return a player: three ways to sum four arrays; what moves at each hop, and what each rank has then."""
    runs = [run(way) for way in WAYS]
    return Player(
        title="A ring in motion",
        caption=(
            "Four ranks, each with an array of four blocks. Left what moves at this hop: in the way called "
            "blocks a disc is one block; in arrays, and in rank 0, it is a whole array. Right what each rank "
            "has after it: a bar is a block, and its height says how many ranks' numbers are in it. All "
            "three end with four everywhere. The numbers are the ledger's: a ring of blocks sends 1.5 arrays "
            "from each rank; a ring of whole arrays 3, and it is done after half the hops; where all goes "
            "through rank 0, that one takes 3 arrays and sends 3, while others wait."
        ),
        panes=[_motion(runs), _blocks(runs)],
        controls=[
            Control("Way", list(WAYS)),
            Control(
                "Hops done",
                [str(hop) for hop in range(HOPS + 1)],
                start=1,
                marks=[Mark(0, "start"), Mark(RANKS - 1, "half"), Mark(HOPS, "end")],
            ),
        ],
        labels=[
            "Rank 0 has sent",
            "Rank 0 has received",
            "The busiest has sent",
            "All have sent",
            "Finished blocks, of 16",
        ],
        readouts=[
            (
                _arrays(s[0]),
                _arrays(r[0]),
                _arrays(s.max()),
                _arrays(s.sum()),
                str(int((held == RANKS).sum())),
            )
            for each in runs
            for s, r, held in zip(each.sent, each.received, each.holds, strict=True)
        ],
    )


def _arrays(value: float) -> str:
    return f"{value:.2f} arrays"


def _motion(runs: list[Run]) -> Pane:
    paths = [[_way_of(each, disc, hop) for each in runs for hop in range(HOPS + 1)] for disc in range(RANKS)]
    axis = Axis("ranks on a ring", -1.4, 1.4, [])
    turn = np.linspace(0, 2 * np.pi, 60)
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return Pane(
        "What moves at this hop",
        axis,
        Axis("a disc is what is on its way", -1.4, 1.4, []),
        paths[0],
        layers=[
            Layer([ring], stroke="#c5ced8", width=1),
            Layer([p + 0.2 * ring for p in PLACES], stroke=MUTED),
        ],
        notes=[
            Note(x, y + 0.3 * np.sign(y), f"rank {rank}", INK, "middle", 0, 8 if y < 0 else 0)
            for rank, (x, y) in enumerate(PLACES)
        ],
        style="line",
        color=BLOCKS[0],
        letter="0",
        runners=[Runner(paths[c], BLOCKS[c], letter=str(c)) for c in range(1, RANKS)],
    )


def _way_of(each: Run, disc: int, hops: int) -> Floats:
    """Return the line of a disc at the last of the hops done; it stops short of the rank where it arrives."""
    move = each.moves[hops - 1][disc] if hops else None
    if move is None:
        return PLACES[[disc]]
    start, end = PLACES[move[0]], PLACES[move[1]]
    return np.stack([start, start + 0.78 * (end - start)])


def _blocks(runs: list[Run]) -> Pane:
    bars = [
        [_bar(rank, block, int(held[rank, block])) for each in runs for held in each.holds]
        for rank in range(RANKS)
        for block in range(RANKS)
    ]
    colors = [BLOCKS[block] for _ in range(RANKS) for block in range(RANKS)]
    return Pane(
        "What each rank has",
        Axis(
            "rank, with its four blocks", -0.5, RANKS - 0.5, [(float(r), f"rank {r}") for r in range(RANKS)]
        ),
        Axis("ranks whose numbers are in it", 0, RANKS + 0.5, [(float(n), str(n)) for n in range(RANKS + 1)]),
        bars[0],
        layers=[
            Layer([np.array([[r + 0.5, 0.0], [r + 0.5, RANKS + 0.5]])], stroke="#c5ced8", width=1)
            for r in range(RANKS - 1)
        ]
        + [Layer([np.array([[-0.5, RANKS], [RANKS - 0.5, RANKS]])], stroke=MUTED, width=1, dash="40 40")],
        notes=[Note(RANKS - 0.55, RANKS, "finished", INK, "end", 0, -5)],
        style="line",
        color=colors[0],
        runners=[Runner(bar, color) for bar, color in zip(bars[1:], colors[1:], strict=True)],
    )


def _bar(rank: int, block: int, height: int) -> Floats:
    """Return a bar drawn in one stroke, up and down so closely that it is filled."""
    across = np.linspace(rank + 0.21 * block - 0.4, rank + 0.21 * block - 0.23, 12)
    up = np.array([[0.0, height], [height, 0.0]] * (len(across) // 2))
    return np.stack([np.repeat(across, 2), up.reshape(-1)], axis=1)
