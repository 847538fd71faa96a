"""Backgrounds for paths: a loss surface as bands of shade, as vectors for the player and for matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from course.widgets.pane import Axis, Layer
from course.widgets.style import VALLEY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["band_levels", "bands", "shade", "surface"]

Floats = npt.NDArray[np.float64]


def surface(landscape: Any, x: Axis, y: Axis, points: int = 90) -> tuple[Floats, Floats, Floats]:
    """Return grid positions (points,), (points,) and the loss there, shape (points, points), rows along y."""
    across = np.linspace(x.low, x.high, points)
    upward = np.linspace(y.low, y.high, points)
    theta = np.stack(np.meshgrid(across, upward), axis=-1)
    return across, upward, np.asarray(landscape.value(theta))


def band_levels(values: Floats, floor: float) -> Floats:
    """Return the edges between the bands, ascending, at equal steps of the root of the height."""
    roots = np.linspace(0, np.sqrt(values.max() - floor), len(VALLEY) + 1)[1:-1]
    return floor + roots**2


def bands(landscape: Any, x: Axis, y: Axis, floor: float = 0.0) -> list[Layer]:
    """Return the loss surface as layers, the highest band first, so that each lower one lies on top of it."""
    from contourpy import contour_generator

    across, upward, values = surface(landscape, x, y)
    corners = np.array([[x.low, y.low], [x.high, y.low], [x.high, y.high], [x.low, y.high]])
    layers = [Layer([corners], fill=VALLEY[0])]
    generator: Any = contour_generator(across, upward, values, fill_type="OuterOffset")
    for level, color in zip(band_levels(values, floor)[::-1], VALLEY[1:], strict=True):
        polygons, offsets = generator.filled(values.min() - 1, level)
        rings = [
            ring
            for points, edges in zip(polygons, offsets, strict=True)
            for ring in np.split(points, edges[1:-1])
        ]
        layers.append(Layer(rings, fill=color))
    return layers


def shade(axes: Axes, landscape: Any, x: Axis, y: Axis, floor: float = 0.0) -> None:
    """Draw the same bands on matplotlib's ``axes`` and set its limits."""
    across, upward, values = surface(landscape, x, y)
    levels = np.concatenate([[values.min() - 1], band_levels(values, floor), [values.max() + 1]])
    axes.contourf(across, upward, values, levels=levels, colors=VALLEY[::-1])
    axes.set(xlim=(x.low, x.high), ylim=(y.low, y.high))
