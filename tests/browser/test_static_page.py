"""A page without a kernel: players still move, and where scripts do not run a picture is still there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from course.widgets import drag_a_step, learning_rate_on_a_ravine, momentum_phase_diagram
from tests.browser import moves


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook with three outputs, as nbconvert exports it to HTML."""
    shown = [learning_rate_on_a_ravine(), momentum_phase_diagram(), drag_a_step()]
    cells = []
    for thing in shown:
        cell = nbformat.v4.new_code_cell("...")
        cell.outputs = [nbformat.v4.new_output("display_data", data=thing._repr_mimebundle_())]
        cells.append(cell)
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    path = tmp_path_factory.mktemp("static") / "page.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def page(request: pytest.FixtureRequest, browser: Any, exported: Path) -> Iterator[Any]:
    context = browser.new_context(java_script_enabled=request.param, viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    # The page may ask for its mathematics at a CDN; the test stays on this machine.
    opened.route(
        "**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort()
    )
    opened.goto(exported.as_uri(), wait_until="domcontentloaded")
    yield opened
    context.close()


@pytest.mark.parametrize("page", [True], indirect=True)
def test_players_move_without_a_kernel(page: Any, artifacts: Path) -> None:
    assert moves.move_players(page, artifacts, "static") == 2


def test_every_widget_shows_a_picture(page: Any) -> None:
    players = page.locator(".pu-player")
    assert players.count() == 2
    for player in players.all():
        assert len(player.locator(".pu-line").first.get_attribute("d")) > 20
    # The kernel-driven one: its picture as it stood.
    picture = page.locator("img[src^='data:image/png']")
    assert picture.count() == 1
    assert picture.bounding_box()["width"] > 300
