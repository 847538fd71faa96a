"""The pictures of lesson 05, held to theory and to the rules: the turned ravine and the small gradients."""

from __future__ import annotations

import numpy as np
import pytest

from course.landscapes import Quadratic
from course.rules import AdaGrad, Adam, HeavyBall, RMSProp
from course.widgets import rotate_the_ravine, small_gradients
from course.widgets.eps import POWERS, step_share
from course.widgets.models.paths import follow
from course.widgets.models.turned import ARRIVED, arrivals, scaled_condition, turned_ravine, turned_start
from course.widgets.turned import RULES, TUNED, make_rule

ANGLES = np.arange(0.0, 91.0, 15.0)


@pytest.mark.parametrize("name", RULES)
def test_all_angles_at_once_are_each_angle_alone(name: str) -> None:
    rule, most = make_rule(name, 0.2), 150
    for angle, arrived in zip(ANGLES, arrivals(rule, 100.0, ANGLES, most), strict=True):
        path = follow(rule, turned_ravine(100.0, angle), turned_start(angle), most)
        there = np.flatnonzero(np.linalg.norm(path[:most], axis=1) <= ARRIVED * np.linalg.norm(path[0]))
        assert arrived == (there[0] if len(there) else most)


def test_momentum_does_not_see_how_the_ravine_is_turned() -> None:
    assert len(set(arrivals(HeavyBall(lr=0.5, momentum=0.9), 100.0, ANGLES, 400))) == 1


def test_the_dashed_line_is_momentum_at_the_best_rate_of_the_slider() -> None:
    slider = rotate_the_ravine().controls["lr"]
    rates = np.arange(slider.min, slider.max + slider.step / 2, slider.step)
    steps = [int(arrivals(HeavyBall(lr=lr, momentum=0.9), 100.0, 0.0, 400)[0]) for lr in rates]
    assert int(arrivals(HeavyBall(lr=TUNED, momentum=0.9), 100.0, 0.0, 400)[0]) == min(steps)
    assert TUNED in rates.round(9)


@pytest.mark.parametrize("rule", [Adam(lr=0.2), AdaGrad(lr=0.5), RMSProp(lr=0.05, alpha=0.9)])
def test_an_adaptive_rule_needs_far_longer_across_the_axes(rule: Adam) -> None:
    along, across, upright = arrivals(rule, 100.0, [0.0, 45.0, 90.0], 400)
    assert along == upright
    assert across > 3 * along


@pytest.mark.parametrize("rule", [Adam(lr=0.2, eps=0), AdaGrad(lr=0.5, eps=0), RMSProp(lr=0.05, eps=0)])
def test_along_the_axes_the_ravine_vanishes(rule: Adam) -> None:
    """Without eps, the path along the axes is the same in a round bowl and in the deepest ravine."""
    paths = [follow(rule, Quadratic.of(condition=k, angle=0.0), (-2.0, 1.3), 60) for k in (1.0, 1e4)]
    np.testing.assert_allclose(*paths, atol=1e-9)


@pytest.mark.parametrize("degrees", [0.0, 1.0, 10.0, 30.0, 45.0, 70.0])
def test_no_scaling_of_the_axes_leaves_a_smaller_condition_number(degrees: float) -> None:
    ravine = turned_ravine(100.0, degrees)
    conditions = [
        np.linalg.cond(np.diag([1.0, s]) @ ravine.matrix @ np.diag([1.0, s]))
        for s in 10 ** np.linspace(-2, 2, 2001)
    ]
    assert min(conditions) == pytest.approx(scaled_condition(ravine), rel=1e-3)
    assert min(conditions) >= scaled_condition(ravine) * (1 - 1e-9)


def test_at_45_degrees_scaling_the_axes_is_no_help_at_all() -> None:
    assert scaled_condition(turned_ravine(100.0, 45.0)) == pytest.approx(100.0)
    assert scaled_condition(turned_ravine(100.0, 0.0)) == pytest.approx(1.0)


def test_the_widget_reads_out_what_the_model_computes() -> None:
    live = rotate_the_ravine()
    first = live.readout["Steps until 5 % of the distance is left"]
    live.controls["angle"].value = 45.0
    then = live.readout["Steps until 5 % of the distance is left"]
    assert int(first) == arrivals(Adam(lr=0.2), 100.0, 0.0, 400)[0]
    assert int(then) == arrivals(Adam(lr=0.2), 100.0, 45.0, 400)[0]
    live.controls["rule"].value = "AdaGrad"
    assert live.readout["Steps until 5 % of the distance is left"] == "more than 399"


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("eps", [1e-12, 1e-8, 1e-2])
def test_the_share_is_what_rmsprop_steps_in_the_long_run(inside: bool, eps: float) -> None:
    gradient = 10.0 ** np.arange(-10.0, 1.0)
    rule = RMSProp(lr=1.0, alpha=0.5, eps=eps, eps_in_sqrt=inside)
    state = rule.init(gradient)
    for _ in range(60):
        delta, state = rule.update(gradient, state, gradient)
    np.testing.assert_allclose(delta, step_share(gradient, eps, inside), rtol=1e-12)


def test_the_steps_at_one_millionth_are_read_out() -> None:
    player = small_gradients()
    assert player.readouts[player.start] == ("10⁻⁸", "10⁻⁴", "0.99 lr", "0.01 lr")
    assert [row[0] for row in player.readouts] == list(player.controls[0].texts)
    assert player.readouts[POWERS.index(-9)][1] == "3.2 · 10⁻⁵"
