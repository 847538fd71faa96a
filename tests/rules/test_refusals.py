"""What every rule of ``rules.ALL`` refuses: bad hyperparameters, and input that it cannot update."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course import oracle
from course.rules import ALL, Rule

every = pytest.mark.parametrize("make", list(ALL.values()), ids=list(ALL))


def bad_values(make: type[Rule]):
    for name, value in make().hyperparameters().items():
        if isinstance(value, bool):
            yield from ((name, bad) for bad in ("no", 1, None))
        if isinstance(value, float):
            yield from ((name, bad) for bad in (float("nan"), "0.1", [0.1], True))
            yield name, float("inf") if value <= 0 and name == "beta2_decay" else -float("inf")
        if isinstance(value, tuple):
            yield from (
                (name, bad) for bad in (0.9, value[:1], (*value, 0.5), (value[0], -0.1), (value[0], "x"))
            )
        if isinstance(value, str):
            yield from ((name, bad) for bad in ("nonsense", 1, None))


@every
def test_a_bad_hyperparameter_is_named_with_its_value_and_range(make):
    cases = list(bad_values(make))
    assert len(cases) >= 5
    for field, value in cases:
        with pytest.raises(ValueError, match=f"^{make.__name__}: {field} must be ") as caught:
            make(**{field: value})
        assert repr(value) in str(caught.value)
        assert "\n" not in str(caught.value)


@every
def test_bad_input_is_refused_before_anything_is_computed(make):
    rule, one = make(), oracle.start(make())
    state = rule.init(one)
    cases = [
        (one.astype(int), state, one, TypeError, "grad has dtype int64"),
        (one, state, one.astype(int), TypeError, "param has dtype int64"),
        (one[:1], state, one, ValueError, "nothing is broadcast"),
        (one, {"other": one}, one, ValueError, "this state is not mine"),
        (one, None, one, ValueError, "this state is not mine"),
        (torch.tensor(one), state, one, TypeError, "one array library"),
        (one.astype(np.float32), state, one, TypeError, "they must be equal"),
        ({"a": one}, state, one, TypeError, "must be an array"),
        (one, state, {"a": one}, TypeError, "must be one too"),
    ]
    for grad, given, param, error, words in cases:
        with pytest.raises(error, match=words):
            rule.update(grad, given, param)
    for name, shape in rule.state_shapes(one.shape).items():
        wrong = state | {name: "one" if shape is None else np.ones((9, 9))}
        with pytest.raises(ValueError, match=f"state '{name}'"):
            rule.update(one, wrong, one)


@every
def test_a_rule_for_matrices_says_so(make):
    if make.only_matrices:
        for shape in ((), (3,), (2, 2, 2)):
            with pytest.raises(ValueError, match="for matrices only"):
                make().init(np.ones(shape))
