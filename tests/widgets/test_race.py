"""The race and the trust ratios: their models against what the rules promise, their players against both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from course.rules import LARS, Lion, Rule
from course.widgets import race_of_rules, trust_ratio_by_batch
from course.widgets.models import digits_net, race, trust
from course.widgets.pane import Axis, Pane, Runner
from course.widgets.player import Control, Player
from course.widgets.race import PAINT
from course.widgets.style import ink_on

COURSES = {course.name: course for course in race.COURSES}


@pytest.fixture(scope="module")
def raced() -> Player:
    return race_of_rules()


@pytest.fixture(scope="module")
def trusted() -> Player:
    return trust_ratio_by_batch()


@pytest.fixture(params=["raced", "trusted"])
def player(request: pytest.FixtureRequest) -> Player:
    return request.getfixturevalue(request.param)


def payload(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S).group(1))


@pytest.mark.thorough
def test_a_small_page_without_ids_that_can_be_read(player: Player) -> None:
    page = player.html()
    assert len(page.encode()) < 250_000
    assert not re.search(r"\sid=", page)
    assert page.count('aria-label="') == len(player.controls) + len(player.panes)
    words = "\n".join(text for row in player.readouts for text in row)
    assert not re.search(r"\d[eE][+-]?\d|inf|nan", words)


def test_every_runner_has_its_path_in_the_page(player: Player) -> None:
    page = player.html()
    runners = sum(len(pane.runners) for pane in player.panes)
    assert page.count('class="pu-run"') == runners > 0
    assert len(payload(page)["paths"]) == len(player.panes) + runners == len(player.tracks)


def test_the_same_bytes_twice(trusted: Player, raced: Player) -> None:
    assert trust_ratio_by_batch().html() == trusted.html()
    assert raced.html() == raced.html()


def test_the_first_picture_stands_where_the_sliders_do(raced: Player) -> None:
    step = raced.controls[1].start
    for track in raced.tracks:
        assert len(raced.shown_first(track)) == step + 1
        np.testing.assert_array_equal(raced.shown_first(track), track[0][: step + 1])
    page = raced.html()
    assert page.count('visibility="visible"') == 1
    assert page.count('visibility="hidden"') == 2


def test_every_runners_number_can_be_read_on_its_colour() -> None:
    def light(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    assert len(set(PAINT.values())) == len(PAINT) == len(race.RULES)
    for color in PAINT.values():
        low, high = sorted((light(color), light(ink_on(color))))
        assert (high + 0.05) / (low + 0.05) > 3.8, color


def test_a_growing_player_takes_one_path_a_setting() -> None:
    axis = Axis("x", 0.0, 1.0, [])
    controls = [Control("a", ["1", "2"]), Control("step", ["0", "1", "2"])]
    paths, readouts = [np.zeros((3, 2))] * 2, [["n"]] * 6
    Player("t", "c", [Pane("p", axis, axis, paths)], controls, ["n"], readouts, growing=True)
    short = Pane("p", axis, axis, paths, runners=[Runner(paths[:1], "#000000")])
    with pytest.raises(ValueError, match="6 settings"):
        Player("t", "c", [short], controls, ["n"], readouts, growing=True)


def distances(rule: Rule, name: str, lr: float) -> np.ndarray:
    return np.linalg.norm(race.run(rule, COURSES[name], lr, 30) - 1, axis=1)


@pytest.mark.parametrize("name", ["SGD", "heavy ball", "Muon", "Adam", "Lion", "Sophia"])
def test_only_rules_that_look_at_elements_mind_a_turned_ravine(name: str) -> None:
    straight, turned = (distances(race.RULES[name], course, 0.1) for course in ("ravine", "turned"))
    same = np.allclose(straight, turned, rtol=1e-9)
    assert same == (name in ("SGD", "heavy ball", "Muon"))


def test_all_start_at_the_same_distance_and_aim_at_the_same_point() -> None:
    for course in race.COURSES:
        assert np.allclose(course.landscape.gradient(np.ones(2)), 0, atol=1e-12)
        assert float(course.landscape.value(np.ones(2))) == pytest.approx(0, abs=1e-12)
    far = [np.linalg.norm(np.array(COURSES[name].start) - 1) for name in ("ravine", "turned")]
    assert far[0] == pytest.approx(far[1])


def test_a_step_of_fixed_length_comes_to_rest_only_when_the_rate_falls() -> None:
    for falling, rests in (("ravine", False), ("ravine↓", True)):
        path = race.run(Lion(), COURSES[falling], 0.1, 60)
        last = np.linalg.norm(path[-1] - path[-2])
        assert (last < 0.01) == rests


def test_the_best_rate_is_the_best_of_the_grid() -> None:
    course = COURSES["turned"]
    lr, path = race.best(race.RULES["SGD"], course, 20)
    losses = [course.landscape.value(race.run(race.RULES["SGD"], course, each, 20)[-1]) for each in race.GRID]
    assert course.landscape.value(path[-1]) == np.nanmin(losses)
    assert lr in race.GRID


def test_no_best_rate_stands_at_an_end_of_the_grid(raced: Player) -> None:
    rates = {float(text.split("lr ")[1]) for row in raced.readouts for text in row}
    assert min(race.GRID) < min(rates)
    assert max(rates) < max(race.GRID)


def test_no_step_share_leaves_the_picture(trusted: Player) -> None:
    for pane in trusted.panes:
        tracks = [pane.paths, *(runner.paths for runner in pane.runners)]
        heights = np.concatenate([path[:, 1] for track in tracks for path in track])
        assert pane.y.low < heights.min()
        assert heights.max() < pane.y.high


def test_no_rule_wins_everywhere(raced: Player) -> None:
    steps = len(raced.controls[1].texts)
    last = np.array([[path[-1, 1] for path in runner.paths] for runner in raced.panes[1].runners])
    first = np.array([path[-1, 1] for path in raced.panes[1].paths])
    assert len(raced.panes[1].paths[0]) == steps
    assert len(set(np.vstack([first, last]).argmin(axis=0))) >= 3


def test_a_rule_that_runs_away_stays_in_the_race_as_gone() -> None:
    path = race.run(race.RULES["SGD"], COURSES["valley"], 5.0, 60)
    assert path.shape == (61, 2)
    assert np.isinf(path[-1]).all()


@pytest.mark.parametrize("batch", [1, 64, 1437])
def test_trust_takes_back_whatever_the_loss_is_multiplied_by(batch: int) -> None:
    small, large = (trust.measure(batch, scale) for scale in (0.01, 100.0))
    np.testing.assert_allclose(large.gradients / small.gradients, 1e4)
    np.testing.assert_allclose(small.trust / large.trust, 1e4)
    np.testing.assert_allclose(large.sgd / small.sgd, 1e4)
    np.testing.assert_allclose(small.lars, trust.TRUST)
    np.testing.assert_allclose(large.lars, trust.TRUST)


def test_a_larger_batch_has_smaller_gradients_and_more_trust() -> None:
    settings = [trust.measure(batch, 1.0) for batch in trust.BATCHES]
    for small, large in pairwise(settings):
        assert (small.gradients > large.gradients).all()
        assert (small.trust < large.trust).all()


def test_the_layers_do_not_shrink_alike() -> None:
    first, _, last = trust.measure(32, 1.0).gradients / trust.measure(1437, 1.0).gradients
    assert first > 1.2 * last


def test_the_nets_gradient_is_the_slope_of_its_loss() -> None:
    (x, y), _ = digits_net.digits()
    params = {name: w.astype(np.float64) for name, w in digits_net.init(1).items()}
    images = x[:20].astype(np.float64)
    _, grads = digits_net.loss_and_gradients(params, images, y[:20])
    for name, at in (("first", (20, 3)), ("middle", (4, 5)), ("last", (6, 7))):
        step = np.zeros_like(params[name])
        step[at] = 1e-5
        ends = [
            digits_net.loss_and_gradients({**params, name: params[name] + sign * step}, images, y[:20])[0]
            for sign in (1, -1)
        ]
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(grads[name][at]), rel=1e-3, abs=1e-7)


def runs(rule: Rule) -> Iterator[float]:
    data, test = digits_net.digits()
    return (digits_net.accuracy(params, *test) for params in digits_net.train(rule, data, 128, 4))


def test_training_learns_and_is_the_same_each_time() -> None:
    rule = LARS(lr=0.125, trust_coefficient=0.1)
    first, second = list(runs(rule)), list(runs(rule))
    assert first == second
    assert first[-1] > 0.85
