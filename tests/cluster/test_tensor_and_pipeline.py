"""Layers cut up, and layers on different ranks: the parameters of one process, and the volumes of theory."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from course import cluster
from course.cluster import RankError
from course.cluster.data_parallel import DataParallel, rows
from course.cluster.fsdp import FullyShard
from course.cluster.mesh import mesh
from course.cluster.models import MLP
from course.cluster.pipeline import Pipeline
from course.cluster.schedules import SCHEDULES, Work, gpipe, interleaved, one_f_one_b, timeline, zero_bubble
from course.cluster.tensor import TensorAttention, TensorMLP
from course.rules import AdamW

RULE, STEPS, BATCH = AdamW(lr=1e-2, weight_decay=0.1), 20, 16
SIZES = [6, 24, 5, 24, 5, 24, 24, 24, 3]  # eight layers


def batch(step):
    rng = np.random.default_rng(step)
    return rng.normal(size=(BATCH, SIZES[0])), rng.normal(size=(BATCH, SIZES[-1]))


def train(trainer, mine=slice(None), **options):
    for step in range(STEPS):
        x, target = batch(step)
        trainer.step(x[mine], target[mine], **options)
    return trainer


@pytest.fixture(scope="module")
def expected():
    return cluster.run(lambda c: train(DataParallel(c, MLP.of_sizes(SIZES), RULE)).parameters(), 1).results[0]


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-11, err_msg=name)


def tensor_parallel(comm):
    model = TensorMLP(comm, MLP.of_sizes(SIZES))
    trainer = train(DataParallel(comm.group([comm.rank]), model, RULE))
    return model.gathered(trainer.parameters())


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 8])
def test_column_and_row_parallel_layers_are_the_whole_ones(ranks, expected):
    outcome = cluster.run(tensor_parallel, ranks)
    for found in outcome.results:
        assert_same(found, expected)
    step = outcome.ledger.select("all_reduce", rank=0, step=3)
    forward = 8 * BATCH * sum(SIZES[i] for i in (2, 4, 6, 8))
    backward = 8 * BATCH * sum(SIZES[i] for i in (0, 2, 4, 6))
    assert step.select(label="activations").payload() == forward
    assert step.select(label="gradients of activations").payload() == backward


def test_each_rank_holds_its_part_of_the_layers():
    def program(comm):
        trainer = DataParallel(comm.group([comm.rank]), TensorMLP(comm, MLP.of_sizes([8, 16, 8])), RULE)
        trainer.step(np.ones((1, 8)), np.ones((1, 8)))

    weights = 2 * 8 * 16
    for report in cluster.run(program, 4).memory:
        assert report.marks["backward"]["parameters"] == 8 * (weights // 4 + 16 // 4 + 8)


def test_a_width_that_does_not_divide_is_refused():
    with pytest.raises(RankError, match="tensor: a hidden width of 5 does not divide into 2 ranks"):
        cluster.run(lambda comm: TensorMLP(comm, MLP.of_sizes([3, 5, 2])), 2)


def attention_weights():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(12, 12)) / 4 for name in ("query", "key", "value", "out")}


@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
def test_heads_on_different_ranks_are_attention(ranks):
    rng = np.random.default_rng(1)
    x, target = rng.normal(size=(7, 12)), rng.normal(size=(7, 12))

    def program(comm):
        model = TensorAttention(comm, attention_weights(), heads=6)
        trainer = DataParallel(comm.group([comm.rank]), model, RULE)
        for _ in range(STEPS):
            trainer.step(x, target)
        return model.gathered(trainer.parameters())

    params = {name: torch.nn.Parameter(torch.tensor(w)) for name, w in attention_weights().items()}
    optimizer = torch.optim.AdamW(params.values(), lr=RULE.lr, weight_decay=RULE.weight_decay)
    for _ in range(STEPS):
        q, k, v = (
            (torch.tensor(x) @ params[n]).view(7, 6, 2).transpose(0, 1) for n in ("query", "key", "value")
        )
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v).transpose(0, 1).reshape(7, 12)
        optimizer.zero_grad()
        (0.5 * ((out @ params["out"] - torch.tensor(target)) ** 2).sum(1).mean()).backward()
        optimizer.step()
    for name, found in cluster.run(program, ranks).results[-1].items():
        theirs = params[name.split(".")[1]].detach().numpy()
        np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-11)


PIPELINES = {
    "gpipe": lambda p: gpipe(p, 6),
    "1f1b": lambda p: one_f_one_b(p, 6),
    "interleaved": lambda p: interleaved(p, 2 * p, 2),
    "zero bubble": lambda p: zero_bubble(p, 5),
}


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_every_schedule_trains_as_one_process(name, stages, expected):
    schedule = PIPELINES[name](stages)
    outcome = cluster.run(
        lambda c: train(Pipeline(c, MLP.of_sizes(SIZES), RULE, schedule)).parameters(), stages
    )
    assert_same({k: v for part in outcome.results for k, v in part.items()}, expected)


def test_a_pipeline_sends_each_boundary_twice():
    def program(comm):
        train(Pipeline(comm, MLP.of_sizes(SIZES), RULE, one_f_one_b(4, 8)))

    ledger = cluster.run(program, 4).ledger
    boundaries = (SIZES[2], SIZES[4], SIZES[6])
    assert ledger.sent(step=0) == 2 * 8 * BATCH * sum(boundaries)
    assert ledger.sent(rank=1, step=0) == 8 * BATCH * (boundaries[1] + boundaries[0])
    assert ledger.count("send", rank=1, step=0) == 16


@pytest.mark.parametrize("make", [gpipe, one_f_one_b])
def test_a_stage_holds_the_activations_that_the_schedule_says(make):
    def program(comm):
        trainer = Pipeline(comm, MLP.of_sizes([4] * 5), RULE, make(4, 8))
        trainer.step(np.ones((16, 4)), np.ones((16, 4)))

    held = timeline(make(4, 8)).held
    one = 8 * 2 * 4  # an array of a micro-batch of two rows
    for stage, report in enumerate(cluster.run(program, 4).memory):
        assert report.peaks["activations"] == held[stage] * 2 * one  # what comes in, and what goes out


@pytest.mark.parametrize(("stages", "micros"), [(1, 1), (2, 2), (3, 7), (4, 8), (8, 24)])
def test_bubbles_and_memory_are_those_of_theory(stages, micros):
    for name in ("gpipe", "1f1b"):
        line = timeline(SCHEDULES[name](stages, micros))
        assert line.bubble == pytest.approx((stages - 1) / (micros + stages - 1))
        assert line.length - 3 * micros == pytest.approx(3 * (stages - 1))
        held = [micros if name == "gpipe" else min(stages - s, micros) for s in range(stages)]
        assert line.held == held
    shrunk = timeline(zero_bubble(stages, micros))
    assert shrunk.length - 3 * micros == stages - 1
    assert max(shrunk.held) <= min(stages, micros)
    if micros % stages == 0:
        line = timeline(interleaved(stages, micros, 2), {"F": 0.5, "B": 1.0})
        assert line.length - 3 * micros == pytest.approx(3 * (stages - 1) / 2)


def test_a_schedule_that_cannot_run_is_told():
    with pytest.raises(
        ValueError, match="stage 0 waits in B0 for F0 of stage 0, B0 of stage 1, which never comes"
    ):
        timeline([[Work("B", 0), Work("F", 0)], [Work("F", 0), Work("B", 0)]])
    with pytest.raises(ValueError, match="5 micro-batches do not divide by 2 stages"):
        interleaved(2, 5)

    def program(comm, schedule):
        train(Pipeline(comm, MLP.of_sizes(SIZES), RULE, schedule))

    early = [[Work("B", 0), Work("F", 0)], [Work("F", 0), Work("B", 0)]]
    with pytest.raises(RankError, match="stage 0 is to do the backward B0 before its forward"):
        cluster.run(program, 2, args=(early,))
    one_by_one = [Work("F", 0), Work("B", 0), Work("F", 1), Work("B", 1)]
    waits = "rank 0 waits in recv from rank 1; rank 1 waits in recv from rank 0"
    with pytest.raises(cluster.Deadlock, match=waits):
        cluster.run(program, 2, args=([one_by_one, gpipe(1, 2)[0]],))


def two_dimensions(comm):
    groups = mesh(comm, dp=2, tp=2)
    model = TensorMLP(groups["tp"], MLP.of_sizes(SIZES))
    trainer = train(FullyShard(groups["dp"], model, RULE), rows(BATCH, groups["dp"]))
    return model.gathered(trainer.parameters())


def three_dimensions(comm):
    groups = mesh(comm, pp=2, dp=2, tp=2)
    model = TensorMLP(groups["tp"], MLP.of_sizes(SIZES))
    trainer = Pipeline(groups["pp"], model, RULE, one_f_one_b(2, 4), data=groups["dp"])
    return model.gathered(train(trainer, rows(BATCH, groups["dp"]), share=0.5).parameters())


@pytest.mark.parametrize(("program", "ranks"), [(two_dimensions, 4), (three_dimensions, 8)])
def test_two_and_three_dimensions(program, ranks, expected):
    found = {}
    for part in cluster.run(program, ranks).results:
        found |= part
    assert_same(found, expected)


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="ranks are forked")
def test_the_same_on_real_processes():
    def program(comm):
        pipeline = train(Pipeline(comm, MLP.of_sizes(SIZES), RULE, interleaved(4, 8, 2)))
        return tensor_parallel(comm), two_dimensions(comm), pipeline.parameters()

    real, simulated = cluster.run(program, 4, "gloo"), cluster.run(program, 4)
    for mine, theirs in zip(simulated.results, real.results, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert_same(a, b)
    assert [(e.kind, e.payload, e.sent, e.label) for e in real.ledger] == [
        (e.kind, e.payload, e.sent, e.label) for e in simulated.ledger
    ]


def test_a_mesh_that_does_not_fit():
    with pytest.raises(RankError, match="mesh: dp=2 x tp=3 is not 4 ranks"):
        cluster.run(lambda comm: mesh(comm, dp=2, tp=3), 4)
