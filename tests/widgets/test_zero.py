"""The memory bars: what they show is the paper's figure, and what the simulated cluster sends."""

from __future__ import annotations

import numpy as np
import pytest

from course import cluster
from course.cluster.models import MLP
from course.cluster.zero import zero
from course.rules import AdamW
from course.widgets import memory_bars
from course.widgets.models.zero import RANKS, STAGES, holding
from course.widgets.zero import SENT, bar


@pytest.mark.parametrize(("stage", "published"), [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.9)])
def test_the_figure_of_the_paper(stage: int, published: float) -> None:
    assert round(holding(64, stage).total, 1) == published


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_what_is_sent_is_what_the_ledger_says(stage: int) -> None:
    def program(comm: cluster.Communicator) -> None:
        trainer = zero(comm, MLP.of_sizes([7, 8, 8, 4]), AdamW(), stage)
        trainer.step(np.ones((1, 7)), np.zeros((1, 4)))

    psi = 8 * (8 * 8 + 9 * 8 + 9 * 4)
    ledger = cluster.run(program, 4).ledger
    labels = {"forward": "forward", "backward": "backward", "gradients": "gradients", "update": "parameters"}
    shown = holding(4, stage).sent
    assert set(shown) == set(SENT)
    for kind, share in shown.items():
        sent = ledger.select(label=labels[kind]).sent(rank=0)
        assert sent == pytest.approx(share * psi)


def test_one_rank_saves_and_sends_nothing() -> None:
    assert {holding(1, stage).total for stage in range(4)} == {120.0}
    assert all(not any(holding(1, stage).sent.values()) for stage in range(4))


def test_a_bar_is_as_high_as_its_value_and_stands_on_the_line() -> None:
    points = bar(2, 5.0)
    assert points[:, 1].min() == 0
    assert points[:, 1].max() == 5
    assert points[:, 0].mean() == pytest.approx(2)


def test_every_frame_is_told_in_numbers() -> None:
    player = memory_bars()
    assert len(player.readouts) == len(RANKS) * len(STAGES)
    assert list(player.readouts[player.start]) == ["15.0 GB", "15.0 GB", "1.41 GB", "31.4 GB", "1.969 Psi"]
    assert len(player.html().encode()) < 250_000
