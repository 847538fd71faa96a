"""One battery over every rule of ``rules.ALL``: whoever registers a rule there has it tested here."""

from __future__ import annotations

import copy
import re
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch

from course import oracle
from course.arrays import to_numpy
from course.landscapes import Quadratic, Rosenbrock
from course.rules import ALL, Rule
from course.rules.card import SECTIONS, card

every = pytest.mark.parametrize("make", list(ALL.values()), ids=list(ALL))
elementwise = pytest.mark.parametrize(
    "make", [r for r in ALL.values() if r.elementwise], ids=[n for n in ALL if ALL[n].elementwise]
)
whole = pytest.mark.parametrize(
    "make", [r for r in ALL.values() if not r.elementwise], ids=[n for n in ALL if not ALL[n].elementwise]
)
LIBRARIES = {"numpy": np.array, "torch": torch.tensor}


def shapes_for(make: type[Rule]) -> list[tuple[int, ...]]:
    return (
        [(2, 3), (3, 2), (0, 2)] if make.only_matrices else [(), (1,), (5,), (2, 3), (0,), (2, 0), (2, 3, 4)]
    )


def start_for(make: type[Rule], dtype: str = "float64") -> np.ndarray:
    return oracle.start(make()).astype(dtype)


def path(rule: Rule, grads, start):
    """Return the points after each step, and the last state."""
    theta, state, points = start, rule.init(start), []
    for g in grads:
        delta, state = rule.update(g, state, theta)
        theta = theta - delta
        points.append(theta)
    return np.stack([to_numpy(p) for p in points]), state


def undecayed(make: type[Rule], **options) -> Rule:
    """Return the rule with its decay turned off, where it has one."""
    return make(**options, **({"weight_decay": 0.0} if has(make, "weight_decay") else {}))


def has(make: type[Rule], field: str) -> bool:
    return field in make().hyperparameters()


# -- form ----------------------------------------------------------------------------------------------


@every
def test_it_is_a_frozen_dataclass_whose_docstring_is_complete(make):
    assert is_dataclass(make)
    assert make.__dataclass_params__.frozen
    assert "update_leaf" in vars(make)
    text, facts = make.__doc__, card(make)
    places = [text.index(f"\n    {name}") for name in SECTIONS]
    assert places == sorted(places)
    assert text.index("Errors") < text.index(">>>") < text.index("\n    Source")
    assert "\n" not in facts.summary.strip()
    assert facts.summary.endswith(".")
    assert 1950 < facts.year < 2030
    arguments = facts.sections["Args"]
    assert [f.name for f in fields(make) if not re.search(rf"\b{f.name}\b", arguments)] == []


@every
@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("float64", 8)])
def test_the_state_is_what_the_docstring_says(make, dtype, width):
    for shape in shapes_for(make):
        rule, theta = make(), np.ones(shape, dtype)
        for state in (rule.init(theta), rule.update(theta, rule.init(theta), theta)[1]):
            expected = rule.state_shapes(shape)
            assert set(state) == set(expected)
            for name, value in state.items():
                if expected[name] is None:
                    assert type(value) in (int, float)
                else:
                    assert (value.shape, value.dtype) == (expected[name], np.dtype(dtype))
    theta = start_for(make, dtype)
    arrays = [v for v in make().init(theta).values() if isinstance(v, np.ndarray)]
    assert sum(v.nbytes for v in arrays) == card(make).bytes_per_parameter * theta.size * width // 4
    named = set(card(make).state.split(", ")) - {"none"}
    assert set(make().init(theta)) <= named


@every
@pytest.mark.parametrize("library", LIBRARIES)
def test_update_changes_no_input_and_gives_new_arrays(make, library):
    rule, array = make(), LIBRARIES[library]
    theta = array(start_for(make))
    state = rule.init(theta)
    for g in oracle.gradients(tuple(theta.shape), 3):
        grad = array(g)
        before = copy.deepcopy((grad, state, theta))
        delta, after = rule.update(grad, state, theta)
        for old, new in zip(_arrays((grad, state, theta)), _arrays(before), strict=True):
            np.testing.assert_array_equal(old, new)
        others = _arrays((grad, theta, *state.values(), *after.values()))
        assert not any(np.shares_memory(to_numpy(delta), x) for x in others)
        state = after


def _arrays(tree) -> list[np.ndarray]:
    if isinstance(tree, tuple | list):
        return [x for part in tree for x in _arrays(part)]
    if isinstance(tree, dict):
        return _arrays(list(tree.values()))
    return [] if isinstance(tree, int | float) else [to_numpy(tree)]


@every
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_shape_and_library_are_kept(make, dtype, library):
    for shape in shapes_for(make):
        theta = LIBRARIES[library](np.ones(shape, dtype))
        state, rule = make().init(theta), make()
        for _ in range(2):
            delta, state = rule.update(theta + 1, state, theta)
            assert (tuple(delta.shape), delta.dtype) == (shape, theta.dtype)
            assert hasattr(delta, "detach") == (library == "torch")
            assert np.isfinite(to_numpy(delta)).all()


@every
def test_numpy_and_torch_take_one_path(make):
    start = start_for(make)
    grads = list(oracle.gradients(start.shape, 50))
    mine, _ = path(make(), grads, start)
    other, _ = path(make(), [torch.tensor(g) for g in grads], torch.tensor(start))
    assert oracle.deviation(mine, other) <= oracle.GATES["float64"]


@every
def test_a_tree_is_updated_leaf_by_leaf(make):
    one = start_for(make)
    tree, grads = {"a": one, "b": {"c": one[:2] + 1}}, {"a": one - 1, "b": {"c": one[:2]}}
    rule = make()
    state = rule.init(tree)
    a, c = rule.init(one), rule.init(one[:2])
    for _ in range(3):
        delta, state = rule.update(grads, state, tree)
        first, a = rule.update(grads["a"], a, tree["a"])
        second, c = rule.update(grads["b"]["c"], c, tree["b"]["c"])
        np.testing.assert_array_equal(delta["a"], first)
        np.testing.assert_array_equal(delta["b"]["c"], second)


# -- behaviour -----------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("landscape", "goal"),
    [
        pytest.param(Quadratic.of(condition=10.0), 1e-4, id="bowl"),
        pytest.param(Rosenbrock(), 1e-2, id="Rosenbrock", marks=pytest.mark.thorough),
    ],
)
def test_it_converges(make, landscape, goal):
    """From three points at once, with the best of a few learning rates, warmed up and let down to zero."""
    begin, steps = np.array([[-1.2, 1.0], [0.5, -0.7], [1.5, 2.0]]), 2000
    best = np.inf
    with np.errstate(all="ignore"):
        for lr in 10.0 ** np.arange(-3, 3.5, 0.5):
            theta, rule = begin, undecayed(make, lr=float(lr))
            state = rule.init(theta)
            for t in range(steps):
                rate = float(lr) * min(1.0, (t / 100) ** 2) * (1 - t / steps)
                now = rule.with_hyperparameters(lr=rate)
                delta, state = now.update(landscape.gradient(theta), state, theta)
                theta = theta - delta
                if not np.isfinite(theta).all():
                    break
            else:
                best = min(best, float(landscape.value(theta).sum() / landscape.value(begin).sum()))
            if best < goal:
                return
    pytest.fail(f"the loss fell to {best:.1e} of its start, not below {goal:g}")


@every
def test_a_zero_gradient_moves_nothing_but_decay(make):
    start = start_for(make)
    delta, _ = undecayed(make, lr=0.1).update(0 * start, undecayed(make).init(start), start)
    np.testing.assert_array_equal(delta, 0 * start)
    if has(make, "weight_decay"):
        rule = make(lr=0.1, weight_decay=0.1)
        delta, _ = rule.update(0 * start, rule.init(start), start)
        assert (delta * start).sum() > 0
        assert (np.sign(delta) == np.sign(start)).all() or not make.elementwise


@every
def test_lr_zero_stands_still_while_the_state_goes_on(make):
    start = start_for(make)
    rule = make(lr=0.0)
    delta, state = rule.update(start + 1, rule.init(start), start)
    assert not delta.any()
    _, other = make(lr=0.1).update(start + 1, rule.init(start), start)
    if "buffer" not in state:  # a rate inside the buffer is part of the state
        np.testing.assert_equal(state, other)


@every
def test_turning_all_signs_turns_the_path(make):
    start = start_for(make)
    grads = list(oracle.gradients(start.shape, 20))
    mine, _ = path(make(lr=0.1), grads, start)
    turned, _ = path(make(lr=0.1), [-g for g in grads], -start)
    np.testing.assert_array_equal(mine, -turned)


@every
def test_maximize_is_descent_on_the_negative(make):
    if not has(make, "maximize"):
        assert make.__name__ == "Muon"  # as in torch
        return
    start = start_for(make)
    grads = list(oracle.gradients(start.shape, 20))
    climbing, _ = path(make(lr=0.1, maximize=True), grads, start)
    np.testing.assert_array_equal(climbing, path(make(lr=0.1), [-g for g in grads], start)[0])


@elementwise
def test_order_and_sharding_are_no_matter(make):
    start = start_for(make)
    grads = list(oracle.gradients(start.shape, 20))
    together, _ = path(make(lr=0.1), grads, start)
    order = np.random.default_rng(0).permutation(start.size)
    shuffled, _ = path(make(lr=0.1), [g[order] for g in grads], start[order])
    np.testing.assert_array_equal(together[:, order], shuffled)
    parts = [path(make(lr=0.1), [g[cut] for g in grads], start[cut])[0] for cut in (slice(7), slice(7, None))]
    np.testing.assert_array_equal(together, np.concatenate(parts, axis=1))


@whole
def test_a_shard_of_it_does_not_go_its_way_alone(make):
    """Why ZeRO must reduce norms: cut in two, these rules take another path."""
    start = start_for(make)
    grads = list(oracle.gradients(start.shape, 5))
    together, _ = path(make(lr=0.1), grads, start)
    alone, _ = path(make(lr=0.1), [g[:2] for g in grads], start[:2])
    assert oracle.deviation(alone, together[:, :2]) > 1e-6


@every
def test_a_nan_goes_where_the_base_class_says(make):
    """It stays in its element, or spreads over the array whose norm is taken; it is never hidden."""
    start, rule = start_for(make), make(lr=0.1)
    state, place = rule.init(start), np.zeros(start.shape, bool)
    place.flat[3] = True
    for library in LIBRARIES.values():
        delta, after = rule.update(library(np.where(place, np.nan, 1.0)), _in(library, state), library(start))
        bad = np.isnan(to_numpy(delta))
        assert (bad == place).all() if make.elementwise else bad.all()
        if after.keys() - {"step"}:
            later, _ = rule.update(library(np.ones(start.shape)), after, library(start))
            assert np.isnan(to_numpy(later)).any()


def _in(library, state: dict) -> dict:
    return {n: library(v) if isinstance(v, np.ndarray) else v for n, v in state.items()}
