"""``chain``: reading order, where decay stands, whose hyperparameter is whose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course.rules import SGD, AddDecay, HeavyBall, Nesterov, Scale, chain

THETA, G = np.array([1.0, -2.0]), np.array([0.5, 4.0])


def run(rule, steps: int = 1):
    state, theta = rule.init(THETA), THETA
    for _ in range(steps):
        delta, state = rule.update(G, state, theta)
        theta = theta - delta
    return theta


def test_it_reads_from_left_to_right():
    first = chain(AddDecay(0.1), Scale(3.0)).update(G, chain(AddDecay(0.1), Scale(3.0)).init(THETA), THETA)[0]
    last = chain(Scale(3.0), AddDecay(0.1)).update(G, chain(Scale(3.0), AddDecay(0.1)).init(THETA), THETA)[0]
    np.testing.assert_array_equal(first, 3 * (G + 0.1 * THETA))
    np.testing.assert_array_equal(last, 3 * G + 0.1 * THETA)


@pytest.mark.parametrize("rule", [SGD, HeavyBall, Nesterov])
def test_decay_before_the_rule_is_the_l2_penalty(rule):
    np.testing.assert_array_equal(
        run(chain(AddDecay(0.1), rule(lr=0.2)), 5), run(rule(lr=0.2, weight_decay=0.1), 5)
    )


def test_decay_after_the_rule_is_decoupled():
    """theta - lr b - decay theta: what AdamW does, the decay never enters the buffer."""
    lr, decay, theta, buffer = 0.2, 0.01, THETA, np.zeros(2)
    for _ in range(5):
        buffer = 0.9 * buffer + G
        theta = theta * (1 - decay) - lr * buffer
    rule = chain(HeavyBall(lr=lr), AddDecay(decay))
    np.testing.assert_allclose(run(rule, 5), theta, rtol=1e-14)
    assert not np.allclose(run(rule, 5), run(chain(AddDecay(decay), HeavyBall(lr=lr)), 5))


def test_a_chain_of_one_is_the_rule_itself():
    np.testing.assert_array_equal(run(chain(Nesterov(lr=0.1)), 4), run(Nesterov(lr=0.1), 4))


def test_chains_nest():
    flat = chain(AddDecay(0.1), Scale(2.0), HeavyBall(lr=0.1))
    np.testing.assert_array_equal(
        run(chain(chain(AddDecay(0.1), Scale(2.0)), HeavyBall(lr=0.1)), 3), run(flat, 3)
    )


def test_it_runs_on_tensors_and_trees():
    rule = chain(AddDecay(0.1), HeavyBall(lr=0.1))
    tree = {"a": torch.tensor(THETA), "b": torch.ones(2, 2)}
    delta, state = rule.update(tree, rule.init(tree), tree)
    expected = rule.update(THETA, rule.init(THETA), THETA)[0]
    np.testing.assert_array_equal(delta["a"].numpy(), expected)
    assert set(state) == {"0.AddDecay", "1.HeavyBall"}


def test_hyperparameters_keep_their_name_unless_two_stages_share_it():
    rule = chain(AddDecay(0.1), SGD(lr=0.2))
    assert rule.hyperparameters() == {
        "0.weight_decay": 0.1, "lr": 0.2, "1.weight_decay": 0.0, "maximize": False,
    }  # fmt: skip
    changed = rule.with_hyperparameters(**{"0.weight_decay": 0.5, "lr": 1.0})
    assert changed == chain(AddDecay(0.5), SGD(lr=1.0))
    assert rule == chain(AddDecay(0.1), SGD(lr=0.2))


def test_no_hyperparameter_is_lost_in_nested_chains():
    rule = chain(Scale(1.0), Scale(2.0), chain(Scale(3.0), Scale(4.0)))
    assert sorted(rule.hyperparameters().values()) == [1, 2, 3, 4]
    for name, value in rule.hyperparameters().items():
        changed = rule.with_hyperparameters(**{name: value * 10})
        assert changed.hyperparameters() == rule.hyperparameters() | {name: value * 10}


def test_an_unknown_hyperparameter_is_named_with_those_there_are():
    with pytest.raises(
        ValueError, match="no hyperparameter 'momentum'; there are lr, weight_decay, maximize"
    ):
        chain(SGD()).with_hyperparameters(momentum=0.5)


def test_a_wrong_state_is_refused():
    rule = chain(Scale(2.0), HeavyBall())
    good = rule.init(THETA)
    for state in ({}, None, HeavyBall().init(THETA), chain(HeavyBall(), Scale(2.0)).init(THETA)):
        with pytest.raises(ValueError, match=r"I keep 0\.Scale, 1\.HeavyBall"):
            rule.update(G, state, THETA)
    with pytest.raises(ValueError, match="HeavyBall: this state is not mine"):
        rule.update(G, good | {"1.HeavyBall": {}}, THETA)


def test_the_order_in_which_a_state_was_stored_is_no_matter():
    rule = chain(AddDecay(0.1), HeavyBall(lr=0.1))
    state = rule.init(THETA)
    reordered = dict(reversed(state.items()))
    np.testing.assert_array_equal(rule.update(G, reordered, THETA)[0], rule.update(G, state, THETA)[0])


@pytest.mark.parametrize(
    ("stages", "error", "words"),
    [
        ((), ValueError, "at least one"),
        ((SGD,), TypeError, "not a rule"),
        ((lambda g: g,), TypeError, "not a rule"),
    ],
)
def test_what_cannot_be_chained(stages, error, words):
    with pytest.raises(error, match=words):
        chain(*stages)
