"""What a learner's keyboard does to each kind of widget, and whether its picture follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.driver import MOVING


def move_players(page: Any, shots: Path, name: str) -> int:
    """Move each player's sliders, and its map if it has one, by arrow keys; return how many there are."""
    players = page.locator(".pu-player")
    for index in range(players.count()):
        player = players.nth(index)
        player.scroll_into_view_if_needed()
        for slider in player.locator("input[type=range]").all():
            _press(page, player, slider, "ArrowRight")
        for chart in player.locator(".pu-pick").all():
            _press(page, player, chart, "ArrowUp")
            before = player.evaluate(MOVING)
            chart.click(position={"x": 150, "y": 120})
            assert player.evaluate(MOVING) != before, "a click chose no cell"
        player.screenshot(path=shots / f"{name}-player-{index}.png")
    return int(players.count())


def _press(page: Any, player: Any, target: Any, key: str) -> None:
    target.focus()
    before, said = player.evaluate(MOVING), player.locator(".pu-readout").inner_text()
    for _ in range(3):
        page.keyboard.press(key)
    assert player.evaluate(MOVING) != before, f"{key} left the picture as it was"
    assert player.locator(".pu-readout").inner_text() != said, f"{key} left the numbers as they were"


def move_live(page: Any, shots: Path, name: str) -> int:
    """Move each kernel-driven slider by arrow keys; return how many such pictures there are."""
    boxes = page.locator(".pu-live")
    for index in range(boxes.count()):
        box = boxes.nth(index)
        box.scroll_into_view_if_needed()
        for handle in box.locator(".widget-slider .noUi-handle").all():
            before = box.locator("img").get_attribute("src")
            handle.focus()
            page.keyboard.press("ArrowRight")
            page.wait_for_function(
                "([image, before]) => image.src !== before && image.complete",
                arg=[box.locator("img").element_handle(), before],
            )
        box.screenshot(path=shots / f"{name}-live-{index}.png")
    return int(boxes.count())


def commit_predictions(page: Any, shots: Path, name: str) -> int:
    """Answer each prediction by keyboard; return how many there are."""
    boxes = page.locator(".pu-predict")
    for index in range(boxes.count()):
        box = boxes.nth(index)
        box.scroll_into_view_if_needed()
        if box.locator("button", has_text="Committed").count():
            continue
        radios, text = box.locator("input[type=radio]"), box.locator("input[type=text]")
        if radios.count():
            radios.first.focus()
            page.keyboard.press("Space")
        else:
            text.focus()
            page.keyboard.type("1.5")
        box.locator("button").focus()
        page.keyboard.press("Enter")
        box.locator("button", has_text="Committed").wait_for()
        assert "Your prediction" in box.inner_text()
        box.screenshot(path=shots / f"{name}-predict-{index}.png")
    return int(boxes.count())
