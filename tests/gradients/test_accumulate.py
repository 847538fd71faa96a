"""Accumulation: whatever the split, the gradient is that of the whole batch."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course.gradients import Accumulator
from course.oracle import deviation

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def accumulated(window, parts):
    state = window.init()
    for grad, count in parts:
        state = window.add(grad, state, count)
    return window.mean(state)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8), seed=st.integers(0, 99), library=st.booleans()
)
@quick
def test_in_any_split_it_is_the_gradient_of_the_whole_batch(sizes, seed, library):
    examples = np.random.default_rng(seed).normal(size=(sum(sizes), 3)) * 100
    give = torch.tensor if library else np.asarray
    parts = [(give(p.mean(0)), len(p)) for p in np.split(examples, np.cumsum(sizes)[:-1])]
    assert deviation(accumulated(Accumulator(), parts), examples.mean(0)) <= 1e-13


def test_the_last_window_of_an_epoch_may_be_short():
    """100 examples in micro-batches of 8, four a window: the last window has one of 4 alone."""
    examples = np.random.default_rng(0).normal(size=100)
    micro = [examples[i : i + 8] for i in range(0, 100, 8)]
    for first in range(0, len(micro), 4):
        window = micro[first : first + 4]
        grad = accumulated(Accumulator(), [(np.asarray(m.mean()), len(m)) for m in window])
        assert float(grad) == pytest.approx(np.concatenate(window).mean(), rel=1e-13)
    assert [len(m) for m in window] == [4]


def test_by_tokens_it_is_torchs_gradient_of_the_mean_over_all_of_them():
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 3, dtype=torch.float64)
    x, y = torch.randn(5, 6, 4, dtype=torch.float64), torch.randint(0, 3, (5, 6))
    for row, length in enumerate((6, 2, 0, 5, 1)):  # padding; one text has no token in the loss at all
        y[row, length:] = -100
    loss = torch.nn.functional.cross_entropy(layer(x).flatten(0, 1), y.flatten(), ignore_index=-100)
    whole = torch.autograd.grad(loss, list(layer.parameters()))
    window = Accumulator()
    state = window.init()
    for row in range(5):
        loss = torch.nn.functional.cross_entropy(layer(x[row]), y[row], ignore_index=-100)
        grads = torch.autograd.grad(loss, list(layer.parameters()))
        state = window.add(list(grads), state, int((y[row] != -100).sum()))
    assert state["count"] == 14
    for mine, theirs in zip(window.mean(state), whole, strict=True):
        assert deviation(mine, theirs) <= 1e-14


def test_unequal_micro_batches_are_not_averaged_as_equals():
    parts = [(np.array([1.0]), 20), (np.array([5.0]), 12)]
    assert accumulated(Accumulator(), parts)[0] == 2.5
    assert accumulated(Accumulator(), [(g, 1) for g, _ in parts])[0] == 3.0


def test_a_none_adds_nothing_and_stays_none_only_where_all_were():
    parts = [
        ({"a": np.array([2.0]), "b": None, "c": [None]}, 1),
        ({"a": None, "b": np.array([6.0]), "c": [None]}, 3),
    ]
    mean = accumulated(Accumulator(), parts)
    assert (mean["a"], mean["b"], mean["c"]) == (0.5, 4.5, [None])


def test_narrow_gradients_can_be_summed_wide():
    """2049 times 1 in float16: from 2048 on, 1 is half the spacing and is rounded away."""
    one = np.ones(1, np.float16)
    assert accumulated(Accumulator(), [(one, 1)] * 2100)[0] < 0.98
    wide = accumulated(Accumulator(dtype="float32"), [(one, 1)] * 2100)
    assert (wide.dtype, wide[0]) == (np.float32, 1.0)
    narrow = torch.ones(1, dtype=torch.bfloat16)
    assert accumulated(Accumulator(dtype="float32"), [(narrow, 1)] * 300).dtype == torch.float32
    assert accumulated(Accumulator(), [(narrow, 1)] * 300)[0] < 0.9


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_is_kept(dtype):
    for count in (2, np.int64(2), np.float64(2.0)):
        assert accumulated(Accumulator(), [(np.ones(2, dtype), count)]).dtype == dtype


def test_nothing_is_changed_in_place():
    grad, window = {"a": np.array([1.0])}, Accumulator()
    first = window.add(grad, window.init())
    before = copy.deepcopy((grad, first))
    window.add(grad, first)
    window.mean(first)
    assert str((grad, first)) == str(before)
    assert not np.shares_memory(first["total"]["a"], grad["a"])


@pytest.mark.parametrize("count", [-1, math.nan, math.inf, "2", None, True])
def test_a_bad_count_is_refused_in_one_line(count):
    with pytest.raises(ValueError, match="Accumulator: count must be a finite number >= 0, not") as caught:
        Accumulator().add(np.ones(1), Accumulator().init(), count)
    assert "\n" not in str(caught.value)


def test_other_bad_input_is_refused_in_one_line():
    window = Accumulator()
    begun = window.add([np.ones(2)], window.init())
    for call, error, words in (
        (lambda: window.mean(window.init()), ValueError, "nothing was added"),
        (lambda: window.mean(window.add(np.ones(1), window.init(), 0)), ValueError, "nothing was added"),
        (lambda: window.add([np.ones(3)], begun), ValueError, "differs in form or shape"),
        (lambda: window.add([np.ones(2), np.ones(2)], begun), ValueError, "differs in form or shape"),
        (lambda: window.add(np.ones(2), begun), ValueError, "differs in form or shape"),
        (lambda: window.add([1.0], begun), TypeError, "not float"),
        (
            lambda: Accumulator(dtype="bfloat16").add(np.ones(2), window.init()),
            TypeError,
            "no dtype 'bfloat16'",
        ),
    ):
        with pytest.raises(error, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)
