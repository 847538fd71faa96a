"""The schedules. Steps are counted from 0: ``schedule(0)`` is the learning rate of the first update.

Each is a frozen dataclass that knows its peak ``lr`` and is called with a step. Past its end a schedule
keeps its last value. In torch, give the optimizer ``lr=1.0`` and ``LambdaLR(optimizer, schedule)``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence as Ordered
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from course.rules.base import require

__all__ = [
    "Constant",
    "Curve",
    "Exponential",
    "InverseSqrt",
    "LinearWarmup",
    "MultiStep",
    "Sequence",
    "StepDecay",
]


def is_number(value: Any) -> bool:
    """Say whether a value is a finite number (True is none)."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return False
    return math.isfinite(value)


@dataclass(frozen=True)
class Curve:
    """A learning rate as a function of the step. A subclass writes ``at``.

    Raises:
        ValueError: a hyperparameter is out of range, or a step is no number >= 0.
    """

    lr: float = 1e-3

    def __post_init__(self) -> None:
        self._require_rates("lr")

    def __call__(self, step: float) -> float:
        """Return the learning rate of this step, counted from 0."""
        if not is_number(step) or step < 0:
            raise ValueError(f"{type(self).__name__}: step must be a number >= 0, not {step!r}")
        return self.at(step)

    def at(self, step: float) -> float:
        """Return the learning rate of a step that has been checked."""
        raise NotImplementedError(f"{type(self).__name__} has no at")

    def _require_rates(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            require(self, name, is_number(value) and value >= 0, "a finite number >= 0")

    def _require_counts(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            whole = is_number(value) and value == int(value) and value >= least
            require(self, name, whole, f"a whole number >= {least}")


@dataclass(frozen=True)
class Constant(Curve):
    """The same at every step.

    >>> Constant(0.1)(1000)
    0.1
    """

    def at(self, step: float) -> float:
        """Return ``lr``."""
        return self.lr


@dataclass(frozen=True)
class StepDecay(Curve):
    """``lr factor^floor(step / every)``.

    >>> [StepDecay(1.0, every=2, factor=0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]

    Counterpart: ``torch.optim.lr_scheduler.StepLR``.
    """

    every: int = 30
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._require_rates("lr", "factor")
        self._require_counts(1, "every")

    def at(self, step: float) -> float:
        """Return the learning rate after as many cuts as fit into the steps."""
        return self.lr * self.factor ** (step // self.every)


@dataclass(frozen=True)
class MultiStep(Curve):
    """``lr factor^n`` with ``n`` the milestones reached; a step at a milestone has reached it.

    >>> [MultiStep(1.0, milestones=(2, 4), factor=0.5)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]

    Counterpart: ``torch.optim.lr_scheduler.MultiStepLR``.
    """

    milestones: tuple[int, ...] = (30, 60, 90)
    factor: float = 0.1

    def __post_init__(self) -> None:
        self._require_rates("lr", "factor")
        require_milestones(self, "milestones", self.milestones)
        object.__setattr__(self, "milestones", tuple(self.milestones))

    def at(self, step: float) -> float:
        """Return the learning rate after the milestones so far."""
        return self.lr * self.factor ** bisect_right(self.milestones, step)


@dataclass(frozen=True)
class Exponential(Curve):
    """``lr factor^step``.

    >>> Exponential(1.0, factor=0.5)(3)
    0.125

    Counterpart: ``torch.optim.lr_scheduler.ExponentialLR``.
    """

    factor: float = 0.99

    def __post_init__(self) -> None:
        self._require_rates("lr", "factor")

    def at(self, step: float) -> float:
        """Return the learning rate after that many factors."""
        return self.lr * self.factor**step


@dataclass(frozen=True)
class LinearWarmup(Curve):
    """From ``start`` in equal steps to ``lr``, which is reached at step ``steps`` and kept.

    With ``start`` 0 the first update is one of size 0, as in Hugging Face's schedules. To begin with
    ``lr / n`` and be there at the n-th update, say ``start=lr / n, steps=n - 1``.

    >>> [LinearWarmup(1.0, steps=4)(t) for t in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]

    Counterpart: ``torch.optim.lr_scheduler.LinearLR``, whose start must be above 0.
    """

    steps: int = 1000
    start: float = 0.0

    def __post_init__(self) -> None:
        self._require_rates("lr", "start")
        self._require_counts(0, "steps")

    def at(self, step: float) -> float:
        """Return the point on the line."""
        return self.lr if step >= self.steps else self.start + (self.lr - self.start) * (step / self.steps)


@dataclass(frozen=True)
class InverseSqrt(Curve):
    """Linear warmup from 0, then as one over the root of the step: ``lr sqrt(warmup / step)``.

    >>> [InverseSqrt(1.0, warmup=4)(t) for t in (0, 2, 4, 16, 64)]
    [0.0, 0.5, 1.0, 0.5, 0.25]

    Source: A. Vaswani et al. (2017), Attention Is All You Need, eq. 3, with
    ``lr = 1 / sqrt(d_model warmup)``; steps are counted from 1 there, so its first update is ``schedule(1)``.
    """

    warmup: int = 4000

    def __post_init__(self) -> None:
        self._require_rates("lr")
        self._require_counts(1, "warmup")

    def at(self, step: float) -> float:
        """Return the learning rate on the line or on the root."""
        return self.lr * (step / self.warmup if step < self.warmup else math.sqrt(self.warmup / step))


@dataclass(frozen=True)
class Sequence:
    """One schedule after the other; each counts its steps from its own beginning.

    Args:
        curves: the schedules. milestones: the step at which each but the first begins.

    >>> pieces = Sequence((LinearWarmup(1.0, steps=2), Constant(1.0), Constant(0.1)), milestones=(2, 5))
    >>> [pieces(t) for t in range(7)]
    [0.0, 0.5, 1.0, 1.0, 1.0, 0.1, 0.1]

    Counterpart: ``torch.optim.lr_scheduler.SequentialLR``.

    Raises:
        ValueError: the milestones do not rise, or their number is not one less than that of the schedules.
    """

    curves: tuple[Any, ...] = field(default=())
    milestones: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        known = isinstance(self.curves, Ordered) and len(self.curves) > 0 and all(map(callable, self.curves))
        require(self, "curves", known, "schedules, at least one")
        require_milestones(self, "milestones", self.milestones)
        right = len(self.milestones) == len(self.curves) - 1
        require(self, "milestones", right, f"{len(self.curves) - 1} steps, one less than the schedules")
        object.__setattr__(self, "curves", tuple(self.curves))
        object.__setattr__(self, "milestones", tuple(self.milestones))

    def __call__(self, step: float) -> float:
        """Return the learning rate of this step, counted from 0."""
        if not is_number(step) or step < 0:
            raise ValueError(f"Sequence: step must be a number >= 0, not {step!r}")
        place = bisect_right(self.milestones, step)
        return self.curves[place](step - (self.milestones[place - 1] if place else 0))


def require_milestones(curve: object, name: str, value: Any) -> None:
    """Refuse milestones that are not whole numbers that rise."""
    listed = isinstance(value, Ordered) and not isinstance(value, str)
    whole = listed and all(is_number(v) and v == int(v) and v >= 0 for v in value)
    rising = whole and all(a < b for a, b in pairwise(value))
    require(curve, name, rising, "whole numbers >= 0 in rising order")
