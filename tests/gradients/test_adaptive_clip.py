"""Adaptive clipping, held to the formula written out and to another package."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from course.arrays import to_numpy
from course.gradients import clip_adaptively
from course.oracle import deviation


def units(g, theta, clipping, eps):
    """AGC written out, one unit after the other, in plain Python."""
    if g.ndim <= 1:
        g, theta = g[None], theta[None]
    result = np.array(g, np.float64)
    for i in range(len(g)):
        weights = max(math.sqrt(sum(float(x) ** 2 for x in theta[i].ravel())), eps)
        size = math.sqrt(sum(float(x) ** 2 for x in g[i].ravel()))
        if size > clipping * weights:
            result[i] = g[i] * (clipping * weights / size)
    return result


@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (4, 1), (2, 3, 4), (4, 3, 2, 2), (0,), (2, 0)])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_agc_is_the_formula_written_out(shape, library):
    rng = np.random.default_rng(3)
    g, theta = rng.normal(size=shape) * 0.05, np.asarray(rng.normal(size=shape))
    if len(shape) > 1:
        theta[0] = 0.0  # a unit of zeros
    expected = units(np.asarray(g), theta, 0.02, 1e-3).reshape(shape)
    give = np.asarray if library == "numpy" else torch.tensor
    assert deviation(clip_adaptively(give(g), give(theta), 0.02), expected) <= 1e-14
    # The other layout: units along the last axis.
    if len(shape) == 2:
        turned = clip_adaptively(give(g.T.copy()), give(theta.T.copy()), 0.02, unit_axis=-1)
        assert deviation(to_numpy(turned).T, expected) <= 1e-14


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 3, 2, 2)])
def test_agc_is_that_of_another_package(shape):
    agc = pytest.importorskip("pytorch_optimizer.optimizer.agc").agc
    rng = np.random.default_rng(4)
    for scale in (1e-4, 1e-2, 1.0):
        g, theta = torch.tensor(rng.normal(size=shape) * scale), torch.tensor(rng.normal(size=shape))
        assert deviation(clip_adaptively(g, theta), agc(theta, g)) <= 1e-14


@pytest.mark.filterwarnings("ignore:invalid value")
def test_agc_keeps_an_infinity_and_a_nan_in_their_unit():
    theta = np.ones((3, 2))
    clipped = clip_adaptively(np.array([[math.inf, 1.0], [math.nan, 1.0], [1.0, 1.0]]), theta, 0.1)
    np.testing.assert_array_equal(np.isnan(clipped), [[True, False], [True, True], [False, False]])
    assert clipped[0, 1] == 0
    np.testing.assert_allclose(clipped[2], 0.1)


def test_agc_in_float16_does_not_overflow():
    g, theta = np.full((2, 400), 60.0, np.float16), np.ones((2, 400), np.float16)
    clipped = clip_adaptively(g, theta, 1.0)  # the sum of squares, 1.4e6, is beyond float16
    assert clipped.dtype == np.float16
    np.testing.assert_allclose(clipped, 1.0, rtol=1e-3)
