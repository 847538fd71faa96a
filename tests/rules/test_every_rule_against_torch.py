"""Every rule that torch has, beside torch's: 200 steps, both precisions and libraries, far-off options."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course import oracle
from course.arrays import to_numpy
from course.rules import (
    ALL,
    SGD,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Muon,
    NAdam,
    Nesterov,
    RAdam,
    RMSProp,
    Rule,
)

STEPS = 200
SHAPES = {"scalar": (), "vector": (24,), "matrix": (4, 6), "empty": (0,)}
BETAS = [
    {"betas": (0.0, 0.5)},
    {"betas": (0.5, 0.0)},
    {"betas": (0.0, 0.0)},
    {"betas": (0.5, 0.5), "eps": 1e-2},
]
COMMON = [{}, {"eps": 1e-2}, {"maximize": True}, {"weight_decay": 0.1}]
DECOUPLED = [{"weight_decay": 10.0}, {"weight_decay": 10.0, "maximize": True}]
# NAdam and RAdam know both kinds of decay.
BOTH = [{"weight_decay": 10.0, "decoupled_weight_decay": True}]

OPTIONS: dict[type[Rule], list[dict]] = {
    AdaGrad: [*COMMON, {"lr_decay": 0.1}, {"initial_accumulator_value": 3.0}, {"weight_decay": 10.0}],
    Adadelta: [*COMMON, {"rho": 0.0}, {"rho": 0.5, "lr": 5.0}, {"weight_decay": 10.0}],
    RMSProp: [
        *COMMON,
        {"alpha": 0.0},
        {"alpha": 0.5},
        {"centered": True},
        {"momentum": 0.9},
        {"momentum": 0.5, "centered": True, "alpha": 0.9, "weight_decay": 0.1, "eps": 1e-2},
        {"weight_decay": 10.0},
    ],
    Adam: [*COMMON, *BETAS, {"weight_decay": 10.0}],
    AdamW: [*COMMON, *BETAS, *DECOUPLED],
    AMSGrad: [*COMMON, *BETAS, {"weight_decay": 10.0}],
    Adamax: [*COMMON, *BETAS, {"weight_decay": 10.0}],
    NAdam: [*COMMON, *BETAS, *BOTH, {"momentum_decay": 0.5}, {"momentum_decay": 0.0}],
    RAdam: [*COMMON, *BETAS, *BOTH, {"betas": (0.9, 0.9)}, {"weight_decay": 10.0}],
    Adafactor: [
        {},
        {"maximize": True},
        {"weight_decay": 10.0},
        {"eps": (1e-2, 1e-1)},
        {"d": 2.0, "beta2_decay": -0.5},
        {"lr": 1.0, "beta2_decay": 0.0},
    ],
    Muon: [
        {},
        # With a decay of 10 the parameter is the last few steps alone, and Newton-Schulz itself makes each
        # float32 rounding some ten times larger.
        {"weight_decay": 1.0},
        {"nesterov": False},
        {"momentum": 0.0},
        {"momentum": 0.5, "ns_steps": 2, "eps": 1e-2},
        {"adjust_lr_fn": "match_rms_adamw"},
    ],
}
CASES = [(rule, options) for rule, many in OPTIONS.items() for options in many]


def name_of(value) -> str:
    return (
        value.__name__
        if isinstance(value, type)
        else ",".join(f"{k}={v}" for k, v in value.items()) or "plain"
    )


def shapes_for(rule: Rule) -> dict[str, tuple[int, ...]]:
    if rule.only_matrices:
        return {"wide": (4, 6), "tall": (6, 4), "square": (5, 5)}
    if isinstance(rule, Adafactor):  # torch divides by the number of elements of an empty array
        return {n: s for n, s in SHAPES.items() if n != "empty"} | {"cube": (2, 3, 4)}
    return SHAPES


def worst_deviation(rule: Rule, reference, dtype: str, library: str) -> float:
    """Walk a tree of parameters beside torch, which has a list of them; return the worst of the paths."""
    rng, shapes = np.random.default_rng(5), shapes_for(rule)
    start = {name: np.asarray(rng.normal(size=shape), dtype) for name, shape in shapes.items()}
    theirs = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in start.items()}
    optimizer = reference(list(theirs.values()))
    theta = {n: torch.tensor(v) if library == "torch" else v.copy() for n, v in start.items()}
    draws = {n: oracle.gradients(s, STEPS, dtype, seed) for seed, (n, s) in enumerate(shapes.items())}
    state, paths = rule.init(theta), {name: ([], []) for name in shapes}
    for _ in range(STEPS):
        grads = {name: next(draw) for name, draw in draws.items()}
        for name, p in theirs.items():
            p.grad = torch.tensor(grads[name])
        with oracle.scalars_as_exact_as(next(iter(theirs.values()))):
            optimizer.step()
        given = {n: torch.tensor(g) if library == "torch" else g for n, g in grads.items()}
        delta, state = rule.update(given, state, theta)
        theta = {name: theta[name] - delta[name] for name in theta}
        for name, (mine, reference_path) in paths.items():
            mine.append(to_numpy(theta[name]))
            reference_path.append(to_numpy(theirs[name]).copy())
    for name, value in theta.items():
        assert tuple(value.shape) == shapes[name]
        assert to_numpy(value).dtype == dtype
        assert hasattr(value, "detach") == (library == "torch")
    return max(oracle.deviation(np.stack(a), np.stack(b)) for a, b in paths.values())


@pytest.mark.parametrize("library", ["numpy", pytest.param("torch", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(("make", "options"), CASES, ids=name_of)
def test_it_takes_torchs_path(make, options, dtype, library, monkeypatch):
    # torch's Muon iterates in bfloat16. Made to stay in the parameter's dtype, it is held to the same gate.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    rule = make(**{"lr": 0.05, **options})
    assert worst_deviation(rule, oracle.torch_reference(rule), dtype, library) <= oracle.GATES[dtype]


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name] in oracle.IN_TORCH])
def test_it_agrees_as_it_is_by_default(name):
    rule = ALL[name]()
    for dtype in oracle.GATES:
        report = oracle.beside(rule, param=oracle.start(rule).astype(dtype))
        assert report.agrees, report


def test_every_rule_of_torch_is_here():
    """A rule is compared here or in test_against_torch.py, or torch does not have it."""
    assert {*OPTIONS, SGD, ALL["HeavyBall"], Nesterov} == set(oracle.IN_TORCH)
    assert {name for name, rule in ALL.items() if rule not in oracle.IN_TORCH} == {
        "LARS",
        "LAMB",
        "Lion",
        "Sophia",
    }


def test_only_muon_has_a_gate_of_its_own():
    assert {rule.__name__: oracle.gate(rule(), "float64") for rule in oracle.LOOSER} == {"Muon": 1e-2}
    assert {oracle.gate(rule(), "float64") for rule in OPTIONS if rule is not Muon} == {1e-14}
    assert {oracle.gate(rule(), "float32") for rule in OPTIONS if rule is not Muon} == {3e-6}


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (Adam(eps_hat=True), "eps_hat"),
        (AdamW(eps_root=1e-3), "eps_root"),
        (RMSProp(eps_in_sqrt=True), "eps_in_sqrt"),
        (AMSGrad(max_of_corrected=True), "max_of_corrected"),
        (Adafactor(relative_step=False), "relative_step"),
    ],
)
def test_a_convention_that_torch_lacks_has_no_torch_reference(rule, field):
    with pytest.raises(ValueError, match=f"has no {field}"):
        oracle.torch_reference(rule)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (AdaGrad(), AdaGrad(eps_in_sqrt=True)),
        (Adadelta(), Adadelta(eps=1.001e-6)),
        (RMSProp(), RMSProp(eps_in_sqrt=True)),
        (Adam(), Adam(eps_hat=True)),
        (AdamW(), AdamW(weight_decay=0.0101)),
        (AdamW(weight_decay=0.1), Adam(weight_decay=0.1)),
        (AMSGrad(), AMSGrad(max_of_corrected=True)),
        (Adamax(), Adamax(betas=(0.9, 0.9991))),
        (NAdam(), NAdam(momentum_decay=4.01e-3)),
        (RAdam(), RAdam(threshold=4.0)),
        (Adafactor(), Adafactor(d=1.01)),
        (Muon(), Muon(momentum=0.9)),
    ],
    ids=lambda rule: "",
)
def test_the_measure_sees_small_mistakes(right, wrong):
    """The tests above can fail: a convention or a digit that is off is over the gate."""
    gate = oracle.gate(right, "float64")
    reference = oracle.torch_reference(right.with_hyperparameters(lr=0.05))
    assert worst_deviation(wrong.with_hyperparameters(lr=0.05), reference, "float64", "numpy") > gate
