"""Schedules, held to torch's at every step, to closed forms, and as part of a training run."""

from __future__ import annotations

import math
import warnings
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as torchs

from course.oracle import deviation
from course.rules import SGD, Adam, AdamW, HeavyBall, chain
from course.schedules import (
    WSD,
    Constant,
    Cosine,
    Curve,
    Exponential,
    InverseSqrt,
    LinearWarmup,
    MultiStep,
    OneCycle,
    Polynomial,
    Schedule,
    Sequence,
    StepDecay,
)
from course.torch_bridge import RuleOptimizer

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def torch_rates(make, lr: float, steps: int) -> list[float]:
    """Return the learning rate of each update that a torch scheduler gives."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR tells of its own way to step
        scheduler = make(optimizer)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    return rates


def after_warmup(o, warmup, then):
    return torchs.SequentialLR(o, [torchs.LinearLR(o, 0.01, total_iters=warmup), then], milestones=[warmup])


PAIRS = {
    "constant": (Constant(0.3), lambda o: torchs.ConstantLR(o, 1.0), 20),
    "step": (StepDecay(0.3, every=7, factor=0.3), lambda o: torchs.StepLR(o, 7, 0.3), 40),
    "every step": (StepDecay(0.3, every=1, factor=0.9), lambda o: torchs.StepLR(o, 1, 0.9), 40),
    "multi-step": (MultiStep(0.3, (3, 10, 11), 0.2), lambda o: torchs.MultiStepLR(o, [3, 10, 11], 0.2), 30),
    "from the first": (MultiStep(0.3, (), 0.2), lambda o: torchs.MultiStepLR(o, [], 0.2), 5),
    "exponential": (Exponential(0.3, 0.93), lambda o: torchs.ExponentialLR(o, 0.93), 60),
    "warmup": (LinearWarmup(0.3, 10, start=0.03), lambda o: torchs.LinearLR(o, 0.1, total_iters=10), 30),
    "warmup of one": (LinearWarmup(0.3, 1, start=0.03), lambda o: torchs.LinearLR(o, 0.1, total_iters=1), 5),
    "cosine": (Cosine(0.3, 25), lambda o: torchs.CosineAnnealingLR(o, 25), 26),
    "floor": (Cosine(0.3, 25, floor=0.1), lambda o: torchs.CosineAnnealingLR(o, 25, 0.1), 26),
    "one cycle": (OneCycle(0.3, 50), lambda o: torchs.OneCycleLR(o, 0.3, 50, cycle_momentum=False), 50),
    "one cycle of lines": (
        OneCycle(0.3, 37, rise=0.45, div=5, final_div=100, shape="linear"),
        lambda o: torchs.OneCycleLR(
            o, 0.3, 37, pct_start=0.45, div_factor=5, final_div_factor=100, anneal_strategy="linear",
            cycle_momentum=False,
        ),
        37,
    ),
    "polynomial": (Polynomial(0.3, 25, power=2.0), lambda o: torchs.PolynomialLR(o, 25, 2.0), 40),
    "line down": (Polynomial(0.3, 25), lambda o: torchs.PolynomialLR(o, 25), 26),
    "warmup, cosine, floor": (
        Sequence((LinearWarmup(0.3, 8, start=0.003), Cosine(0.3, 30, floor=0.03)), (8,)),
        lambda o: after_warmup(o, 8, torchs.CosineAnnealingLR(o, 30, 0.03)), 39,
    ),
    "warmup, steps": (
        Sequence((LinearWarmup(0.3, 8, start=0.003), MultiStep(0.3, (5, 9), 0.316)), (8,)),
        lambda o: after_warmup(o, 8, torchs.MultiStepLR(o, [5, 9], 0.316)), 39,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("mine", "theirs", "steps"), PAIRS.values(), ids=PAIRS)
def test_every_step_is_torchs(mine, theirs, steps):
    """torch multiplies its last rate on, so its roundings pile up: 1e-13 after some fifty steps."""
    np.testing.assert_allclose(
        [mine(t) for t in range(steps)], torch_rates(theirs, 0.3, steps), rtol=1e-12, atol=1e-16
    )


@pytest.mark.parametrize("mine", [p[0] for p in PAIRS.values()], ids=PAIRS)
def test_past_its_end_a_schedule_keeps_its_last_value(mine):
    if not isinstance(mine, Exponential | StepDecay):
        assert mine(10**6) == mine(10**9) == mine(1000)


def test_torchs_cosine_rises_again_and_its_one_cycle_refuses():
    rates = torch_rates(lambda o: torchs.CosineAnnealingLR(o, 10), 0.3, 21)
    assert rates[20] == pytest.approx(0.3)
    assert Cosine(0.3, 10)(20) == 0.0
    with pytest.raises(ValueError, match="Tried to step"):
        torch_rates(lambda o: torchs.OneCycleLR(o, 0.3, 10, cycle_momentum=False), 0.3, 12)
    assert OneCycle(0.3, 10)(12) == OneCycle(0.3, 10)(9) == pytest.approx(0.3 / 25 / 1e4)


def closed_form(t: int, lr: float, total: int, warmup: int, floor: float) -> float:
    """The cosine of the LLM recipes, written as Hugging Face's get_cosine_schedule_with_warmup has it."""
    if t < warmup:
        return lr * float(t) / float(max(1, warmup))
    progress = float(t - warmup) / float(max(1, total - warmup))
    share = floor / lr
    return lr * (max(0.0, 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))) * (1 - share) + share)


@given(total=st.integers(1, 300), warm=st.floats(0, 1), lr=st.floats(1e-6, 1.0), share=st.floats(0, 1))
@quick
def test_the_cosine_is_its_closed_form_at_every_step_and_beyond(total, warm, lr, share):
    warmup = int(warm * total)
    curve = Cosine(lr, total, warmup, floor=share * lr)
    for t in range(total + 20):
        if t == total == warmup:  # the end of the warmup is the end of all: no cosine in between
            assert curve(t) == share * lr
            continue
        assert curve(t) == pytest.approx(closed_form(t, lr, total, warmup, share * lr), rel=1e-9, abs=1e-16)
    assert curve(total) == share * lr


@given(total=st.integers(1, 200), warm=st.floats(0, 1), down=st.floats(0, 1),
       shape=st.sampled_from(["linear", "cosine", "sqrt"]))  # fmt: skip
@quick
def test_wsd_warms_up_stays_and_goes_down(total, warm, down, shape):
    warmup = int(warm * total)
    decay = int(down * (total - warmup))
    curve = WSD(2.0, total, warmup, decay, floor=0.5, shape=shape)
    rates = [curve(t) for t in range(total + 5)]
    assert rates[:warmup] == pytest.approx([2.0 * t / warmup for t in range(warmup)])
    assert rates[warmup : total - decay] == [2.0] * (total - decay - warmup)
    way_down = rates[total - decay :]
    assert way_down == sorted(way_down, reverse=True)
    assert rates[total:] == [0.5] * 5
    if decay:
        share = np.arange(decay) / decay
        left = {"linear": 1 - share, "sqrt": 1 - share**0.5, "cosine": np.cos(np.pi * share / 2) ** 2}[shape]
        np.testing.assert_allclose(rates[total - decay : total], 0.5 + 1.5 * left, rtol=1e-12)


def test_a_decay_that_is_counted_from_the_start_drops_where_the_warmup_ends():
    """NVIDIA's BERT: 6e-3 sqrt(1 - t/T) after a warmup of 28 % of the steps: 15 % below the peak at once."""
    curve = Polynomial(6e-3, total=7038, warmup=2001, power=0.5, from_start=True)
    for t in (2001, 3000, 7037):
        assert curve(t) == pytest.approx(6e-3 * (1 - t / 7038) ** 0.5, rel=1e-12)
    assert curve(2000) == pytest.approx(6e-3, rel=1e-3)
    assert curve(2001) / curve(2000) == pytest.approx(0.846, abs=1e-3)
    after = Polynomial(0.3, total=20, warmup=5, power=2.0, floor=0.1)
    for t in range(5, 25):
        assert after(t) == pytest.approx(0.1 + 0.2 * max(0.0, (20 - t) / 15) ** 2, rel=1e-12)


def test_the_transformers_schedule():
    """d^-.5 min(t^-.5, t warmup^-1.5), counted from 1."""
    d, warmup = 512, 4000
    curve = InverseSqrt(lr=1 / math.sqrt(d * warmup), warmup=warmup)
    for t in (1, 2, 100, 3999, 4000, 4001, 100_000):
        assert curve(t) == pytest.approx(d**-0.5 * min(t**-0.5, t * warmup**-1.5), rel=1e-12)
    assert curve(0) == 0


EVERY = [p[0] for p in PAIRS.values()] + [WSD(0.3, 30, 5, 10), InverseSqrt(0.3, 5), Cosine(0.3, 20, 5, 0.01)]


@pytest.mark.parametrize("curve", EVERY, ids=repr)
def test_it_lies_between_nothing_and_the_peak(curve):
    rates = [curve(t) for t in range(200)]
    assert all(isinstance(rate, float) and 0 <= rate <= 0.3 * (1 + 1e-15) for rate in rates)
    assert max(rates) == pytest.approx(0.3, rel=2e-2)  # one cycle may have its peak between two steps
    assert curve(np.int64(3)) == curve(3)


@pytest.mark.parametrize("curve", EVERY, ids=repr)
def test_with_torchs_lambda_lr_an_optimizer_follows_it(curve):
    optimizer = RuleOptimizer([torch.nn.Parameter(torch.zeros(1))], HeavyBall(lr=1.0))
    scheduler = torchs.LambdaLR(optimizer, curve)
    for t in range(45):
        assert optimizer.param_groups[0]["lr"] == curve(t)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("rule", [SGD(lr=1.0), HeavyBall(lr=1.0), AdamW(lr=1.0), Adam(lr=1.0)])
def test_in_a_chain_it_is_the_learning_rate(rule):
    curve = Cosine(0.1, total=20, warmup=5, floor=0.01)
    chained, theta = chain(rule, Schedule(curve)), np.ones(3)
    state, own, own_state = chained.init(theta), np.ones(3), rule.init(theta)
    rng = np.random.default_rng(0)
    for t in range(25):
        g = rng.normal(size=3)
        theta, state = chained.step(g, state, theta)
        own, own_state = rule.with_hyperparameters(lr=curve(t)).step(g, own_state, own)
        assert deviation(theta, own) <= 1e-14
    assert state["1.Schedule"] == {"step": 25}


def test_in_a_torch_optimizer_the_chain_is_torchs_scheduler():
    curve = Cosine(0.1, total=20)
    mine, theirs = (torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
    ours = RuleOptimizer([mine], chain(AdamW(lr=1.0), Schedule(curve)))
    optimizer = torch.optim.AdamW([theirs], lr=0.1)
    scheduler = torchs.CosineAnnealingLR(optimizer, 20)
    rng = np.random.default_rng(0)
    for _ in range(20):
        mine.grad = torch.tensor(rng.normal(size=3))
        theirs.grad = mine.grad.clone()
        ours.step()
        optimizer.step()
        scheduler.step()
        assert deviation(mine, theirs) <= 1e-13


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_schedule_does_not_widen(dtype):
    for schedule in (Constant(0.5), lambda step: np.float64(0.5), lambda step: torch.tensor(0.5)):
        rule = Schedule(schedule)
        delta, _ = rule.update(np.ones(2, dtype), rule.init(np.ones(2, dtype)), np.ones(2, dtype))
        assert delta.dtype == dtype
        assert delta.tolist() == [0.5, 0.5]


def test_it_is_frozen_equal_and_says_what_it_is():
    curve = Cosine(0.1, total=10)
    with pytest.raises(FrozenInstanceError):
        curve.lr = 1.0
    assert curve == Cosine(0.1, total=10) != Cosine(0.1, total=11)
    assert repr(curve) == "Cosine(lr=0.1, total=10, warmup=0, floor=0.0)"
    assert isinstance(curve, Curve)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Constant(-1), "Constant: lr must be a finite number >= 0, not -1"),
        (lambda: Constant(math.nan), "Constant: lr must be a finite number >= 0, not nan"),
        (lambda: Constant("1"), "Constant: lr must be a finite number >= 0, not '1'"),
        (lambda: Constant(None), "Constant: lr must be a finite number >= 0"),
        (lambda: Constant(True), "Constant: lr must be a finite number >= 0"),
        (lambda: StepDecay(0.1, every=0), "StepDecay: every must be a whole number >= 1, not 0"),
        (lambda: StepDecay(0.1, factor=-1), "factor must be a finite number >= 0"),
        (lambda: MultiStep(0.1, (5, 3)), "milestones must be whole numbers >= 0 in rising order"),
        (lambda: MultiStep(0.1, (1.5,)), "milestones must be whole numbers"),
        (lambda: MultiStep(0.1, 3), "milestones must be whole numbers"),
        (lambda: MultiStep(0.1, "34"), "milestones must be whole numbers"),
        (lambda: Exponential(0.1, math.inf), "factor must be a finite number"),
        (lambda: LinearWarmup(0.1, -1), "steps must be a whole number >= 0"),
        (lambda: LinearWarmup(0.1, 2.5), "steps must be a whole number >= 0"),
        (lambda: Cosine(0.1, 0), "total must be a whole number >= 1"),
        (lambda: Cosine(0.1, 10, 11), "warmup must be at most total, 10, not 11"),
        (lambda: Cosine(0.1, 10, floor=0.2), r"floor must be at most lr, 0\.1, not 0\.2"),
        (lambda: WSD(0.1, 10, 5, 6), "decay must be at most total - warmup, 5, not 6"),
        (lambda: WSD(0.1, shape="round"), "shape must be one of 'linear', 'cosine', 'sqrt'"),
        (lambda: Polynomial(0.1, power=-1), "power must be a finite number >= 0"),
        (lambda: Polynomial(0.1, 10, 11), "warmup must be at most total"),
        (lambda: Polynomial(0.1, floor=1.0), "floor must be at most lr"),
        (lambda: Polynomial(0.1, from_start=1), "from_start must be True or False"),
        (lambda: OneCycle(0.1, rise=1.5), r"rise must be a number in \[0, 1\]"),
        (lambda: OneCycle(0.1, div=0), "div must be a finite number > 0"),
        (lambda: OneCycle(0.1, shape="sqrt"), "shape must be one of 'cosine', 'linear'"),
        (lambda: InverseSqrt(0.1, 0), "warmup must be a whole number >= 1"),
        (lambda: Sequence(()), "curves must be schedules, at least one"),
        (lambda: Sequence((Constant(1.0), Constant(2.0))), "milestones must be 1 steps"),
        (lambda: Sequence((Constant(1.0), 2.0), (1,)), "curves must be schedules"),
        (lambda: Schedule(0.1), "Schedule: schedule must be a function of the step"),
        (lambda: Constant(0.1)(-1), "Constant: step must be a number >= 0, not -1"),
        (lambda: Cosine(0.1)("3"), "Cosine: step must be a number >= 0, not '3'"),
        (lambda: Sequence((Constant(1.0),))(math.nan), "Sequence: step must be a number >= 0, not nan"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_line(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)
