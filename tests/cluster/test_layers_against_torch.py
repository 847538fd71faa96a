"""Tensor and pipeline parallelism beside torch's own ``parallelize_module`` and ``pipelining``."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch

from course import cluster
from course.cluster.data_parallel import DataParallel
from course.cluster.models import MLP
from course.cluster.pipeline import Pipeline, chunk_of
from course.cluster.schedules import gpipe, interleaved, one_f_one_b, zero_bubble
from course.cluster.tensor import TensorMLP
from course.rules import AdamW

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="ranks are forked"),
    pytest.mark.thorough,  # real processes, which import torch
]

SIZES, STEPS, BATCH, MICROS = [8, 16, 8, 16, 8, 16, 8, 16, 4], 20, 16, 8
RULE = AdamW(lr=1e-2, weight_decay=0.1)
SCHEDULES = {
    "gpipe": lambda p: gpipe(p, MICROS),
    "1f1b": lambda p: one_f_one_b(p, MICROS),
    "interleaved": lambda p: interleaved(p, MICROS, 2),
    "zero_bubble": lambda p: zero_bubble(p, MICROS),
}


def batch(step):
    rng = np.random.default_rng(step)
    return rng.normal(size=(BATCH, SIZES[0])), rng.normal(size=(BATCH, SIZES[-1]))


def trained(trainer, comm):
    comm.step = 0
    for step in range(STEPS):
        trainer.step(*batch(step))
    return trainer.parameters()


def ours(comm):
    model = TensorMLP(comm, MLP.of_sizes(SIZES))
    found = {"tensor": model.gathered(trained(DataParallel(comm.group([comm.rank]), model, RULE), comm))}
    for name, make in SCHEDULES.items():
        found[name] = trained(Pipeline(comm, MLP.of_sizes(SIZES), RULE, make(comm.world_size)), comm)
    return found


def torchs(comm):
    from torch.distributed import pipelining
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    from course.cluster.native import Wiretap

    warnings.simplefilter("ignore")
    layers = MLP.of_sizes(SIZES).layers

    def module(places):
        parts = {}
        for i in places:
            linear = torch.nn.Linear(*layers[i]["weight"].shape, dtype=torch.float64)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(layers[i]["weight"].T))
                linear.bias.copy_(torch.tensor(layers[i]["bias"]))
            parts[str(i)] = linear if i == len(layers) - 1 else torch.nn.Sequential(linear, torch.nn.Tanh())
        return torch.nn.ModuleDict(parts), torch.nn.Sequential(*parts.values())

    def loss(out, target):
        return 0.5 * ((out - target) ** 2).sum(1).mean()

    def optimizer(*models):
        params = [p for model in models for p in model.parameters()]
        return torch.optim.AdamW(params, lr=RULE.lr, weight_decay=RULE.weight_decay)

    def whole(named):
        found = {}
        for i, part in named.items():
            linear = part if isinstance(part, torch.nn.Linear) else part[0]
            for name, p in linear.named_parameters():
                p = p.full_tensor() if hasattr(p, "full_tensor") else p
                found[f"{i}.{name}"] = p.detach().numpy().T
        return found

    def tensor_parallel():
        named, model = module(range(len(layers)))
        mesh = torch.distributed.init_device_mesh("cpu", (comm.world_size,))
        for i, part in named.items():
            linear = part if isinstance(part, torch.nn.Linear) else part[0]
            parallelize_module(linear, mesh, RowwiseParallel() if int(i) % 2 else ColwiseParallel())
        steps = optimizer(model)
        for step in range(STEPS):
            x, target = map(torch.tensor, batch(step))
            comm.step = step
            with Wiretap(comm, "tensor"):
                steps.zero_grad()
                loss(model(x), target).backward()
                steps.step()
        return whole(named)

    def pipeline(schedule, chunks):
        p = comm.world_size
        places = [chunk_of(len(layers), p * chunks, c * p + comm.rank) for c in range(chunks)]
        made = [module(place) for place in places]
        stages = [
            pipelining.PipelineStage(model, c * p + comm.rank, p * chunks, torch.device("cpu"))
            for c, (_, model) in enumerate(made)
        ]
        runner = schedule(stages if chunks > 1 else stages[0], MICROS, loss_fn=loss)
        steps = optimizer(*(model for _, model in made))
        for step in range(STEPS):
            x, target = map(torch.tensor, batch(step))
            steps.zero_grad()
            runner.step(*([x] if comm.rank == 0 else []), target=target if comm.rank == p - 1 else None)
            steps.step()
        return {name: value for named, _ in made for name, value in whole(named).items()}

    return {
        "tensor": tensor_parallel(),
        "gpipe": pipeline(pipelining.ScheduleGPipe, 1),
        "1f1b": pipeline(pipelining.Schedule1F1B, 1),
        "interleaved": pipeline(pipelining.ScheduleInterleaved1F1B, 2),
        "zero_bubble": pipeline(pipelining.ScheduleInterleavedZeroBubble, 2),
    }


@pytest.fixture(scope="module", params=[2, 4])
def runs(request):
    return cluster.run(ours, request.param), cluster.run(torchs, request.param, "gloo")


@pytest.mark.parametrize("name", ["tensor", "gpipe", "1f1b", "interleaved"])
def test_torchs_own_gives_the_same_parameters_on_every_rank(runs, name):
    simulated, real = runs
    for mine, theirs in zip(simulated.results, real.results, strict=True):
        assert set(mine[name]) == set(theirs[name])
        for key, value in theirs[name].items():
            np.testing.assert_allclose(mine[name][key], value, rtol=0, atol=1e-11, err_msg=key)


def test_torchs_zero_bubble_gives_the_same_model(runs):
    """torch's has two chunks a stage, ours one: the layers are on other ranks, and are the same."""
    mine, theirs = ({k: v for one in run.results for k, v in one["zero_bubble"].items()} for run in runs)
    assert set(mine) == set(theirs)
    for key, value in theirs.items():
        np.testing.assert_allclose(mine[key], value, rtol=0, atol=1e-11, err_msg=key)


def test_torchs_tensor_parallelism_sends_the_same_but_for_the_first_layers_input(runs):
    simulated, real = runs
    mine = simulated.ledger.select("all_reduce", rank=0, step=5, label="activations").payload()
    mine += simulated.ledger.select("all_reduce", rank=0, step=5, label="gradients of activations").payload()
    theirs = real.ledger.select("all_reduce", rank=0, step=5, label="tensor").payload()
    assert mine - theirs == 8 * BATCH * SIZES[0]  # autograd asks for no gradient in the data
