"""The slips of ``warmup_cosine``: on the way up, on the way down, and at the ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from course.exercises.base import Slips

__all__ = ["warmup_slips"]

warmup_slips = Slips()


def _curve(
    up: Callable[..., float] | None = None,
    down: Callable[..., float] | None = None,
    end: Callable[..., float] | None = None,
) -> Callable[..., float]:
    """Return a schedule that differs from the right one on the way up, on the way down, or past the end.

    ``up`` takes (share, peak, floor), ``down`` and ``end`` take (share, peak, floor); share goes from 0 to 1.
    """

    def answer(step: int, peak: float, warmup: int, total: int, floor: float) -> float:
        if step < warmup:
            return up(step / warmup, peak, floor) if up else peak * step / warmup
        share = (step - warmup) / (total - warmup) if total > warmup else 1.0
        if step >= total and not end:
            return floor
        use = end if end and step >= total else down or _half
        return use(share, peak, floor)

    return answer


def _half(share: float, peak: float, floor: float) -> float:
    return floor + (peak - floor) * (1 + math.cos(math.pi * share)) / 2


@warmup_slips(
    "warmup one step ahead",
    "Your warmup begins at peak / warmup and is at the peak one step early. Steps count from 0 here, and "
    "the rate at step 0 is 0.",
    "After k steps of warmup the rate is the share k / warmup of the peak.",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    if step < warmup:
        return peak * (step + 1) / warmup
    return _curve()(step, peak, warmup, total, floor)


@warmup_slips(
    "warmup in one part more",
    "Your warmup climbs by (step + 1) / (warmup + 1): it begins above 0. At step 0 the rate is 0.",
    "After k steps of warmup the rate is the share k / warmup of the peak.",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    return _curve()(step, peak, warmup, total, floor)


@warmup_slips(
    "peak where the floor wins",
    "Where all steps are warmup, your rate at step total is the peak. From step total on it is the floor.",
    "With warmup = total nothing is left of the cosine. Which line of the formula has step total then?",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    if step < warmup:
        return peak * step / warmup
    return _half(min(1.0, (step - warmup) / max(1, total - warmup)), peak, floor)


@warmup_slips(
    "peak at the last step of the warmup",
    "Your warmup starts at 0 and reaches the peak at step warmup - 1. It should be there at step warmup.",
    "How many equal parts lie between step 0 and step warmup?",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    if step < warmup:
        return peak * step / max(warmup - 1, 1)
    return _curve()(step, peak, warmup, total, floor)


warmup_slips(
    "warmup from the floor",
    "Your warmup starts at the floor. It starts at 0; the floor is where the cosine ends.",
    "Which rate has step 0?",
)(_curve(up=lambda share, peak, floor: floor + (peak - floor) * share))


@warmup_slips(
    "no warmup",
    "Your cosine starts at step 0: there is no warmup.",
    "Before step warmup, the rate climbs in a straight line.",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    return floor if step >= total else _half(step / total, peak, floor)


@warmup_slips(
    "cosine over all steps",
    "You divide by total. The cosine has only total - warmup steps, so yours never comes down to the floor.",
    "The share must be 1 at step total.",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    if step < warmup:
        return peak * step / warmup
    return floor if step >= total else _half((step - warmup) / total, peak, floor)


@warmup_slips(
    "cosine counted from step 0",
    "Your cosine has been falling since step 0: at the end of the warmup the rate drops below the peak.",
    "The share must be 0 at step warmup.",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    if step < warmup:
        return peak * step / warmup
    return floor if step >= total else _half(step / total, peak, floor)


@warmup_slips(
    "total counted after the warmup",
    "Your run is longer by the warmup: the floor is reached at step warmup + total. In total the warmup is "
    "included.",
    "At which step is the floor reached?",
)
def _(step: int, peak: float, warmup: int, total: int, floor: float) -> Any:
    if step < warmup:
        return peak * step / warmup
    return floor if step >= total + warmup else _half((step - warmup) / total, peak, floor)


def _to_zero(share: float, peak: float, floor: float) -> float:
    return _half(share, peak, 0.0)


warmup_slips(
    "floor ignored",
    "Your cosine goes down to 0, whatever the floor.",
    "At step total, and from then on, the rate is the floor.",
)(_curve(down=_to_zero, end=lambda share, peak, floor: 0.0))

warmup_slips(
    "a jump to the floor",
    "Your cosine goes down to 0, below the floor, and jumps up to it at the end.",
    "What is half a cosine between peak and floor, rather than between peak and 0?",
)(_curve(down=_to_zero))

warmup_slips(
    "floor as a cut",
    "Your cosine aims at 0 and is cut off at the floor: it gets there too early, and with a corner.",
    "Squeeze the whole cosine between floor and peak.",
)(_curve(down=lambda share, peak, floor: max(floor, _to_zero(share, peak, floor))))

warmup_slips(
    "floor on top",
    "You add the floor to a cosine that already has the full height: the rate begins at peak + floor.",
    "How far is it from the peak down to the floor?",
)(_curve(down=lambda share, peak, floor: floor + _to_zero(share, peak, floor)))

warmup_slips(
    "floor as a share of the peak",
    "You multiply the floor by the peak. Here the floor is a learning rate itself.",
    "At step total the rate is the floor, as it was given.",
)(
    _curve(
        down=lambda share, peak, floor: _half(share, peak, floor * peak),
        end=lambda share, peak, floor: floor * peak,
    )
)

warmup_slips(
    "up again past the end",
    "Past total your cosine goes on, so the rate climbs again.",
    "What does the statement say about steps from total on?",
)(_curve(end=_half))

warmup_slips(
    "zero past the end",
    "From total on your rate is 0. It stays at the floor.",
    "What does the statement say about steps from total on?",
)(_curve(end=lambda share, peak, floor: 0.0))

warmup_slips(
    "a whole period",
    "Your cosine runs through a whole period: it is back at the peak at the end.",
    "From the peak down to the floor is half a period. Which angle is that?",
)(_curve(down=lambda share, peak, floor: _half(2 * share, peak, floor)))

warmup_slips(
    "a quarter of a period",
    "You take a quarter of a period, which is steepest at the end. The schedule is half a period, flat at "
    "both ends.",
    "Which angle has the cosine -1?",
)(_curve(down=lambda share, peak, floor: floor + (peak - floor) * math.cos(math.pi / 2 * share)))

warmup_slips(
    "pi forgotten",
    "The angle lacks pi: the cosine takes radians, and at the end yours has only reached 1 radian.",
    "Half a period is pi.",
)(_curve(down=lambda share, peak, floor: _half(share / math.pi, peak, floor)))

warmup_slips(
    "degrees",
    "You give the cosine degrees. It takes radians.",
    "Half a period is pi.",
)(_curve(down=lambda share, peak, floor: _half(180 * share / math.pi, peak, floor)))

warmup_slips(
    "not halved",
    "1 + cos goes from 2 down to 0. Your rate begins at twice the height.",
    "What brings it to 1 at the beginning?",
)(_curve(down=lambda share, peak, floor: 2 * _half(share, peak, floor) - floor))

warmup_slips(
    "upside down",
    "Your cosine climbs from the floor to the peak.",
    "At step warmup the cosine is 1. Does your formula give the peak there?",
)(_curve(down=lambda share, peak, floor: _half(1 - share, peak, floor)))

warmup_slips(
    "a straight line down",
    "You go down in a straight line. The schedule is half a cosine.",
    "What is 1 at share 0, 0 at share 1, and flat at both?",
)(_curve(down=lambda share, peak, floor: floor + (peak - floor) * (1 - share)))
