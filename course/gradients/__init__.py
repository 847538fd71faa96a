"""What happens to gradients between backward and step: clipping, accumulation, loss scaling."""

from __future__ import annotations

from course.gradients.accumulate import Accumulator
from course.gradients.clip import (
    AdaptiveClip,
    ClipByNorm,
    ClipByValue,
    clip_adaptively,
    clip_by_norm,
    clip_by_value,
    global_norm,
)
from course.gradients.scaler import LossScaler, Scaled

__all__ = [
    "Accumulator",
    "AdaptiveClip",
    "ClipByNorm",
    "ClipByValue",
    "LossScaler",
    "Scaled",
    "clip_adaptively",
    "clip_by_norm",
    "clip_by_value",
    "global_norm",
]
