"""A matplotlib picture that the kernel redraws in milliseconds: what stands still is drawn once.

``Picture`` knows matplotlib and no widget; ``Live`` is the thin wiring between sliders, a picture and the
numbers below it.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from course.widgets.card import keyboard, stylesheet

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

__all__ = ["Live", "Picture", "Readout"]

# The names and values of the numbers below a picture, in reading order.
Readout = Mapping[str, str]


class Picture:
    """A figure of which only some artists move.

    Args:
        figure: from ``style.figure``, with everything that stands still already drawn on it.
        moving: the artists that a state changes.
        update: takes the state as keyword arguments, sets the moving artists, and returns the numbers to
            read out.
    """

    def __init__(self, figure: Figure, moving: Sequence[Artist], update: Callable[..., Readout]) -> None:
        self.figure = figure
        self.moving = list(moving)
        self.update = update
        self._background: Any = None

    def draw(self, **state: Any) -> tuple[bytes, Readout]:
        """Return the picture of ``state`` as PNG, and its numbers."""
        readout = self.update(**state)
        canvas: Any = self.figure.canvas
        if self._background is None:
            for artist in self.moving:
                artist.set_animated(True)  # which leaves them out of the background
            canvas.draw()
            self._background = canvas.copy_from_bbox(self.figure.bbox)
        canvas.restore_region(self._background)
        for artist in self.moving:
            artist.draw(canvas.get_renderer())
        return _png(canvas.buffer_rgba()), readout


def _png(pixels: Any) -> bytes:
    """Encode a canvas as PNG; light compression, for the picture only travels inside this machine."""
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).convert("RGB").save(target, "PNG", compress_level=1)
    return target.getvalue()


class Live:
    """A picture with controls below it, which it follows; display it as the last line of a cell.

    An exception in the picture's code is shown in place of the numbers, kept in ``error``, and raised: it is
    never swallowed, neither in a test (setting ``control.value`` raises) nor before a learner.

    Args:
        title: above the picture.
        controls: ipywidgets by the name of the state they set.
        picture: what to draw.
        caption: what there is to see, for those who cannot see it too.
    """

    def __init__(self, title: str, controls: Mapping[str, Any], picture: Picture, caption: str) -> None:
        import ipywidgets as widgets

        self.controls = dict(controls)
        self.picture = picture
        self.title, self.caption = title, caption
        self.error: Exception | None = None
        self.readout: Readout = {}
        png, self.readout = picture.draw(**self.state())
        self.numbers = widgets.HTML(_numbers(self.readout))
        self.image = widgets.Image(value=png, format="png")
        self.image.layout.max_width = "100%"
        self.image.layout.width = f"{picture.figure.bbox.width:.0f}px"
        self.image.layout.object_fit = "contain"
        heading = widgets.HTML(f'{stylesheet("live.css")}<div class="pu-head">{html.escape(title)}</div>')
        note = widgets.HTML(f'<div class="pu-caption">{html.escape(caption)}</div>')
        sliders = widgets.VBox(list(self.controls.values()))
        sliders.add_class("pu-controls")
        self.box = widgets.VBox([heading, self.image, sliders, self.numbers, note, keyboard()])
        for kind in ("pu-card", "pu-live"):
            self.box.add_class(kind)
        for control in self.controls.values():
            control.observe(self._follow, names="value")

    def state(self) -> dict[str, Any]:
        """Return the controls' values by name."""
        return {name: control.value for name, control in self.controls.items()}

    def _follow(self, _change: Any) -> None:
        try:
            png, self.readout = self.picture.draw(**self.state())
        except Exception as error:
            self.error = error
            # The kernel's log is no place that a learner looks at.
            self.numbers.value = (
                f'<div class="pu-error" role="alert">'
                f"This picture failed: {html.escape(f'{type(error).__name__}: {error}')}</div>"
            )
            raise
        self.error = None
        self.image.value = png
        self.numbers.value = _numbers(self.readout)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return the live widget, and for pages without a kernel the picture as it stands."""
        bundle = dict(self.box._repr_mimebundle_() or {})
        bundle["image/png"] = base64.b64encode(self.image.value).decode()
        bundle["text/plain"] = repr(self)
        return bundle

    def __repr__(self) -> str:
        settings = ", ".join(f"{name} = {value}" for name, value in self.state().items())
        numbers = ", ".join(f"{name} {value}" for name, value in self.readout.items())
        return f"{self.title} [{settings}: {numbers}]. {self.caption}"


def _numbers(readout: Readout) -> str:
    cells = "".join(
        f"<div><span>{html.escape(name)}</span><b>{html.escape(value)}</b></div>"
        for name, value in readout.items()
    )
    return f'<div class="pu-readout" role="status" aria-live="polite">{cells}</div>'
