"""The landscapes: derivatives against central differences, optima, and the known limits, measured."""

from __future__ import annotations

import numpy as np
import pytest

from course.landscapes import ALL, Beale, Landscape, Quadratic, Rosenbrock, Saddle
from course.rules import SGD, HeavyBall

EXAMPLES = {
    **ALL,
    "steep ravine": Quadratic.of(100.0, 1.1, 7.0),
    "bent": Rosenbrock(5.0),
    "deep": Saddle(3.0),
}
every = pytest.mark.parametrize("land", EXAMPLES.values(), ids=EXAMPLES)
POINTS = np.random.default_rng(0).uniform(-2, 2, (40, 2))


def central(f, points: np.ndarray, h: float) -> np.ndarray:
    """Return the derivatives of ``f`` along both axes, stacked last."""
    return np.stack([(f(points + h * e) - f(points - h * e)) / (2 * h) for e in np.eye(2)], axis=-1)


@every
def test_the_gradient_is_the_slope_of_the_value(land):
    slope = central(land.value, POINTS, 1e-6)
    np.testing.assert_allclose(land.gradient(POINTS), slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())


@every
def test_the_hessian_is_the_slope_of_the_gradient(land):
    hessian, slope = land.hessian(POINTS), central(land.gradient, POINTS, 1e-6)
    np.testing.assert_allclose(hessian, slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())
    np.testing.assert_array_equal(hessian, np.swapaxes(hessian, -1, -2))


@every
@pytest.mark.parametrize("lead", [(), (1,), (5,), (2, 3), (0,)])
def test_shapes(land, lead):
    theta = np.ones((*lead, 2))
    assert np.shape(land.value(theta)) == lead
    assert land.gradient(theta).shape == (*lead, 2)
    assert land.hessian(theta).shape == (*lead, 2, 2)


@every
def test_a_batch_is_its_points_one_by_one(land):
    for function in (land.value, land.gradient, land.hessian):
        np.testing.assert_allclose(function(POINTS), [function(p) for p in POINTS], rtol=1e-14, atol=1e-14)


@every
def test_the_optimum_is_one(land):
    if land.optimum is None:
        np.testing.assert_array_equal(land.gradient(np.zeros(2)), [0, 0])
        assert np.linalg.eigvalsh(land.hessian(np.zeros(2)))[0] < 0
        return
    np.testing.assert_allclose(land.gradient(land.optimum), [0, 0], atol=1e-14)
    assert land.value(land.optimum) == pytest.approx(0, abs=1e-28)
    assert np.linalg.eigvalsh(land.hessian(land.optimum))[0] > 0
    assert (land.value(POINTS) > 0).all()


@every
def test_the_grid_covers_the_window(land):
    x, y, loss = land.grid(11)
    left, right, low, high = land.window
    assert x.shape == y.shape == loss.shape == (11, 11)
    assert (x.min(), x.max(), y.min(), y.max()) == (left, right, low, high)
    assert loss[2, 7] == pytest.approx(land.value(np.array([x[2, 7], y[2, 7]])), rel=1e-14)
    assert x[0, 0] < x[0, 1]
    assert y[0, 0] < y[1, 0]


def test_known_values():
    assert Rosenbrock().value(np.array([0.0, 0.0])) == 1
    assert Rosenbrock().value(np.array([-1.0, 1.0])) == 4
    assert Beale().value(np.array([0.0, 0.0])) == 14.203125
    assert Saddle(2.0).value(np.array([3.0, 1.0])) == 3.5
    assert Quadratic(np.diag([2.0, 4.0])).value(np.array([1.0, 1.0])) == 3


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0, -1.0])
@pytest.mark.parametrize(("condition", "largest"), [(1.0, 1.0), (10.0, 0.1), (1e6, 4.0)])
def test_of_builds_what_it_says(condition, largest, angle):
    bowl = Quadratic.of(condition, angle, largest)
    np.testing.assert_allclose(bowl.eigenvalues, [largest / condition, largest], rtol=1e-9)
    np.testing.assert_allclose(bowl.condition, condition, rtol=1e-9)
    floor = np.array([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(
        bowl.gradient(floor), floor * largest / condition, atol=1e-14, rtol=1e-9
    )  # the ravine's floor lies at the angle
    assert bowl.largest_stable_lr == pytest.approx(2 / largest)
    assert bowl.best_lr == pytest.approx(2 / (largest + largest / condition))


def end(rule, bowl: Quadratic, steps: int) -> float:
    theta = np.array([1.0, 1.0])
    state = rule.init(theta)
    for _ in range(steps):
        delta, state = rule.update(bowl.gradient(theta), state, theta)
        theta = theta - delta
    return float(np.linalg.norm(theta))


@pytest.mark.parametrize("condition", [1.0, 3.0, 30.0])
def test_the_limit_of_the_learning_rate_is_one(condition):
    bowl = Quadratic.of(condition, 0.4, largest=5.0)
    assert end(SGD(lr=0.99 * bowl.largest_stable_lr), bowl, 1500) < 1e-3
    assert end(SGD(lr=1.01 * bowl.largest_stable_lr), bowl, 1500) > 1e3


@pytest.mark.parametrize("condition", [3.0, 30.0])
def test_no_learning_rate_beats_the_best(condition):
    bowl = Quadratic.of(condition, 0.4, largest=5.0)
    best = end(SGD(lr=bowl.best_lr), bowl, 400)
    assert all(best < end(SGD(lr=factor * bowl.best_lr), bowl, 400) for factor in (0.95, 0.99, 1.01, 1.05))


def radius(bowl: Quadratic, lr: float, momentum: float) -> float:
    """Return the largest root of ``z^2 - (1 + m - lr h) z + m`` over the curvatures h: the rate."""
    return max(np.abs(np.roots([1, -(1 + momentum - lr * h), momentum])).max() for h in bowl.eigenvalues)


@pytest.mark.parametrize("condition", [3.0, 30.0, 1000.0])
def test_the_best_heavy_ball_beats_its_neighbours(condition):
    bowl = Quadratic.of(condition, 0.4, largest=5.0)
    lr, momentum = bowl.best_heavy_ball
    assert radius(bowl, lr, momentum) == pytest.approx(np.sqrt(momentum), rel=1e-6)
    for other in ((0.97 * lr, momentum), (1.03 * lr, momentum), (lr, 0.97 * momentum), (lr, 1.01 * momentum)):
        assert radius(bowl, *other) > np.sqrt(momentum) * (1 + 1e-4)
    steps = int(40 * np.sqrt(condition))
    best = end(HeavyBall(lr=lr, momentum=momentum), bowl, steps)
    assert best < end(HeavyBall(lr=0.8 * lr, momentum=momentum), bowl, steps)
    assert best < end(HeavyBall(lr=lr, momentum=momentum**1.5), bowl, steps)
    assert best < end(SGD(lr=bowl.best_lr), bowl, steps)


def test_a_saddle_holds_only_a_start_on_its_ridge():
    land, rule = Saddle(), SGD(lr=0.1)
    on, off = np.array([1.0, 0.0]), np.array([1.0, 1e-6])
    for _ in range(300):
        on = on - rule.update(land.gradient(on), {}, on)[0]
        off = off - rule.update(land.gradient(off), {}, off)[0]
    np.testing.assert_allclose(on, [0, 0], atol=1e-10)
    assert abs(off[1]) > 1e3


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ([[1.0, 2.0], [0.0, 1.0]], "symmetric"),
        (np.eye(3), r"not shape \(3, 3\)"),
        (np.ones(2), "symmetric"),
        (2.0, "symmetric"),
        (np.full((2, 2), np.nan), "symmetric"),
        (np.diag([1.0, -1.0]), "positive definite"),
        (np.diag([1.0, 0.0]), "positive definite"),
    ],
)
def test_a_matrix_that_is_no_bowl_is_refused(matrix, words):
    with pytest.raises(ValueError, match=words):
        Quadratic(matrix)


@pytest.mark.parametrize("change", [{"condition": 0.5}, {"condition": float("nan")}, {"largest": 0.0}])
def test_of_refuses_what_is_out_of_range(change):
    with pytest.raises(ValueError, match="condition must be >= 1 and largest > 0"):
        Quadratic.of(**change)


def test_a_quadratic_keeps_its_own_matrix():
    matrix = np.eye(2)
    bowl = Quadratic(matrix)
    matrix[0, 0] = -5
    assert bowl.condition == 1


@every
def test_points_that_are_not_in_the_plane_are_refused(land: Landscape):
    for theta in (np.ones(3), np.ones((2, 1)), np.array(1.0)):
        with pytest.raises(ValueError, match=r"theta must have shape \(\.\.\., 2\)"):
            land.value(theta)
        with pytest.raises(ValueError, match=r"theta must have shape \(\.\.\., 2\)"):
            land.gradient(theta)
