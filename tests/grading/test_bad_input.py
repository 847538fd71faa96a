"""Whatever is handed to check: one clear line, no traceback, and the session goes on."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
import torch

from course.grading import CourseError, check, hint, reset, written


def sgd(grad, state, param, lr, weight_decay):
    return lr * (grad + weight_decay * param), state


def named(name, function):
    function.__name__ = name
    return function


def returns(value):
    return named("sgd", lambda grad, state, param, lr, weight_decay: value)


def delta_is(make):
    return named("sgd", lambda grad, state, param, lr, weight_decay: (make(lr * grad), state))


BIG = np.zeros((40, 40))


class Strange:
    def __repr__(self):
        return "two\nlines"


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (
            lambda grad, state: 1,
            "sgd takes (grad, state, param, lr, weight_decay); yours takes (grad, state)",
        ),
        (lambda: 1, "yours takes ()"),
        (lambda grad, state, param, *, lr, weight_decay: 1, "yours takes (grad, state, param, *, lr"),
        (lambda a, b, c, d, e, f: 1, "yours takes (a, b, c, d, e, f)"),
        (lambda grad, state=BIG: 1, "yours takes (grad, state=array("),
    ],
)
def test_wrong_arity(function, says):
    verdict = check(named("sgd", function))
    assert (verdict.status, verdict.score) == ("failed", 0)
    assert says in verdict.message
    assert "\n" not in verdict.message


@pytest.mark.parametrize(
    "function",
    [
        lambda grad, state, param, lr, weight_decay=0.0: (lr * (grad + weight_decay * param), state),
        lambda *a: sgd(*a),
        lambda g, s, p, a, b, verbose=False, **more: sgd(g, s, p, a, b),
    ],
)
def test_other_names_defaults_and_stars_are_fine(function):
    assert check(named("sgd", function)).passed


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "Your function returned None; it must end in `return delta, state`"),
        (1.0, "Your function returned a float; it must `return delta, state`"),
        (np.ones(1), "returned an array"),
        ((np.ones(1),), "returned 1 values"),
        ((np.ones(1), {}, {}), "returned 3 values"),
        ([], "returned 0 values"),
        ({}, "returned a dict"),
        ("delta, state", "returned a str"),
        ((None, {}), "delta is None; it must be an array"),
        (([1.0], {}), "delta must be an array like param; yours is a list"),
        ((0.5, {}), "delta must be an array like param; yours is a float"),
        ((np.ones((2, 2)), {}), "delta has shape (2, 2); it must have param's, (1,)"),
        ((np.ones(1), None), "the state must be a dict; yours is None"),
        ((np.ones(1), []), "the state must be a dict; yours is a list"),
        ((Strange(), Strange()), "yours is a Strange"),
        (Strange(), "returned a Strange"),
        (sgd, "returned a function"),
    ],
)
def test_wrong_returns(value, says):
    verdict = check(returns(value))
    assert verdict.status == "failed"
    assert says.lower() in verdict.message.lower()
    assert "\n" not in verdict.message


@pytest.mark.parametrize(
    "make",
    [
        lambda d: d * np.nan,
        lambda d: d + np.inf,
        lambda d: d.astype(complex) * (1 + 1j),
        lambda d: d.astype(str),
        lambda d: d.astype(object),
        lambda d: d > 0,
        lambda d: d.astype(int),
        lambda d: np.ma.masked_array(d, d > 0),
        lambda d: torch.ones(d.shape),
        lambda d: torch.ones(d.shape, requires_grad=True),
    ],
)
def test_strange_arrays(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = check(delta_is(make))
    assert verdict.status == "failed"
    assert verdict.message
    assert "\n" not in verdict.message
    assert str(verdict)
    assert verdict._repr_html_()


def test_nan_and_infinity_are_called_so():
    assert "is not a number (NaN)" in str(check(delta_is(lambda d: d * np.nan)))
    assert "is infinite" in str(check(delta_is(lambda d: d + np.inf)))


def test_an_imaginary_part_is_no_right_answer():
    verdict = check(delta_is(lambda d: d + 0j))
    assert not verdict.passed
    wrong = named("sgd", lambda g, s, p, lr, wd: (lr * (g + wd * p) + 1j, s))
    assert check(wrong).score == 0


@pytest.mark.parametrize("step", [None, "1", {}, [1, 2], Strange(), np.nan, 1j])
def test_a_strange_entry_of_the_state(step):
    def heavy_ball(grad, state, param, lr, momentum, dampening):
        buffer = grad if state["step"] == 0 else momentum * state["buffer"] + (1 - dampening) * grad
        return lr * buffer, {"buffer": buffer, "step": step}

    verdict = check(heavy_ball)
    assert (verdict.status, verdict.score) == ("failed", 0)
    assert "state['step']" in verdict.message
    assert "\n" not in str(verdict.message)


def test_a_state_that_is_spoiled_for_the_caller():
    def heavy_ball(grad, state, param, lr, momentum, dampening):
        old = state["buffer"]
        buffer = grad + 0 if state["step"] == 0 else momentum * old + (1 - dampening) * grad
        count = state.pop("step")
        state["buffer"] = [1, 2]
        return lr * buffer, {"buffer": buffer, "step": count + 1}

    verdict = check(heavy_ball)
    assert verdict.status == "failed"
    assert "AttributeError" not in str(verdict)


@pytest.mark.parametrize(
    "value", [None, "x", [1.0], True, {}, (1, 2), np.ones(3), 1j, np.array("x"), object()]
)
@pytest.mark.parametrize("name", ["largest_stable_lr", "steps_to_tolerance", "robbins_monro_mean"])
def test_functions_of_one_value(name, value):
    signature = {"largest_stable_lr": lambda h: value, "robbins_monro_mean": lambda s: value}
    verdict = check(named(name, signature.get(name, lambda condition, tolerance: value)))
    assert verdict.status == "failed"
    assert verdict.message
    assert "\n" not in verdict.message


@pytest.mark.parametrize(
    "value", [None, 3, "ab", {}, [1, 2], [[1.5]], [[99]], [None], [[[1]]], [[1], [1, 2]], object()]
)
def test_minibatches_of_every_kind(value):
    verdict = check(named("minibatches", lambda n, batch_size, rng: value))
    assert verdict.status == "failed"
    assert verdict.message
    assert "\n" not in verdict.message


@pytest.mark.parametrize("value", [None, "x", [1.0], {}, torch.ones(2), torch.tensor(1.0), True, 1j])
def test_losses_of_every_kind(value):
    verdict = check(named("training_step", lambda model, loss_fn, optimizer, x, y: value))
    assert verdict.status == "failed"
    assert verdict.message
    assert "\n" not in verdict.message


class Rule:
    def __call__(self, grad, state, param, lr, weight_decay):
        return lr * (grad + weight_decay * param), state


@pytest.mark.parametrize(
    ("thing", "says"),
    [
        ("sgd", "check takes your function itself: check(sgd), without the quotes"),
        ("nonsense", "check takes a function"),
        (None, "not NoneType"),
        (3, "not int 3"),
        (np.zeros((30, 30)), "not ndarray"),
        (Strange(), "not Strange"),
        (Rule(), "not Rule"),
        (functools.partial(sgd, lr=0.1), "not partial"),
        (lambda g: g, "a lambda has no name"),
        (print, "there is no exercise 'print'"),
        (np, "not module"),
        (sgd(np.ones(1), {}, np.ones(1), 0.1, 0.0), "not tuple"),
        (named("nestorov", lambda: 0), "did you mean 'nesterov'?"),
        (named("heavyball", lambda: 0), "did you mean 'heavy_ball'?"),
        (named("xyz", lambda: 0), "there are step_downhill"),
    ],
)
def test_what_is_no_answer_to_an_exercise(thing, says):
    for use in (check, written):
        with pytest.raises(CourseError) as caught:
            use(thing)
        assert says.replace("check", use.__name__) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value._render_traceback_() == [str(caught.value)]


@pytest.mark.parametrize("use", [hint, reset])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nestrov", "did you mean 'nesterov'?"),
        ("zzz", "there are"),
        (None, "not NoneType"),
        (3, "not int"),
        ("", "there is no"),
    ],
)
def test_unknown_names(use, name, says):
    with pytest.raises(CourseError) as caught:
        use(name)
    assert says in str(caught.value)
    assert str(caught.value).startswith(use.__name__)
    assert "\n" not in str(caught.value)


def test_a_class_of_the_right_name():
    kind = type("sgd", (), {"__init__": lambda self, grad, state, param, lr, weight_decay: None})
    verdict = check(kind)
    assert verdict.status == "failed"
    assert "returned a sgd" in verdict.message
    assert "yours takes" in check(type("sgd", (), {})).message
