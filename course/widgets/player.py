"""The player: precomputed paths that a slider leafs through, in any page, without a kernel.

The result is one piece of HTML: the first picture as SVG (so that it is seen even where scripts do not run),
the other frames as whole numbers, and a small script. It holds no id at all, so that two players on one page
cannot meet, and no randomness, so that the same player is the same bytes.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course.widgets.card import asset, stylesheet
from course.widgets.pane import Pane

__all__ = ["Control", "Mark", "Player"]


@dataclass(frozen=True)
class Mark:
    """A place on a slider's scale; ``at`` counts its steps (1.5 lies between the second and third);
    ``color`` is that of its line."""

    at: float
    text: str
    color: str = "currentColor"


@dataclass(frozen=True)
class Control:
    """One slider: what it sets, the text of each of its settings, where it stands first, and its scale."""

    label: str
    texts: Sequence[str]
    start: int = 0
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class Player:
    """Panes whose paths follow one or two sliders.

    Attributes:
        title: above the panes.
        caption: a sentence below them: what there is to see, also for those who cannot see it.
        panes: each with as many paths as there are frames.
        controls: one slider or more; frame = i, or i * len(second) + j, and so on.
        labels: names of the numbers read out.
        readouts: for each frame the texts of these numbers.
        picker: the pane (its index) whose cells may be clicked instead of moving two sliders, or -1.
        growing: the last slider walks along the paths: a pane has one path for each setting of the slider
            before it, and frame j shows its first j + 1 points.
        rewinds: moving another slider sets the last one back to where it stood first.
        steady: each number read out keeps the room of its longest text, so that nothing jumps.
    """

    title: str
    caption: str
    panes: Sequence[Pane]
    controls: Sequence[Control]
    labels: Sequence[str]
    readouts: Sequence[Sequence[str]]
    picker: int = -1
    growing: bool = False
    rewinds: bool = False
    steady: bool = False

    def __post_init__(self) -> None:
        frames = int(np.prod([len(control.texts) for control in self.controls]))
        paths = frames // len(self.controls[-1].texts) if self.growing else frames
        moving = [each.paths for pane in self.panes for each in pane.runners]
        given = {len(each) for each in (*(pane.paths for pane in self.panes), *moving)}
        if len(self.readouts) != frames or given != {paths}:
            counts = sorted({len(self.readouts), *given})
            raise ValueError(f"the sliders have {frames} settings, but readouts and paths count {counts}")

    @property
    def tracks(self) -> list[list[Any]]:
        """The paths of all that moves, in whole units: those of the panes first, then those of runners."""
        runners = [track for pane in self.panes for track in pane.runners_quantised()]
        return [*(pane.quantised() for pane in self.panes), *runners]

    def shown_first(self, track: Sequence[Any]) -> Any:
        """Return what the first frame shows of a track."""
        if not self.growing:
            return track[self.start]
        setting, step = divmod(self.start, len(self.controls[-1].texts))
        return track[setting][: step + 1]

    @property
    def start(self) -> int:
        """The frame shown first."""
        frame = 0
        for control in self.controls:
            frame = frame * len(control.texts) + control.start
        return frame

    def html(self) -> str:
        """Return the player as one self-contained piece of HTML."""
        paths = self.tracks
        first = [self.shown_first(track) for track in paths]
        runs = iter(first[len(self.panes) :])
        panes = "".join(
            self._pane(index, pane, first[index], [next(runs) for _ in pane.runners])
            for index, pane in enumerate(self.panes)
        )
        data = {
            "sizes": [len(control.texts) for control in self.controls],
            "texts": [list(control.texts) for control in self.controls],
            "readouts": ["\t".join(row) for row in self.readouts],
            "lengths": [[len(path) for path in frames] for frames in paths],
            "paths": [_packed(frames) for frames in paths],
            "picker": self.picker,
            "growing": self.growing,
        }
        if self.rewinds:
            data["rewind"] = self.controls[-1].start
        # "</" would end the script element that carries the data.
        payload = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
        return (
            f'<figure class="pu-card pu-player">{stylesheet("player.css")}'
            f'<div class="pu-head">{html.escape(self.title)}</div>'
            f'<div class="pu-panes">{panes}</div>'
            f'<div class="pu-controls">{"".join(_slider(control) for control in self.controls)}</div>'
            f'<div class="pu-readout" role="status" aria-live="polite">{self._readout()}</div>'
            f'<figcaption class="pu-caption">{html.escape(self.caption)}</figcaption>'
            f'<script type="application/json">{payload}</script>'
            f"<script>{asset('player.js')}</script></figure>"
        )

    def _pane(self, index: int, pane: Pane, start: Any, others: Sequence[Any]) -> str:
        label = f"{pane.title}: {pane.y.label} against {pane.x.label}"
        if index == self.picker:
            label += ". Arrow keys choose a cell"
        scene = self.controls[0].start * len(pane.scenes) // len(self.controls[0].texts)
        return pane.svg(label, start, focusable=index == self.picker, others=others, scene=scene)

    def _readout(self) -> str:
        return "".join(
            f"<div{self._room(k)}><span>{html.escape(label)}</span><b>{html.escape(text)}</b></div>"
            for k, (label, text) in enumerate(zip(self.labels, self.readouts[self.start], strict=True))
        )

    def _room(self, column: int) -> str:
        """Return the attribute that keeps the room of a column's longest text."""
        longest = max(len(row[column]) for row in self.readouts)
        return f' style="min-width:{longest}ch"' if self.steady else ""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        settings = ", ".join(f"{control.label} {control.texts[control.start]}" for control in self.controls)
        numbers = ", ".join(
            f"{label} {text}" for label, text in zip(self.labels, self.readouts[self.start], strict=True)
        )
        return f"{self.title} [{settings}: {numbers}]. {self.caption}"


def _packed(paths: Sequence[Any]) -> str:
    """Return whole numbers of 16 bits, little-endian, as base64: a third of their size as text."""
    return base64.b64encode(np.concatenate(paths).astype("<i2").tobytes()).decode()


def _slider(control: Control) -> str:
    last = len(control.texts) - 1
    marks = "".join(
        f'<span class="pu-mark" style="left:calc(8px + (100% - 16px)*{mark.at / last:.4f});'
        f'--pu-mark:{mark.color}">'
        f"{html.escape(mark.text)}</span>"
        for mark in control.marks
    )
    text = html.escape(control.texts[control.start])
    return (
        f'<label class="pu-control"><span class="pu-name">{html.escape(control.label)}</span>'
        f'<span class="pu-track"><input type="range" min="0" max="{last}" step="1" value="{control.start}" '
        f'aria-label="{html.escape(control.label)}" aria-valuetext="{text}"/>'
        f'<span class="pu-scale" aria-hidden="true">{marks}</span></span>'
        f'<output class="pu-value">{text}</output></label>'
    )
