"""Stale gradients, shared memory, and meetings now and then."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from course import cluster
from course.cluster import RankError
from course.cluster.data_parallel import DataParallel, rows
from course.cluster.hogwild import hogwild, largest_stable_lr, stale_sgd
from course.cluster.local import DILOCO, LocalSGD
from course.cluster.models import MLP
from course.rules import SGD, AdamW

real = pytest.mark.skipif(sys.platform == "win32", reason="ranks are forked")


@pytest.mark.parametrize("delay", [0, 1, 2, 5, 20])
@pytest.mark.parametrize("curvature", [0.1, 7.0])
def test_the_largest_stable_rate_is_where_it_begins_to_diverge(delay, curvature):
    def size(times):
        lr = times * largest_stable_lr(curvature, delay)
        path = stale_sgd(lambda theta, t: curvature * theta, np.ones(1), lr, 400 * (delay + 1), delay)
        return abs(path[-2 * (delay + 1) :]).max()

    assert size(0.98) < 0.1
    assert size(1.02) > 10


def test_a_delay_of_nothing_is_gradient_descent():
    path = stale_sgd(lambda theta, t: theta, np.ones(2), 0.5, 10, delay=0)
    np.testing.assert_array_equal(path[:, 0], 0.5 ** np.arange(11))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stale_sgd(lambda theta, t: theta, np.ones(1), 0.1, 1, -1), "delay must be >= 0, not -1"),
        (lambda: largest_stable_lr(0.0, 1), "needs curvature > 0 and delay >= 0, not 0.0 and 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_simulated_hogwild_is_late_by_the_other_ranks():
    """Between what a rank reads and what it writes, each of the others writes once."""
    lr, ranks, steps = 0.05, 4, 30

    def program(comm):
        return hogwild(comm, lambda theta, t: theta, np.ones(3), lr, steps)

    found = cluster.run(program, ranks)
    path = stale_sgd(lambda theta, t: theta, np.ones(3), lr, ranks * steps, delay=ranks - 1)
    for result in found.results:
        np.testing.assert_array_equal(result, path[-1])
    again = cluster.run(program, ranks)
    np.testing.assert_array_equal(again.results[0], found.results[0])
    assert found.ledger.sent() == 0


@pytest.mark.parametrize("ranks", [1, 2, 4, 16])
def test_simulated_hogwild_takes_the_steps_in_their_order(ranks):
    """Gradients that depend on the number of the step show who went first."""
    rng = np.random.default_rng(ranks)
    pull, push = rng.uniform(0.1, 0.5, 4), rng.normal(size=(32, 4))

    def gradient(theta, n):
        return pull * theta + push[n]

    found = cluster.run(hogwild, ranks, args=(gradient, np.ones(4), 0.25, 32 // ranks))
    path = stale_sgd(gradient, np.ones(4), 0.25, 32, delay=ranks - 1)
    for result in found.results:
        np.testing.assert_array_equal(result, path[-1])


@pytest.mark.thorough
@real
def test_real_ranks_need_no_barrier_before_they_write_into_what_is_shared():
    """Whoever comes first has filled it already."""

    def program(comm):
        counts = comm.shared("counts", np.full(comm.world_size, 5.0))
        found = counts[comm.rank]
        counts[comm.rank] += 1
        comm.barrier()
        return found, np.array(counts)

    for found, counts in cluster.run(program, 4, "gloo").results:
        assert found == 5
        np.testing.assert_array_equal(counts, [6, 6, 6, 6])


@pytest.mark.thorough
@real
def test_real_hogwild_solves_sparse_least_squares():
    def program(comm):
        truth = np.linspace(-1, 1, 200)

        def gradient(theta, t):
            rng = np.random.default_rng(t)
            some = rng.choice(200, 3, replace=False)
            found = np.zeros(200)
            found[some] = theta[some] - truth[some]
            return found

        return np.abs(hogwild(comm, gradient, np.zeros(200), 0.5, 1500) - truth).max()

    for engine in ("gloo", "simulated"):
        assert max(cluster.run(program, 3, engine).results) < 1e-3


@real
def test_shared_memory_is_shared():
    def program(comm):
        mine = comm.shared("counts", np.zeros(comm.world_size))
        mine[comm.rank] = comm.rank + 1
        comm.barrier()
        return np.array(mine)

    for engine in ("gloo", "simulated"):
        for result in cluster.run(program, 3, engine).results:
            np.testing.assert_array_equal(result, [1, 2, 3])


def data(step, comm=None):
    rng = np.random.default_rng(step)
    x, target = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    mine = slice(None) if comm is None else rows(12, comm)
    return x[mine], target[mine]


def train(trainer, comm, steps=12):
    for step in range(steps):
        trainer.step(*data(step, comm))
    return trainer.parameters()


def assert_same(found, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_meeting_at_every_step_is_data_parallelism(ranks):
    model, rule = MLP.of_sizes([3, 5, 2]), SGD(lr=0.1)
    often = cluster.run(lambda c: train(LocalSGD(c, model, rule, every=1), c), ranks)
    whole = cluster.run(lambda c: train(DataParallel(c, model, rule), c), ranks)
    assert_same(often.results[0], whole.results[0])


def test_diloco_is_its_two_loops_written_out():
    ranks, every, model, inner = 3, 4, MLP.of_sizes([3, 5, 2]), AdamW(lr=0.01)
    outcome = cluster.run(lambda c: train(LocalSGD(c, model, inner, every, DILOCO), c), ranks)

    class Place:
        world_size = ranks

        def __init__(self, rank):
            self.rank = rank

    start = {f"{i}.{n}": v for i, layer in enumerate(model.layers) for n, v in layer.items()}
    buffer = {name: 0 * value for name, value in start.items()}
    states = [inner.init(start) for _ in range(ranks)]
    for outer in range(3):
        ends = []
        for rank in range(ranks):
            theta = dict(start)
            for step in range(outer * every, outer * every + every):
                x, target = data(step, Place(rank))
                hidden = np.tanh(x @ theta["0.weight"] + theta["0.bias"])
                apart = (hidden @ theta["1.weight"] + theta["1.bias"] - target) / len(x)
                below = apart @ theta["1.weight"].T * (1 - hidden**2)
                g = {"0.weight": x.T @ below, "0.bias": below.sum(0)}
                g |= {"1.weight": hidden.T @ apart, "1.bias": apart.sum(0)}
                delta, states[rank] = inner.update(g, states[rank], theta)
                theta = {name: value - delta[name] for name, value in theta.items()}
            ends.append(theta)
        for name in start:
            outer_gradient = np.mean([start[name] - end[name] for end in ends], axis=0)
            buffer[name] = 0.9 * buffer[name] + outer_gradient
            start[name] = start[name] - 0.7 * (outer_gradient + 0.9 * buffer[name])
    for found in outcome.results:
        assert_same(found, start)
    psi = 8 * 32
    assert outcome.ledger.payload("all_reduce", rank=0) == 3 * psi  # three meetings in twelve steps


def test_never_meeting_is_refused():
    with pytest.raises(RankError, match="LocalSGD: every must be >= 1, not 0"):
        cluster.run(lambda c: LocalSGD(c, MLP.of_sizes([1, 1]), SGD(), every=0), 1)
