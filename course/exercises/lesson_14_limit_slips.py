"""The slips of largest_stable_lr_with_delay."""

from __future__ import annotations

import math
from typing import Any

from course.exercises.base import Slips

__all__ = ["limit_slips"]

limit_slips = Slips()


@limit_slips(
    "2/L for every delay",
    "2 over the curvature is the limit without a delay. The delay is not used.",
    "Try lr = 1.5 on a curvature of 1 with a delay of 1: the path grows.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 / curvature


@limit_slips(
    "2/L over the delay + 1",
    "The limit of no delay, divided by delay + 1. Right for a delay of 0 and of 1, and too large by a "
    "growing factor after that.",
    "There is a sine in it: the angle of the root on the circle decides.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 / (curvature * (delay + 1))


@limit_slips(
    "2/L over twice the delay + 1",
    "The limit of no delay, divided by 2 delay + 1. The scaling is right for long delays; the factor is "
    "not: it should be pi/2 times as large there.",
    "There is a sine in it: the angle of the root on the circle decides.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 / (curvature * (2 * delay + 1))


@limit_slips(
    "one over curvature and delay",
    "1/(L delay) is the rule of thumb, with an exception for no delay. It is safe for long delays, and "
    "about a third below the limit there.",
    "Find the exact angle at which a root meets the circle.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 / curvature if delay == 0 else 1 / (curvature * delay)


@limit_slips(
    "the curvature left out",
    "You return the product of rate and curvature. It is right for a curvature of 1 only.",
    "What stands on the left is a, which is lr times the curvature.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(math.pi / (4 * delay + 2))


@limit_slips(
    "multiplied by the curvature",
    "You multiply by the curvature. The steeper the bowl, the smaller the rate must be.",
    "a is lr times the curvature. Solve it for lr.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(math.pi / (4 * delay + 2)) * curvature


@limit_slips(
    "twice the angle",
    "The angle in your sine is twice too large. Either it is the whole phi, and the chord from 1 to a point "
    "at the angle phi is 2 sin(phi/2); or your phi is twice too large itself.",
    "Half of phi goes into the sine. And put your phi into d phi = (pi - phi)/2: are both sides the same?",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(math.pi / (2 * delay + 1)) / curvature


@limit_slips(
    "phi = pi/(d + 1)",
    "Your phi is pi/(delay + 1). That solves d phi = pi - phi: the 2 below (pi - phi) is lost on the way.",
    "Double both sides: 2 d phi = pi - phi. Now bring the phi of the right to the left.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(math.pi / (2 * delay + 2)) / curvature


@limit_slips(
    "phi = pi/(2d - 1)",
    "Your phi is pi/(2 delay - 1). Either the minus of (pi - phi) got lost when phi was brought to the left, "
    "or you count the delay one too low.",
    "Without a delay the limit is 2/L. Put delay = 0 into yours.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(math.pi / (4 * delay - 2)) / curvature


@limit_slips(
    "one step too fresh",
    "This is the limit for a delay that is one shorter.",
    "Delays count from 0: without one the limit is 2/L, with one step it is 1/L.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(math.pi / (4 * max(delay - 1, 0) + 2)) / curvature


@limit_slips(
    "degrees",
    "You put degrees into a sine that takes radians.",
    "math.sin and np.sin take radians: half a turn is math.pi.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(180 / (4 * delay + 2)) / curvature


@limit_slips(
    "cosine for sine",
    "You took the cosine. It grows as the delay grows, up to 2; without a delay it gives 0.",
    "Without a delay the limit is 2 over the curvature. Which of the two gives that?",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.cos(math.pi / (4 * delay + 2)) / curvature


@limit_slips(
    "the sine left out",
    "You return the angle itself. For long delays the sine is nearly that; for short ones it is not: "
    "without a delay you get pi instead of 2.",
    "The modulus of z - 1 is a chord, not an arc.",
)
def _(curvature: float, delay: int) -> Any:
    return math.pi / (2 * delay + 1) / curvature


@limit_slips(
    "half of the limit",
    "What you return is half of it: without a delay 1/L instead of 2/L.",
    "A chord at the angle phi is 2 sin(phi/2).",
)
def _(curvature: float, delay: int) -> Any:
    return math.sin(math.pi / (4 * delay + 2)) / curvature


@limit_slips(
    "one step too stale",
    "This is the limit for a delay that is one longer.",
    "Without a delay the limit is 2/L. Put delay = 0 into yours.",
)
def _(curvature: float, delay: int) -> Any:
    return 2 * math.sin(math.pi / (4 * delay + 6)) / curvature
