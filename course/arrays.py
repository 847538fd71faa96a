"""The handful of array functions that rules need, for any array library.

Every function looks its namespace up from its argument (array-api-compat), so the same line of a rule
runs on NumPy arrays and on torch tensors. Nothing here mutates its input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, is_numpy_array

Array = Any  # a NumPy array, a torch tensor, or another array of the array API standard

__all__ = [
    "Array",
    "absolute",
    "all_finite",
    "astype",
    "at_least_float32",
    "clip",
    "copy",
    "dtype_name",
    "is_array",
    "is_floating",
    "machine_epsilon",
    "maximum",
    "mean",
    "minimum",
    "norm",
    "sign",
    "smallest_normal",
    "sqrt",
    "to_numpy",
    "vector_norm",
    "where",
    "zeros_like",
]


def is_array(x: object) -> bool:
    """Say whether ``x`` is an array of a library that follows the array API (NumPy scalars count)."""
    return isinstance(x, np.generic) or (is_array_api_obj(x) and not isinstance(x, type))


def is_floating(x: Array) -> bool:
    """Say whether the array ``x`` has a real floating dtype (float16, bfloat16, float32, float64)."""
    return bool(array_namespace(_boxed(x)).isdtype(x.dtype, "real floating"))


def sqrt(x: Array) -> Array:
    """Return the elementwise square root, in the dtype of ``x``."""
    return array_namespace(_boxed(x)).sqrt(x)


def sign(x: Array) -> Array:
    """Return -1, 0 or 1 for each element, in the dtype of ``x``."""
    return array_namespace(_boxed(x)).sign(x)


def where(condition: Array, x: Array, y: Array) -> Array:
    """Return ``x`` where the condition holds, else ``y``, elementwise."""
    return array_namespace(_boxed(condition)).where(condition, x, y)


def absolute(x: Array) -> Array:
    """Return the absolute value of each element, in the dtype of ``x``."""
    return array_namespace(_boxed(x)).abs(x)


def maximum(x: Array, y: Array | float) -> Array:
    """Return the larger of ``x`` and ``y``, elementwise; a NaN in ``x`` stays one."""
    return where(x < y, y + zeros_like(x), x)


def minimum(x: Array, y: Array | float) -> Array:
    """Return the smaller of ``x`` and ``y``, elementwise; a NaN in ``x`` stays one."""
    return where(x > y, y + zeros_like(x), x)


def clip(x: Array, least: float, most: float) -> Array:
    """Return ``x`` with each element brought into ``[least, most]``; a NaN stays one."""
    return minimum(maximum(x, least), most)


def mean(x: Array, axis: int) -> Array:
    """Return the mean along ``axis``, which stays as an axis of length 1; 0 along an empty one."""
    return array_namespace(_boxed(x)).sum(x, axis=axis, keepdims=True) / max(x.shape[axis], 1)


def machine_epsilon(x: Array) -> float:
    """Return the spacing of the numbers of ``x``'s dtype at 1 (1.2e-7 in float32)."""
    return float(array_namespace(_boxed(x)).finfo(x.dtype).eps)


def smallest_normal(x: Array) -> float:
    """Return the least positive number that ``x``'s dtype holds with full precision (6e-5 in float16)."""
    return float(array_namespace(_boxed(x)).finfo(x.dtype).smallest_normal)


def norm(x: Array) -> Array:
    """Return the Euclidean norm of all elements as a 0-d array; 0 for an empty array."""
    return sqrt(array_namespace(_boxed(x)).sum(x * x))


def vector_norm(x: Array, order: float = 2.0, axis: tuple[int, ...] | None = None) -> Array:
    """Return the norm of order 1, 2 or inf in the dtype of ``x``; float16 and bfloat16 are summed in float32.

    Args:
        x: any array; without elements its norm is 0. order: 1, 2, infinity, or another p > 0.
        axis: the axes to take it along, which stay with length 1; None takes all, and gives a 0-d array.
    """
    x = _boxed(x)
    xp, wide = array_namespace(x), at_least_float32(x)
    if 0 in tuple(x.shape):  # infinity's norm has no value there, in any library
        size = xp.sum(wide * 0, axis=axis, keepdims=axis is not None)
    else:
        size = xp.linalg.vector_norm(wide, ord=order, axis=axis, keepdims=axis is not None)
    return astype(size, x.dtype)


def astype(x: Array, dtype: Any) -> Array:
    """Return a copy of ``x`` in another floating dtype, given as the library's own or by its name.

    Raises:
        TypeError: the library has none of that name (NumPy has no bfloat16).
    """
    x = _boxed(x)
    xp = array_namespace(x)
    known = getattr(xp, dtype, None) if isinstance(dtype, str) else dtype
    if known is None:
        raise TypeError(f"{xp.__name__.split('.')[-1]} has no dtype {dtype!r}")
    return xp.astype(x, known, copy=True)


def dtype_name(x: Array) -> str:
    """Return the name of an array's dtype in any library: ``float32``."""
    return str(x.dtype).split(".")[-1]


def at_least_float32(x: Array) -> Array:
    """Return ``x`` in float32 where its dtype is narrower, else ``x`` itself."""
    return astype(x, "float32") if dtype_name(x) in ("float16", "bfloat16") else x


def all_finite(x: Array) -> bool:
    """Say whether no element is infinite or a NaN."""
    xp = array_namespace(_boxed(x))
    return bool(xp.all(xp.isfinite(_boxed(x))))


def zeros_like(x: Array) -> Array:
    """Return zeros of the shape, dtype and device of ``x``."""
    return array_namespace(_boxed(x)).zeros_like(x)


def copy(x: Array) -> Array:
    """Return a copy of ``x`` that shares no memory with it and carries no autograd history."""
    return np.array(x) if isinstance(x, np.generic) or is_numpy_array(x) else x.detach().clone()


def to_numpy(x: Array) -> np.ndarray:
    """Return ``x`` as a NumPy array of the same values (bfloat16, unknown to NumPy, as float32)."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
        return np.asarray(x.numpy())
    return np.asarray(x)


def _boxed(x: Array) -> Array:
    """Give NumPy's scalars (``np.float32(1)``) the array they stand for: they have no namespace."""
    return np.asarray(x) if isinstance(x, np.generic) else x
