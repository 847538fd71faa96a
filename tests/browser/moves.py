"""What a learner's keyboard does to each kind of widget, and whether its picture follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser.driver import MOVING

FOCUSED = "node => node === document.activeElement"


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
    """Move each kernel-driven slider and menu by arrow keys; return how many such pictures there are."""
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
            said = handle.get_attribute("aria-valuetext")
            assert len(said) <= 5, f"a screen reader says {said}"
            assert handle.get_attribute("aria-label"), "a screen reader does not say what the slider sets"
        for menu in box.locator("select").all():
            before = box.locator("img").get_attribute("src")
            menu.focus()
            page.keyboard.press("ArrowUp")
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
        cells = page.locator(".jp-Cell").count()
        # A click on the question, then the keyboard alone: Tab, arrows, Tab, Enter or the space bar.
        box.locator(".pu-head").click()
        _tab_to(page, box.locator("input").first)
        radios = box.locator("input[type=radio]")
        wanted = _choose(page, radios) if radios.count() else "1.5"
        if not radios.count():
            page.keyboard.type(wanted)
        page.keyboard.press("Tab")
        assert box.locator("button").evaluate(FOCUSED), "Tab missed Commit"
        page.keyboard.press("Space" if index % 2 else "Enter")
        box.locator("button", has_text="Committed").wait_for()
        assert f"Your prediction: {wanted}." in box.inner_text()
        assert page.locator(".jp-Cell").count() == cells, "JupyterLab took a key for itself"
        box.screenshot(path=shots / f"{name}-predict-{index}.png")
    return int(boxes.count())


def _choose(page: Any, radios: Any) -> str:
    """Walk the radio buttons by arrow keys, faster than any hand; return the text of the last one chosen."""
    held = "nodes => nodes.findIndex(node => node === document.activeElement)"
    for key, by in (("ArrowDown", 1), ("ArrowDown", 1), ("ArrowUp", -1)):
        at = radios.evaluate_all(held)
        page.keyboard.press(key)
        assert radios.evaluate_all(held) == (at + by) % radios.count(), f"{key} left the choice as it was"
    assert radios.evaluate_all("nodes => nodes.filter(node => node.checked).length") == 1
    return str(radios.nth(radios.evaluate_all(held)).evaluate("node => node.parentElement.innerText")).strip()


def _tab_to(page: Any, target: Any) -> None:
    """Press Tab until ``target`` has the focus: JupyterLab puts the cell's tool bar before its outputs."""
    for _ in range(4):
        page.keyboard.press("Tab")
        if target.evaluate(FOCUSED):
            return
    raise AssertionError(
        f"Tab missed the first choice: {page.evaluate('document.activeElement.outerHTML')[:200]}"
    )
