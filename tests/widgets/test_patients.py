"""The eight patients: each shows its illness where the caption says, and the cause only when asked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from course.widgets import illnesses
from course.widgets.models import illnesses as model
from course.widgets.player import Player

BY_CAUSE = {each.cause: each for each in model.PATIENTS}


@pytest.fixture(scope="module")
def player() -> Player:
    return illnesses()


def seen(words: str) -> model.Course:
    return model.course_of(next(each for cause, each in BY_CAUSE.items() if words in cause))


def test_a_small_page_without_ids_or_exponents(player: Player) -> None:
    page = player.html()
    assert len(page.encode()) < 250_000
    assert not re.search(r"\sid=", page)
    assert not re.search(r"\d[eE][+-]?\d|inf|nan", "\n".join(text for row in player.readouts for text in row))
    assert page == illnesses().html()


def test_the_cause_is_told_at_the_last_step_and_not_before(player: Player) -> None:
    assert len(BY_CAUSE) == len(model.PATIENTS) == 8
    told = [row[-1] for row in player.readouts]
    for i, each in enumerate(model.PATIENTS):
        own = told[i * model.STEPS : (i + 1) * model.STEPS]
        assert set(own[:-1]) == {"?"}
        assert own[-1] == each.cause
    assert player.readouts[player.start][-1] == "?"


def test_the_healthy_run_learns_and_no_patient_does_as_well() -> None:
    healthy = model.course_of(model.HEALTHY).loss
    assert healthy[-1] < 0.2 * healthy[0]
    assert all(model.course_of(each).loss[-1] > 1.5 * healthy[-1] for each in model.PATIENTS)


def test_each_illness_shows_where_it_is() -> None:
    assert not seen("no optimizer").ratio["last"].any()
    assert seen("no optimizer").gradient["last"].all()
    assert not seen("frozen").gradient["first"].any()
    assert seen("frozen").ratio["last"].all()
    assert not seen("before the step").gradient["last"].any()
    assert np.ptp(seen("before the step").loss) == 0
    assert seen("1000 times").ratio["first"].max() < 1e-4
    assert seen("20 times too small").gradient["first"][0] < 0.01 * seen("labels").gradient["first"][0]
    assert seen("10 times").ratio["first"][0] > 0.3


def test_gradients_that_are_never_cleared_are_the_sum_of_all() -> None:
    course, first = seen("never cleared"), model.course_of(model.HEALTHY)
    assert course.gradient["last"][0] == first.gradient["last"][0]
    assert course.gradient["last"].max() > 4 * first.gradient["last"].max()


def test_another_patient_begins_in_the_middle_of_the_run_and_nothing_jumps(player: Player) -> None:
    page = player.html()
    assert f'"rewind":{player.controls[-1].start}}}' in page
    assert player.controls[-1].start < model.STEPS - 1
    longest = max(len(each.cause) for each in model.PATIENTS)
    assert f'style="min-width:{longest}ch"><span>Cause' in page
    assert player.labels[-1] == "Cause"
