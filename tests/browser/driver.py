"""A real JupyterLab: started on the loopback, driven in a browser, and ended by process id."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from course.authoring.lab import server_command

START_SECONDS = 60
RUN_SECONDS = 150

# The state of the moving parts of a player, as one text.
MOVING = """root => [...root.querySelectorAll(".pu-line, .pu-last, .pu-cell")]
    .map(node => node.getAttribute("d") || node.getAttribute("transform")).join("|")"""


@dataclass(frozen=True)
class Server:
    """A JupyterLab that answers at ``url`` and serves the folder ``work``."""

    url: str
    token: str
    work: Path


@contextlib.contextmanager
def jupyterlab(work: Path, home: Path) -> Iterator[Server]:
    """Yield JupyterLab on ``work``, started as ``course lab`` starts it; its state stays under ``home``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    argv, environment = server_command(
        work, port=port, token=token, extra=["--LabApp.expose_app_in_browser=True"]
    )
    for name, folder in {
        "COURSE_HOME": "course",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
    }.items():
        environment[name] = str(home / folder)
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(argv, env=environment, stdout=log, stderr=log)
    try:
        server = Server(f"http://127.0.0.1:{port}", token, work)
        _await(server, process, home / "server.log")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{server.url}/api/status?token={server.token}", timeout=5).close()
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start; its log ends with:\n{log.read_text()[-2000:]}")


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write a notebook of code cells to ``path``."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


# For every text in the cards: [where, text, contrast to the colour behind it, by WCAG's formula].
CONTRASTS = """() => {
    const parse = text => {
        const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
        return { rgb: [r, g, b], a };
    };
    const over = (top, alpha, base) => top.map((each, k) => alpha * each + (1 - alpha) * base[k]);
    const behind = node => {
        for (; node; node = node.parentElement) {
            const { rgb, a } = parse(getComputedStyle(node).backgroundColor);
            if (a === 1) return rgb;
            if (a > 0) return over(rgb, a, behind(node.parentElement));
        }
        return [255, 255, 255];
    };
    const light = rgb => rgb.map(each => each / 255)
        .map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
        .reduce((sum, each, k) => sum + each * [0.2126, 0.7152, 0.0722][k], 0);
    const own = node => [...node.childNodes].some(each => each.nodeType === 3 && each.data.trim());
    return [...document.querySelectorAll(".pu-card *, .pu-caption")]
        .filter(node => own(node) && !node.matches("style, script, .pu-note") && node.getClientRects().length)
        .map(node => {
            const style = getComputedStyle(node), back = behind(node);
            const { rgb, a } = parse(node instanceof SVGElement ? style.fill : style.color);
            const front = over(rgb, a * style.opacity, back);
            const [low, high] = [light(front), light(back)].sort((x, y) => x - y);
            return [node.getAttribute("class") || node.localName, node.textContent.trim(),
                (high + 0.05) / (low + 0.05)];
        });
}"""


class Notebook:
    """One notebook, open in JupyterLab.

    Args:
        browser: from ``chromium()``.
        server: from ``jupyterlab()``.
        name: of the notebook, within the server's folder.
        scale: device pixels per pixel; 2 for pictures that are shown elsewhere.
    """

    def __init__(self, browser: Any, server: Server, name: str, scale: int = 1) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, device_scale_factor=scale)
        self.page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.name = name
        self.page.goto(f"{server.url}/lab/tree/{name}?reset&token={server.token}")
        # The indicator says idle before the websocket is up, and cells run then are lost.
        self.page.wait_for_function(
            """name => {
                const panel = window.jupyterapp?.shell?.currentWidget;
                const kernel = panel?.sessionContext?.session?.kernel;
                return panel?.context?.path === name && kernel?.connectionStatus === "connected"
                    && kernel.status === "idle";
            }""",
            arg=name,
            timeout=60_000,
        )

    def run_all(self) -> None:
        """Run every cell, and wait until the kernel is idle again."""
        done = self.page.evaluate(
            """limit => Promise.race([
                window.jupyterapp.commands.execute("notebook:run-all-cells").then(() => "done"),
                new Promise(resolve => setTimeout(() => resolve("timeout"), limit)),
            ])""",
            RUN_SECONDS * 1000,
        )
        assert done == "done", f"{self.name} was not done within {RUN_SECONDS} s"
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        )

    def cells(self) -> list[dict[str, Any]]:
        """Return the cells as the notebook's model has them now, outputs included."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"
        )
        return found

    def pop_ups(self) -> list[str]:
        """Return the texts of pop-ups; with a network, JupyterLab would ask whether to fetch its news."""
        shown = self.page.locator(".Toastify__toast, .jp-Dialog").all_inner_texts()
        asks = self.page.evaluate(
            "window.jupyterapp.hasPlugin('@jupyterlab/apputils-extension:announcements')"
        )
        return [*shown, *(["the news pop-up is not switched off"] if asks else [])]

    def errors(self) -> list[str]:
        """Return what went wrong in any cell or widget, in words."""
        found = [
            f"{output['ename']}: {output['evalue']} in: {''.join(cell['source'])[:200]}"
            for cell in self.cells()
            for output in cell.get("outputs", [])
            if output["output_type"] == "error"
        ]
        return found + self.page.locator(".pu-error").all_inner_texts()

    def not_run(self) -> list[str]:
        """Return the sources of code cells that were not run: an error before them stops the rest."""
        return [
            "".join(cell["source"])
            for cell in self.cells()
            if cell["cell_type"] == "code" and "".join(cell["source"]).strip() and not cell["execution_count"]
        ]

    def theme(self, name: str) -> None:
        """Change JupyterLab's theme, ``Light`` or ``Dark``."""
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
            f"JupyterLab {name}",
        )
        self.page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light", arg=str(name == "Light").lower()
        )
        self.page.wait_for_timeout(500)  # its style sheet is still being read

    def contrasts(self) -> list[tuple[str, str, float]]:
        """Return class, text and contrast of every text in the widgets' cards."""
        return [tuple(each) for each in self.page.evaluate(CONTRASTS)]

    def picture(self, first: str, last: str, path: Path) -> None:
        """Write a picture of the cells from the one with ``first`` to the one with ``last``, and no more."""
        self.page.mouse.move(0, 0)
        box = self.page.evaluate(
            """([first, last]) => {
                const cells = window.jupyterapp.shell.currentWidget.content.widgets;
                const find = text => cells.find(cell =>
                    cell.model.type === "code" && cell.model.sharedModel.source.includes(text)).node;
                const [top, end] = [find(first), find(last)].map(node => node.getBoundingClientRect());
                return { x: top.x, y: top.y, width: top.width, height: end.bottom - top.y };
            }""",
            [first, last],
        )
        self.page.screenshot(path=path, clip=box)

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        self.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.context.close()

    def write_cell(self, marker: str, source: str) -> None:
        """Replace the source of the first code cell that contains ``marker``."""
        written = self.page.evaluate(
            """([marker, source]) => {
                const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells;
                const cell = cells.find(each => each.cell_type === "code" && each.source.includes(marker));
                if (cell) cell.setSource(source);
                return Boolean(cell);
            }""",
            [marker, source],
        )
        assert written, f"{self.name} has no code cell with {marker!r}"

    def show(self, marker: str) -> None:
        """Scroll the first code cell that contains ``marker`` to the top, and make it the active one."""
        for _ in range(2):  # what is above takes its full height only once it was near the screen
            self.page.evaluate(
                """marker => {
                    const content = window.jupyterapp.shell.currentWidget.content;
                    const index = content.widgets.findIndex(cell =>
                        cell.model.type === "code" && cell.model.sharedModel.source.includes(marker));
                    content.activeCellIndex = index;
                    content.widgets[index].node.scrollIntoView({ block: "start" });
                }""",
                marker,
            )
            self.page.wait_for_timeout(400)

    def output(self, marker: str) -> str:
        """Return the plain text of the outputs of the first code cell that contains ``marker``."""
        cell = next(each for each in self.cells() if marker in "".join(each["source"]))
        texts = (output.get("data", {}).get("text/plain", "") for output in cell["outputs"])
        return "\n".join("".join(text) for text in texts)
