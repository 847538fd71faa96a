"""The batch-size model: its noise against sampling, its paths against what an epoch is."""

from __future__ import annotations

import numpy as np
import pytest

from course.widgets.models.batches import digits_problem, gradient_spread, walk


def test_the_problem_is_standardised_and_undecided() -> None:
    problem = digits_problem()
    assert problem.x.shape == (64, 2)
    np.testing.assert_allclose(problem.x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(problem.x.std(axis=0), 1, atol=1e-12)
    assert problem.y.sum() == 0
    gradient = problem.gradients(problem.optimum).mean(axis=0)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
    assert problem.value(problem.optimum) > 0.1, "without disagreement there would be no noise to see"


@pytest.mark.parametrize("size", [1, 4, 16])
def test_spread_is_what_sampling_gives(size: int) -> None:
    problem, theta = digits_problem(), np.array([0.2, -0.1])
    rng = np.random.default_rng(1)
    full = problem.gradients(theta).mean(axis=0)
    draws = [problem.gradients(theta)[rng.permutation(64)[:size]].mean(axis=0) for _ in range(4000)]
    measured = np.sqrt(((np.array(draws) - full) ** 2).sum(axis=1).mean())
    assert gradient_spread(problem, theta, size) == pytest.approx(measured, rel=0.04)


def test_the_full_batch_has_no_noise() -> None:
    problem = digits_problem()
    assert gradient_spread(problem, np.zeros(2), 64) == 0


def test_every_size_sees_the_same_examples() -> None:
    problem = digits_problem()
    for size in (1, 8, 24, 64):
        path = walk(problem, size, 0.1, epochs=2, start=(0.0, 0.0))
        assert len(path) == 1 + 2 * -(-64 // size)


def test_full_batch_is_gradient_descent_in_any_order() -> None:
    problem = digits_problem()
    one, two = (walk(problem, 64, 0.1, 3, (0.0, 0.0), seed) for seed in (0, 7))
    np.testing.assert_allclose(one, two, atol=1e-14)
    np.testing.assert_allclose(one[1], -0.1 * problem.gradients(np.zeros(2)).mean(axis=0))
