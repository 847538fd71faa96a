"""The ring in motion: what it shows is what the cluster did, and its numbers are the ledger's."""

from __future__ import annotations

import numpy as np
import pytest

from course import cluster
from course.widgets import ring_in_motion
from course.widgets.models.ring import HOPS, RANKS, WAYS, run


@pytest.mark.parametrize("way", WAYS)
def test_every_way_ends_with_all_numbers_in_every_block(way):
    assert np.all(run(way).holds[0] == 1)
    assert np.all(run(way).holds[HOPS] == RANKS)
    assert run(way).holds.shape == (HOPS + 1, RANKS, RANKS)


def test_the_ring_finishes_one_block_a_rank_in_half_its_hops():
    held = run("blocks").holds[RANKS - 1]
    assert ((held == RANKS).sum(axis=1) == 1).all()


def test_the_bytes_are_those_of_the_formulas_and_of_the_librarys_all_reduce():
    library = cluster.run(lambda comm: comm.all_reduce(np.ones(RANKS)), ranks=RANKS).ledger
    share = [library.sent(rank=r) / (RANKS * 8) for r in range(RANKS)]
    np.testing.assert_array_equal(run("blocks").sent[-1], share)
    np.testing.assert_array_equal(run("arrays").sent[-1], [RANKS - 1] * RANKS)
    np.testing.assert_array_equal(run("rank 0").sent[-1], [RANKS - 1, 1, 1, 1])


@pytest.mark.parametrize("way", WAYS)
def test_what_is_sent_is_received(way):
    np.testing.assert_allclose(run(way).received.sum(axis=1), run(way).sent.sum(axis=1))
    np.testing.assert_array_equal(run("rank 0").received[RANKS - 1], [RANKS - 1, 0, 0, 0])


def test_whole_arrays_are_summed_in_half_the_hops_and_nothing_moves_after():
    assert np.all(run("arrays").holds[RANKS - 1] == RANKS)
    assert all(move is None for moves in run("arrays").moves[RANKS - 1 :] for move in moves)


@pytest.mark.parametrize("way", WAYS)
def test_a_disc_leaves_from_whoever_sends(way):
    found = run(way)
    for hop, moves in enumerate(found.moves):
        senders = sorted(move[0] for move in moves if move is not None)
        sent = found.sent[hop + 1] - found.sent[hop]
        assert senders == sorted(np.flatnonzero(sent))


def test_the_player_has_a_frame_for_every_hop_of_every_way():
    player = ring_in_motion()
    assert len(player.readouts) == len(WAYS) * (HOPS + 1)
    assert player.readouts[HOPS][:2] == ("1.50 arrays", "1.50 arrays")
    assert [row[4] for row in player.readouts[HOPS :: HOPS + 1]] == ["16"] * len(WAYS)
    assert len(player.html()) < 120_000
