"""Loss scaling, held to torch's GradScaler after any sequence of good and bad steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course.averaging import MasterWeights
from course.gradients import ClipByNorm, LossScaler, Scaled
from course.oracle import deviation
from course.rules import SGD, Adam, AdamW, chain

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def test_the_defaults_are_torchs():
    theirs, mine = torch.amp.GradScaler("cpu"), LossScaler()
    assert mine.init_scale == theirs.get_scale()
    assert mine.growth_factor == theirs.get_growth_factor()
    assert mine.backoff_factor == theirs.get_backoff_factor()
    assert mine.growth_interval == theirs.get_growth_interval()


@given(
    bad=st.lists(st.sampled_from([1.0, 1.0, 1.0, math.inf, -math.inf, math.nan]), max_size=30),
    init=st.sampled_from([65536.0, 1e38, 1e-44, 3.0, 0.1]),
    growth=st.sampled_from([2.0, 1.7, 10.0]),
    backoff=st.sampled_from([0.5, 0.3]),
    interval=st.integers(1, 4),
)
@quick
def test_state_gradients_and_steps_are_torchs(bad, init, growth, backoff, interval):
    options = {"growth_factor": growth, "backoff_factor": backoff, "growth_interval": interval}
    theirs = torch.amp.GradScaler("cpu", init_scale=init, **options)
    param = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.SGD([param], lr=0.1)
    rule = Scaled(SGD(lr=0.1), LossScaler(init, **options))
    theta = param.detach().clone()
    state = rule.init(theta)
    for i, size in enumerate(bad):
        grad = torch.tensor([size, 0.5 + i])
        param.grad = grad.clone()
        theirs.scale(torch.tensor(1.0))  # makes its state
        theirs.unscale_(optimizer)
        unscaled, finite = rule.scaler.unscale(grad, state)
        assert deviation(unscaled, param.grad) == 0
        assert finite == math.isfinite(size)
        theirs.step(optimizer)
        theirs.update()
        theta, state = rule.step(grad, state, theta)
        assert deviation(theta, param) <= 3e-7
        assert state["scale"] == theirs.get_scale()
        assert state["good"] == theirs.state_dict()["_growth_tracker"]


def test_it_grows_backs_off_and_skips():
    rule = Scaled(Adam(lr=0.1), LossScaler(growth_interval=3))
    theta, scales = np.array([1.0]), []
    state = rule.init(theta)
    for g in (1.0, math.inf, 1.0, 1.0, 1.0, 1.0):
        before = theta
        theta, state = rule.step(np.array([g]) * state["scale"], state, theta)
        scales.append(state["scale"])
        assert (theta == before).all() == math.isinf(g)
    assert scales == [65536, 32768, 32768, 32768, 65536, 65536]
    assert state["rule"]["step"] == 5  # Adam does not count the skipped one


def test_a_bad_element_anywhere_skips_all():
    rule = Scaled(SGD(lr=1.0))
    theta = {"a": np.ones(2), "b": {"c": np.ones(1)}}
    grads = {"a": np.ones(2), "b": {"c": np.array([math.nan])}}
    delta, state = rule.update(grads, rule.init(theta), theta)
    assert not delta["a"].any()
    assert not delta["b"]["c"].any()
    assert state["scale"] == 32768


def test_a_parameter_that_is_not_finite_is_left_as_it_is():
    rule, theta = Scaled(SGD()), np.array([1.0, math.inf])
    after, _ = rule.step(np.array([math.nan, 1.0]), rule.init(theta), theta)
    np.testing.assert_array_equal(after, theta)


def test_clipping_inside_is_clipping_of_what_was_unscaled():
    rule, theta = Scaled(chain(ClipByNorm(1.0, eps=0.0), SGD(lr=1.0))), {"a": np.zeros(1), "b": np.zeros(1)}
    state = rule.init(theta)
    short = {"a": np.array([0.3]), "b": np.array([0.4])}
    delta, _ = rule.update({n: g * state["scale"] for n, g in short.items()}, state, theta)
    np.testing.assert_allclose([delta["a"][0], delta["b"][0]], [0.3, 0.4])  # clipped first: 1e-5 of that


def test_scaling_keeps_what_float16_loses():
    """A gradient of 1e-8 is below the least number of float16, 6e-8: lost without the scale."""
    assert np.float16(1e-8) == 0
    theta = np.ones(1, np.float16)
    moved = {}
    for scale in (1.0, 65536.0):
        rule = MasterWeights(Scaled(SGD(lr=1e7), LossScaler(init_scale=scale)))
        state = rule.init(theta)
        grad = np.array([1e-8 * state["inner"]["scale"]], np.float16)  # what backward would return
        moved[scale] = float(1 - rule.step(grad, state, theta)[0][0])
    assert moved == {1.0: 0.0, 65536.0: pytest.approx(0.1, rel=1e-2)}


def test_a_whole_mixed_precision_run_is_torchs():
    """float16 gradients of a scaled loss, float32 masters, clipping, AdamW, an overflow in between."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=12).astype(np.float16)
    master = torch.nn.Parameter(torch.tensor(start).float())
    optimizer = torch.optim.AdamW([master], lr=0.01)
    theirs = torch.amp.GradScaler("cpu", growth_interval=5)
    rule = MasterWeights(Scaled(chain(ClipByNorm(1.0), AdamW(lr=0.01)), LossScaler(growth_interval=5)))
    theta = start
    state = rule.init(theta)
    overflows = 0
    for i in range(40):
        g = 10.0 ** rng.uniform(-5, 0, 12) * (50.0 if i == 20 else 1.0)
        with np.errstate(over="ignore"):
            grad = (g * state["inner"]["scale"]).astype(np.float16)
        overflows += not np.isfinite(grad).all()
        theta, state = rule.step(grad, state, theta)
        theirs.scale(torch.tensor(1.0))
        master.grad = torch.tensor(grad).float()
        theirs.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_([master], 1.0)
        theirs.step(optimizer)
        theirs.update()
        assert state["inner"]["scale"] == theirs.get_scale()
        assert deviation(state["master"], master) <= 3e-6
    assert 0 < overflows < 20


def test_float16_gradients_are_not_unscaled_as_in_torch():
    param = torch.nn.Parameter(torch.ones(1, dtype=torch.float16))
    param.grad = torch.ones_like(param)
    theirs = torch.amp.GradScaler("cpu")
    theirs.scale(torch.tensor(1.0))
    with pytest.raises(ValueError, match="unscale FP16"):
        theirs.unscale_(torch.optim.SGD([param], lr=0.1))
    scaler = LossScaler()
    with pytest.raises(ValueError, match="cast them up first"):
        scaler.unscale([param.grad], scaler.init())


def test_trees_with_holes_and_the_loss():
    scaler = LossScaler(init_scale=8.0)
    grads, finite = scaler.unscale({"a": None, "b": [torch.tensor([4.0])]}, scaler.init())
    assert (grads["a"], grads["b"][0].item(), finite) == (None, 0.5, True)
    assert scaler.scale(3.0, scaler.init()) == 24
    assert Scaled(SGD(), scaler).scale(torch.tensor(3.0), scaler.init()).item() == 24


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("init_scale", v) for v in (0, -1.0, math.inf, math.nan, "1", None, True)),
        *(("growth_factor", v) for v in (1.0, 0.5, math.inf)),
        *(("backoff_factor", v) for v in (0.0, 1.0, -0.5, math.nan)),
        *(("growth_interval", v) for v in (0, 2.5, -3, None)),
    ],
)
def test_a_bad_setting_is_refused_in_one_line(field, value):
    with pytest.raises(ValueError, match=f"LossScaler: {field} must be a .*number") as caught:
        LossScaler(**{field: value})
    assert "\n" not in str(caught.value)


def test_other_bad_input_is_refused_in_one_line():
    rule, theta = Scaled(SGD()), np.ones(2)
    for call, error, words in (
        (lambda: Scaled(SGD), TypeError, "rule must be a rule"),
        (lambda: Scaled(SGD(), 65536), TypeError, "scaler must be a LossScaler"),
        (lambda: rule.update(theta, {}, theta), ValueError, "Scaled: this state is not mine"),
        (lambda: rule.update([1.0], rule.init(theta), theta), TypeError, "LossScaler: a tree holds arrays"),
        (lambda: rule.update(np.ones(3), rule.init(theta), theta), ValueError, "grad has shape"),
    ):
        with pytest.raises(error, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_schedule_can_set_the_rules_learning_rate():
    rule = Scaled(Adam(lr=0.1), LossScaler(init_scale=2.0))
    assert rule.with_hyperparameters(lr=0.5) == Scaled(Adam(lr=0.5), LossScaler(init_scale=2.0))
    assert rule.hyperparameters()["lr"] == 0.1
