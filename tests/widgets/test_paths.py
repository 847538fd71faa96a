"""The models against theory: what the pictures show is what the mathematics says."""

from __future__ import annotations

import numpy as np
import pytest

from course.landscapes import Quadratic
from course.rules import SGD, HeavyBall, Nesterov
from course.widgets.models.paths import (
    decay_factor,
    follow,
    gradient_descent_rate,
    heavy_ball_rate,
    nesterov_rate,
)

START = (-2.2, 1.6)


@pytest.mark.parametrize("condition", [2.0, 10.0, 100.0])
def test_gradient_descent_walks_at_the_rate_of_theory(condition: float) -> None:
    ravine = Quadratic.of(condition=condition, angle=0.5)
    best = (condition - 1) / (condition + 1)
    assert gradient_descent_rate(ravine.best_lr, ravine.eigenvalues) == pytest.approx(best)
    path = follow(SGD(lr=0.3), ravine, START, 300)
    slow = float(gradient_descent_rate(0.3, ravine.eigenvalues))
    assert decay_factor(path[:60], ravine.optimum, skip=30) == pytest.approx(slow, rel=0.02)


@pytest.mark.parametrize("excess", [0.99, 1.01])
def test_gradient_descent_ends_at_two_over_the_largest_curvature(excess: float) -> None:
    ravine = Quadratic.of(condition=10.0)
    path = follow(SGD(lr=excess * ravine.largest_stable_lr), ravine, START, 400)
    assert (np.linalg.norm(path[-1]) < 0.01) == (excess < 1)


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("excess", [0.99, 1.01])
def test_heavy_ball_diverges_exactly_past_its_boundary(momentum: float, excess: float) -> None:
    ravine = Quadratic.of(condition=10.0)
    lr = excess * (2 + 2 * momentum) / float(ravine.eigenvalues[-1])
    rate = heavy_ball_rate(lr, momentum, ravine.eigenvalues)
    assert (rate < 1) == (excess < 1)
    path = follow(HeavyBall(lr=lr, momentum=momentum), ravine, START, 2000)
    assert (np.linalg.norm(path[-1]) < 1) == (excess < 1)


@pytest.mark.parametrize("condition", [4.0, 25.0, 400.0])
def test_polyaks_choice_is_the_optimum_of_the_map(condition: float) -> None:
    ravine = Quadratic.of(condition=condition)
    lr, momentum = ravine.best_heavy_ball
    rate = float(heavy_ball_rate(lr, momentum, ravine.eigenvalues))
    root = np.sqrt(condition)
    # A double root: the square root of rounding errors is all the accuracy there is.
    assert rate == pytest.approx((root - 1) / (root + 1), abs=1e-6)
    around = heavy_ball_rate(
        lr * np.linspace(0.8, 1.2, 41)[:, None], np.linspace(0, 0.99, 199), ravine.eigenvalues
    )
    assert around.min() >= rate - 1e-6


@pytest.mark.parametrize(("lr", "momentum"), [(0.5, 0.8), (1.0, 0.6), (0.2, 0.3), (2.5, 0.5)])
def test_measured_rates_are_the_spectral_radii(lr: float, momentum: float) -> None:
    ravine = Quadratic.of(condition=10.0)
    for rule, exact in ((HeavyBall, heavy_ball_rate), (Nesterov, nesterov_rate)):
        if rule is Nesterov and lr > 1:
            continue
        path = follow(rule(lr=lr, momentum=momentum), ravine, START, 220)
        # Oscillation changes the distance within a turn, so the average runs over many steps.
        measured = decay_factor(path[:120], ravine.optimum, skip=20)
        assert measured == pytest.approx(float(exact(lr, momentum, ravine.eigenvalues)), rel=0.02)


def test_nesterov_at_one_over_l_reaches_one_minus_one_over_root_k() -> None:
    root = 5.0
    momentum = (root - 1) / (root + 1)
    assert nesterov_rate(1.0, momentum, [1 / root**2, 1.0]) == pytest.approx(1 - 1 / root, abs=1e-6)


def test_follow_leaves_its_start_alone_and_stands_divergence() -> None:
    start = np.array(START)
    path = follow(SGD(lr=50.0), Quadratic.of(), start, 300)
    assert start.tolist() == list(START)
    assert path.shape == (301, 2)
