"""The widget of lesson 06: what decay takes, by formula and by the real rules, and the wiring of both."""

from __future__ import annotations

import re

import numpy as np
import pytest

from course.widgets import effective_decay
from course.widgets.models.decay import RULES, decay_per_step, noisy_histories


@pytest.mark.parametrize("scale", [0.001, 0.1, 1.0, 100.0])
def test_the_formula_is_what_the_rules_do(scale):
    lr, decay, steps = 1e-4, 0.5, 300
    for name, history in noisy_histories(scale, lr, decay, steps=steps, pairs=400).items():
        measured = (1 - history[-1]) / steps
        # The weight has shrunk by up to 3 per cent on the way, and in the first steps v knows few gradients.
        assert measured == pytest.approx(float(decay_per_step(name, scale, lr, decay)), rel=0.05)


def test_adamw_does_not_mind_the_gradients_and_l2_does():
    scales = np.array([10.0, 100.0])
    l2, decoupled = (decay_per_step(name, scales, 0.01, 0.5) for name in RULES)
    assert decoupled[0] == decoupled[1] == pytest.approx(0.005)
    assert l2[0] / l2[1] == pytest.approx(10, rel=0.01)


def test_tiny_gradients_hand_a_weight_over_to_any_penalty():
    for decay in (0.05, 1.0):
        assert decay_per_step("Adam + L2", 1e-6, 0.01, decay) == pytest.approx(0.01, rel=1e-6)
    assert decay_per_step("Adam + L2", 0.0, 0.01, 0.0, eps=0.0) == 0


def test_eps_holds_the_penalty_back_where_it_is_large():
    l2, decoupled = (decay_per_step(name, 1e-3, 0.01, 0.5, eps=10.0) for name in RULES)
    assert l2 == pytest.approx(0.01 * 0.5 / 10.5, rel=1e-5)
    assert decoupled == pytest.approx(0.005)


def test_every_slider_changes_the_picture():
    live = effective_decay()
    for control, value in zip(live.controls.values(), (1.5, 0.1, 1.0), strict=True):
        image, numbers = live.image.value, live.numbers.value
        control.value = value
        assert live.image.value != image
        assert live.numbers.value != numbers
    assert live.error is None


def test_one_arrow_key_moves_something_on_each_slider():
    live = effective_decay()
    for control in live.controls.values():
        image = live.image.value
        control.value += control.step
        assert live.image.value != image


def test_the_same_setting_is_the_same_picture_and_its_numbers_can_be_read():
    live = effective_decay()
    first, said = live.picture.draw(**live.state())
    live.picture.draw(scale=-3.0, decay=1.0, eps=2.0)
    again, _ = live.picture.draw(**live.state())
    assert again == first
    assert len(said) == 6
    assert not re.search(r"\d[eE][+-]?\d|inf|nan", " ".join(said.values()))


def test_the_dotted_upright_stands_where_the_l2_line_bends():
    live = effective_decay()
    for decay, eps in ((0.5, -3.0), (0.05, -3.0), (0.5, 1.0)):
        _, said = live.picture.draw(scale=0.0, decay=decay, eps=eps)
        knee = float(live.picture.moving[6].get_xdata()[0])
        assert knee == pytest.approx(decay + 10**eps)
        flat, at, beyond = decay_per_step("Adam + L2", [1e-6, knee, 100 * knee], 0.01, decay, 10**eps)
        assert 0.45 < at / flat < 0.75
        assert beyond / flat == pytest.approx(0.01, rel=0.05)
        assert said["Size of the gradients"] == "1"
