"""What holds of every rule: purity, dtype, shape, trees, refusals, frozen hyperparameters."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch

from course.arrays import to_numpy
from course.rules import ALL, SGD, AddDecay, HeavyBall, Nesterov, Rule, Scale, chain

EXAMPLES = {
    # The battery (test_battery.py) has the rules that take norms or are for matrices only.
    **{name: rule(lr=0.1) for name, rule in ALL.items() if rule.elementwise},
    "SGD decayed": SGD(lr=0.1, weight_decay=0.1, maximize=True),
    "HeavyBall dampened": HeavyBall(lr=0.1, dampening=0.3, weight_decay=0.1),
    "Nesterov decayed": Nesterov(lr=0.1, weight_decay=0.1, maximize=True),
    "Scale": Scale(0.5),
    "AddDecay": AddDecay(0.1),
    "chain": chain(AddDecay(0.1), HeavyBall(lr=0.1), Scale(0.5)),
}
STATEFUL = {n: r for n, r in EXAMPLES.items() if r.init(np.zeros(1)) and n != "chain"}
rules = pytest.mark.parametrize("rule", EXAMPLES.values(), ids=EXAMPLES)


def test_all_maps_each_name_to_its_class():
    assert {"SGD", "HeavyBall", "Nesterov"} <= set(ALL)
    assert all(issubclass(rule, Rule) and rule.__name__ == name for name, rule in ALL.items())


@rules
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_update_changes_no_input(rule, library):
    make = np.array if library == "numpy" else torch.tensor
    theta, g = make([1.0, -2.0, 0.0]), make([0.5, 0.0, 3.0])
    state = rule.init(theta)
    for _ in range(3):
        before = copy.deepcopy((g, state, theta))
        delta, after = rule.update(g, state, theta)
        assert str((g, state, theta)) == str(before)
        assert not any(np.shares_memory(to_numpy(delta), to_numpy(x)) for x in (g, theta))
        assert after is not state or not state
        state = after


@rules
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (0,), (2, 0)])
def test_dtype_and_shape_are_kept(rule, dtype, shape):
    theta, state = np.ones(shape, dtype), rule.init(np.ones(shape, dtype))
    for _ in range(2):
        delta, state = rule.update(np.ones(shape, dtype), state, theta)
        assert (delta.shape, delta.dtype) == (shape, np.dtype(dtype))
        theta = theta - delta
        assert (theta.shape, theta.dtype) == (shape, np.dtype(dtype))


@pytest.mark.parametrize("name", [n for n in ALL if n in EXAMPLES])
@pytest.mark.parametrize("lr", [np.float64(0.1), np.float32(0.1), np.array(0.1)], ids=lambda x: repr(x))
def test_a_numpy_learning_rate_does_not_change_the_dtype(name, lr):
    """np.float64 is a float and still turns float32 arrays into float64 ones, if one lets it."""
    rule, theta = ALL[name](lr=lr), np.ones(3, np.float32)
    delta, state = rule.update(theta, rule.init(theta), theta)
    assert delta.dtype == np.float32
    assert all(v.dtype == np.float32 for v in state.values() if isinstance(v, np.ndarray))


@rules
def test_bfloat16_tensors_stay_so(rule):
    theta = torch.ones(3, dtype=torch.bfloat16)
    assert rule.update(theta, rule.init(theta), theta)[0].dtype == torch.bfloat16


@rules
def test_a_tree_is_updated_leaf_by_leaf(rule):
    tree = {"w": np.array([[1.0, 2.0]]), "head": {"b": np.array(3.0)}}
    grads = {"head": {"b": np.array(-1.0)}, "w": np.array([[0.5, 0.25]])}
    state = rule.init(tree)
    leaf, scalar = rule.init(tree["w"]), rule.init(tree["head"]["b"])
    for _ in range(3):
        delta, state = rule.update(grads, state, tree)
        d, leaf = rule.update(grads["w"], leaf, tree["w"])
        e, scalar = rule.update(grads["head"]["b"], scalar, tree["head"]["b"])
        np.testing.assert_array_equal(delta["w"], d)
        np.testing.assert_array_equal(delta["head"]["b"], e)


@rules
def test_a_step_is_the_parameter_less_the_delta(rule):
    tree = {"w": np.array([[1.0, 2.0]]), "head": {"b": np.array(3.0)}}
    delta, expected = rule.update(tree, rule.init(tree), tree)
    after, state = rule.step(tree, rule.init(tree), tree)
    np.testing.assert_array_equal(after["w"], tree["w"] - delta["w"])
    np.testing.assert_array_equal(after["head"]["b"], tree["head"]["b"] - delta["head"]["b"])
    assert str(state) == str(expected)


@rules
def test_a_nan_stays_in_its_element(rule):
    theta, state = np.ones(3), rule.init(np.ones(3))
    delta, state = rule.update(np.array([1.0, np.nan, 2.0]), state, theta)
    for _ in range(2):
        assert np.isnan(delta).tolist() == [False, True, False]
        delta, state = rule.update(np.array([1.0, np.nan, 2.0]), state, theta)


@rules
def test_hyperparameters_are_frozen_and_replaced_by_a_copy(rule):
    name = next(iter(rule.hyperparameters()))
    with pytest.raises(FrozenInstanceError):
        setattr(rule, fields(rule)[0].name, 0.5)
    changed = rule.with_hyperparameters(**{name: 0.25})
    assert changed.hyperparameters()[name] == 0.25
    assert rule.hyperparameters()[name] != 0.25
    assert {**changed.hyperparameters(), name: None} == {**rule.hyperparameters(), name: None}


@rules
@pytest.mark.parametrize(
    ("grad", "param", "error", "words"),
    [
        (np.array([1, 2]), np.ones(2), TypeError, "grad has dtype int64"),
        (np.ones(2), np.array([1, 2]), TypeError, "param has dtype int64"),
        (np.array([True, False]), np.ones(2), TypeError, "grad has dtype bool"),
        (torch.ones(2, dtype=torch.int32), torch.ones(2), TypeError, "grad has dtype torch.int32"),
        ([1.0, 2.0], np.ones(2), TypeError, "grad must be an array, not list"),
        (1.0, np.ones(()), TypeError, "grad must be an array, not float"),
        (None, np.ones(2), TypeError, "grad must be an array, not NoneType"),
        (np.ones(3), np.ones(2), ValueError, r"grad has shape \(3,\), param has \(2,\)"),
        (np.ones((1, 2)), np.ones(2), ValueError, "nothing is broadcast"),
        (np.ones(()), np.ones(2), ValueError, "nothing is broadcast"),
        (np.ones((2, 1)), np.ones((1, 2)), ValueError, "nothing is broadcast"),
        (torch.ones(2), np.ones(2), TypeError, "one array library"),
        (np.ones(2), torch.ones(2), TypeError, "one array library"),
        ({"a": np.ones(2)}, np.ones(2), TypeError, "grad must be an array, not dict"),
        (np.ones(2), {"a": np.ones(2)}, TypeError, "grad must be one too"),
        ({"b": np.ones(2)}, {"a": np.ones(2)}, ValueError, "differ in the names a, b"),
    ],
    ids=lambda x: None,
)
def test_bad_input_is_refused_before_anything_is_computed(rule, grad, param, error, words):
    floating = {"a": np.ones(2)} if isinstance(param, dict) else param * 1.0
    with pytest.raises(error, match=words) as caught:
        rule.update(grad, rule.init(floating), param)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rule", STATEFUL.values(), ids=STATEFUL)
def test_a_foreign_state_is_refused(rule):
    theta = np.ones(2)
    good = rule.init(theta)
    for state in ({}, None, [], {"other": theta}, good | {"more": 1}, "state", dict.fromkeys([*good][:-1])):
        with pytest.raises(ValueError, match="this state is not mine"):
            rule.update(theta, state, theta)
    with pytest.raises(ValueError, match=r"state '\w+' has shape \(3,\)"):
        rule.update(theta, rule.init(np.ones(3)), theta)


def test_a_rule_without_memory_refuses_a_state_too():
    with pytest.raises(ValueError, match="I keep nothing"):
        SGD().update(np.ones(2), HeavyBall().init(np.ones(2)), np.ones(2))


@pytest.mark.parametrize("rule", STATEFUL.values(), ids=STATEFUL)
def test_a_state_of_another_library_is_refused(rule):
    with pytest.raises(TypeError, match="one array library"):
        rule.update(torch.ones(2), rule.init(np.ones(2)), torch.ones(2))


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        *(
            (rule, "lr", v)
            for rule in ALL.values()
            for v in (-0.1, float("nan"), float("inf"), "0.1", None, True)
        ),
        *((rule, "weight_decay", v) for rule in ALL.values() for v in (-1e-9, float("inf"))),
        *((rule, "momentum", v) for rule in (HeavyBall, Nesterov) for v in (-0.1, 1.1, float("nan"), [0.9])),
        (HeavyBall, "dampening", 1.5),
        (AddDecay, "weight_decay", -1.0),
        (Scale, "factor", float("nan")),
        (Scale, "factor", "half"),
    ],
)
def test_a_bad_hyperparameter_is_named_with_its_value_and_range(make, field, value):
    with pytest.raises(ValueError, match=f"{make.__name__}: {field} must be ") as caught:
        make(**{field: value})
    assert repr(value) in str(caught.value)
    assert "finite number" in str(caught.value)
    with pytest.raises(ValueError, match=field):
        make().with_hyperparameters(**{field: value})


@pytest.mark.parametrize("make", [HeavyBall, Nesterov])
def test_the_ends_of_the_range_are_allowed(make):
    make(lr=0, momentum=0, weight_decay=0)
    make(lr=torch.tensor(0.1), momentum=1)
    assert Scale(-1).factor == -1
