"""Averages of weights, held to torch's AveragedModel and to weighted sums written out."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course.averaging import EMA, SWA
from course.oracle import deviation
from course.rules import SGD

quick = settings(max_examples=40, deadline=None, derandomize=True, database=None)
AVERAGES = {"SWA": SWA(), "EMA": EMA(decay=0.9), "EMA debiased": EMA(decay=0.9, debias=True)}
every = pytest.mark.parametrize("average", AVERAGES.values(), ids=AVERAGES)


def averaged(average, points):
    state = average.init(points[0])
    for point in points[1:]:
        state = average.update(point, state)
    return average.value(state)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("steps", [1, 2, 50])
@pytest.mark.parametrize("kind", ["SWA", 0.0, 0.9, 0.999, 1.0])
def test_it_is_torchs(kind, dtype, steps):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2).to(getattr(torch, dtype))
    theirs = AveragedModel(model, multi_avg_fn=None if kind == "SWA" else get_ema_multi_avg_fn(kind))
    points = []
    for _ in range(steps):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
        theirs.update_parameters(model)
        points.append({n: p.detach().clone() for n, p in model.named_parameters()})
    average = SWA(widen=False) if kind == "SWA" else EMA(decay=kind, widen=False)
    mine = averaged(average, points)
    for name, p in theirs.module.named_parameters():
        assert mine[name].dtype == p.dtype
        # torch multiplies and adds in one rounding; each step may differ by one in the last place.
        allowed = {"float64": 1e-14, "float32": 3e-6, "bfloat16": 2.0**-7 * math.sqrt(steps)}[dtype]
        assert deviation(mine[name], p) <= allowed


@given(seed=st.integers(0, 99), steps=st.integers(1, 30), decay=st.floats(0.0, 0.999), library=st.booleans())
@quick
def test_it_is_the_weighted_sum_written_out(seed, steps, decay, library):
    points = list(np.random.default_rng(seed).normal(size=(steps, 3)) * 10)
    age = np.arange(steps)[::-1]
    give = torch.tensor if library else np.asarray
    given_points = [give(p) for p in points]
    plain = (1 - decay) * decay ** age.astype(float)
    corrected = plain / plain.sum()
    plain[0] = decay ** (steps - 1)  # the first parameter carries what no other does
    for average, weights in (
        (SWA(), np.full(steps, 1 / steps)),
        (EMA(decay), plain),
        (EMA(decay, debias=True), corrected),
    ):
        assert weights.sum() == pytest.approx(1.0)
        assert deviation(averaged(average, given_points), weights @ np.array(points)) <= 1e-11


def test_the_first_parameter_weighs_more_than_a_third_after_a_thousand_steps():
    points = [np.ones(1)] + [np.zeros(1)] * 1000
    assert averaged(EMA(0.999), points)[0] == pytest.approx(0.999**1000)
    assert 1 / 3 < averaged(EMA(0.999), points)[0] < 0.4
    assert averaged(EMA(0.999, debias=True), points)[0] < 0.001


@every
def test_an_average_of_equals_is_that(average):
    np.testing.assert_allclose(averaged(average, [np.array([3.0, -2.0])] * 20), [3.0, -2.0], rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_narrow_parameter_is_averaged_in_float32_unless_told_otherwise(dtype):
    """From 1 to 2 by a share that rounds to nothing: in 16 bits the average never leaves 1."""
    decay = 0.9999 if dtype == "float16" else 0.9995
    one = torch.ones(2, dtype=getattr(torch, dtype))
    points = [one] + [2 * one] * 500
    wide, narrow = averaged(EMA(decay), points), averaged(EMA(decay, widen=False), points)
    assert wide.dtype == torch.float32
    assert wide[0].item() == pytest.approx(2 - decay**500, rel=1e-5)
    assert narrow.dtype == one.dtype
    assert narrow[0].item() == 1.0
    state = EMA().init(one)
    assert EMA().value(state, like=one).dtype == one.dtype


@every
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_and_shape(average, dtype):
    for shape in ((), (3,), (2, 0)):
        point = np.ones(shape, dtype)
        state = average.update(point, average.init(point))
        wide = average.value(state)
        assert wide.shape == shape
        assert wide.dtype == (np.float32 if dtype == "float16" else dtype)
        assert average.value(state, like=point).dtype == dtype


@every
def test_nothing_is_changed_or_shared(average):
    point = {"a": np.array([1.0, 2.0]), "b": [np.array(3.0), None]}
    state = average.init(point)
    before = copy.deepcopy((point, state))
    average.update(point, state)
    value = average.value(state)
    assert str((point, state)) == str(before)
    assert not np.shares_memory(state["average"]["a"], point["a"])
    assert not np.shares_memory(value["a"], state["average"]["a"])
    assert value["b"][1] is None


def test_the_average_of_a_noisy_path_lies_nearer_to_the_bottom():
    rng, rule, swa = np.random.default_rng(0), SGD(lr=0.5), SWA()
    theta = np.ones(200)
    state = swa.init(theta)
    for _ in range(300):
        theta, _ = rule.step(theta + rng.normal(size=200), {}, theta)
        state = swa.update(theta, state)
    assert np.square(swa.value(state)).mean() < 0.1 * np.square(theta).mean()


@every
def test_bad_input_is_refused_in_one_line(average):
    name, ones = type(average).__name__, np.ones(2)
    state = average.init(ones)
    for call, error, words in (
        (lambda: average.init([1.0]), TypeError, f"{name}: a tree holds arrays and None, not float"),
        (lambda: average.init(np.array([1, 2])), TypeError, f"{name}: an array has dtype int64"),
        (lambda: average.update(np.ones(3), state), ValueError, f"{name}: param has shape"),
        (lambda: average.update(torch.ones(2), state), TypeError, f"{name}: param is a Tensor"),
        (lambda: average.update(ones, {}), ValueError, f"{name}: this state is not mine"),
        (lambda: average.update({"a": ones}, state), ValueError, "trees differ"),
    ):
        with pytest.raises(error, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EMA(decay=-0.1), "decay must be a number >= 0 and <= 1, not -0.1"),
        (lambda: EMA(decay=1.1), "decay must be a number >= 0 and <= 1"),
        (lambda: EMA(decay=math.nan), "decay must be a number >= 0 and <= 1"),
        (lambda: EMA(decay="1"), "decay must be a number >= 0 and <= 1"),
        (lambda: EMA(decay=True), "decay must be a number >= 0 and <= 1"),
        (lambda: EMA(decay=1.0, debias=True), "decay must be a number >= 0 and < 1"),
        (lambda: EMA(debias=1), "debias must be True or False"),
        (lambda: SWA(widen="no"), "widen must be True or False"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
