"""The slips of lesson 04's short exercises."""

from __future__ import annotations

import math
from typing import Any

from course.exercises.base import Slips

__all__ = ["ema_slips", "optimal_slips"]
optimal_slips = Slips()


def _roots(smallest: float, largest: float) -> tuple[float, float]:
    return math.sqrt(smallest), math.sqrt(largest)


@optimal_slips(
    "momentum not squared",
    "(sqrt k - 1)/(sqrt k + 1) is the rate of convergence. The best momentum is its square.",
    "On a quadratic the slower of two roots shrinks by sqrt(momentum) a step.",
)
def _(smallest: float, largest: float) -> Any:
    a, b = _roots(smallest, largest)
    return (2 / (a + b)) ** 2, (b - a) / (b + a)


@optimal_slips(
    "lr not squared",
    "The learning rate lacks its square: lr has the unit of 1 / curvature, not of its root.",
    "Check the units.",
)
def _(smallest: float, largest: float) -> Any:
    a, b = _roots(smallest, largest)
    return 2 / (a + b), ((b - a) / (b + a)) ** 2


@optimal_slips(
    "roots forgotten",
    "You used the curvatures themselves where their roots belong.",
    "The gain of momentum is just that: k becomes its root.",
)
def _(smallest: float, largest: float) -> Any:
    return (2 / (smallest + largest)) ** 2, ((largest - smallest) / (largest + smallest)) ** 2


@optimal_slips(
    "the learning rate of plain descent",
    "2 / (L + mu) is best without momentum. With it, larger steps are stable and better.",
    "lr and momentum have to be tuned together.",
)
def _(smallest: float, largest: float) -> Any:
    a, b = _roots(smallest, largest)
    return 2 / (smallest + largest), ((b - a) / (b + a)) ** 2


@optimal_slips(
    "the learning rate 1/L",
    "The momentum is right, but lr = 1/L is Nesterov's safe choice, not Polyak's best.",
    "With momentum the limit is 2 (1 + momentum) / L: there is room above 1/L.",
)
def _(smallest: float, largest: float) -> Any:
    a, b = _roots(smallest, largest)
    return 1 / largest, ((b - a) / (b + a)) ** 2


@optimal_slips(
    "swapped",
    "Both numbers are right, in the wrong order.",
    "Return (lr, momentum).",
)
def _(smallest: float, largest: float) -> Any:
    a, b = _roots(smallest, largest)
    return ((b - a) / (b + a)) ** 2, (2 / (a + b)) ** 2


@optimal_slips(
    "lr for a difference of roots",
    "lr has the difference of the roots below the line; for a round bowl that is zero.",
    "In the learning rate the roots are added.",
)
def _(smallest: float, largest: float) -> Any:
    a, b = _roots(smallest, largest)
    return (2 / (b - a)) ** 2 if b > a else math.inf, ((b - a) / (b + a)) ** 2


ema_slips = Slips()


@ema_slips(
    "divided instead of multiplied",
    "You divide lr by 1 - beta, which is the way back, from the sum to the average.",
    "The average steps shorter than the sum. Must the sum's lr be larger or smaller than the average's?",
)
def _(lr: float, beta: float) -> Any:
    return lr / (1 - beta), beta


@ema_slips(
    "lr unchanged",
    "You keep lr. The sum then steps 1/(1 - beta) times as far: ten times, for beta = 0.9.",
    "How large does each buffer grow under a constant gradient of 1?",
)
def _(lr: float, beta: float) -> Any:
    return lr, beta


@ema_slips(
    "momentum 1 - beta",
    "The momentum is turned around: both forms forget at the same speed.",
    "What multiplies the old value in m = beta m + (1 - beta) g?",
)
def _(lr: float, beta: float) -> Any:
    return lr * (1 - beta), 1 - beta


@ema_slips(
    "lr times beta",
    "You multiply lr by beta, the share of the past. The gradient enters with the other share.",
    "What multiplies g in m = beta m + (1 - beta) g?",
)
def _(lr: float, beta: float) -> Any:
    return lr * beta, beta


@ema_slips(
    "swapped",
    "Both numbers are right, in the wrong order.",
    "Return (lr, momentum).",
)
def _(lr: float, beta: float) -> Any:
    return beta, lr * (1 - beta)


@ema_slips(
    "momentum scaled too",
    "The learning rate is right, but the momentum took the factor 1 - beta as well.",
    "Only the gradient's share moves into lr; the past is forgotten at the same speed as before.",
)
def _(lr: float, beta: float) -> Any:
    return lr * (1 - beta), beta * (1 - beta)
