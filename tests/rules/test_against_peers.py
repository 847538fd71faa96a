"""LARS, LAMB, Lion and Sophia, which torch lacks, beside two other packages each."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from course import oracle, references
from course.references import PEERS, Missing, Peer, rule_path, switched
from course.rules import ALL, LAMB, LARS, Lion, Rule, Sophia

STEPS = 200
SHAPES = [(), (24,), (4, 6), (0,)]
FAR = {
    Lion: [{}, {"betas": (0.0, 0.5)}, {"betas": (0.5, 0.0)}, {"weight_decay": 10.0}],
    LARS: [
        {},
        {"momentum": 0.0, "weight_decay": 0.1},
        {"nesterov": True, "weight_decay": 10.0, "momentum": 0.5},
        {"trust_coefficient": 0.5},
    ],
    LAMB: [{}, {"betas": (0.0, 0.5), "eps": 1e-2}, {"betas": (0.5, 0.0)}, {"weight_decay": 10.0}],
    Sophia: [{}, {"betas": (0.0, 0.5), "rho": 0.5}, {"betas": (0.5, 0.0)}, {"weight_decay": 10.0}],
}
CASES = [(peer, options) for peer in PEERS for options in FAR.get(peer.rule, [{}])]


def data(shape: tuple[int, ...], dtype: str, rule: Rule):
    start = np.asarray(np.random.default_rng(5).normal(size=shape), dtype)
    grads = list(oracle.gradients(shape, STEPS, dtype))
    if not isinstance(rule, Sophia):
        return start, grads, []
    estimates = [g * g for g in oracle.gradients(shape, STEPS, dtype, seed=9)]
    return start, grads, [np.zeros_like(start), *estimates[1:]]


def theirs(peer: Peer, rule: Rule, *given):
    try:
        return peer.run(rule, *given)
    except Missing as missing:
        pytest.skip(str(missing))


def name_of(value) -> str:
    return (
        value.name if isinstance(value, Peer) else ",".join(f"{k}={v}" for k, v in value.items()) or "plain"
    )


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("peer", "options"), CASES, ids=name_of)
def test_it_takes_the_peers_path(peer, options, dtype):
    rule = switched(peer.rule(lr=0.05, **options), peer)
    for shape in SHAPES:
        start, grads, hessians = data(shape, dtype, rule)
        reference = theirs(peer, rule, start, grads, hessians)
        mine = rule_path(rule, start, grads, hessians)
        on_torch = rule_path(rule, *(_tensors(part) for part in (start, grads, hessians)))
        assert mine.dtype == on_torch.dtype == dtype
        assert oracle.deviation(mine, reference) <= oracle.GATES[dtype], shape
        assert oracle.deviation(on_torch, reference) <= oracle.GATES[dtype], shape


def _tensors(x):
    return [torch.tensor(part) for part in x] if isinstance(x, list) else torch.tensor(x)


def test_every_rule_that_torch_lacks_has_two_peers():
    counted = Counter(peer.rule for peer in PEERS)
    lacking = {rule for rule in ALL.values() if rule not in oracle.IN_TORCH}
    assert lacking == set(counted)
    assert min(counted.values()) >= 2


@pytest.mark.parametrize(
    "peer", [p for p in PEERS if p.switched and p.name != "sophia_opt.SophiaG"], ids=name_of
)
def test_without_the_switch_they_part(peer):
    """The conventions that a peer is reached by are real ones: without them both end up apart."""
    rule = peer.rule(lr=0.05, weight_decay=0.1)
    start, grads, hessians = data((4, 6), "float64", rule)
    reference = theirs(peer, rule, start, grads, hessians)
    default = rule_path(rule, start, grads, hessians)
    if peer.name == "pytorch_optimizer.LARS":  # of a matrix, only of vectors is the convention another one
        start, grads = start[0], [g[0] for g in grads]
        reference, default = theirs(peer, rule, start, grads, []), rule_path(rule, start, grads)
    assert oracle.deviation(default, reference) > 1e-6


def test_a_peer_that_is_missing_says_how_to_install_it():
    with pytest.raises(Missing, match=r"nosuchpackage is not installed: pip install .*\[dev,peers\]"):
        references.load("nosuchpackage.inner")


def test_lamb_clips_over_the_whole_tree():
    """timm's max_grad_norm: the norm is over all parameters, which a rule sees where it gets a tree."""
    tree = {"a": np.array([3.0, 0.0]), "b": {"c": np.array([[1.0]])}}
    grads = {"a": np.array([6.0, 0.0]), "b": {"c": np.array([[8.0]])}}
    rule, plain = LAMB(max_grad_norm=1.0, eps=1.0), LAMB(eps=1.0)
    tenth = {"a": grads["a"] / 10, "b": {"c": grads["b"]["c"] / 10}}
    delta, state = rule.update(grads, rule.init(tree), tree)
    expected, expected_state = plain.update(tenth, plain.init(tree), tree)
    np.testing.assert_allclose(delta["a"], expected["a"], rtol=1e-15)
    np.testing.assert_allclose(state["b"]["c"]["v"], expected_state["b"]["c"]["v"], rtol=1e-15)
    short, _ = rule.update(tenth, rule.init(tree), tree)
    np.testing.assert_allclose(short["a"], expected["a"], rtol=1e-15)  # a short gradient is not scaled up


@pytest.mark.parametrize("name", ALL)
def test_the_same_lines_run_on_jax(name):
    """The third array library: nothing in a rule is NumPy's or torch's own."""
    jax = pytest.importorskip("jax", reason=references.INSTALL)
    rule = ALL[name](lr=0.05)
    start = oracle.start(rule)
    grads = list(oracle.gradients(start.shape, 50))
    with jax.enable_x64(True):
        theta = jax.numpy.asarray(start)
        state = rule.init(theta)
        for g in grads:
            delta, state = rule.update(jax.numpy.asarray(g), state, theta)
            theta = theta - delta
        assert isinstance(theta, jax.Array)
        end = np.asarray(theta)
    assert oracle.deviation(end, rule_path(rule, start, grads)[-1]) <= oracle.GATES["float64"]
