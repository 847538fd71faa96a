"""One look for all pictures: a palette that colour-blind readers can use, a figure, a sentence below it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS", "INK", "MUTED", "VALLEY", "alt", "figure", "ink_on", "plain_axes"]

# M. Okabe and K. Ito (2008), Color Universal Design.
COLORS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
INK = "#1f2933"  # text
MUTED = "#5f6c7b"  # axes, ticks, captions: contrast 5.4 to 1 on white
LINE = "#c5ced8"  # frames
# The shades of a loss surface, from the highest band down to the valley's floor. They differ in lightness
# only, and stay light, so that a path in any colour of the palette stands out on each.
VALLEY = ("#c9d7e3", "#d3dfe9", "#dde6ee", "#e6edf3", "#eef3f7", "#f5f8fa", "#fbfcfd", "#ffffff")


def figure(width: float = 6.4, height: float = 4.0, dpi: int = 100) -> Figure:
    """Return an empty matplotlib figure in the course's style (width and height in inches).

    It belongs to no pyplot window, so that a cell shows it only where it is asked to.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=dpi, facecolor="white", layout="constrained")
    FigureCanvasAgg(made)
    return made


def plain_axes(axes: Axes, xlabel: str, ylabel: str, title: str = "") -> Axes:
    """Give ``axes`` labels and the quiet frame of the course; returns the same axes."""
    axes.set_xlabel(xlabel, color=INK, fontsize=10)
    axes.set_ylabel(ylabel, color=INK, fontsize=10)
    if title:
        axes.set_title(title, color=INK, fontsize=11, loc="left")
    axes.tick_params(colors=MUTED, labelsize=9, length=3)
    for spine in axes.spines.values():
        spine.set_color(LINE)
    return axes


def ink_on(color: str) -> str:
    """Return white or ink, whichever can be read better on ``color``."""
    red, green, blue = ((int(color[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5))
    return INK if 0.21 * red + 0.72 * green + 0.07 * blue > 0.21 else "#ffffff"


def alt(text: str) -> None:
    """Show ``text`` as the caption of the picture above: what it shows, for those who cannot see it too.

    JupyterLab ignores alternative text in a PNG's metadata, so it has to stand in the page.
    """
    from IPython.display import display

    escaped = html.escape(text)
    caption = (
        f'<p class="pu-caption" style="margin:2px 0 8px;max-width:46rem;font-size:13px;line-height:1.45;'
        f'color:var(--jp-content-font-color2,{MUTED})">{escaped}</p>'
    )
    display({"text/html": caption, "text/plain": text}, raw=True)
