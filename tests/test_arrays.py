"""The array functions: the same values and dtypes on NumPy and torch, and no input changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course import arrays

DTYPES = ["float32", "float64"]
VALUES = [-4.0, -0.25, -0.0, 0.0, 1.0, 9.0]


def make(library: str, values: object, dtype: str = "float64"):
    return (
        np.array(values, dtype) if library == "numpy" else torch.tensor(values, dtype=getattr(torch, dtype))
    )


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: arrays.sqrt(x * x), [4, 0.25, 0, 0, 1, 9]),
        (arrays.sign, [-1, -1, 0, 0, 1, 1]),
        (lambda x: arrays.maximum(x, 0.5), [0.5, 0.5, 0.5, 0.5, 1, 9]),
        (lambda x: arrays.minimum(x, 0.5), [-4, -0.25, 0, 0, 0.5, 0.5]),
        (lambda x: arrays.maximum(x, -x), [4, 0.25, 0, 0, 1, 9]),
        (lambda x: arrays.where(x > 0, x, -x), [4, 0.25, 0, 0, 1, 9]),
        (arrays.zeros_like, [0] * 6),
        (arrays.copy, VALUES),
    ],
)
def test_values_and_dtype_are_those_of_the_library(library, dtype, function, expected):
    x = make(library, VALUES, dtype)
    before = arrays.to_numpy(x).copy()
    result = function(x)
    assert type(result) is type(x)
    assert result.dtype == x.dtype
    np.testing.assert_array_equal(arrays.to_numpy(result), np.array(expected, dtype))
    np.testing.assert_array_equal(arrays.to_numpy(x), before)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("function", [arrays.maximum, arrays.minimum])
def test_a_nan_stays_one_and_touches_no_neighbour(library, function):
    result = arrays.to_numpy(function(make(library, [float("nan"), 1.0]), 1.0))
    assert np.isnan(result[0])
    assert result[1] == 1.0


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("values", "expected"), [([3.0, 4.0], 5.0), ([], 0.0), (-2.0, 2.0), ([[1.0, 1.0], [1.0, 1.0]], 2.0)]
)
def test_norm(library, values, expected):
    size = arrays.norm(make(library, values))
    assert np.ndim(arrays.to_numpy(size)) == 0
    assert float(size) == expected


@pytest.mark.parametrize(
    ("x", "floating"),
    [
        (np.zeros(2, "float16"), True),
        (np.float32(1), True),
        (np.zeros(2, int), False),
        (np.zeros(2, bool), False),
        (np.zeros(2, complex), False),
        (torch.zeros(2, dtype=torch.bfloat16), True),
        (torch.zeros(2, dtype=torch.int64), False),
        (torch.zeros(2, dtype=torch.complex64), False),
    ],
)
def test_is_floating(x, floating):
    assert arrays.is_array(x)
    assert arrays.is_floating(x) is floating


@pytest.mark.parametrize("x", [1.0, 1, [1.0], (1.0,), "1", None, {}, np.ndarray, torch.Tensor])
def test_what_is_no_array(x):
    assert not arrays.is_array(x)


def test_a_copy_shares_no_memory_and_no_history():
    x = np.arange(3.0)
    assert not np.shares_memory(arrays.copy(x), x)
    p = torch.ones(3, requires_grad=True)
    twin = arrays.copy(2 * p)
    assert twin.grad_fn is None
    assert not twin.requires_grad
    arrays.copy(p).add_(1)
    assert p.tolist() == [1, 1, 1]


def test_a_numpy_scalar_works_like_a_0d_array():
    assert arrays.sqrt(np.float32(4)) == 2
    assert arrays.sqrt(np.float32(4)).dtype == np.float32
    assert arrays.copy(np.float32(4)).shape == ()


def test_to_numpy_takes_what_torch_has():
    assert arrays.to_numpy(torch.tensor([1.5], dtype=torch.bfloat16)).dtype == np.float32
    assert arrays.to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1, 1]
    assert arrays.to_numpy(np.float64(2)).shape == ()


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_the_functions_of_the_adaptive_rules(make):
    x = make([[-2.0, 0.5], [float("nan"), 3.0]])
    np.testing.assert_array_equal(arrays.to_numpy(arrays.absolute(x)), [[2, 0.5], [np.nan, 3]])
    np.testing.assert_array_equal(arrays.to_numpy(arrays.clip(x, -1.0, 1.0)), [[-1, 0.5], [np.nan, 1]])
    np.testing.assert_array_equal(arrays.to_numpy(arrays.mean(x, 1)), [[-0.75], [np.nan]])
    assert tuple(arrays.mean(x[:0], 0).shape) == (1, 2)
    assert not arrays.mean(x[:0], 0).any()
    assert arrays.machine_epsilon(x) in (2.0**-52, 2.0**-23)
    assert arrays.smallest_normal(make(1.0)) < 1e-37


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_vector_norm(library, dtype):
    x = make(library, [[3.0, -4.0], [0.0, 0.0]], dtype)
    for order, expected in ((1, 7.0), (2, 5.0), (float("inf"), 4.0)):
        assert float(arrays.vector_norm(x, order)) == expected
        assert arrays.vector_norm(x, order).dtype == x.dtype
        assert float(arrays.vector_norm(x[:0], order)) == 0
    rows = arrays.vector_norm(x, axis=(1,))
    assert arrays.to_numpy(rows).tolist() == [[5.0], [0.0]]
    long = make(library, [200.0] * 100, dtype)  # the sum of squares, 4e6, is beyond float16
    assert float(arrays.vector_norm(long)) == 2000.0


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_other_dtypes(library):
    x = make(library, [1.0, 0.1], "float16")
    assert arrays.dtype_name(x) == "float16"
    assert arrays.dtype_name(arrays.astype(x, "float64")) == "float64"
    assert arrays.dtype_name(arrays.astype(x, make(library, 1.0, "float32").dtype)) == "float32"
    assert arrays.dtype_name(arrays.at_least_float32(x)) == "float32"
    wide = make(library, [1.0], "float64")
    assert arrays.at_least_float32(wide) is wide
    assert not np.shares_memory(arrays.to_numpy(arrays.astype(wide, "float64")), arrays.to_numpy(wide))
    for value, finite in ((1.0, True), (float("inf"), False), (float("nan"), False)):
        assert arrays.all_finite(make(library, [0.0, value])) is finite
        assert arrays.all_finite(make(library, value)) is finite
    assert arrays.all_finite(np.float32(1))
    with pytest.raises(TypeError, match="has no dtype 'bfloat12'"):
        arrays.astype(x, "bfloat12")
