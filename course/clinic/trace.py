"""Series of numbers in constant memory."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

__all__ = ["LossTrace", "Trace"]

ROOM = 64
SHORT = 6  # losses below which nothing is said about where they go


@dataclass
class Trace:
    """A series ``(step, value)`` thinned to at most 64 points; count, first, last and extremes are exact."""

    points: list[tuple[int, float]] = field(default_factory=list)
    count: int = 0
    first: float = math.nan
    last: float = math.nan
    low: float = math.inf
    high: float = -math.inf
    _stride: int = 1

    def add(self, step: int, value: float) -> None:
        """Append a value; non-finite values count, but are no extremes."""
        if self.count == 0:
            self.first = value
        if self.count % self._stride == 0:
            self.points.append((step, value))
            if len(self.points) >= ROOM:
                self.points = self.points[::2]
                self._stride *= 2
        self.count += 1
        self.last = value
        if math.isfinite(value):
            self.low, self.high = min(self.low, value), max(self.high, value)

    @property
    def median(self) -> float:
        """The median of the finite points kept; NaN where there are none."""
        finite = [value for _, value in self.points if math.isfinite(value)]
        return statistics.median(finite) if finite else math.nan


@dataclass
class LossTrace(Trace):
    """The losses of one ``backward`` call in the code: how they started, and where they are now."""

    _early: list[float] = field(default_factory=list)
    _recent: list[float] = field(default_factory=list)
    first_bad: int | None = None

    def add(self, step: int, value: float) -> None:
        """Append a loss."""
        super().add(step, value)
        if not math.isfinite(value):
            if self.first_bad is None:
                self.first_bad = self.count
            return
        if len(self._early) < 3:
            self._early.append(value)
        self._recent = [*self._recent[-4:], value]

    @property
    def early(self) -> float:
        """The first loss, or the mean of the first three if that is smaller: before any harm was done."""
        return min(self._early[0], statistics.fmean(self._early)) if self._early else math.nan

    @property
    def late(self) -> float:
        """The mean of the last losses: five, or a third of them if that is less."""
        recent = self._recent[-max(1, min(5, self.count // 3)) :]
        return statistics.fmean(recent) if recent else math.nan

    @property
    def change(self) -> float:
        """How much the loss changed from early to late, as a fraction of early; NaN where there are too few.

        -0.3 is 30 % down.
        """
        if not self._early or self.count < SHORT:
            return math.nan
        return (self.late - self.early) / max(abs(self.early), 1e-12)
