"""The pipeline's chart: what it shows is the schedule on paper, told in words as well."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from course.widgets import pipeline_chart
from course.widgets.models.pipeline import FORMS, PER_STAGE, STAGES, chart
from course.widgets.pipeline import END, HALF, KINDS, SHORT, WIDTH

SETTINGS = list(product(FORMS, STAGES, PER_STAGE))


@pytest.mark.parametrize(("form", "stages", "per_stage"), SETTINGS)
def test_every_stage_works_for_one_unit_and_one_piece_at_a_time(form, stages, per_stage):
    found = chart(form, stages, per_stage)
    for row in found.spans:
        assert sum(span.end - span.start for span in row) == pytest.approx(1)
        assert all(a.end <= b.start + 1e-12 for a, b in pairwise(row))
    assert found.bubble == pytest.approx(found.ideal / (1 + found.ideal))
    assert 1 + found.ideal < END


@pytest.mark.parametrize(("form", "stages", "per_stage"), SETTINGS)
def test_a_micro_batch_goes_through_all_places_in_order(form, stages, per_stage):
    found = chart(form, stages, per_stage)
    spans = [span for row in found.spans for span in row]
    for micro in range(stages * per_stage):
        ahead = sorted((s.place, s.start, s.end) for s in spans if (s.kind, s.micro) == ("F", micro))
        back = sorted((-s.place, s.start, s.end) for s in spans if (s.kind, s.micro) == ("B", micro))
        assert all(a[2] <= b[1] + 1e-12 for way in (ahead, back) for a, b in pairwise(way))
        assert ahead[-1][2] <= back[0][1] + 1e-12


@pytest.mark.parametrize(("stages", "per_stage"), list(product(STAGES, PER_STAGE)))
def test_the_bubbles_are_those_of_theory(stages, per_stage):
    micros, first = stages * per_stage, stages - 1
    shares = {form: chart(form, stages, per_stage).ideal for form in FORMS}
    assert shares["GPipe"] == pytest.approx(first / micros)
    assert shares["1F1B"] == shares["GPipe"]
    assert shares["interleaved"] == pytest.approx(first / micros / 2)
    assert shares["zero bubble"] == pytest.approx(first / micros / 3)


def test_1f1b_holds_as_many_as_there_are_stages_left():
    assert chart("GPipe", 4, 4).held == [16] * 4
    assert chart("1F1B", 4, 4).held == [4, 3, 2, 1]


def test_the_player_tells_bubble_and_memory_in_words():
    player = pipeline_chart()
    assert len(player.readouts) == len(SETTINGS)
    assert [control.label for control in player.controls] == ["Schedule", "Stages", "Micro-batches"]
    at = SETTINGS.index(("1F1B", 4, 1))
    assert player.readouts[at] == ("42.9%", "75.0%", "4 micro-batches", "1 micro-batch")
    html = player.html()
    assert len(html.encode()) < 250_000
    assert html.count('type="range"') == 3


def test_kinds_differ_in_place_or_in_lines_and_not_in_colour_alone():
    player = pipeline_chart()
    time = player.panes[0]
    frame = SETTINGS.index(("zero bubble", 4, 2))
    tracks = [time.paths, *(runner.paths for runner in time.runners)]
    forwards, backwards, weights = (np.asarray(tracks[4 * i][frame]) for i in range(len(KINDS)))
    assert (forwards[:, 1].min(), forwards[:, 1].max()) == pytest.approx((0, HALF))
    for below in (backwards, weights):
        assert (below[:, 1].min(), below[:, 1].max()) == pytest.approx((-HALF, 0))
    levels = [len(np.unique(np.round(points[:, 1], 9))) for points in (backwards, weights)]
    assert levels == [5, 2]  # level lines, upright lines


@pytest.mark.parametrize(("stages", "per_stage"), list(product(STAGES, PER_STAGE)))
def test_neighbouring_forwards_are_seen_as_several_boxes(stages, per_stage):
    points = np.asarray(pipeline_chart().panes[0].paths[SETTINGS.index(("GPipe", stages, per_stage))])
    inside = np.unique(np.round(points[points[:, 1] > HALF / 2][:, 0], 9))  # along the boxes' upper edges
    steps = np.sort(np.diff(inside) / END * WIDTH)  # in pixels; between two boxes they are the widest
    between = steps[-(stages * per_stage - 1) :]
    assert between.min() - 1.6 > 0.8  # a line is 1.6 pixels wide
    assert steps[: -(stages * per_stage - 1)].max() < 1.6


def test_the_caption_fits_a_narrow_page_and_the_values_their_place():
    caption = pipeline_chart().caption
    assert not {"left", "right:", "left:"} & set(caption.lower().split())
    assert all(len(text) <= 6 for text in SHORT)


def test_a_stage_that_is_not_there_shows_nothing():
    player = pipeline_chart()
    frame = SETTINGS.index(("GPipe", 2, 1))
    fourth = np.asarray(player.panes[0].runners[2].paths[frame])
    assert (fourth[:, 0] < 0).all()
    assert np.asarray(player.panes[1].runners[2].paths[frame])[:, 1].max() == 0
