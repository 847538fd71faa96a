"""Schedules of several phases: up, perhaps along a plateau, and down."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from course.rules.base import require
from course.schedules.curves import Curve, is_number

__all__ = ["WSD", "Cosine", "OneCycle", "Polynomial"]


def half_cosine(high: float, low: float, share: float) -> float:
    """Return the point at ``share`` of the way from ``high`` to ``low`` along half a cosine."""
    return low + (high - low) * (1 + math.cos(math.pi * share)) / 2


# How much of the way from the peak to the floor is left, for each share of the decay.
SHAPES: dict[str, Callable[[float], float]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: half_cosine(1.0, 0.0, share),
    "sqrt": lambda share: 1 - math.sqrt(share),
}


@dataclass(frozen=True)
class Cosine(Curve):
    """Linear warmup from 0, then half a cosine down to a floor.

    Formula, past the warmup::

        floor + (lr - floor) (1 + cos(pi (step - warmup) / (total - warmup))) / 2

    Args:
        lr: the peak, at step ``warmup``. total: the step at which the floor is reached; it stays there.
        warmup: steps of warmup. floor: the last learning rate itself, not a share of the peak.

    >>> [round(Cosine(1.0, total=8, warmup=4, floor=0.1)(t), 3) for t in (0, 2, 4, 6, 8, 99)]
    [0.0, 0.5, 1.0, 0.55, 0.1, 0.1]

    Source: I. Loshchilov and F. Hutter (2017), SGDR: Stochastic Gradient Descent with Warm Restarts, eq. 5.
    Counterpart: ``LinearLR`` and ``CosineAnnealingLR`` in a ``SequentialLR``. torch's cosine rises again past
    its end.
    """

    total: int = 10_000
    warmup: int = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        self._require_rates("lr", "floor")
        self._require_counts(1, "total")
        self._require_counts(0, "warmup")
        require(self, "warmup", self.warmup <= self.total, f"at most total, {self.total}")
        require(self, "floor", self.floor <= self.lr, f"at most lr, {self.lr}")

    def at(self, step: float) -> float:
        """Return the learning rate on the line, on the cosine, or at the floor."""
        if step < self.warmup:
            return self.lr * (step / self.warmup)
        if step >= self.total:
            return self.floor
        return half_cosine(self.lr, self.floor, (step - self.warmup) / (self.total - self.warmup))


@dataclass(frozen=True)
class WSD(Curve):
    """Warmup, stable, decay: a plateau that one may leave at any time.

    Args:
        lr: the plateau. total: the step at which the floor is reached; it stays there.
        warmup: steps of linear warmup from 0. decay: steps of the decay, the last before ``total``.
        floor: the last learning rate. shape: of the decay: ``linear``, ``cosine`` or ``sqrt`` (1 - sqrt).

    >>> [WSD(1.0, total=10, warmup=2, decay=4)(t) for t in (0, 1, 2, 6, 8, 10, 11)]
    [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]

    Source: S. Hu et al. (2024), MiniCPM: Unveiling the Potential of Small Language Models with Scalable
    Training Strategies, section 4; the shape 1 - sqrt is that of A. Haegele et al. (2024), Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations.
    """

    total: int = 10_000
    warmup: int = 0
    decay: int = 1000
    floor: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        self._require_rates("lr", "floor")
        self._require_counts(1, "total")
        self._require_counts(0, "warmup", "decay")
        rest = self.total - self.warmup
        require(self, "decay", self.decay <= rest, f"at most total - warmup, {rest}")
        require(self, "floor", self.floor <= self.lr, f"at most lr, {self.lr}")
        require(self, "shape", self.shape in SHAPES, "one of " + ", ".join(map(repr, SHAPES)))

    def at(self, step: float) -> float:
        """Return the learning rate on the line, on the plateau, on the way down, or at the floor."""
        if step < self.warmup:
            return self.lr * (step / self.warmup)
        if step >= self.total:
            return self.floor
        begun = step - (self.total - self.decay)
        if begun <= 0:
            return self.lr
        return self.floor + (self.lr - self.floor) * SHAPES[self.shape](begun / self.decay)


@dataclass(frozen=True)
class Polynomial(Curve):
    """Linear warmup from 0, then down to a floor along a power of the steps that are left.

    Formula, past the warmup::

        floor + (lr - floor) ((total - step) / (total - warmup))^power

    Args:
        lr: the peak. total: the step at which the floor is reached; it stays there.
        warmup: steps of warmup. floor: the last learning rate.
        power: 1 is a line, 2 falls fast at first, 1/2 at last; >= 0.
        from_start: count the decay from step 0, as some code does: then ``total`` stands below the fraction,
            and the rate drops at the end of the warmup.

    >>> [Polynomial(1.0, total=6, warmup=2, power=2.0)(t) for t in (0, 1, 2, 4, 6, 7)]
    [0.0, 0.5, 1.0, 0.25, 0.0, 0.0]

    Counterpart: ``torch.optim.lr_scheduler.PolynomialLR`` (without warmup and floor).
    """

    total: int = 10_000
    warmup: int = 0
    floor: float = 0.0
    power: float = 1.0
    from_start: bool = False

    def __post_init__(self) -> None:
        self._require_rates("lr", "floor", "power")
        self._require_counts(1, "total")
        self._require_counts(0, "warmup")
        require(self, "warmup", self.warmup <= self.total, f"at most total, {self.total}")
        require(self, "floor", self.floor <= self.lr, f"at most lr, {self.lr}")
        require(self, "from_start", isinstance(self.from_start, bool), "True or False")

    def at(self, step: float) -> float:
        """Return the learning rate on the line, on the way down, or at the floor."""
        if step < self.warmup:
            return self.lr * (step / self.warmup)
        if step >= self.total:
            return self.floor
        whole = self.total if self.from_start else self.total - self.warmup
        return self.floor + (self.lr - self.floor) * ((self.total - step) / whole) ** self.power


@dataclass(frozen=True)
class OneCycle(Curve):
    """Up to the peak and far down again, each along half a cosine (or a line).

    It rises from ``lr / div`` over the first ``rise total - 1`` steps, and falls to ``lr / div / final_div``
    at step ``total - 1``.

    Args:
        lr: the peak. total: number of steps. rise: share of them that goes up, in [0, 1].
        div: the peak over the first learning rate, > 0. final_div: the first over the last, > 0.
        shape: ``cosine`` or ``linear``.

    >>> [round(OneCycle(1.0, total=11, rise=6 / 11, div=4, shape="linear")(t), 3) for t in (0, 5, 10)]
    [0.25, 1.0, 0.0]

    Source: L. N. Smith and N. Topin (2019), Super-Convergence: Very Fast Training of Neural Networks Using
    Large Learning Rates.
    Counterpart: ``torch.optim.lr_scheduler.OneCycleLR``, which also turns the momentum and allows no step
    past its end.
    """

    total: int = 10_000
    rise: float = 0.3
    div: float = 25.0
    final_div: float = 1e4
    shape: str = "cosine"

    def __post_init__(self) -> None:
        self._require_rates("lr")
        self._require_counts(1, "total")
        require(self, "rise", is_number(self.rise) and 0 <= self.rise <= 1, "a number in [0, 1]")
        for name in ("div", "final_div"):
            value = getattr(self, name)
            require(self, name, is_number(value) and value > 0, "a finite number > 0")
        require(self, "shape", self.shape in ("cosine", "linear"), "one of 'cosine', 'linear'")

    def at(self, step: float) -> float:
        """Return the learning rate on the way up, on the way down, or at the end."""
        top, end, first = self.rise * self.total - 1, self.total - 1, self.lr / self.div
        step, left = min(step, end), SHAPES[self.shape]
        if top > 0 and step <= top:
            return self.lr + (first - self.lr) * left(step / top)
        last = first / self.final_div
        return last + (self.lr - last) * left((step - top) / (end - top)) if end > top else self.lr
