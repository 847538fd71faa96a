"""The wiring of kernel-driven pictures: a slider changes the picture, and a failure is never swallowed."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from course.widgets import drag_a_step, momentum_slider, rotate_the_ravine
from course.widgets.blit import Live
from course.widgets.first_steps import ten_steps
from course.widgets.momentum import RULES, exact_rate

WIDGETS = [drag_a_step, momentum_slider, rotate_the_ravine]


@pytest.fixture(scope="module", params=WIDGETS, ids=lambda function: function.__name__)
def live(request: pytest.FixtureRequest) -> Live:
    return request.param()


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_every_control_changes_picture_and_numbers(live: Live) -> None:
    for control in live.controls.values():
        image, numbers = live.image.value, live.numbers.value
        control.value = control.value + 0.1 if hasattr(control, "step") else control.options[1]
        assert live.image.value != image
        assert live.numbers.value != numbers


def test_a_blitted_picture_leaves_no_trace_of_the_last_one(live: Live) -> None:
    before = live.state()
    fresh, _ = live.picture.draw(**before)
    live.picture.draw(**(before | {"lr": 1.0}))
    again, _ = live.picture.draw(**before)
    assert again == fresh


def test_pages_without_a_kernel_get_the_picture(live: Live) -> None:
    bundle = live._repr_mimebundle_()
    assert set(bundle) == {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"}
    assert live.caption in bundle["text/plain"]
    assert pixels(live.image.value).shape[2] == 3


def test_no_pyplot_figure_is_left_open(live: Live) -> None:
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []


def test_a_failing_picture_is_loud_and_recovers() -> None:
    live = drag_a_step()
    working = live.picture.update

    def broken(**_state: Any) -> dict[str, str]:
        raise ZeroDivisionError("<on purpose>")

    live.picture.update = broken
    with pytest.raises(ZeroDivisionError):
        live.controls["lr"].value = 0.5
    assert isinstance(live.error, ZeroDivisionError)
    assert "pu-error" in live.numbers.value
    assert "&lt;on purpose&gt;" in live.numbers.value
    live.picture.update = working
    live.controls["lr"].value = 0.6
    assert live.error is None
    assert "pu-error" not in live.numbers.value


def test_ten_steps_are_gradient_descent_on_a_parabola() -> None:
    np.testing.assert_allclose(ten_steps(0.2), -1.6 * 0.6 ** np.arange(11))
    np.testing.assert_allclose(ten_steps(0.5)[1:], 0, atol=1e-15)


def test_every_rule_of_the_buttons_has_its_rate() -> None:
    rates = {name: exact_rate(name, 1.0, 0.5, [0.04, 1.0]) for name in RULES}
    assert rates["SGD"] == pytest.approx(0.96)
    assert rates["Heavy ball"] < rates["SGD"]
    assert rates["Nesterov"] < rates["SGD"]


def test_the_caption_leaves_the_three_rates_to_the_learner() -> None:
    assert not re.search(r"\d\.\d|past 1|0,5", drag_a_step().caption)


def test_readouts_stay_readable_at_both_ends_of_every_slider(live: Live) -> None:
    for name, control in live.controls.items():
        for value in (control.min, control.max) if hasattr(control, "step") else control.options:
            _, readout = live.picture.draw(**(live.state() | {name: value}))
            assert not re.search(r"\de[+-]?\d|inf|nan", " ".join(readout.values()))


def test_a_card_brings_its_style_and_its_keys(live: Live) -> None:
    assert {"pu-card", "pu-live"} <= set(live.box._dom_classes)
    assert "--jp-layout-color1" in live.box.children[0].value
    script = live.box.children[-1].outputs[0]["data"]["text/html"]
    assert script.startswith("<script>")
    assert "</" not in script[:-9]
