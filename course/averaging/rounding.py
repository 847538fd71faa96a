"""Rounding to 16 bits: to the nearest number, and at random without bias."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from course.arrays import Array, is_array, is_floating, to_numpy

__all__ = ["round_to_bfloat16", "stochastic_round"]

_LOWER = np.uint32(0xFFFF)  # the bits of a float32 that bfloat16 does not have


def round_to_bfloat16(x: Any) -> np.ndarray:
    """Return float32 numbers rounded to values of bfloat16, ties to the even one; the dtype stays float32.

    NumPy has no bfloat16. Its numbers are the float32 numbers whose lower 16 bits are zero, so adding half
    their spacing and cutting those bits off rounds; one less where the last kept bit is 0, so that a tie
    goes to the even side. The carry may run into the exponent: that is right, up to infinity.

    >>> round_to_bfloat16(np.float32([1.001, 1.00390625, 1.01171875, 3.4e38])).tolist()
    [1.0, 1.0, 1.015625, inf]

    Raises:
        TypeError: ``x`` is no float32 array: from float64 there would be two roundings.
    """
    x = np.asarray(x)
    if x.dtype != np.float32:
        raise TypeError(f"round_to_bfloat16: x has dtype {x.dtype}; it must be float32")
    bits = x.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = ((bits + (np.uint32(0x7FFF) + odd)) & ~_LOWER).view(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), rounded)


def stochastic_round(x: Array, dtype: str, rng: np.random.Generator) -> Array:
    """Round up or down at random, so that the mean of the result is ``x`` itself.

    Formula, with ``a <= x <= b`` the neighbours in the narrow dtype::

        b with the probability (x - a) / (b - a), else a

    A number of the narrow dtype, an infinity and a NaN stay as they are; beyond the largest number it goes to
    nearest, which is where the mean is no longer kept.

    Args:
        x: a float32 array. dtype: ``bfloat16`` or ``float16``.
        rng: where the random numbers come from; NumPy's also for tensors, so that both give the same.

    Returns:
        A tensor of that dtype; in NumPy, which has no bfloat16, float32 numbers of bfloat16's values.

    >>> rng = np.random.default_rng(0)
    >>> x = np.full(10_000, 1.001, np.float32)  # between 1 and 1.0078125
    >>> rounded = stochastic_round(x, "bfloat16", rng)
    >>> np.unique(rounded).tolist(), round(float(rounded.mean()), 3)
    ([1.0, 1.0078125], 1.001)

    Raises:
        TypeError: ``x`` is no float32 array. ValueError: another dtype, or no generator.
    """
    if not is_array(x) or not is_floating(x) or str(x.dtype).split(".")[-1] != "float32":
        raise TypeError("stochastic_round: x must be a float32 array")
    if dtype not in ("bfloat16", "float16"):
        raise ValueError(f"stochastic_round: dtype must be 'bfloat16' or 'float16', not {dtype!r}")
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"stochastic_round: rng must be a NumPy Generator, not {type(rng).__name__}")
    values = to_numpy(x)
    rounded = _to_bfloat16(values, rng) if dtype == "bfloat16" else _to_float16(values, rng)
    if not hasattr(x, "detach"):
        return rounded
    xp = array_namespace(x)
    return xp.asarray(rounded, device=x.device).to(getattr(xp, dtype))


def _to_bfloat16(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add 16 random bits below the kept ones and cut: the carry has just the probability (x - a)/(b - a)."""
    noise = rng.integers(0, 2**16, size=x.shape, dtype=np.uint32)
    bits = np.asarray(x.view(np.uint32) + noise) & ~_LOWER
    up = np.asarray(bits.view(np.float32))
    return np.where(np.isfinite(x) & np.isfinite(up), up, round_to_bfloat16(x))


def _to_float16(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        nearest = x.astype(np.float16)
        other = np.nextafter(nearest, np.where(nearest < x, np.inf, -np.inf).astype(np.float16))
        wide = x.astype(np.float64)
        share = (wide - nearest) / (other.astype(np.float64) - nearest)  # of the way to the other neighbour
        use = (rng.random(x.shape) < share) & np.isfinite(other) & np.isfinite(nearest)
        return np.asarray(np.where(use, other, nearest), np.float16)
