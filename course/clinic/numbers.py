"""Norms and finiteness of tensors of any dtype, on any device."""

from __future__ import annotations

import math

import torch

__all__ = ["as_floats", "dense", "is_finite", "norm"]

_HALF = (torch.float16, torch.bfloat16)


def dense(gradient: torch.Tensor) -> torch.Tensor:
    """Return the values of a gradient: of a sparse one, those that are stored."""
    gradient = gradient.detach()
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def norm(value: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean norm: of half precision in float32, of all else in its own precision."""
    return torch.linalg.vector_norm(value, dtype=torch.float32 if value.dtype in _HALF else None)


def as_floats(numbers: list[torch.Tensor]) -> list[float]:
    """Return tensors of one number each as floats: at once, where they are alike."""
    if len({(n.dtype, n.device) for n in numbers}) <= 1:
        return [float(n) for n in torch.stack(numbers).tolist()] if numbers else []
    return [float(n) for n in numbers]


def is_finite(value: torch.Tensor) -> bool:
    """Whether every element is finite; the sum tells at once, unless it overflows itself."""
    if value.is_complex():
        value = torch.view_as_real(value.resolve_conj())
    return math.isfinite(float(value.sum())) or bool(torch.isfinite(value).all())
