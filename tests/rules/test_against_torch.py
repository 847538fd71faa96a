"""Every rule beside torch's own optimizer: 200 steps, gradients over four decades with exact zeros."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from course import oracle
from course.arrays import to_numpy
from course.rules import SGD, HeavyBall, Nesterov

STEPS = 200
SHAPES = {"scalar": (), "vector": (24,), "matrix": (4, 6), "empty": (0,)}
LR = 0.05

# Every combination: torch itself refuses Nesterov without momentum or with dampening.
GRID = [
    {"momentum": m, "dampening": d, "nesterov": n, "weight_decay": w, "maximize": up}
    for m, d, n, w, up in itertools.product((0.0, 0.9), (0.0, 0.3), (False, True), (0.0, 0.1), (False, True))
]
ALLOWED = [o for o in GRID if not (o["nesterov"] and (o["momentum"] == 0 or o["dampening"] != 0))]


def rules_for(momentum, dampening, nesterov, weight_decay, maximize):
    """Yield every rule of the course that should do what torch does with these options."""
    common = {"lr": LR, "weight_decay": weight_decay, "maximize": maximize}
    if nesterov:
        yield Nesterov(momentum=momentum, **common)
        return
    yield HeavyBall(momentum=momentum, dampening=dampening, **common)
    if momentum == 0:
        yield SGD(**common)


def name_of(options: dict) -> str:
    return ",".join(f"{k}={v:g}" for k, v in options.items() if v) or "plain"


def worst_deviation(rule, options: dict, dtype: str, library: str) -> float:
    rng = np.random.default_rng(5)
    start = {name: np.asarray(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}
    theirs = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in start.items()}
    optimizer = torch.optim.SGD(list(theirs.values()), lr=LR, **options)
    theta = {n: torch.tensor(v) if library == "torch" else v.copy() for n, v in start.items()}
    draws = {n: oracle.gradients(s, STEPS, dtype, seed) for seed, (n, s) in enumerate(SHAPES.items())}
    state, paths = rule.init(theta), {name: ([], []) for name in SHAPES}
    for _ in range(STEPS):
        grads = {name: next(draw) for name, draw in draws.items()}
        for name, p in theirs.items():
            p.grad = torch.tensor(grads[name])
        optimizer.step()
        given = {n: torch.tensor(g) if library == "torch" else g for n, g in grads.items()}
        delta, state = rule.update(given, state, theta)
        theta = {name: theta[name] - delta[name] for name in theta}
        for name, (mine, reference) in paths.items():
            mine.append(to_numpy(theta[name]))
            reference.append(to_numpy(theirs[name]).copy())
    for name, value in theta.items():
        assert tuple(value.shape) == SHAPES[name]
        assert to_numpy(value).dtype == dtype
        assert hasattr(value, "detach") == (library == "torch")
    # Over the whole path: one number alone has no scale to measure its zero crossings by.
    return max(oracle.deviation(np.stack(a), np.stack(b)) for a, b in paths.values())


@pytest.mark.parametrize("library", ["numpy", pytest.param("torch", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    ("dtype", "gate"), [("float64", 1e-14), pytest.param("float32", 3e-6, marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize("options", ALLOWED, ids=name_of)
def test_it_takes_torchs_path(options, dtype, gate, library):
    for rule in rules_for(**options):
        assert worst_deviation(rule, options, dtype, library) <= gate, rule


@pytest.mark.parametrize("options", [o for o in GRID if o not in ALLOWED], ids=name_of)
def test_what_is_left_out_torch_refuses_too(options):
    with pytest.raises(ValueError, match="Nesterov momentum requires"):
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, **options)


def test_nothing_is_left_out():
    assert (len(GRID), len(ALLOWED)) == (32, 20)
    assert oracle.GATES == {"float64": 1e-14, "float32": 3e-6}


@pytest.mark.parametrize(
    "wrong",
    [
        {"momentum": 0.9, "dampening": 0.31},
        {"momentum": 0.9001, "dampening": 0.3},
        {"momentum": 0.9, "dampening": 0.3, "weight_decay": 1e-6},
        {"momentum": 0.9, "dampening": 0.3, "maximize": True},
    ],
)
def test_the_measure_sees_small_mistakes(wrong):
    """The test above can fail: a hyperparameter that is hardly off is far over the gate."""
    assert (
        worst_deviation(HeavyBall(lr=LR, **wrong), {"momentum": 0.9, "dampening": 0.3}, "float32", "numpy")
        > 3e-6
    )


def test_nesterov_without_momentum_is_gradient_descent():
    theta = np.array([1.0, -2.0])
    state = Nesterov(momentum=0.0).init(theta)
    for g in oracle.gradients((2,), 5):
        delta, state = Nesterov(lr=LR, momentum=0.0).update(g, state, theta)
        np.testing.assert_array_equal(delta, SGD(lr=LR).update(g, {}, theta)[0])


def test_without_zero_grad_descent_is_heavy_ball_with_momentum_one():
    """Gradients sum up where nobody clears them (facts page, part 2)."""
    plain, heavy, total = np.ones(3), np.ones(3), np.zeros(3)
    rule = HeavyBall(lr=0.01, momentum=1.0)
    state = rule.init(heavy)
    for _ in range(100):
        total = total + 2 * plain
        plain = plain - SGD(lr=0.01).update(total, {}, plain)[0]
        delta, state = rule.update(2 * heavy, state, heavy)
        heavy = heavy - delta
        np.testing.assert_array_equal(plain, heavy)
