"""Every collective computes what its name says, on every number of ranks, and moves what theory says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course import cluster
from course.cluster import wire
from course.cluster.rings import ring_sum

RANKS = (1, 2, 3, 4, 7, 8)
every_size = pytest.mark.parametrize("ranks", RANKS)
LIBRARIES = {"numpy": np.asarray, "torch": torch.tensor}
every_library = pytest.mark.parametrize("make", LIBRARIES.values(), ids=LIBRARIES)


def draws(rank: int, *shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(rank).normal(size=shape).astype(dtype)


@every_size
@every_library
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (0,), (17, 3)])
def test_all_reduce_is_the_sum_in_ring_order(ranks, make, shape):
    outcome = cluster.run(lambda comm: comm.all_reduce(make(draws(comm.rank, *shape))), ranks)
    expected = ring_sum([draws(rank, *shape) for rank in range(ranks)])
    for result in outcome.results:
        assert type(result) is type(make(expected)) or shape == ()
        np.testing.assert_array_equal(np.asarray(result), expected)
    np.testing.assert_allclose(expected, sum(draws(rank, *shape) for rank in range(ranks)), atol=1e-14)


@every_size
@pytest.mark.parametrize(("op", "expected"), [("mean", np.mean), ("max", np.max), ("min", np.min)])
def test_the_other_reductions(ranks, op, expected):
    def program(comm):
        x = draws(comm.rank, 2 * ranks, 3)
        return comm.all_reduce(x, op), comm.reduce_scatter(x, op)

    whole = expected(np.stack([draws(rank, 2 * ranks, 3) for rank in range(ranks)]), axis=0)
    for rank, (reduced, mine) in enumerate(cluster.run(program, ranks).results):
        np.testing.assert_allclose(reduced, whole, atol=1e-15)
        np.testing.assert_array_equal(mine, reduced[2 * rank : 2 * rank + 2])


@every_size
@every_library
def test_gather_scatter_and_all_to_all(ranks, make):
    def program(comm):
        x = make(draws(comm.rank, 2 * ranks, 3))
        return comm.all_gather(x), comm.reduce_scatter(x), comm.all_to_all(x)

    inputs = [draws(rank, 2 * ranks, 3) for rank in range(ranks)]
    for rank, (gathered, mine, swapped) in enumerate(cluster.run(program, ranks).results):
        own = slice(2 * rank, 2 * rank + 2)
        np.testing.assert_array_equal(gathered, np.concatenate(inputs))
        np.testing.assert_array_equal(mine, ring_sum(inputs)[own])
        np.testing.assert_array_equal(swapped, np.concatenate([x[own] for x in inputs]))


@every_size
@every_library
def test_broadcast_from_every_root(ranks, make):
    def program(comm):
        return [
            comm.broadcast(make(draws(root, 4)) if comm.rank == root else None, root) for root in range(ranks)
        ]

    for results in cluster.run(program, ranks).results:
        for root, result in enumerate(results):
            np.testing.assert_array_equal(result, draws(root, 4))


@every_size
def test_the_wire_carries_what_theory_says(ranks):
    def program(comm):
        x = draws(comm.rank, 24 * 7, 5, dtype="float32")
        comm.all_reduce(x), comm.reduce_scatter(x), comm.all_gather(x), comm.all_to_all(x)
        comm.broadcast(x, root=ranks // 2), comm.all_reduce(draws(comm.rank, 10)), comm.barrier()

    outcome = cluster.run(program, ranks)
    for entry in outcome.ledger:
        itemsize = 8 if entry.payload == 80 else 4
        told = wire.sent(entry.kind, entry.payload, entry.rank, ranks, root=ranks // 2, itemsize=itemsize)
        assert entry.sent == told, entry
    psi = 24 * 7 * 5 * 4
    ledger = outcome.ledger
    for rank in range(ranks):
        assert ledger.sent("all_reduce", rank) - sum(
            e.sent for e in ledger.select("all_reduce", rank) if e.payload == 80
        ) == pytest.approx(2 * (ranks - 1) / ranks * psi)
        for kind, payload in (("reduce_scatter", psi), ("all_gather", ranks * psi), ("all_to_all", psi)):
            assert ledger.payload(kind, rank) == payload
            assert ledger.sent(kind, rank) == (ranks - 1) * payload // ranks
            assert ledger.received(kind, rank) == ledger.sent(kind, rank)
    assert ledger.sent() == ledger.received()
    assert ledger.sent("broadcast") == (ranks - 1) * psi


def test_a_ring_sends_to_one_neighbour_and_a_tree_doubles():
    def program(comm):
        comm.all_reduce(np.ones(8))
        comm.broadcast(np.ones(8))

    ledger = cluster.run(program, 8).ledger
    assert [e.peers for e in ledger.select("all_reduce")] == [((r - 1) % 8,) for r in range(8)]
    assert [len(e.peers) for e in ledger.select("broadcast")] == [3, 2, 1, 1, 0, 0, 0, 0]


def test_plain_numbers_and_numpy_scalars():
    outcome = cluster.run(lambda c: (c.all_reduce(c.rank + 1), c.all_reduce(np.float32(c.rank), "max")), 3)
    for total, largest in outcome.results:
        assert total == 6.0
        assert largest == 2.0
        assert largest.dtype == np.float32


def test_no_rank_sees_anothers_memory():
    def program(comm):
        mine = np.full(4, float(comm.rank))
        total = comm.all_reduce(mine)
        total += comm.rank  # must stay here
        if comm.rank == 0:
            comm.send(mine, 1)
            mine += 100
        elif comm.rank == 1:
            came = comm.recv(0)
            came += 7
        comm.barrier()
        return mine, total

    results = cluster.run(program, 3).results
    assert [r[0][0] for r in results] == [100, 1, 2]
    assert [r[1][0] for r in results] == [3, 4, 5]


def test_arguments_are_each_ranks_own():
    def program(comm, weights):
        weights += comm.rank
        comm.barrier()
        return weights

    given_ = np.zeros(2)
    assert [r[0] for r in cluster.run(program, 3, args=(given_,)).results] == [0, 1, 2]
    assert given_[0] == 0


def test_the_layout_of_gloo_changes_the_order_of_the_sum_only():
    inputs = [draws(rank, 10) for rank in range(4)]
    even, gloo = (
        cluster.run(lambda c: c.all_reduce(inputs[c.rank]), 4, layout=layout).results[0]
        for layout in ("even", "gloo")
    )
    np.testing.assert_array_equal(gloo, ring_sum(inputs, "gloo"))
    np.testing.assert_allclose(even, gloo, atol=1e-15)
    assert wire.blocks(10, 4, "gloo") == [slice(0, 4), slice(4, 8), slice(8, 10), slice(10, 10)]


@settings(max_examples=30, deadline=None)
@given(size=st.integers(0, 40), ranks=st.integers(1, 9), layout=st.sampled_from(["even", "gloo"]))
def test_blocks_cover_everything_once(size, ranks, layout):
    parts = wire.blocks(size, ranks, layout)
    assert len(parts) == ranks
    assert [i for part in parts for i in range(size)[part]] == list(range(size))
    if size:
        outcome = cluster.run(lambda c: c.all_reduce(draws(c.rank, size)), ranks, layout=layout)
        for entry in outcome.ledger:
            assert entry.sent == wire.sent(
                "all_reduce", 8 * size, entry.rank, ranks, itemsize=8, layout=layout
            )
        np.testing.assert_allclose(outcome.results[-1], sum(draws(r, size) for r in range(ranks)), atol=1e-13)
