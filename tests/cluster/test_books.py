"""Bytes on the wire and bytes held, against the closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from course import cluster
from course.cluster.data_parallel import DataParallel
from course.cluster.fsdp import FullyShard
from course.cluster.models import MLP
from course.cluster.zero import Zero, model_states
from course.rules import LAMB, AdamW

SIZES = [24, 48, 24]  # every parameter divides by 2, 3, 4, 6 and 8 ranks
COUNT = 24 * 48 + 48 + 48 * 24 + 24
PSI = 8 * COUNT


def train(make, ranks, steps=2, dtype="float64"):
    def program(comm):
        trainer = make(comm, MLP.of_sizes(SIZES, dtype=dtype), AdamW())
        x = np.ones((2, 24), dtype)
        for _ in range(steps):
            trainer.step(x, x)
        return trainer

    return cluster.run(program, ranks)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize(
    ("make", "times"),
    [
        (DataParallel, 2),
        (lambda *a: DataParallel(*a, bucket_bytes=9000), 2),
        (lambda *a: Zero(*a, stage=1), 2),
        (lambda *a: Zero(*a, stage=2), 2),
        (lambda *a: Zero(*a, stage=2, bucket_bytes=9000), 2),
        (FullyShard, 3),
        (lambda *a: FullyShard(*a, reshard_after_forward=False), 2),
    ],
)
def test_every_rank_sends_two_or_three_times_its_share(make, times, ranks):
    ledger = train(make, ranks).ledger
    for rank in range(ranks):
        for step in range(2):
            assert ledger.sent(rank=rank, step=step) == times * PSI * (ranks - 1) // ranks
            assert ledger.received(rank=rank, step=step) == ledger.sent(rank=rank, step=step)


def test_padding_is_paid_for_and_no_more():
    def program(comm):
        trainer = Zero(comm, MLP.of_sizes([3, 5, 2]), AdamW(), stage=2)
        trainer.step(np.ones((1, 3)), np.ones((1, 2)))

    ledger = cluster.run(program, 7).ledger  # 32 numbers, padded to 35
    assert ledger.payload("reduce_scatter", rank=0) == ledger.payload("all_gather", rank=0) == 8 * 35
    assert ledger.sent(rank=0) == 2 * 8 * 35 * 6 // 7


def test_lamb_pays_two_numbers_a_parameter_for_its_norms():
    def program(comm):
        trainer = Zero(comm, MLP.of_sizes(SIZES), LAMB(), stage=2)
        trainer.step(np.ones((1, 24)), np.ones((1, 24)))

    ledger = cluster.run(program, 2).ledger
    assert ledger.select(label="norms").payload(rank=0) == 8 * 2 * 4


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_each_rank_holds_what_the_formula_says(stage, ranks):
    makes = {
        0: DataParallel,
        1: lambda *a: Zero(*a, stage=1),
        2: lambda *a: Zero(*a, stage=2),
        3: FullyShard,
    }
    for report in train(makes[stage], ranks).memory:
        assert report.marks["backward"] == {
            "parameters": PSI // (ranks if stage == 3 else 1),
            "gradients": PSI // (ranks if stage >= 2 else 1),
            "optimizer": 2 * PSI // (ranks if stage >= 1 else 1),
        }
        assert sum(report.marks["backward"].values()) == model_states(COUNT, ranks, stage, 8, 8, 16)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_half_precision_with_a_master_copy_is_sixteen_bytes_a_parameter(stage):
    def make(*a):
        return Zero(*a, stage=stage, master="float32") if stage < 3 else FullyShard(*a, master="float32")

    for report in train(make, 4, dtype="float16").memory:
        assert sum(report.marks["backward"].values()) == model_states(COUNT, 4, stage)


def test_resharding_holds_one_layer_at_a_time():
    layer = 8 * (24 * 48 + 48)
    reports = [
        train(lambda *a, r=r: FullyShard(*a, reshard_after_forward=r), 4).memory[0] for r in (True, False)
    ]
    assert [report.peaks["gathered"] for report in reports] == [layer, PSI]


def test_the_figure_of_the_zero_paper():
    assert [round(model_states(7.5e9, 64, stage) / 1e9, 1) for stage in range(4)] == [120, 31.4, 16.6, 1.9]
    assert model_states(1.5e9, 1, 0) / 1e9 == pytest.approx(24)
    with pytest.raises(ValueError, match="stage must be 0, 1, 2 or 3, not 4"):
        model_states(1, 1, 4)
