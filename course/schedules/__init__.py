"""Learning rates over the steps: ``schedule(step) -> lr``, and ``Schedule``, which puts one into a chain."""

from __future__ import annotations

from course.schedules.curves import (
    Constant,
    Curve,
    Exponential,
    InverseSqrt,
    LinearWarmup,
    MultiStep,
    Sequence,
    StepDecay,
)
from course.schedules.phases import WSD, Cosine, OneCycle, Polynomial
from course.schedules.transform import Schedule

__all__ = [
    "WSD",
    "Constant",
    "Cosine",
    "Curve",
    "Exponential",
    "InverseSqrt",
    "LinearWarmup",
    "MultiStep",
    "OneCycle",
    "Polynomial",
    "Schedule",
    "Sequence",
    "StepDecay",
]
