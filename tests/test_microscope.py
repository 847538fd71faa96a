"""The microscope: every name, in order, with its value; and nothing changed by looking."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

import course
from course.microscope import look
from course.rules import SGD, AddDecay, HeavyBall, Nesterov, Rule, chain


def heavy(grad, state, param, lr=0.1, momentum=0.5):
    velocity = momentum * state["buffer"] + grad
    delta = lr * velocity
    return delta, {"buffer": velocity}


G, THETA, STATE = np.array([1.0, -2.0]), np.array([3.0, 4.0]), {"buffer": np.array([2.0, 2.0])}


def values(seen, name):
    return [np.asarray(row.value).tolist() for row in seen.rows if row.name == name and not row.returned]


def test_names_values_and_lines_in_order():
    seen = look(heavy, G, STATE, THETA)
    assert [(r.name, r.returned) for r in seen.rows] == [
        ("velocity", False),
        ("delta", False),
        ("delta", True),
        ("buffer", True),
    ]
    np.testing.assert_array_equal(seen["velocity"], [2.0, -1.0])
    np.testing.assert_array_equal(seen["delta"], [0.2, -0.1])
    assert seen.rows[0].code == 'velocity = momentum * state["buffer"] + grad'
    assert seen.rows[1].line == seen.rows[0].line + 1
    assert seen.names == ["velocity", "delta", "buffer"]
    with pytest.raises(KeyError, match="no value named 'v'; it has velocity, delta, buffer"):
        seen["v"]


def test_a_change_in_place_is_seen_as_it_happens():
    def step(buffer, grad, state):
        buffer *= 0.5
        buffer += grad
        state["t"] += 1
        return buffer

    seen = look(step, np.array([2.0]), np.array([1.0]), {"t": 3})
    assert values(seen, "buffer") == [[1.0], [2.0]]
    assert values(seen, "state['t']") == [4]


def test_a_name_that_changes_has_a_row_each_time():
    def step(x):
        for i in range(3):
            x = x + i  # the first adds nothing
        return x

    seen = look(step, 1.0)
    assert values(seen, "x") == [2.0, 4.0]
    assert values(seen, "i") == [0, 1, 2]


def test_what_is_returned_beside_a_state_is_called_as_one_says():
    def step(param, state):
        return param - 1.0, {"b": 2.0}

    assert [row.name for row in look(step, 3.0, {}).rows] == ["delta", "b"]
    assert [row.name for row in look(step, 3.0, {}, returns="param").rows] == ["param", "b"]


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_looking_changes_nothing(make):
    def spoil(x, state, pile):
        x *= 0
        state["b"] *= 0
        state["t"] = 9
        pile[0] *= 0
        return x

    x, state, pile = make([1.0, 2.0]), {"b": make([3.0]), "t": 1}, [make([4.0])]
    look(spoil, x, state, pile)
    assert x.tolist() == [1.0, 2.0]
    assert state["b"].tolist() == [3.0]
    assert state["t"] == 1
    assert pile[0].tolist() == [4.0]


def test_a_torch_parameter_is_looked_at_but_not_moved():
    def step(p, lr):
        loss = (p * p).sum()
        loss.backward()
        g = p.grad
        with torch.no_grad():
            p -= lr * g

    p = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    p.grad = torch.tensor([5.0, 5.0])
    seen = look(step, p, 0.5)
    assert seen.error is None
    np.testing.assert_array_equal(seen["g"], [7.0, 9.0])
    np.testing.assert_array_equal(seen["p"], [-2.5, -2.5])
    assert p.tolist() == [1.0, 2.0]
    assert p.grad.tolist() == [5.0, 5.0]


def test_a_reference_stands_beside_under_its_usual_names():
    seen = look(heavy, G, STATE, THETA, beside=Nesterov(lr=0.1, momentum=0.5))
    agrees = {(r.name, r.returned): r.agrees for r in seen.rows}
    assert agrees[("velocity", False)] is True  # the rule calls it buffer
    assert agrees[("delta", False)] is False
    assert agrees[("delta", True)] is False
    assert agrees[("buffer", True)] is True
    assert (seen.first_difference.name, seen.first_difference.returned) == ("delta", False)
    np.testing.assert_allclose(seen.first_difference.reference, [0.2, -0.25])
    text = str(seen)
    assert "differs" in text
    assert "reference" in text.splitlines()[0]


def test_names_pair_what_only_the_caller_knows():
    def odd(grad, state, param):
        schwung = 0.5 * state["buffer"] + grad
        return 0.1 * schwung, {"buffer": schwung}

    rule = Nesterov(lr=0.1, momentum=0.5)
    assert look(odd, G, STATE, THETA, beside=rule).rows[0].agrees is None
    assert look(odd, G, STATE, THETA, beside=rule, names={"schwung": "buffer"}).rows[0].agrees is True


def test_two_functions_side_by_side():
    def wrong(g, lr):
        step = -lr * g
        return step

    def right(g, lr):
        step = lr * g
        return step

    seen = look(wrong, G, lr=0.5, beside=right)
    assert [r.agrees for r in seen.rows] == [False, False]
    assert look(right, G, lr=0.5, beside=right).first_difference is None
    assert look(right, G, lr=0.5).first_difference is None


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (SGD(0.1, 0.5), {"g", "delta"}),
        (HeavyBall(0.1), {"g", "buffer", "delta"}),
        (Nesterov(0.1), {"g", "buffer", "look_ahead", "delta"}),
    ],
)
@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_a_rule_shows_its_formula(rule, names, make):
    theta = make([3.0, 4.0])
    state = rule.init(theta)
    seen = look(rule, make([1.0, -2.0]), state, theta)
    assert names <= set(seen.names)
    assert not {"pairs", "kinds", "has"} & set(seen.names)  # not the checks around it
    np.testing.assert_array_equal(seen["delta"], rule.update(make([1.0, -2.0]), state, theta)[0])


def test_a_chain_shows_the_formulas_of_its_stages():
    rule = chain(AddDecay(0.5), HeavyBall(lr=0.1))
    seen = look(rule, G, rule.init(THETA), THETA)
    assert seen.error is None
    np.testing.assert_array_equal(seen["buffer"], G + 0.5 * THETA)


class Halving(Rule):
    """A learner's own rule, in a file of their own."""

    def update_leaf(self, grad, state, param):
        half = grad / 2
        return half, {}


def test_a_learners_own_rule_shows_its_formula():
    seen = look(Halving(), G, {}, THETA)
    np.testing.assert_array_equal(seen["half"], G / 2)


def test_an_exception_is_shown_with_what_came_before():
    def step(x):
        y = 2 * x
        z = y + missing  # noqa: F821
        return z

    seen = look(step, 1.0)
    assert isinstance(seen.error, NameError)
    assert seen["y"] == 2.0
    assert seen.result is None
    assert "stopped by NameError: name 'missing' is not defined" in str(seen)
    assert "stopped by NameError" in seen._repr_html_()


@pytest.mark.parametrize("problem", [None, ValueError, KeyboardInterrupt])
def test_the_previous_trace_function_is_restored(problem):
    def step():
        if problem:
            raise problem

    def mine(frame, event, arg):
        return None

    before = sys.gettrace()
    sys.settrace(mine)
    try:
        if problem is KeyboardInterrupt:
            with pytest.raises(KeyboardInterrupt):
                look(step)
        else:
            look(step)
        assert sys.gettrace() is mine
    finally:
        sys.settrace(before)


def test_html_is_escaped():
    def step(x):
        y = x if x < 2 else "<b>"  # <script>
        return y

    page = look(step, 1.0)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<tr") == page.count("</tr>") == 3


def test_of_a_step_that_is_not_written_yet_only_that_is_said(capsys):
    def heavy_ball(grad, state, param, lr, momentum, dampening):
        raise NotImplementedError("write heavy_ball")

    seen = look(heavy_ball, G, STATE, THETA, 0.1, 0.5, 0.0, beside=HeavyBall(lr=0.1))
    course.written(heavy_ball)
    assert str(seen) == capsys.readouterr().out.strip()
    assert seen._repr_html_() == f"<p>{seen}</p>"


def test_a_step_that_stops_half_way_is_no_stub():
    def step(x):
        y = 2 * x
        raise NotImplementedError(f"nothing for {y}")

    assert "stopped by NotImplementedError: nothing for 4" in str(look(step, 2))
