"""The microscope takes every form of function, and values of every form."""

from __future__ import annotations

import functools
import time

import numpy as np
import pytest

from course.microscope import look


def heavy(grad, state, param):
    velocity = 0.5 * state["buffer"] + grad
    return 0.1 * velocity, {"buffer": velocity}


G, STATE = np.array([1.0, -2.0]), {"buffer": np.array([2.0, 2.0])}


class Step:
    def __call__(self, x, scale=1.0):
        y = scale * x
        return y

    def method(self, x):
        y = 3 * x
        return y


def test_every_kind_of_function():
    assert look(lambda x: 2 * x, 1.5).result == 3.0
    assert look(Step(), 2.0)["y"] == 2.0
    assert look(Step().method, 2.0)["y"] == 6.0
    assert look(functools.partial(Step(), scale=4.0), 2.0)["y"] == 8.0
    assert look(functools.wraps(heavy)(lambda *a: heavy(*a)), G, STATE, G)["velocity"].tolist() == [2, -1]
    assert look(np.sqrt, 4.0)["value"] == 2.0
    assert look(max, 1.0, 2.0)["value"] == 2.0


def test_what_is_no_function_is_a_clear_error():
    for wrong in (3, "step", None):
        with pytest.raises(TypeError, match="look takes a function or a rule"):
            look(wrong, 1.0)
    assert isinstance(look(heavy, G).error, TypeError)  # too few arguments: shown, as any exception


def test_a_generator_function_shows_what_it_returns():
    def steps(x):
        y = x + 1
        yield y

    seen = look(steps, 1.0)
    assert seen.error is None
    assert "generator" in str(seen)


def test_lists_and_tuples_of_arrays():
    def step(a):
        pair = [a]
        pair = [a + 1]
        pair.append(a)
        both = (a, pair)
        return both

    seen = look(step, np.array([1.0, 2.0]))
    assert seen.error is None
    assert [len(row.value) for row in seen.rows if row.name == "pair"] == [1, 1, 2]
    assert look(step, np.ones(2), beside=step).first_difference is None


def test_a_long_loop_is_bounded():
    def step(x):
        for i in range(300_000):
            x = x + i
        return x

    begin = time.monotonic()
    seen = look(step, np.zeros(3))
    assert time.monotonic() - begin < 5
    assert 100 < len(seen.rows) < 400
    assert seen.result[0] == 300_000 * 299_999 / 2
    assert len(str(seen)) < 60_000


def test_a_row_is_one_line_whatever_it_holds():
    def step(x):
        small = x[:2, :2]
        flat = x.astype(np.float32)
        flag = small > 0
        nothing = None
        return small, flat, flag, nothing

    seen = look(step, np.arange(12.0).reshape(3, 4))
    assert len(str(seen).splitlines()) == 1 + len(seen.rows)
    assert "3 x 4 array, norm" in str(seen)


def test_nan_is_equal_to_nan_and_does_not_repeat():
    def step(x):
        y = x * float("nan")
        z = 1
        return y, z

    seen = look(step, np.ones(2), beside=step)
    assert [row.name for row in seen.rows].count("y") == 1
    assert seen.first_difference is None
    scalar = look(step, 1.0)
    assert [row.name for row in scalar.rows].count("y") == 1


def test_a_comprehensions_own_names_are_no_values_of_the_step():
    """From Python 3.12 on they stand among the step's locals for a while."""

    def step(gradients):
        doubled = [
            2 * each
            for each in gradients
        ]  # fmt: skip
        return sum(doubled)

    assert look(step, [1.0, 2.0]).names == ["doubled", "value"]
