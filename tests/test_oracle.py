"""The oracle: a metric that means something, and a comparison that catches wrong rules."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course.oracle import beside, deviation, gradients, torch_reference
from course.rules import SGD, AddDecay, HeavyBall, Nesterov, chain

vectors = hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-1e8, 1e8, allow_subnormal=False))
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
INF, NAN = float("inf"), float("nan")


@given(a=vectors)
@quick
def test_equal_values_part_by_nothing(a):
    assert deviation(a, a.copy()) == 0


@given(a=vectors, exponent=st.integers(-600, 600), noise=st.integers(0, 99))
@quick
def test_it_has_no_unit(a, exponent, noise):
    """Both sides scaled by a power of two part by the same, however large or small they get."""
    b = a + np.random.default_rng(noise).normal(size=a.shape)
    scale = 2.0**exponent
    if np.abs(b[b != 0]).min(initial=1) * scale < 1e-290 or np.abs(a[a != 0]).min(initial=1) * scale < 1e-290:
        return  # subnormal numbers lose digits
    assert deviation(a * scale, b * scale) == pytest.approx(deviation(a, b), rel=1e-6)


@given(b=vectors, r=st.floats(1e-12, 10))
@quick
def test_it_is_the_smallest_r_of_its_definition(b, r):
    allowed = np.abs(b) + np.sqrt(np.mean(b**2))
    if allowed.any():
        assert deviation(b + r * allowed, b) == pytest.approx(r, rel=1e-3)


@pytest.mark.parametrize(
    ("actual", "reference", "parts"),
    [
        ([1e-12, 1.0], [-1e-12, 1.0], pytest.approx(2**0.5 * 2e-12)),  # a zero crossing, weighed by the rest
        ([0.0, 1.0], [0.0, 1.0], 0.0),
        ([-0.0], [0.0], 0.0),
        ([1.0], [0.0], INF),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([NAN, 1.0], [1.0, 1.0], INF),
        ([1.0, 1.0], [NAN, 1.0], INF),
        ([INF, -INF], [INF, -INF], 0.0),
        ([INF], [-INF], INF),
        ([INF, 1.0], [1.0, 1.0], INF),
        ([1.0, 1.0], [INF, 1.0], INF),
        ([INF, 1.5], [INF, 1.0], 0.25),
        ([], [], 0.0),
        (2.0, 1.0, 0.5),
        ([2e200], [1e200], 0.5),  # squares that overflow
        ([2e-200], [1e-200], 0.5),  # squares that vanish
        ([1.7e308], [-1.7e308], 1.0),
        ([1e308], [1e-308], INF),
    ],
)
def test_values(actual, reference, parts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert deviation(np.array(actual), np.array(reference)) == parts
        assert deviation(torch.tensor(actual, dtype=torch.float64), np.array(reference)) == parts


@pytest.mark.parametrize(("a", "b"), [((2,), (3,)), ((2,), (1, 2)), ((), (1,)), ((0,), (0, 1))])
def test_shapes_must_be_equal(a, b):
    with pytest.raises(ValueError, match="shapes differ"):
        deviation(np.ones(a), np.ones(b))


def test_gradients_are_hard():
    drawn = np.stack(list(gradients((50,), 200)))
    size = np.abs(drawn[drawn != 0])
    assert 0.08 < np.mean(drawn == 0) < 0.12
    assert size.min() < 0.02
    assert size.max() > 50
    assert 0.4 < np.mean(drawn > 0) < 0.5
    np.testing.assert_array_equal(drawn, np.stack(list(gradients((50,), 200))))
    assert not np.array_equal(drawn, np.stack(list(gradients((50,), 200, seed=1))))
    assert next(gradients((), 1, "float32")).dtype == np.float32


@pytest.mark.parametrize("rule", [SGD(0.1, 0.1), HeavyBall(0.1, 0.8, 0.2, 0.1, True), Nesterov(0.1, 0.8)])
@pytest.mark.parametrize("make", [np.float32, np.float64, torch.tensor])
def test_right_rules_agree(rule, make):
    param = np.random.default_rng(0).normal(size=(3, 4))
    report = beside(rule, param=make(param), steps=50)
    assert report.agrees
    assert report.path.shape == report.reference.shape == (51, 3, 4)
    assert "agrees with the reference over 50 steps" in str(report)


def average(grad, state, param):
    buffer = 0.9 * state["b"] + 0.1 * grad
    return 0.1 * buffer, {"b": buffer}


def uphill(grad, state, param):
    return -0.1 * grad, state


def clipped_in_place(grad, state, param):
    np.clip(grad, -1, 1, out=grad)
    return 0.1 * grad, state


def nearly(grad, state, param):
    return 0.1 * grad * (1 + 1e-12), state


def nan_later(grad, state, param):
    return 0.1 * grad + (NAN if state["t"] == 6 else 0), {"t": state["t"] + 1}


@pytest.mark.parametrize(
    ("rule", "state", "at"),
    [
        (average, {"b": np.zeros(24)}, None),
        (uphill, None, None),
        (clipped_in_place, None, None),
        (nearly, None, None),
        (nan_later, {"t": 1}, 6),
    ],
)
def test_wrong_rules_do_not(rule, state, at):
    report = beside(rule, lambda p: torch.optim.SGD(p, lr=0.1), state=state, steps=20)
    assert not report.agrees
    assert report.at == (at or report.at) >= 1
    assert f"at step {report.at}" in str(report)
    assert report.worst == max(deviation(a, b) for a, b in zip(report.path, report.reference, strict=True))


def test_the_path_is_the_one_that_was_taken():
    def in_place(grad, state, param):
        delta = 0.1 * grad
        param -= 5
        return delta - 5, state

    start = np.random.default_rng(1).normal(size=24)
    report = beside(in_place, lambda p: torch.optim.SGD(p, lr=0.1), steps=5)
    np.testing.assert_array_equal(report.path[0], start)
    assert report.agrees


def test_a_start_is_not_changed():
    param = np.ones(3)
    beside(SGD(), param=param, steps=2)
    assert param.tolist() == [1, 1, 1]


def test_a_function_needs_its_reference():
    with pytest.raises(ValueError, match="a function needs its reference"):
        beside(uphill)


def test_a_rule_unknown_to_torch_is_named():
    with pytest.raises(KeyError, match="no torch reference is known for Chain"):
        torch_reference(chain(AddDecay(0.1), SGD()))
    report = beside(chain(AddDecay(0.1), SGD(0.1)), lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.1))
    assert report.agrees
