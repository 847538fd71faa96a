"""The strategies on real processes: beside the simulation, and beside torch's own DDP, ZeRO and FSDP."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch

from course import cluster
from course.cluster.data_parallel import DataParallel, rows
from course.cluster.fsdp import FullyShard
from course.cluster.models import MLP
from course.cluster.zero import Zero
from course.rules import LAMB, AdamW

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="ranks are forked"),
    pytest.mark.thorough,  # real processes, which import torch
]

SIZES, STEPS, BATCH = [8, 16, 12, 4], 20, 16  # every axis divides by 4: torch pads nothing
PSI = 8 * (8 * 16 + 16 + 16 * 12 + 12 + 12 * 4 + 4)
RULE = AdamW(lr=1e-2, weight_decay=0.1)


def batch(step):
    rng = np.random.default_rng(step)
    return rng.normal(size=(BATCH, SIZES[0])), rng.normal(size=(BATCH, SIZES[-1]))


def ours(comm):
    makes = {
        "ddp": lambda m: DataParallel(comm, m, RULE, bucket_bytes=2000),
        "zero 1": lambda m: Zero(comm, m, RULE, stage=1),
        "zero 2": lambda m: Zero(comm, m, RULE, stage=2, bucket_bytes=2000),
        "zero 3": lambda m: FullyShard(comm, m, RULE),
        "lamb": lambda m: Zero(comm, m, LAMB(1e-2), stage=2),
    }
    found = {}
    for name, make in makes.items():
        trainer = make(MLP.of_sizes(SIZES))
        comm.step = 0
        for step in range(STEPS):
            x, target = (array[rows(BATCH, comm)] for array in batch(step))
            trainer.step(x, target)
        found[name] = list(trainer.parameters().values())
    return found


def torchs(comm):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.optim import ZeroRedundancyOptimizer
    from torch.nn.parallel import DistributedDataParallel

    from course.cluster.native import AllToAllReduceScatter, Wiretap

    options = {"lr": RULE.lr, "weight_decay": RULE.weight_decay}

    def network():
        modules = []
        for i, layer in enumerate(MLP.of_sizes(SIZES).layers):
            linear = torch.nn.Linear(*layer["weight"].shape, dtype=torch.float64)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(layer["weight"].T))
                linear.bias.copy_(torch.tensor(layer["bias"]))
            modules += [linear, torch.nn.Tanh()] if i < len(SIZES) - 2 else [linear]
        return torch.nn.Sequential(*modules)

    def sharded():
        model = network()
        mesh = torch.distributed.init_device_mesh("cpu", (comm.world_size,))
        for layer in model:
            if isinstance(layer, torch.nn.Linear):
                fully_shard(layer, mesh=mesh)
                layer.set_custom_reduce_scatter(AllToAllReduceScatter())
        return fully_shard(model, mesh=mesh)

    def trained(name, model, optimizer):
        comm.step = 0
        for step in range(STEPS):
            x, target = (torch.tensor(array[rows(BATCH, comm)]) for array in batch(step))
            with Wiretap(comm, label=name):
                optimizer.zero_grad()
                (0.5 * ((model(x) - target) ** 2).sum(1).mean()).backward()
                optimizer.step()
            comm.step += 1
        whole = [p.full_tensor() if hasattr(p, "full_tensor") else p for p in model.parameters()]
        return [p.detach().numpy().T for p in whole]

    warnings.simplefilter("ignore", FutureWarning)
    found = {}
    model = DistributedDataParallel(network())
    found["ddp"] = trained("ddp", model, torch.optim.AdamW(model.parameters(), **options))
    model = DistributedDataParallel(network())
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, **options)
    found["zero 1"] = trained("zero 1", model, optimizer)
    model = sharded()
    found["zero 3"] = trained("zero 3", model, torch.optim.AdamW(model.parameters(), **options))
    return found


@pytest.fixture(scope="module", params=[2, 4])
def runs(request):
    ranks = request.param
    found = {"simulated": cluster.run(ours, ranks), "gloo": cluster.run(ours, ranks, "gloo")}
    return ranks, {**found, "torch": cluster.run(torchs, ranks, "gloo")}


def test_simulated_and_real_ranks_agree(runs):
    ranks, found = runs
    for rank in range(ranks):
        for name, simulated in found["simulated"].results[rank].items():
            for a, b in zip(simulated, found["gloo"].results[rank][name], strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-11, err_msg=name)


def test_the_real_ledger_is_the_simulated_one(runs):
    _, found = runs

    def books(outcome):
        return [
            (e.rank, e.index, e.step, e.kind, e.payload, e.sent, e.received, e.label) for e in outcome.ledger
        ]

    assert books(found["gloo"]) == books(found["simulated"])


@pytest.mark.parametrize("name", ["ddp", "zero 1", "zero 3"])
def test_torchs_own_strategy_gives_the_same_parameters(runs, name):
    _, found = runs
    for mine, theirs in zip(
        found["simulated"].results[0][name], found["torch"].results[0][name], strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("name", "kinds"), [("ddp", {"all_reduce": 1}), ("zero 3", {"all_gather": 2, "all_to_all": 1})]
)
def test_torchs_own_strategy_sends_the_same(runs, name, kinds):
    ranks, found = runs
    log = found["torch"].ledger.select(label=name)
    for kind, count in kinds.items():
        assert log.payload(kind, rank=0, step=STEPS - 1) == count * PSI
    assert sum(kinds.values()) * PSI == log.payload(rank=0, step=STEPS - 1)
    times = 2 if name == "ddp" else 3
    assert log.sent(rank=0, step=STEPS - 1) == times * PSI * (ranks - 1) // ranks


def test_torchs_zero_redundancy_optimizer_sends_half_as_much_again(runs):
    _, found = runs
    log = found["torch"].ledger.select(label="zero 1")
    assert log.payload("all_reduce", rank=0, step=5) == PSI
    assert log.payload("broadcast", rank=0, step=5) == PSI  # where ours gathers, and does not reduce to all
