"""The player's payload: the same bytes twice, small, safe to put into a page, and faithful to the paths."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable

import numpy as np
import pytest

from course.widgets import (
    batch_size_noise,
    learning_rate_on_a_ravine,
    momentum_phase_diagram,
    pipeline_chart,
    ring_in_motion,
    small_gradients,
    staleness_map,
)
from course.widgets.pane import FAR, Axis, Pane, quantise, trail
from course.widgets.player import Control, Player


def learning_rate_and_theory() -> Player:
    return learning_rate_on_a_ravine(theory=True)


PLAYERS = [
    batch_size_noise,
    learning_rate_on_a_ravine,
    learning_rate_and_theory,
    momentum_phase_diagram,
    pipeline_chart,
    ring_in_motion,
    small_gradients,
    staleness_map,
]


@pytest.fixture(params=PLAYERS, ids=lambda function: function.__name__)
def build(request: pytest.FixtureRequest) -> Callable[[], Player]:
    return request.param


def payload(page: str) -> dict:
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S).group(1))


@pytest.mark.thorough
def test_the_same_bytes_twice_and_few(build: Callable[[], Player]) -> None:
    page = build().html()
    assert build().html() == page
    assert len(page.encode()) < 250_000


def test_no_ids_and_nothing_from_the_network(build: Callable[[], Player]) -> None:
    page = build().html()
    assert not re.search(r"\sid=", page)
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_what_a_screen_reader_needs_is_there(build: Callable[[], Player]) -> None:
    player = build()
    page = player.html()
    assert page.count('type="range"') == len(player.controls) == page.count('aria-valuetext="')
    assert page.count('aria-label="') == len(player.controls) + len(player.panes)
    assert 'aria-live="polite"' in page
    assert player.caption[:40] in page


def test_the_page_without_scripts_shows_the_first_picture(build: Callable[[], Player]) -> None:
    player = build()
    bundle = player._repr_mimebundle_()
    path = player.shown_first(player.tracks[len(player.panes) - 1])
    drawn = trail(path)[0] if player.panes[-1].style == "line" else f"translate({path[-1][0]} {path[-1][1]})"
    assert f'{drawn}"' in bundle["text/html"]
    assert player.title in bundle["text/plain"]
    assert all(text in bundle["text/plain"] for text in player.readouts[player.start])


def test_packed_paths_are_the_paths(build: Callable[[], Player]) -> None:
    player = build()
    data = payload(player.html())
    runners = [(pane, runner) for pane in player.panes for runner in pane.runners]
    moving = [*((pane, pane) for pane in player.panes), *runners]
    for (pane, mover), packed, lengths in zip(moving, data["paths"], data["lengths"], strict=True):
        numbers = np.frombuffer(base64.b64decode(packed), "<i2").reshape(-1, 2)
        assert len(numbers) == sum(lengths)
        first = numbers[: lengths[0]]
        inside = np.abs(first).max(axis=1) < FAR
        wanted = pane.units(np.asarray(mover.paths[0], dtype=float))[: lengths[0]]
        np.testing.assert_allclose(first[inside], wanted[inside], atol=0.51)


def test_a_path_that_leaves_keeps_its_direction() -> None:
    path = quantise(np.array([[0.0, 0.0], [1000.0, 500.0], [1e9, 5e8], [np.inf, 0.0]]))
    assert len(path) == 3
    assert path[-1][0] == FAR
    assert path[-1][1] == pytest.approx(FAR / 2, abs=1)


def test_a_path_that_rests_is_sent_once() -> None:
    assert quantise(np.array([[5.0, 5.0], [7.0, 7.0], [7.1, 7.0], [6.9, 7.0]])).tolist() == [[5, 5], [7, 7]]
    assert quantise(np.zeros((50, 2))).tolist() == [[0, 0]]


def test_text_cannot_end_the_script() -> None:
    axis = Axis("x", 0.0, 1.0, [(0.0, "0")])
    pane = Pane("</script><b>", axis, axis, [np.zeros((1, 2))] * 2)
    page = Player(
        "t", "c", [pane], [Control("</script>", ["</script>", "b"])], ["n"], [["</script>"], ["1"]]
    ).html()
    assert page.count("</script>") == 2
    assert payload(page)["texts"] == [["</script>", "b"]]


def test_frames_must_match_the_sliders() -> None:
    axis = Axis("x", 0.0, 1.0, [])
    with pytest.raises(ValueError, match="2 settings"):
        Player(
            "t", "c", [Pane("p", axis, axis, [np.zeros((1, 2))])], [Control("a", ["1", "2"])], [], [[], []]
        )


def test_past_the_limit_the_path_leaves_the_picture_and_the_words_say_so() -> None:
    player = learning_rate_on_a_ravine()
    diverging = [row[2] == "diverges" for row in player.readouts]
    rates = [float(text) for text in player.controls[0].texts]
    assert diverging == [rate > 2.0 + 1e-9 for rate in rates]
    last = player.panes[0].quantised()[-1]
    assert np.abs(last).max() == FAR


def test_grey_cells_are_those_past_theorys_boundary() -> None:
    player = momentum_phase_diagram()
    rates, momenta = ([float(text) for text in control.texts] for control in player.controls)
    wanted = [rate > 2 + 2 * beta + 1e-9 for rate in rates for beta in momenta]
    assert [row[2] == "diverges" for row in player.readouts] == wanted


def test_readouts_are_numbers_that_one_can_read(build: Callable[[], Player]) -> None:
    words = "\n".join(text for row in build().readouts for text in row)
    assert not re.search(r"\d[eE][+-]?\d|inf|nan", words)


def test_a_label_names_a_unit_only_where_there_is_one(build: Callable[[], Player]) -> None:
    assert "no unit" not in build().html()


def test_the_ticks_of_a_logarithmic_axis_are_written_one_way(build: Callable[[], Player]) -> None:
    for axis in (axis for pane in build().panes for axis in (pane.x, pane.y) if axis.log):
        assert len({text.startswith("10") for _, text in axis.ticks}) == 1


def test_mu_is_the_momentum_and_no_curvature() -> None:
    page = learning_rate_on_a_ravine(theory=True).html()
    assert "μ" not in page
    assert "best: 2/(L + ℓ)" in page


def test_what_has_run_away_is_said_in_words() -> None:
    for player in (learning_rate_on_a_ravine(), momentum_phase_diagram()):
        assert any(row[1] == "out of range" for row in player.readouts)
        assert all(row[2] == "diverges" for row in player.readouts if row[1] == "out of range")
