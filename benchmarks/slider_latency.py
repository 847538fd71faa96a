"""How long a kernel-driven picture takes to follow a key press, in a real JupyterLab in a real Chromium.

Measured in the page: from the ``keydown`` event to the ``load`` event of the changed image, over the whole
way (browser, server, kernel, and back). ``python -m benchmarks.slider_latency`` prints the figures.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from tests.browser import chromium, driver

WIDGETS = ("drag_a_step", "momentum_slider")
PRESSES = 20
PAUSE_MS = 200  # between presses; waiting by polling would compete with what is measured

# Notes the time of each key press and of each new picture; the capture phase comes before any handler.
WATCH = """image => {
    window.pressed = []; window.pictures = [];
    window.addEventListener("keydown", event => window.pressed.push(event.timeStamp), true);
    image.addEventListener("load", () => window.pictures.push(performance.now()));
}"""


def measure(presses: int = PRESSES) -> dict[str, Any]:
    """Return for each kernel-driven widget the median and the largest latency, in milliseconds.

    Where no browser can be driven, the reason stands under "skipped".
    """
    reason = chromium.why_not()
    if reason:
        return {"skipped": reason}
    with tempfile.TemporaryDirectory() as folder, chromium.chromium() as browser:
        work = Path(folder) / "work"
        work.mkdir()
        for name in WIDGETS:
            driver.write_notebook(work / f"{name}.ipynb", [f"from course.widgets import {name}\n{name}()"])
        with driver.jupyterlab(work, Path(folder) / "home") as server:
            return {name: _latency(browser, server, name, presses) for name in WIDGETS}


def _latency(browser: Any, server: driver.Server, name: str, presses: int) -> dict[str, float]:
    notebook = driver.Notebook(browser, server, f"{name}.ipynb")
    notebook.run_all()
    page = notebook.page
    image = page.locator(".pu-live img").first
    image.wait_for()
    page.locator(".pu-live .widget-slider .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")  # the first picture also draws what stands still
    page.wait_for_timeout(500)
    image.evaluate(WATCH)
    for press in range(presses):
        page.keyboard.press("ArrowRight" if press % 10 < 5 else "ArrowLeft")
        page.wait_for_timeout(PAUSE_MS)
    pressed, pictures = page.evaluate("[window.pressed, window.pictures]")
    notebook.close()
    if len(pressed) != len(pictures):
        raise RuntimeError(f"{name}: {len(pressed)} key presses made {len(pictures)} pictures")
    times = [after - before for before, after in zip(pressed, pictures, strict=True)]
    return {
        "median_ms": round(statistics.median(times), 1),
        "max_ms": round(max(times), 1),
        "presses": presses,
    }


if __name__ == "__main__":
    for widget, figures in measure().items():
        print(widget, figures)
