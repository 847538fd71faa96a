"""Sophia's estimates of the Hessian's diagonal, its refusals, and Muon's Newton-Schulz iteration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from course import oracle
from course.rules import Sophia, gauss_newton_bartlett, hutchinson, newton_schulz

A = np.random.default_rng(0).normal(size=(4, 4))
H = A @ A.T


def test_hutchinson_has_the_diagonal_as_its_mean_over_all_signs():
    """Over all 16 sign vectors, which have equal weight, the mean is exact."""
    signs = [np.array(s) for s in itertools.product((-1.0, 1.0), repeat=4)]
    mean = np.mean([hutchinson(lambda u: H @ u, u) for u in signs], axis=0)
    np.testing.assert_allclose(mean, np.diag(H), rtol=1e-14)


def test_hutchinson_with_normal_probes_comes_near():
    rng = np.random.default_rng(1)
    draws = [hutchinson(lambda u: H @ u, rng.normal(size=4)) for _ in range(20_000)]
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert (np.abs(np.mean(draws, axis=0) - np.diag(H)) < 4 * error).all()


def test_hutchinson_takes_a_product_from_autograd():
    theta = torch.tensor([0.3, -0.8, 1.1], dtype=torch.float64, requires_grad=True)
    loss = (theta**4).sum() + theta.prod()
    (gradient,) = torch.autograd.grad(loss, theta, create_graph=True)

    def product(u):
        return torch.autograd.grad(gradient, theta, u, retain_graph=True)[0]

    signs = [torch.tensor(s, dtype=torch.float64) for s in itertools.product((-1.0, 1.0), repeat=3)]
    mean = sum(hutchinson(product, u) for u in signs) / 8
    torch.testing.assert_close(mean, 12 * theta.detach() ** 2)


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_gauss_newton_bartlett_has_the_gauss_newton_diagonal_as_its_mean(batch_size):
    """Logistic regression: all labels of the batch, weighed by the model's own probabilities."""
    rng = np.random.default_rng(2)
    x, theta = rng.normal(size=(batch_size, 4)), rng.normal(size=4)
    p = 1 / (1 + np.exp(-x @ theta))
    mean = np.zeros(4)
    for labels in itertools.product((0.0, 1.0), repeat=batch_size):
        y = np.array(labels)
        weight = np.prod(np.where(y == 1, p, 1 - p))
        mean += weight * gauss_newton_bartlett(x.T @ (p - y) / batch_size, batch_size)
    np.testing.assert_allclose(mean, np.mean((p * (1 - p))[:, None] * x**2, axis=0), rtol=1e-12)


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "8"])
def test_gauss_newton_bartlett_refuses_a_batch_that_is_none(size):
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1"):
        gauss_newton_bartlett(np.ones(2), size)


def test_with_hessian_changes_no_input_and_takes_trees():
    rule, tree = Sophia(betas=(0.9, 0.75)), {"a": np.ones(2), "b": {"c": np.ones((2, 2))}}
    state = rule.init(tree)
    after = rule.with_hessian(state, {"a": np.full(2, 4.0), "b": {"c": np.full((2, 2), 8.0)}})
    assert not state["a"]["h"].any()
    np.testing.assert_array_equal(after["a"]["h"], 1.0)
    np.testing.assert_array_equal(after["b"]["c"]["h"], 2.0)
    assert after["a"]["m"] is state["a"]["m"]


def test_with_hessian_refuses_what_does_not_fit():
    rule, theta = Sophia(), np.ones(2)
    state = rule.init(theta)
    for estimate, error, words in (
        (np.ones(3), ValueError, "state 'h' has shape|state 'm' has shape"),
        (np.ones(2, int), TypeError, "estimate has dtype int64"),
        (torch.ones(2), TypeError, "one array library"),
        ([1.0, 1.0], TypeError, "estimate must be an array"),
        ({"a": np.ones(2)}, ValueError, "differ in their names"),
    ):
        with pytest.raises(error, match=words):
            rule.with_hessian(state, estimate)


def test_sophia_divides_by_the_curvature_of_a_ravine():
    """With the true diagonal both axes converge at one pace, whatever the condition."""
    curvature, theta = np.array([1.0, 1000.0]), np.array([1.0, 1.0])
    for variant, rho in (("H", 1.0), ("G", 1.0)):
        rule = Sophia(lr=0.5, betas=(0.0, 0.0), rho=rho, weight_decay=0.0, variant=variant)
        state = rule.with_hessian(rule.init(theta), curvature)
        delta, _ = rule.update(curvature * theta, state, theta)
        np.testing.assert_allclose(delta, 0.5, rtol=1e-12)


@pytest.mark.parametrize("shape", [(6, 6), (4, 7), (7, 4), (1, 5)])
def test_newton_schulz_acts_on_the_singular_values_alone(shape):
    """Its independent reference: the same polynomial of the singular values, by way of an SVD."""
    matrix = np.random.default_rng(3).normal(size=shape)
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(matrix)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    assert oracle.deviation(newton_schulz(matrix), (u * s) @ v) <= 1e-13
    mine = newton_schulz(torch.tensor(matrix))
    assert oracle.deviation(mine, (u * s) @ v) <= 1e-13


def test_five_steps_bring_singular_values_near_one_and_not_onto_it():
    """[.01, 1] goes into [.68, 1.13] (facts page, part 1)."""
    s = np.linspace(0.01, 1, 2001)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    assert 0.675 < s.min() < 0.69
    assert 1.12 < s.max() < 1.135


def test_newton_schulz_of_nothing_is_nothing():
    assert not newton_schulz(np.zeros((3, 4))).any()
    assert newton_schulz(np.zeros((0, 4))).shape == (0, 4)
    np.testing.assert_array_equal(newton_schulz(np.zeros((3, 4)), steps=0), np.zeros((3, 4)))
