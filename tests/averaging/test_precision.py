"""Weights in 16 bits: rounding held to torch, master copies exact, random rounding without bias."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course.averaging import MasterWeights, StochasticRounding, round_to_bfloat16, stochastic_round
from course.gradients import ClipByNorm, Scaled
from course.oracle import deviation
from course.rules import SGD, Adafactor, Adam, AdamW, HeavyBall, chain
from course.torch_bridge import RuleOptimizer

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
HARD = [
    0.0, -0.0, 1.0, 1.00390625, 1.01171875, 1.001, -1.00390625, np.inf, -np.inf, np.nan, 3.3895314e38, 3.4e38,
    -3.4e38, 1e-45, 1e-40, 1.1754944e-38, 9.2e-41, 65504.0, 0.1, 1 / 3,
]  # fmt: skip


def as_torch_rounds(x: np.ndarray) -> np.ndarray:
    return torch.tensor(x).to(torch.bfloat16).float().numpy()


def test_bfloat16_is_torchs_on_every_kind_of_number():
    """Hard ones, and a sample of all bit patterns: every exponent, ties on both sides, NaNs, subnormals."""
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, size=200_000, dtype=np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    for x in (np.float32(HARD), bits.view(np.float32), ties.view(np.float32), (ties + 1).view(np.float32)):
        mine = round_to_bfloat16(x)
        np.testing.assert_array_equal(mine, as_torch_rounds(x))
        assert (np.signbit(mine) == np.signbit(as_torch_rounds(x)))[~np.isnan(x)].all()
    assert round_to_bfloat16(np.float32(1.001)).shape == ()
    assert round_to_bfloat16(np.zeros((2, 0), np.float32)).shape == (2, 0)
    with pytest.raises(TypeError, match="it must be float32"):
        round_to_bfloat16(np.ones(2))


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_random_rounding_is_without_bias(library, dtype):
    """The mean of n draws between neighbours h apart strays by at most h / (2 sqrt n) at one sigma."""
    n = 20_000
    cases = np.float32([1.001, -1.003, 1.9999, 0.1, 3e-3, 250.3, 6.0e-8 if dtype == "float16" else 1e-39])
    x = np.broadcast_to(cases[:, None], (len(cases), n)).copy()
    rng = np.random.default_rng(1)
    rounded = stochastic_round(x if library == "numpy" else torch.tensor(x), dtype, rng)
    if library == "torch":
        assert rounded.dtype == getattr(torch, dtype)
        rounded = rounded.double().numpy()
    rounded = np.asarray(rounded, np.float64)
    for row, exact in zip(rounded, cases.astype(float), strict=True):
        low, high = row.min(), row.max()
        assert len(np.unique(row)) == 2  # both neighbours and nothing else
        assert low < exact < high
        narrow = getattr(torch, dtype)
        step = torch.nextafter(torch.tensor(low, dtype=narrow), torch.tensor(high, dtype=narrow))
        assert step.double().item() == high
        assert abs(row.mean() - exact) <= 5 * (high - low) / 2 / np.sqrt(n)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_random_rounding_leaves_what_is_exact(dtype):
    exact = np.float32([0.0, -0.0, 1.0, -1.5, 0.25, 1024.0, np.inf, -np.inf, np.nan])
    for seed in range(20):
        rounded = stochastic_round(exact, dtype, np.random.default_rng(seed))
        np.testing.assert_array_equal(rounded, exact)
    largest = np.float32([3.3895314e38 if dtype == "bfloat16" else 65504.0])
    assert stochastic_round(largest, dtype, np.random.default_rng(0)) == largest


def test_random_rounding_is_the_same_for_the_same_generator():
    x = np.random.default_rng(0).normal(size=50).astype(np.float32)
    once = stochastic_round(x, "bfloat16", np.random.default_rng(7))
    np.testing.assert_array_equal(once, stochastic_round(x, "bfloat16", np.random.default_rng(7)))
    tensor = stochastic_round(torch.tensor(x), "bfloat16", np.random.default_rng(7))
    np.testing.assert_array_equal(once, tensor.float().numpy())
    assert (once != stochastic_round(x, "bfloat16", np.random.default_rng(8))).any()


def test_a_thousand_updates_of_a_thousandth():
    """On a bfloat16 weight of 1.0: lost alone, all there with a master copy, on the mean at random."""
    one, grad = torch.ones(1, dtype=torch.bfloat16), -torch.ones(1, dtype=torch.bfloat16)
    plain, masters = SGD(lr=1e-3), MasterWeights(SGD(lr=1e-3))
    weight, held, state = one, one, masters.init(one)
    for _ in range(1000):
        weight, _ = plain.step(grad, {}, weight)
        held, state = masters.step(grad, state, held)
    assert weight.item() == 1.0
    assert held.item() == 2.0
    assert state["master"].item() == pytest.approx(2.0, abs=1e-4)
    many = one.repeat(400)
    rule = StochasticRounding(SGD(lr=1e-3), seed=3)
    state = rule.init(many)
    for _ in range(1000):
        many, state = rule.step(grad.repeat(400), state, many)
    # A step of 1e-3 between neighbours 2^-7 apart strays by .0026; over 1000 steps and 400 weights by .0041.
    assert many.float().mean().item() == pytest.approx(2.0, abs=5 * 0.0041)
    assert many.float().std().item() < 0.2


def test_the_same_in_numpys_float16():
    one, grad = np.ones(1, np.float16), np.ones(1, np.float16)
    plain, masters = SGD(lr=1e-4), MasterWeights(SGD(lr=1e-4))
    weight, held, state = one, one, masters.init(one)
    for _ in range(1000):
        weight, _ = plain.step(grad, {}, weight)
        held, state = masters.step(grad, state, held)
    assert weight == 1.0
    assert held == np.float16(0.9)


INNER = {"SGD": SGD(lr=0.1), "AdamW": AdamW(lr=0.01), "chain": chain(ClipByNorm(1.0), HeavyBall(lr=0.1)),
         "Adafactor": Adafactor()}  # fmt: skip


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER)
@pytest.mark.parametrize("narrow", ["numpy float16", "torch float16", "torch bfloat16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_parameter_is_the_rounded_copy_at_every_step(inner, narrow, dtype):
    """And the copy is what the rule alone makes of the same gradients in that dtype."""
    library, kind = narrow.split()
    rng = np.random.default_rng(0)

    def make(x):
        return x.astype(kind) if library == "numpy" else torch.tensor(x).to(getattr(torch, kind))

    def widened(x):
        return x.astype(dtype) if library == "numpy" else x.to(getattr(torch, dtype))

    rule = MasterWeights(inner, dtype)
    theta = {"w": make(rng.normal(size=(2, 3))), "b": {"bias": make(rng.normal(size=2))}}
    state = rule.init(theta)
    alone = {"w": widened(theta["w"]), "b": {"bias": widened(theta["b"]["bias"])}}
    alone_state = inner.init(alone)
    for _ in range(20):
        grads = {"w": make(rng.normal(size=(2, 3))), "b": {"bias": make(rng.normal(size=2))}}
        theta, state = rule.step(grads, state, theta)
        wide = {"w": widened(grads["w"]), "b": {"bias": widened(grads["b"]["bias"])}}
        alone, alone_state = inner.step(wide, alone_state, alone)
        for mine, master, other in (
            (theta["w"], state["master"]["w"], alone["w"]),
            (theta["b"]["bias"], state["master"]["b"]["bias"], alone["b"]["bias"]),
        ):
            assert deviation(master, other) == 0
            assert str(master.dtype).endswith(dtype)
            assert mine.dtype == make(rng.normal(size=1)).dtype
            assert (
                deviation(mine, make(np.asarray(master)) if library == "numpy" else master.to(mine.dtype))
                == 0
            )


@given(old=st.floats(-4, 4, width=32), new=st.floats(-4, 4, width=32))
@quick
def test_a_delta_is_exact_within_a_factor_of_two_as_sterbenz_says(old, new):
    a, b = (torch.tensor(x).to(torch.bfloat16) for x in (old, new))
    if min(abs(a), abs(b)) * 2 >= max(abs(a), abs(b)) and a * b > 0:
        assert a - (a - b) == b


def test_beyond_that_no_delta_serves_and_the_step_does():
    one, fall = torch.tensor([1.0], dtype=torch.bfloat16), torch.tensor([2.0**-20], dtype=torch.bfloat16)
    assert (one - (one - fall)).item() == 0  # in bfloat16
    far = torch.tensor([2.0**-30], dtype=torch.bfloat16)
    assert (one.float() - (one.float() - far.float())).item() == 0  # in float32, farther out
    rule = MasterWeights(SGD(lr=1.0), "float64")
    for target in (fall, far):
        landed, _ = rule.step(one.double() - target.double(), rule.init(one), one)
        assert landed.item() == target.item()
    with pytest.raises(TypeError, match=r"has no delta; use param, state = rule\.step"):
        rule.update(one, rule.init(one), one)


@pytest.mark.parametrize("make", [MasterWeights, StochasticRounding])
def test_nothing_is_changed_in_place(make):
    rule, theta = make(Adam(lr=0.1)), {"a": np.ones(3, np.float16)}
    state, grads = rule.init(theta), {"a": np.full(3, 0.5, np.float16)}
    for _ in range(2):
        before = copy.deepcopy((theta, state, grads))
        after, new = rule.step(grads, state, theta)
        assert str((theta, state, grads)) == str(before)
        theta, state = after, new


def test_random_rounding_follows_its_seed():
    theta, g = np.ones(64, np.float16), np.ones(64, np.float16)

    def run(seed):
        rule = StochasticRounding(SGD(lr=1e-4), seed)
        state, point = rule.init(theta), theta
        for _ in range(5):
            point, state = rule.step(g, state, point)
        return point

    np.testing.assert_array_equal(run(1), run(1))
    assert (run(1) != run(2)).any()


@pytest.mark.parametrize("inner", [SGD(lr=0.1, weight_decay=0.1), AdamW(lr=0.01)])
def test_as_a_torch_optimizer_with_a_state_that_survives_being_saved(inner):
    """torch would cast the copy to the parameter's bfloat16 when the state is loaded."""
    torch.manual_seed(0)
    start, grads = torch.randn(8).bfloat16(), [torch.randn(8).bfloat16() for _ in range(40)]
    param = torch.nn.Parameter(start.clone())
    optimizer = RuleOptimizer([param], MasterWeights(inner))
    rule, theta = MasterWeights(inner), start
    state = rule.init(theta)
    for i, g in enumerate(grads):
        if i == 20:
            file = io.BytesIO()
            torch.save(optimizer.state_dict(), file)
            file.seek(0)
            param = torch.nn.Parameter(param.detach().clone())
            optimizer = RuleOptimizer([param], MasterWeights(inner))
            optimizer.load_state_dict(torch.load(file))
        param.grad = g.clone()
        optimizer.step()
        theta, state = rule.step(g, state, theta)
        assert torch.equal(param.detach(), theta)
        assert torch.equal(optimizer.state[param]["master"], state["master"])
    assert optimizer.state[param]["master"].dtype == torch.float32


@pytest.mark.parametrize(
    "rule",
    [ClipByNorm(), chain(ClipByNorm(), SGD()), MasterWeights(chain(ClipByNorm(), SGD())), Scaled(SGD())],
)
def test_the_torch_optimizer_refuses_what_looks_at_all_parameters(rule):
    with pytest.raises(ValueError, match="looks at all parameters together") as caught:
        RuleOptimizer([torch.nn.Parameter(torch.ones(1))], rule)
    assert "\n" not in str(caught.value)


def test_bad_input_is_refused_in_one_line():
    half, ones = np.ones(2, np.float16), np.ones(2)
    rule, rng = MasterWeights(SGD()), np.random.default_rng(0)
    for call, error, words in (
        (lambda: MasterWeights(SGD), TypeError, "MasterWeights: rule must be a rule"),
        (lambda: MasterWeights(SGD(), "bfloat16"), ValueError, "dtype must be one of 'float32', 'float64'"),
        (lambda: rule.step(half, {}, half), ValueError, "I keep inner, master"),
        (
            lambda: rule.step(np.ones(3, np.float16), rule.init(half), half),
            ValueError,
            r"grad has shape \(3,\)",
        ),
        (lambda: rule.step(half, rule.init(half), np.ones(3, np.float16)), ValueError, "its master copy"),
        (lambda: rule.step([1.0], rule.init(half), half), TypeError, "not float"),
        (lambda: StochasticRounding(SGD()).init(ones), TypeError, "not float16 or bfloat16"),
        (lambda: stochastic_round(ones, "bfloat16", rng), TypeError, "x must be a float32 array"),
        (
            lambda: stochastic_round(np.float32([1]), "float32", rng),
            ValueError,
            "dtype must be 'bfloat16' or",
        ),
        (
            lambda: stochastic_round(np.float32([1]), "float16", 0),
            ValueError,
            "rng must be a NumPy Generator",
        ),
    ):
        with pytest.raises(error, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_schedule_can_set_the_rules_learning_rate():
    assert MasterWeights(SGD(lr=0.1), "float64").with_hyperparameters(lr=0.5) == MasterWeights(
        SGD(lr=0.5), "float64"
    )
    assert StochasticRounding(SGD(lr=0.1), 5).with_hyperparameters(lr=0.5) == StochasticRounding(
        SGD(lr=0.5), 5
    )
    assert MasterWeights(SGD(lr=0.1)).hyperparameters()["lr"] == 0.1
