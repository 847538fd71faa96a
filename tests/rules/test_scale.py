"""What the size of a gradient does to the size of a step, for the rules that promise something of it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course import oracle
from course.rules import (
    ALL,
    LAMB,
    LARS,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Lion,
    Muon,
    NAdam,
    RMSProp,
    Sophia,
)

START = np.random.default_rng(1).normal(size=(4, 6))
# Scaled by a power of two, every rounding is the same: the paths must be equal to the last bit.
INDIFFERENT = [
    AdaGrad(eps=0.0),
    RMSProp(eps=0.0, eps_in_sqrt=True),
    RMSProp(eps=0.0, momentum=0.9),
    Adam(eps=0.0),
    AdamW(eps=0.0),
    AMSGrad(eps=0.0),
    AMSGrad(eps=0.0, max_of_corrected=True),
    Adamax(eps=0.0),
    NAdam(eps=0.0),
    Adafactor(eps=(0.0, 1e-3)),
    LARS(trust_coefficient=0.1),
    LAMB(eps=0.0),
    LAMB(eps=0.0, weight_decay=0.1),
    Lion(),
    Muon(eps=0.0),
    Muon(eps=0.0, nesterov=False),
]


def path(rule, scale: float = 1.0) -> np.ndarray:
    theta, state, points = START, rule.init(START), []
    for g in oracle.gradients(START.shape, 20):
        delta, state = rule.update(scale * (g + 0.01), state, theta)  # no zeros: 0 / 0 without eps
        theta = theta - delta
        points.append(theta)
    return np.stack(points)


@pytest.mark.parametrize("rule", INDIFFERENT, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_the_scale_of_the_gradients_is_no_matter(rule, scale):
    np.testing.assert_array_equal(path(rule), path(rule, scale))


@pytest.mark.parametrize("name", ["SGD", "HeavyBall", "Nesterov", "Adadelta", "RAdam", "Sophia"])
def test_to_the_others_it_is(name):
    """Adadelta's eps starts its motion, RAdam begins as momentum, Sophia is measured by the curvature."""
    state = {"rule": ALL[name]()}
    rule = state["rule"]
    if isinstance(rule, Sophia):
        theta = rule.with_hessian(rule.init(START), np.ones_like(START))
        one, _ = rule.update(np.full_like(START, 1e-4), theta, START)
        two, _ = rule.update(np.full_like(START, 2e-4), theta, START)
        assert not np.array_equal(one, two)
        return
    assert oracle.deviation(path(rule, 16.0), path(rule)) > 1e-6


@pytest.mark.parametrize("make", [Adam, AdamW, AMSGrad])
def test_adams_first_step(make):
    """lr |g| / (|g| + eps): lr itself, unless the gradient is as small as eps."""
    rule, theta = make(lr=0.1, weight_decay=0.0), np.zeros(4)
    delta, _ = rule.update(np.array([3.0, -1e-3, 1e-8, 1e-9]), rule.init(theta), theta)
    np.testing.assert_allclose(delta / 0.1, [1, -1, 0.5, 1 / 11], rtol=1e-4)
    assert delta[3] / 0.1 == pytest.approx(0.0909, abs=1e-4)  # facts page, part 3


def test_adams_worst_step_under_sparse_gradients():
    """(1 - beta1) / sqrt(1 - beta2) = 3.162 lr, after a long silence (facts page, part 3)."""
    rule, theta = Adam(lr=1.0, eps=0.0), np.zeros(1)
    state = rule.init(theta) | {"step": 10_000}
    delta, _ = rule.update(np.ones(1), state, theta)
    assert delta[0] == pytest.approx(0.1 / math.sqrt(0.001), rel=1e-4)
    assert delta[0] == pytest.approx(3.162, abs=1e-3)


def test_eps_inside_the_root_is_a_floor_of_its_root():
    """1e-8 inside is 1e-4: at |g| = 1e-6 the step is .01 lr rather than .99 lr (facts page, part 2)."""
    theta, g = np.zeros(1), np.array([1e-6])
    sizes = []
    for inside in (True, False):
        rule = RMSProp(lr=1.0, alpha=0.0, eps_in_sqrt=inside)
        sizes.append(rule.update(g, rule.init(theta), theta)[0][0])
    np.testing.assert_allclose(sizes, [0.01, 0.99], rtol=1e-3)


def test_lion_moves_every_element_by_lr():
    rule, theta = Lion(lr=0.25), np.zeros(3)
    state = rule.init(theta)
    for g in ([1e6, -1e-6, 1.0], [3.0, -2.0, 1e-9]):
        delta, state = rule.update(np.array(g), state, theta)
        np.testing.assert_array_equal(np.abs(delta), 0.25)


@pytest.mark.parametrize("rule", [LARS(lr=1.0, trust_coefficient=0.1), LAMB(lr=0.1)])
def test_a_layer_moves_in_proportion_to_its_norm(rule):
    g = next(oracle.gradients(START.shape, 1))
    for scale in (1e-3, 1.0, 1e3):
        delta, _ = rule.update(g, rule.init(START), scale * START)
        assert np.linalg.norm(delta) == pytest.approx(0.1 * scale * np.linalg.norm(START))


@pytest.mark.parametrize("rule", [LARS(lr=0.1, trust_coefficient=0.5), LAMB(lr=0.1)])
def test_a_layer_of_zeros_can_move(rule):
    """Trust is 1 where a norm is 0."""
    theta, g = np.zeros(3), np.array([1.0, -2.0, 0.5])
    assert rule.update(g, rule.init(theta), theta)[0].all()


def test_adagrad_does_not_stop():
    """Its steps sum up like sqrt(t): slower and slower, and without bound (facts page, part 2)."""
    rule, theta = AdaGrad(lr=1.0), np.zeros(1)
    state, total = rule.init(theta), []
    for _ in range(400):
        delta, state = rule.update(np.ones(1), state, theta)
        total.append(delta[0])
    sums = np.cumsum(total)
    assert sums[399] / sums[99] == pytest.approx(2.0, rel=0.05)


def test_adadelta_finds_its_own_pace():
    """The unit of the loss cancels; the first step is set by eps alone."""
    rule, theta = Adadelta(rho=0.0, eps=1e-6), np.zeros(1)
    delta, _ = rule.update(np.array([50.0]), rule.init(theta), theta)
    assert delta[0] == pytest.approx(1e-3, rel=1e-3)


def test_the_centered_variance_of_a_constant_gradient_is_no_nan():
    rule, theta = RMSProp(alpha=0.5, centered=True), np.zeros(3, np.float32)
    state = rule.init(theta)
    for _ in range(60):
        delta, state = rule.update(np.array([0.1, 0.3, 7.7], np.float32), state, theta)
        assert np.isfinite(delta).all()
