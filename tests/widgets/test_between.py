"""The widgets of lesson 07: the wall in a loss and the line of numbers, their models and their wiring."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from course.gradients import clip_by_norm
from course.widgets import line_of_numbers, the_cliff
from course.widgets.cliff import NORMS, RATES, START, STEPS
from course.widgets.models.cliff import OneUnit, descend
from course.widgets.models.number_line import FORMATS, walk
from course.widgets.number_line import _draw_update, _stage

BFLOAT16, FLOAT16, FLOAT32 = FORMATS
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def test_the_gradient_of_the_unit_is_that_of_autograd():
    theta = torch.tensor([5.0, -2.2], dtype=torch.float64, requires_grad=True)
    x = torch.tensor(0.5, dtype=torch.float64)
    for _ in range(50):
        x = theta[0] * torch.sigmoid(x) + theta[1]
    loss = (torch.sigmoid(x) - 0.7) ** 2
    loss.backward()
    unit = OneUnit()
    assert unit.value([5.0, -2.2]) == pytest.approx(loss.item(), rel=1e-12)
    assert unit.gradient([5.0, -2.2]) == pytest.approx(theta.grad.numpy(), rel=1e-9)


def test_runs_at_once_are_single_runs_with_the_librarys_clipping():
    unit, start = OneUnit(), (5.2, -2.2)
    paths, losses, norms = descend(unit, start, [0.3, 0.3], [math.inf, 1.0], steps=25)
    for path, each, met, limit in zip(paths, losses, norms, (math.inf, 1.0), strict=True):
        theta = np.array(start)
        for t in range(25):
            assert path[t] == pytest.approx(theta, rel=1e-6)
            (g,), norm = clip_by_norm([unit.gradient(theta)], limit)
            assert met[t] == pytest.approx(float(norm), rel=1e-4)
            theta = theta - 0.3 * g
        assert each[-1] == pytest.approx(float(unit.value(path[-1])))


def test_without_a_limit_nearly_every_path_is_thrown_away_and_with_one_none_is():
    free, losses, norms = descend(OneUnit(), START, RATES, math.inf, STEPS)
    bound, kept, _ = descend(OneUnit(), START, RATES, 0.5, STEPS)
    far = np.abs(free - free[:, :1]).max(axis=(1, 2))
    assert (far > 2).mean() > 0.7  # near the wall rounding may decide where a path goes
    assert norms.max() > 100
    assert (np.abs(bound - bound[:, :1]).max(axis=(1, 2)) < 1.2).all()
    assert (kept[:, -20:].mean(axis=1) < 0.5 * losses[:, -20:].mean(axis=1)).all()


def test_the_cliff_says_so_at_its_first_setting_and_no_more_with_a_limit():
    player = the_cliff()
    assert player.controls[1].texts[player.controls[1].start] == "none"
    start, limited = (player.readouts[player.start + i] for i in (0, NORMS.index(0.5)))
    assert start[1].startswith("0 of")
    assert float(start[2]) > 2
    assert float(limited[2]) <= 0.3 * 0.5
    assert len(player.html()) < 250_000
    assert player.html() == the_cliff().html()


def test_a_limit_of_2_is_enough_at_every_rate_and_5_is_not():
    far = {}
    for limit in NORMS:
        path, _, _ = descend(OneUnit(), START, RATES, limit, STEPS)
        far[limit] = np.abs(path - path[:, :1]).max(axis=(1, 2))
    assert (far[5.0][RATES.index(0.4) :] > 1.3).all()
    assert all((far[limit] < 1.2).all() for limit in NORMS if limit <= 1)
    ends = [told[4] for told in the_cliff().readouts]
    for at, lr in enumerate(RATES):
        row = ends[at * len(NORMS) : (at + 1) * len(NORMS)]
        assert "outside" in row[0]
        assert not any("outside" in end for end in row[2:])
        assert "outside" in row[1] or lr < 0.4
    lost = ends[RATES.index(0.3) * len(NORMS)]
    assert re.fullmatch(r"w = \d+\.\d, b = \d+\.\d, outside; gradient below 0\.001", lost)


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.name)
def test_formats_are_those_of_torch(form):
    rng = np.random.default_rng(0)
    values = np.float32(10 ** rng.uniform(-2, 2, 200))
    assert np.array_equal(form.round(values), torch.tensor(values).to(DTYPES[form.name]).double().numpy())
    for x in form.round(values[:20]):
        number = torch.tensor(x).to(DTYPES[form.name])
        above = torch.nextafter(number, torch.tensor(torch.inf, dtype=number.dtype)).double().item()
        below = torch.nextafter(number, torch.tensor(0.0, dtype=number.dtype)).double().item()
        assert form.spacing(x) == above - x
        assert form.spacing_below(x) == x - below


def test_below_a_power_of_two_the_numbers_are_twice_as_close():
    assert BFLOAT16.spacing(1.0) == 2**-7
    assert BFLOAT16.spacing_below(1.0) == 2**-8
    assert BFLOAT16.around(1.0, 2**-7, 2**-6).tolist() == [
        1 - 2**-7, 1 - 2**-8, 1.0, 1 + 2**-7, 1 + 2**-6,
    ]  # fmt: skip


def test_a_walk_is_torchs_own_and_small_updates_vanish():
    weight = torch.ones(1, dtype=torch.bfloat16)
    for _ in range(50):
        weight += 0.005
    assert walk(BFLOAT16, 1.0, 0.005, 50)[-1] == weight.item()
    assert walk(BFLOAT16, 1.0, 0.001, 50)[-1] == 1.0
    assert walk(FLOAT16, 1.0, 0.001, 50)[-1] == pytest.approx(1.05, abs=0.002)
    assert walk(FLOAT32, 1.0, 0.001, 50)[-1] == pytest.approx(1.05, abs=1e-5)


def test_the_line_tells_the_threshold_of_half_a_spacing():
    live = line_of_numbers()
    assert "swallowed" in live.readout["bfloat16"]
    live.controls["size"].value = -2.25  # 0.0056: more than half of 1/128
    assert "swallowed" not in live.readout["bfloat16"]
    live.controls["weight"].value = 1.0  # at 2 the spacing is twice as large
    assert "swallowed" in live.readout["bfloat16"]


def test_the_first_setting_is_on_the_left_of_the_threshold_where_the_text_says():
    live = line_of_numbers()
    for weight, swallowed in ((-1.0, True), (-2.0, False)):
        live.controls["weight"].value = weight
        assert ("swallowed" in live.readout["bfloat16"]) is swallowed


def test_an_update_beyond_the_picture_is_a_broken_arrow_with_its_length():
    _, parts = _stage()
    _draw_update(parts, 8.192)
    assert (parts["break"].get_text(), parts["length"].get_text()) == ("//", "8.19 spacings")
    _draw_update(parts, 0.5)
    assert (parts["break"].get_text(), parts["length"].get_text()) == ("", "")
    assert parts["tip"].get_xdata() == [0.5]


def test_one_arrow_key_moves_something_on_each_slider():
    live = line_of_numbers()
    for control in live.controls.values():
        image, numbers = live.image.value, live.numbers.value
        control.value += control.step
        assert live.image.value != image
        assert live.numbers.value != numbers
    assert live.error is None


def test_the_same_setting_is_the_same_picture_and_its_numbers_can_be_read():
    live = line_of_numbers()
    first, _ = live.picture.draw(**live.state())
    for weight in (-6.0, 6.0):
        for size in (-5.0, -1.0):
            _, said = live.picture.draw(weight=weight, size=size)
            assert not re.search(r"\d[eE][+-]?\d|inf|nan", " ".join(said.values()))
    again, said = live.picture.draw(**live.state())
    assert again == first
    assert len(said) == 5
