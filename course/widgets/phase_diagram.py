"""Lesson 04: every learning rate and every momentum at once, and the path of the pair that is chosen."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from course.landscapes import Quadratic
from course.rules import HeavyBall
from course.widgets.models.paths import follow, heavy_ball_rate
from course.widgets.pane import Axis, Layer, Note, Pane
from course.widgets.player import Control, Player
from course.widgets.ravine import START, describe_rate, plane
from course.widgets.shading import bands
from course.widgets.style import INK
from course.widgets.words import percent

__all__ = ["factor_legend", "heat_map", "momentum_phase_diagram", "phase_grid"]

Floats = npt.NDArray[np.float64]

STEPS = 50
FASTEST = 0.65  # the factor per step that gets the lightest colour
DIVERGES = (214, 214, 214)


def phase_grid() -> tuple[Floats, Floats]:
    """Return the learning rates (in units of 1/L) and the momenta of the cells, ascending."""
    return np.arange(1, 32) / 8.0, np.arange(0, 25) / 25.0


def momentum_phase_diagram(condition: float = 25.0, angle: float = 0.5) -> Player:
    """Return a player: the heavy ball's factor per step for each learning rate and momentum, and its path.

    Args:
        condition: the largest curvature over the smallest.
        angle: how far the ravine is turned against the axes, radians.
    """
    ravine = Quadratic.of(condition=condition, angle=angle, largest=1.0)
    rates, momenta = phase_grid()
    cells = [(float(lr), float(momentum)) for lr in rates for momentum in momenta]
    factors = heavy_ball_rate(rates[:, None], momenta, ravine.eigenvalues)
    paths = [follow(HeavyBall(lr=lr, momentum=beta), ravine, START, STEPS) for lr, beta in cells]
    x, y = plane()
    walk = Pane(
        f"The path of the chosen pair, {STEPS} steps",
        x,
        y,
        paths,
        layers=bands(ravine, x, y),
        notes=[Note(0.0, 0.0, "", INK, mark="cross")],
    )
    return Player(
        title="Momentum: the whole phase diagram",
        caption=(
            f"How fast the heavy ball converges on a ravine of condition number {condition:g}: the lighter a "
            "cell, the smaller the factor that one step leaves of the error. Grey cells diverge; theory's "
            "boundary, learning rate × L = 2 + 2 × momentum, runs exactly along them. The circle is Polyak's "
            "optimum. Click a cell, or move with the arrow keys, to see its path."
        ),
        panes=[_map_pane(rates, momenta, factors, cells, ravine), walk],
        controls=[
            Control("Learning rate × L", [f"{lr:.3f}" for lr in rates], start=7),
            Control("Momentum", [f"{beta:.2f}" for beta in momenta], start=0),
        ],
        labels=["Factor per step", "Distance left after 50 steps", "Outcome"],
        readouts=[
            (
                f"{factor:.3f}",
                percent(float(np.linalg.norm(path[-1]) / np.linalg.norm(START))),
                describe_rate(factor),
            )
            for factor, path in zip(factors.reshape(-1).tolist(), paths, strict=True)
        ],
        picker=0,
    )


def heat_map(factors: Floats) -> bytes:
    """Return a PNG of one pixel a cell, learning rate to the right and momentum upward.

    Args:
        factors: per step, shape (learning rates, momenta); 1 and above is grey.
    """
    from matplotlib import colormaps
    from PIL import Image

    share = np.clip((1 - factors) / (1 - FASTEST), 0, 1)
    colors = (colormaps["cividis"](share)[..., :3] * 255).round().astype(np.uint8)
    colors[factors > 1 + 1e-9] = DIVERGES
    target = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colors.transpose(1, 0, 2)[::-1])).save(target, "PNG", optimize=True)
    return target.getvalue()


def _map_pane(
    rates: Floats, momenta: Floats, factors: Floats, cells: list[tuple[float, float]], ravine: Quadratic
) -> Pane:
    across, upward = float(rates[1] - rates[0]), float(momenta[1] - momenta[0])
    x = Axis(
        "learning rate × L",
        float(rates[0]) - across / 2,
        float(rates[-1]) + across / 2,
        [(t, f"{t:g}") for t in (0.5, 1, 1.5, 2, 2.5, 3, 3.5)],
    )
    y = Axis(
        "momentum",
        float(momenta[0]) - upward / 2,
        float(momenta[-1]) + upward / 2,
        [(t, f"{t:.1f}") for t in (0.0, 0.2, 0.4, 0.6, 0.8)],
    )
    lr, momentum = ravine.best_heavy_ball
    boundary = np.array([[2 + 2 * beta, beta] for beta in (-1.0, 1.0)])
    return Pane(
        "Factor per step",
        x,
        y,
        [np.array([cell]) for cell in cells],
        layers=[Layer([boundary], stroke=INK, width=2)],
        notes=[
            Note(lr * float(ravine.eigenvalues[-1]), momentum, "optimum", INK, "start", 22, 4, mark="ring"),
            Note(3.2, 0.2, "diverges", INK, "middle"),
        ],
        image=heat_map(factors),
        style="cell",
        cell=(across, upward),
        extra=factor_legend(),
    )


def factor_legend() -> str:
    """Return the key of the heat map as SVG: a strip from slow to fast, top right of the pane."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    stops = 24
    colors = [to_hex(colormaps["cividis"](k / (stops - 1))) for k in range(stops)]
    swatches = "".join(
        f'<rect x="{282 + 4 * k}" y="9" width="4.2" height="9" fill="{color}"/>'
        for k, color in enumerate(colors)
    )
    return (
        f'{swatches}<text x="278" y="17" text-anchor="end" fill="{INK}">1 slow</text>'
        f'<text x="383" y="17" fill="{INK}">{FASTEST:g} fast</text>'
    )
