"""Every widget in a real JupyterLab, apart from the lessons: it shows, moves by keyboard, fails aloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import driver, moves

PLAYERS = [
    "batch_size_noise()",
    "learning_rate_on_a_ravine()",
    "learning_rate_on_a_ravine()",
    "learning_rate_on_a_ravine(theory=True)",
    "momentum_phase_diagram()",
    "small_gradients()",
    "trust_ratio_by_batch()",
    "race_of_rules()",
    "ring_in_motion()",
    "the_cliff()",
    "illnesses()",
    "memory_bars()",
    "pipeline_chart()",
    "staleness_map()",
]
LIVE = [
    "drag_a_step()",
    "momentum_slider()",
    "rotate_the_ravine()",
    "effective_decay()",
    "line_of_numbers()",
    "recipe_explorer()",
]
CELLS = [
    "from course.widgets import *",
    *PLAYERS,
    *LIVE,
    "predict('workshop.choice', 'Which is faster?', ['A long walk', 'A short walk'])",
    "predict('workshop.number', 'By what factor does the loss fall?')",
    "reveal('workshop.choice', 'A short walk', 'It is shorter.')",
    "alt('A sentence below a picture.')",
]


@pytest.fixture(scope="module")
def workshop(browser: Any, server: driver.Server) -> Iterator[driver.Notebook]:
    driver.write_notebook(server.work / "workshop.ipynb", CELLS)
    notebook = driver.Notebook(browser, server, "workshop.ipynb")
    notebook.run_all()
    yield notebook
    notebook.close()


def test_all_cells_run_without_error_or_pop_up(workshop: driver.Notebook) -> None:
    assert workshop.errors() == []
    assert workshop.not_run() == []
    assert workshop.pop_ups() == []


def test_players_follow_the_keyboard(workshop: driver.Notebook, artifacts: Path) -> None:
    assert moves.move_players(workshop.page, artifacts, "workshop") == len(PLAYERS)
    assert workshop.errors() == []


def test_two_copies_of_one_player_move_apart(workshop: driver.Notebook) -> None:
    first, second = (workshop.page.locator(".pu-player").nth(index) for index in (1, 2))
    before = second.evaluate(driver.MOVING)
    first.locator("input[type=range]").focus()
    for _ in range(4):
        workshop.page.keyboard.press("ArrowRight")
    assert second.evaluate(driver.MOVING) == before != first.evaluate(driver.MOVING)


def test_another_patient_does_not_begin_with_its_cause(workshop: driver.Notebook, artifacts: Path) -> None:
    player = workshop.page.locator(".pu-player").nth(PLAYERS.index("illnesses()"))
    patient, step = player.locator("input[type=range]").all()
    cause = player.locator(".pu-readout b").last
    player.scroll_into_view_if_needed()
    tall = player.bounding_box()["height"]
    step.focus()
    workshop.page.keyboard.press("End")
    assert cause.inner_text() != "?"
    assert player.bounding_box()["height"] == tall
    player.screenshot(path=artifacts / "workshop-illnesses-cause.png")
    patient.focus()
    workshop.page.keyboard.press("ArrowRight")
    assert cause.inner_text() == "?"
    assert step.evaluate("node => node.value") == step.get_attribute("value")
    assert player.bounding_box()["height"] == tall


def test_kernel_driven_pictures_follow_the_keyboard(workshop: driver.Notebook, artifacts: Path) -> None:
    assert moves.move_live(workshop.page, artifacts, "workshop") == len(LIVE)
    assert workshop.errors() == []


def test_predictions_are_taken_by_keyboard_and_locked(workshop: driver.Notebook, artifacts: Path) -> None:
    assert moves.commit_predictions(workshop.page, artifacts, "workshop") == 2
    assert all(field.is_disabled() for field in workshop.page.locator(".pu-predict input").all()), (
        "a committed prediction can still be changed"
    )


@pytest.mark.parametrize("theme", ["Dark", "Light"])
def test_every_text_can_be_read_in_both_themes(
    theme: str, workshop: driver.Notebook, artifacts: Path
) -> None:
    workshop.theme(theme)
    for index, card in enumerate(workshop.page.locator(".pu-card").all()):
        card.scroll_into_view_if_needed()
        card.screenshot(path=artifacts / f"workshop-{theme.lower()}-{index}.png")
    found = workshop.contrasts()
    kinds = {name for each, _, _ in found for name in each.split()}
    assert {"pu-head", "pu-caption", "pu-body", "pu-name", "pu-value", "widget-readout", "b"} <= kinds
    assert any("Your prediction" in text for _, text, _ in found)
    assert [(where, text, round(ratio, 2)) for where, text, ratio in found if ratio < 4.5] == []


def test_keys_that_run_cells_still_do(workshop: driver.Notebook) -> None:
    page = workshop.page
    page.locator(".pu-live .noUi-handle").first.focus()
    first_live = 1 + len(PLAYERS)
    before = workshop.cells()[first_live]["execution_count"]
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(
        """([index, before]) => window.jupyterapp.shell.currentWidget.content.model.sharedModel
            .cells[index].execution_count > before""",
        arg=[first_live, before],
    )
    assert len(workshop.cells()) == len(CELLS)


def test_a_choice_made_while_the_kernel_is_busy_is_the_one_that_counts(
    browser: Any, server: driver.Server
) -> None:
    driver.write_notebook(
        server.work / "busy.ipynb",
        ["from course.widgets import predict\npredict('workshop.busy', 'Which?', ['one', 'two', 'three'])"],
    )
    notebook = driver.Notebook(browser, server, "busy.ipynb")
    try:
        notebook.run_all()
        radios = notebook.page.locator(".pu-predict input[type=radio]")
        radios.first.wait_for()
        notebook.page.evaluate(
            """() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute(
                { code: "import time; time.sleep(2)" }); }"""
        )
        radios.nth(0).click()
        radios.nth(1).click()
        notebook.page.locator(".pu-predict button").click()
        notebook.page.get_by_text("Your prediction: two.").wait_for()
    finally:
        notebook.close()


def test_a_picture_that_fails_says_so(browser: Any, server: driver.Server) -> None:
    driver.write_notebook(
        server.work / "broken.ipynb",
        [
            "from course.widgets import drag_a_step\nlive = drag_a_step()\nlive",
            "def broken(lr):\n    raise ZeroDivisionError('on purpose')\nlive.picture.update = broken",
        ],
    )
    notebook = driver.Notebook(browser, server, "broken.ipynb")
    notebook.run_all()
    notebook.page.locator(".pu-live .noUi-handle").focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.locator(".pu-error").wait_for()
    assert notebook.errors() == ["This picture failed: ZeroDivisionError: on purpose"]
    notebook.close()
