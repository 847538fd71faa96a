"""Every strategy gives the parameters of one process on all the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from course import cluster
from course.cluster import RankError
from course.cluster.data_parallel import DataParallel, rows
from course.cluster.fsdp import FullyShard
from course.cluster.models import MLP, TorchLayers
from course.cluster.rings import ring_sum
from course.cluster.zero import Zero, zero
from course.rules import ALL, LAMB, LARS, AdamW, AddDecay, HeavyBall, chain

pytestmark = pytest.mark.thorough  # every strategy on up to eight ranks

RANKS = (1, 2, 3, 4, 7, 8)
STEPS, BATCH = 20, 10
RULE = AdamW(lr=3e-2, weight_decay=0.1)
STRATEGIES: dict[str, Callable[..., Any]] = {
    "ddp": DataParallel,
    "ddp in buckets": lambda *a, **k: DataParallel(*a, bucket_bytes=100, **k),
    "zero 1": lambda *a, **k: Zero(*a, stage=1, **k),
    "zero 2": lambda *a, **k: Zero(*a, stage=2, **k),
    "zero 2 in buckets": lambda *a, **k: Zero(*a, stage=2, bucket_bytes=100, **k),
    "zero 3": lambda *a, **k: zero(*a, stage=3, **k),
    "fsdp without reshard": lambda *a, **k: FullyShard(*a, reshard_after_forward=False, **k),
}
every_size = pytest.mark.parametrize("ranks", RANKS)


def tied() -> MLP:
    layers = MLP.of_sizes([3, 4, 4, 4, 2]).layers
    layers[2] = {**layers[2], "weight": layers[1]["weight"]}
    return MLP(layers)


MODELS: dict[str, tuple[Callable[[], MLP], tuple[str, ...]]] = {
    "plain": (lambda: MLP.of_sizes([3, 5, 2]), ()),
    "tied": (tied, ()),
    "frozen": (lambda: MLP.of_sizes([3, 5, 5, 2]), ("1.weight", "1.bias", "2.bias")),
    "fewer parameters than ranks": (lambda: MLP.of_sizes([1, 1]), ()),
}


def batch(step: int, model: MLP) -> tuple[np.ndarray, np.ndarray]:
    """Draw a batch; every fifth one is smaller, so that some ranks have few rows or none."""
    rng = np.random.default_rng(step)
    first, last = model.layers[0]["weight"].shape[0], model.layers[-1]["weight"].shape[1]
    size = BATCH if step % 5 else 3
    return rng.normal(size=(size, first)), rng.normal(size=(size, last))


def program(comm, make, model, rule=RULE, frozen=(), steps=STEPS):
    trainer = make(comm, model, rule, frozen=frozen)
    for step in range(steps):
        x, target = batch(step, model)
        mine = rows(len(x), comm)
        trainer.step(x[mine], target[mine], share=(mine.stop - mine.start) / len(x))
    return {name: np.array(value) for name, value in trainer.parameters().items()}


def alone(model: MLP, frozen: tuple[str, ...] = (), steps: int = STEPS) -> dict[str, np.ndarray]:
    """Train in one process, by torch's autograd and torch's AdamW."""
    known: dict[int, torch.nn.Parameter] = {}
    layers, params = [], {}
    for i, layer in enumerate(model.layers):
        layers.append({})
        for name, value in layer.items():
            if id(value) not in known:
                grows = f"{i}.{name}" not in frozen
                known[id(value)] = torch.nn.Parameter(torch.tensor(value), requires_grad=grows)
                params[f"{i}.{name}"] = known[id(value)]
            layers[-1][name] = known[id(value)]
    optimizer = torch.optim.AdamW(params.values(), lr=RULE.lr, weight_decay=RULE.weight_decay)
    for step in range(steps):
        x, target = map(torch.tensor, batch(step, model))
        for i, layer in enumerate(layers):
            x = x @ layer["weight"] + layer["bias"]
            x = torch.tanh(x) if i + 1 < len(layers) else x
        optimizer.zero_grad()
        (0.5 * ((x - target) ** 2).sum(1).mean()).backward()
        optimizer.step()
    return {name: param.detach().numpy() for name, param in params.items()}


def assert_same(found, expected, atol=1e-11):
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[str, np.ndarray]]:
    return {name: alone(make(), frozen) for name, (make, frozen) in MODELS.items()}


MAIN = ("ddp", "zero 1", "zero 2", "zero 3")  # on every number of ranks; their variants on two
CASES = [(way, ranks) for way in STRATEGIES for ranks in (RANKS if way in MAIN else (2, 7))]


@pytest.mark.parametrize(("way", "ranks"), CASES)
@pytest.mark.parametrize("name", MODELS)
def test_it_is_one_process_on_all_the_data(way, ranks, name, expected):
    build, frozen = MODELS[name]
    outcome = cluster.run(lambda comm: program(comm, STRATEGIES[way], build(), frozen=frozen), ranks)
    for found in outcome.results:
        assert_same(found, expected[name])
    for other in outcome.results[1:]:  # all ranks hold the same, to the last bit
        for key, value in other.items():
            np.testing.assert_array_equal(value, outcome.results[0][key])


@every_size
def test_bit_for_bit_where_the_sums_run_in_the_same_order(ranks):
    """All strategies in one row sum each element in one order: so does one process that adds as a ring."""
    model = MLP.of_sizes([3, 5])

    def in_one_process() -> dict[str, np.ndarray]:
        flat = np.concatenate([p.reshape(-1) for p in model.layers[0].values()])
        state = RULE.init(flat)
        for step in range(STEPS):
            x, target = batch(step, model)
            w = {"weight": flat[:15].reshape(3, 5), "bias": flat[15:]}
            each = []
            for rank in range(ranks):
                mine = rows(len(x), _Place(rank, ranks))
                out, saved = model.forward(0, w, x[mine])
                _, dy = model.loss(out, target[mine])
                _, grads = model.backward(0, w, saved, dy)
                row = np.concatenate([grads[n].reshape(-1) for n in ("weight", "bias")])
                each.append(row * ((mine.stop - mine.start) / len(x)))
            delta, state = RULE.update(ring_sum(each), state, flat)
            flat = flat - delta
        return {"0.weight": flat[:15].reshape(3, 5), "0.bias": flat[15:]}

    expected = in_one_process()
    for make in MAIN:
        found = cluster.run(lambda comm, make=make: program(comm, STRATEGIES[make], model), ranks).results[0]
        assert_same(found, expected, atol=0)


class _Place:
    def __init__(self, rank: int, world_size: int) -> None:
        self.rank, self.world_size = rank, world_size


NORMS = {
    "LARS": LARS(0.1, weight_decay=0.01),
    "LARS, vectors left alone": LARS(0.1, weight_decay=0.01, adapt_vectors=False, lr_in_buffer=False),
    "LARS, joint norm": LARS(0.1, weight_decay=0.01, joint_norm=True, nesterov=True),
    "LARS, climbing": LARS(0.1, weight_decay=0.01, joint_norm=True, maximize=True, trust_coefficient=1e-2),
    "LAMB": LAMB(0.01, weight_decay=0.1),
    "LAMB, clipped": LAMB(0.01, max_grad_norm=0.1, max_weight_norm=1.0, bias_correction=False),
    "chain": chain(AddDecay(0.1), HeavyBall(0.05)),
}


@pytest.mark.parametrize("rule", NORMS.values(), ids=NORMS)
@pytest.mark.parametrize("make", ["zero 1", "zero 2 in buckets", "zero 3"])
@pytest.mark.parametrize("ranks", [2, 7])
def test_rules_with_norms_take_the_norm_of_the_whole_parameter(rule, make, ranks):
    whole = cluster.run(lambda comm: program(comm, DataParallel, tied(), rule), 1).results[0]
    outcome = cluster.run(lambda comm: program(comm, STRATEGIES[make], tied(), rule), ranks)
    assert_same(outcome.results[0], whole)
    moved = max(
        abs(whole[f"{i}.{n}"] - v).max()
        for i, p in enumerate(tied().layers)
        for n, v in p.items()
        if f"{i}.{n}" in whole
    )
    assert moved > 1e-3


@pytest.mark.parametrize("name", [name for name in ALL if name != "Sophia"])  # it needs a Hessian
def test_every_rule_runs_sharded_or_is_refused(name):
    rule = ALL[name]()

    def trained(make):
        return lambda comm: program(comm, make, MLP.of_sizes([3, 5, 2]), rule, steps=3)

    if name in ("Adafactor", "Muon"):
        with pytest.raises(RankError, match=f"{name} needs whole parameters"):
            cluster.run(trained(STRATEGIES["zero 2"]), 2)
        return
    whole = cluster.run(trained(DataParallel), 1).results[0]
    assert_same(cluster.run(trained(STRATEGIES["zero 2"]), 3).results[0], whole)


def test_torch_models_go_through_the_same_strategies():
    def build() -> TorchLayers:
        torch.manual_seed(0)
        modules = [
            torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Flatten()),
            torch.nn.Sequential(torch.nn.Linear(12, 6), torch.nn.Tanh()),
            torch.nn.Linear(6, 3),
        ]
        return TorchLayers([m.double() for m in modules], torch.nn.functional.cross_entropy)

    rng = torch.Generator().manual_seed(1)
    x = torch.randint(7, (12, 3), generator=rng)
    y = torch.randint(3, (12,), generator=rng)

    def trained(comm, make):
        trainer = make(comm, build(), RULE)
        for _ in range(STEPS):
            trainer.step(x[rows(12, comm)], y[rows(12, comm)])
        return trainer.parameters()

    model = torch.nn.Sequential(*build().modules)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RULE.lr, weight_decay=RULE.weight_decay)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    for make in STRATEGIES.values():
        found = cluster.run(lambda comm, make=make: trained(comm, make), 3).results[2]
        for mine, theirs in zip(found.values(), model.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs.detach(), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda c, m: Zero(c, m, RULE, stage=3), "stage must be 1 or 2, not 3; FullyShard is stage 3"),
        (
            lambda c, m: DataParallel(c, m, RULE, frozen=["0.wight"]),
            "frozen names '0.wight'; there are 0.weight",
        ),
        (lambda c, m: Zero(c, m, "adam"), "rule must be a course rule"),
        (
            lambda c, m: DataParallel(
                c, MLP([*m.layers, *MLP.of_sizes([2, 2], dtype="float32").layers]), RULE
            ),
            "parameters must share a dtype: '1.bias' is float64, '2.bias' is float32",
        ),
    ],
)
def test_bad_input_is_one_clear_line(build, message):
    with pytest.raises(RankError) as caught:
        cluster.run(lambda comm: build(comm, MLP.of_sizes([3, 5, 2])), 2)
    assert message in str(caught.value)


def test_a_missing_gradient_is_named():
    class Forgetful(MLP):
        def backward(self, i, params, saved, dy):
            dx, found = super().backward(i, params, saved, dy)
            return dx, {"weight": found["weight"]}

    with pytest.raises(RankError, match=r"no gradient came for '1\.bias'; name it in frozen"):
        cluster.run(lambda comm: program(comm, DataParallel, Forgetful(MLP.of_sizes([3, 5, 2]).layers)), 2)
