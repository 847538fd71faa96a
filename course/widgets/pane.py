"""One pane of a player as SVG: axes, what never moves, and room for the path that does."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from course.widgets.style import COLORS, INK, LINE, MUTED, ink_on

__all__ = ["Axis", "Layer", "Note", "Pane", "Runner", "quantise", "trail"]

Floats = npt.NDArray[np.float64]

UNIT = 10  # whole units per pixel: a tenth of a pixel is finer than any screen shows
FAR = 30_000  # units; beyond it a path is cut: it has left the picture, and must fit into 16 bits
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 30, 44  # margins around the box, pixels


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``, with its label (unit included) and its ticks (position, text)."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def fraction(self, values: npt.ArrayLike) -> Floats:
        """Return where ``values`` lie between the ends, 0 to 1 (outside them: beyond)."""
        along = np.asarray(values, dtype=float)
        low, high = self.low, self.high
        if self.log:
            along, low, high = np.log(np.maximum(along, 1e-300)), np.log(low), np.log(high)
        return np.asarray((along - low) / (high - low))


@dataclass(frozen=True)
class Layer:
    """Lines or an area that never move: ``rings`` of points, each of shape (n, 2), in data coordinates."""

    rings: Sequence[Floats]
    stroke: str = "none"
    fill: str = "none"
    width: float = 1.5
    dash: str = ""


@dataclass(frozen=True)
class Note:
    """A word at a point of the pane; ``anchor`` is start, middle or end, ``dx`` and ``dy`` are in pixels."""

    x: float
    y: float
    text: str
    color: str = INK
    anchor: str = "start"
    dx: float = 0.0
    dy: float = 0.0
    mark: str = ""


@dataclass(frozen=True)
class Runner:
    """One more path that moves in a pane: its frames, its colour, and a letter at its last point."""

    paths: Sequence[Floats]
    color: str
    letter: str = ""
    style: str = "line"


@dataclass(frozen=True)
class Pane:
    """One picture of a player.

    Attributes:
        title: a few words above the box.
        x, y: the axes.
        paths: for each frame the points to draw, shape (n, 2), in data coordinates.
        layers, notes: what never moves.
        image: a PNG stretched over the box, one pixel a cell (a heat map), or nothing.
        style: "path" draws line, dots, start and end; "dots" a line and dots that are all alike; "line" no
            dots; "marker" only the last point; "cell" a frame around the last point, of the size ``cell``
            (data coordinates).
        width, height: of the box, pixels.
        letter: at the path's last point. runners: further paths that move. scenes: layers that change
            with the first slider, each for as many of its settings.
    """

    title: str
    x: Axis
    y: Axis
    paths: Sequence[Floats]
    layers: Sequence[Layer] = ()
    notes: Sequence[Note] = ()
    image: bytes = b""
    style: str = "path"
    cell: tuple[float, float] = (0.0, 0.0)
    color: str = COLORS["vermillion"]
    width: int = 372
    height: int = 300
    extra: str = field(default="")
    letter: str = ""
    runners: Sequence[Runner] = ()
    scenes: Sequence[Sequence[Layer]] = ()

    def units(self, points: Floats) -> Floats:
        """Return data points in the units of the box, shape (n, 2), not yet rounded."""
        columns = (
            self.x.fraction(points[:, 0]) * self.width,
            (1 - self.y.fraction(points[:, 1])) * self.height,
        )
        return np.stack(columns, axis=1) * UNIT

    def quantised(self) -> list[npt.NDArray[np.int16]]:
        """Return every frame's path in whole units."""
        return [quantise(self.units(np.asarray(path, dtype=float))) for path in self.paths]

    def runners_quantised(self) -> list[list[npt.NDArray[np.int16]]]:
        """Return the same of each runner."""
        return [[quantise(self.units(np.asarray(path))) for path in each.paths] for each in self.runners]

    def svg(
        self,
        label: str,
        start: npt.NDArray[np.int16],
        focusable: bool = False,
        others: Sequence[npt.NDArray[np.int16]] = (),
        scene: int = 0,
    ) -> str:
        """Return the pane with the path ``start`` in it; ``label`` is what a screen reader says.

        ``others`` are the runners' first paths, ``scene`` is the one shown first.
        """
        role = 'role="application" tabindex="0"' if focusable else 'role="img"'
        box = f'x="{LEFT}" y="{TOP}" width="{self.width}" height="{self.height}"'
        width, height = self.width + LEFT + RIGHT, self.height + TOP + BOTTOM
        return (
            f'<svg class="pu-pane" viewBox="0 0 {width} {height}" {role} aria-label="{html.escape(label)}">'
            f'<text class="pu-title" x="{LEFT}" y="18">{html.escape(self.title)}</text>'
            f'<rect {box} fill="#ffffff"/>'
            f'<svg {box} viewBox="0 0 {self.width * UNIT} {self.height * UNIT}">'
            f"{self._image()}{''.join(self._layer(layer) for layer in self.layers)}"
            f"{self._scenes(scene)}{''.join(self._mark(note) for note in self.notes)}"
            f"{self._all_moving(start, others)}</svg>"
            f'<rect {box} fill="none" stroke="{LINE}"/>'
            f"{''.join(self._word(note) for note in self.notes)}{self._axes()}{self.extra}</svg>"
        )

    def _image(self) -> str:
        if not self.image:
            return ""
        data = base64.b64encode(self.image).decode()
        return (
            f'<image href="data:image/png;base64,{data}" width="{self.width * UNIT}" '
            f'height="{self.height * UNIT}" preserveAspectRatio="none" style="image-rendering:pixelated"/>'
        )

    def _layer(self, layer: Layer) -> str:
        shape = "".join(_outline(quantise(self.units(ring)), layer.fill != "none") for ring in layer.rings)
        dash = f' stroke-dasharray="{layer.dash}"' if layer.dash else ""
        return (
            f'<path d="{shape}" fill="{layer.fill}" fill-rule="evenodd" stroke="{layer.stroke}" '
            f'stroke-width="{layer.width * UNIT:g}"{dash}/>'
        )

    def _mark(self, note: Note) -> str:
        if not note.mark:
            return ""
        x, y = np.rint(self.units(np.array([[note.x, note.y]]))[0]).astype(int)
        if note.mark == "cross":
            lines = f"M{x - 55} {y}h110M{x} {y - 55}v110"
            return f'<path d="{lines}" stroke="{note.color}" stroke-width="22" fill="none"/>'
        ring = f'<circle cx="{x}" cy="{y}" r="62" fill="none" stroke='
        return f'{ring}"#ffffff" stroke-width="46"/>{ring}"{note.color}" stroke-width="20"/>'

    def _word(self, note: Note) -> str:
        if not note.text:
            return ""
        x, y = self.units(np.array([[note.x, note.y]]))[0] / UNIT
        return (
            f'<text class="pu-note" x="{x + LEFT + note.dx:.1f}" y="{y + TOP + note.dy:.1f}" '
            f'text-anchor="{note.anchor}" fill="{note.color}">{html.escape(note.text)}</text>'
        )

    def _scenes(self, shown: int) -> str:
        return "".join(
            f'<g class="pu-scene" visibility="{"visible" if i == shown else "hidden"}">'
            f"{''.join(self._layer(layer) for layer in layers)}</g>"
            for i, layers in enumerate(self.scenes)
        )

    def _all_moving(self, start: npt.NDArray[np.int16], others: Sequence[npt.NDArray[np.int16]]) -> str:
        own = self._moving(start, self.style, self.color, self.letter)
        if not self.runners:
            return own
        runs = "".join(
            f'<g class="pu-run">{self._moving(path, runner.style, runner.color, runner.letter)}</g>'
            for runner, path in zip(self.runners, others, strict=True)
        )
        return f'<g class="pu-own">{own}</g>{runs}'

    def _moving(self, start: npt.NDArray[np.int16], style: str, color: str, letter: str) -> str:
        if style == "cell":
            wide = self.cell[0] / (self.x.high - self.x.low) * self.width * UNIT
            high = self.cell[1] / (self.y.high - self.y.low) * self.height * UNIT
            x, y = start[-1]
            corner = f'x="{-wide / 2:.0f}" y="{-high / 2:.0f}"'
            frame = f'<rect {corner} width="{wide:.0f}" height="{high:.0f}" fill="none" stroke='
            return (
                f'<g class="pu-cell" transform="translate({x} {y})">'
                f'{frame}"#ffffff" stroke-width="56"/>{frame}"{color}" stroke-width="26"/></g>'
            )
        line, dots, first, last = trail(start)
        parts = []
        if style in ("path", "dots", "line"):
            parts.append(
                f'<path class="pu-line" d="{line}" fill="none" stroke="{color}" '
                f'stroke-width="{12 if letter else 16}"/>'
            )
        if style in ("path", "dots"):
            parts.append(
                f'<path class="pu-dots" d="{dots}" fill="none" stroke="{color}" '
                f'stroke-width="{46 if style == "path" else 90}" stroke-linecap="round"/>'
            )
        if style == "path":
            parts.append(
                f'<circle class="pu-first" r="50" fill="#ffffff" stroke="{color}" stroke-width="20" '
                f'transform="translate({first[0]} {first[1]})"/>'
            )
        if letter:
            parts.append(
                f'<g class="pu-last" transform="translate({last[0]} {last[1]})">'
                f'<circle r="82" fill="{color}" stroke="#ffffff" stroke-width="14"/>'
                f'<text class="pu-note" y="38" text-anchor="middle" fill="{ink_on(color)}" '
                f'style="font:700 108px sans-serif">'
                f"{html.escape(letter)}</text></g>"
            )
        elif style in ("path", "marker"):
            parts.append(
                f'<circle class="pu-last" r="56" fill="{color}" stroke="#ffffff" stroke-width="14" '
                f'transform="translate({last[0]} {last[1]})"/>'
            )
        return "".join(parts)

    def _axes(self) -> str:
        bottom, middle = TOP + self.height, TOP + self.height / 2
        parts = []
        for value, text in self.x.ticks:
            x = LEFT + float(self.x.fraction(value)) * self.width
            parts.append(f'<path d="M{x:.1f} {bottom}v4" stroke="{MUTED}"/>')
            parts.append(
                f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{html.escape(text)}</text>'
            )
        for value, text in self.y.ticks:
            y = TOP + (1 - float(self.y.fraction(value))) * self.height
            parts.append(f'<path d="M{LEFT} {y:.1f}h-4" stroke="{MUTED}"/>')
            parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{html.escape(text)}</text>')
        parts.append(
            f'<text class="pu-axis" x="{LEFT + self.width / 2:.1f}" y="{bottom + 35}" text-anchor="middle">'
            f"{html.escape(self.x.label)}</text>"
            f'<text class="pu-axis" transform="translate(14 {middle:.1f}) rotate(-90)" text-anchor="middle">'
            f"{html.escape(self.y.label)}</text>"
        )
        return f'<g fill="{MUTED}">{"".join(parts)}</g>'


def quantise(units: Floats) -> npt.NDArray[np.int16]:
    """Round a path to whole units; cut it where it goes too far, drop the end where it no longer moves."""
    outside = np.flatnonzero(~(np.abs(units) <= FAR).all(axis=1))
    if len(outside) and outside[0] > 0:
        end = outside[0]
        before, toward = units[end - 1], units[end] - units[end - 1]
        units = units[:end]
        if np.isfinite(toward).all():
            # The cut lies on the segment that leaves, so that the line keeps its direction.
            moving = toward != 0
            part = ((np.sign(toward) * FAR - before)[moving] / toward[moving]).min()
            units = np.concatenate([units, [before + part * toward]])
    whole = np.clip(np.rint(units), -FAR, FAR).astype(np.int16)
    moving = np.flatnonzero((whole != whole[-1]).any(axis=1))
    return whole[: (moving[-1] + 2 if len(moving) else 1)]


def _outline(points: npt.NDArray[np.int16], closed: bool) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points) + ("Z" if closed else "")


def trail(points: npt.NDArray[np.int16]) -> tuple[str, str, tuple[int, int], tuple[int, int]]:
    """Return the line's and the dots' path data, the first and the last point; as ``player.js`` does it."""
    line = _outline(points, closed=False)
    dots = "".join(f"M{x} {y}h0" for x, y in points)
    return line, dots, (int(points[0][0]), int(points[0][1])), (int(points[-1][0]), int(points[-1][1]))
