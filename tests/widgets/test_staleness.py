"""The map of delays and rates: its factors are those of the paths, its lines those of theory."""

from __future__ import annotations

import numpy as np
import pytest

from course.cluster.hogwild import largest_stable_lr, long_run_factor, stale_sgd
from course.widgets import staleness_map
from course.widgets.models import staleness as model


@pytest.mark.parametrize("delay", [0, 1, 3, 8])
@pytest.mark.parametrize("product", [0.05, 0.12, 0.6])
def test_the_factor_is_what_a_long_run_does(delay, product):
    steps = 400 * (delay + 1)
    path = abs(stale_sgd(lambda theta, t: product * theta, np.ones(1), 1.0, steps, delay))[:, 0]
    period, half = 80 * (delay + 1), steps // 2
    before, after = path[half : half + period].max(), path[-period:].max()
    if after > 1e-290:
        measured = (after / before) ** (1 / (steps - half - period))
        assert measured == pytest.approx(long_run_factor(product, delay), abs=0.01)
    else:
        assert long_run_factor(product, delay) < 1


@pytest.mark.parametrize("delay", model.DELAYS)
def test_the_factor_reaches_one_at_the_limit(delay):
    limit = largest_stable_lr(1.0, delay)
    assert long_run_factor(limit, delay) == pytest.approx(1, abs=1e-9)
    assert long_run_factor(0.99 * limit, delay) < 1 < long_run_factor(1.01 * limit, delay)


def test_without_a_delay_momentum_gives_the_heavy_balls_factor():
    assert long_run_factor(0.8, 0, momentum=0.49) == pytest.approx(0.7)
    assert long_run_factor(0.5, 0) == pytest.approx(0.5)


def test_the_best_rate_without_a_delay_is_the_known_one():
    assert model.best_lr(0) == pytest.approx(2 / 1.2, rel=1e-4)
    assert model.worst(model.best_lr(0), 0) == pytest.approx(0.8 / 1.2, rel=1e-4)


@pytest.mark.parametrize("delay", [1, 4, 10])
def test_no_rate_of_the_map_beats_the_best(delay):
    best = model.worst(model.best_lr(delay), delay)
    assert best <= min(model.worst(float(lr), delay) for lr in model.RATES) + 1e-6
    assert model.best_lr(delay) < largest_stable_lr(1.0, delay)


def test_the_player_has_a_frame_for_every_pair_and_stays_small():
    player = staleness_map()
    assert len(player.readouts) == len(model.RATES) * len(model.DELAYS)
    assert player.picker == 0
    assert len(player.html()) < 250_000


def test_the_outcome_is_that_of_the_limit():
    player, index = staleness_map(), 0
    for lr in model.RATES:
        for delay in model.DELAYS:
            outcome = player.readouts[index][3]
            assert (outcome == "diverges") == (lr > largest_stable_lr(1.0, delay) * (1 + 1e-9))
            index += 1
