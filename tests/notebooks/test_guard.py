"""Each hole of nbval, shown by a broken notebook that must fail; and good notebooks that must pass.

All notebooks go through one pytest run of their own; every test below then reads its part of the report.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

# nbval's own tag for an expected exception, and for an output to be compared.
RAISES, COMPARE = "raises-exception", "nbval-check-output"


@dataclass(frozen=True)
class Code:
    """A code cell; ``out`` is the stored text, None where the cell was never run."""

    source: str
    tags: tuple[str, ...] = ()
    out: str | None = None


GOOD = {
    "good": [
        Code("print(1 + 1)", (COMPARE,), "2\n"),
        Code("1 / 0", (RAISES,)),
        Code(
            "import ipywidgets\nslider = ipywidgets.IntSlider()\n"
            "picture = ipywidgets.interactive(lambda x: print(x), x=slider)\nslider.value = 3"
        ),
        Code("import threading\nthread = threading.Thread(target=print)\nthread.start(); thread.join()"),
        Code("try:\n    1 / 0\nexcept ZeroDivisionError:\n    print('caught')"),
    ],
    "surroundings": [
        Code("import os, tempfile\nassert os.environ['COURSE_HOME'].startswith(tempfile.gettempdir())"),
        Code(
            "assert os.environ['COURSE_HOME'] != 'somewhere' and 'MPLBACKEND' not in os.environ or "
            "'inline' in os.environ['MPLBACKEND']"
        ),
    ],
}

# Notebook -> its cells, the number of the cell that must fail, and what the failure must say.
BROKEN: Mapping[str, tuple[list[Code], int, str]] = {
    "wrong_output": ([Code("print(1 + 1)", (COMPARE,), "3\n")], 0, "outputs differ"),
    "no_exception": ([Code("x = 1", (RAISES,))], 0, "marked as raising an exception, and raised none"),
    "unknown_line_magic": (
        [Code("x = 1"), Code("%nosuchmagic\nx = 2")],
        1,
        "Line magic function `%nosuchmagic`",
    ),
    "unknown_cell_magic": ([Code("%%nosuchmagic\nx = 2")], 0, "Cell magic `%%nosuchmagic` not found"),
    "dead_kernel": (
        [Code("import os\nos._exit(1)"), Code("x = 1")],
        0,
        "the kernel died while it ran this cell",
    ),
    "after_failure": ([Code("x = 1"), Code("1 / 0"), Code("x"), Code("x")], 1, "ZeroDivisionError"),
    "stripped": ([Code("print(1)", (COMPARE,))], 0, "to be compared, but none is stored"),
    "output_block": (
        [Code("import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    1 / 0")],
        0,
        "ZeroDivisionError",
    ),
    "interact": (
        [Code("import ipywidgets\n@ipywidgets.interact(x=3)\ndef draw(x):\n    1 / 0")],
        0,
        "ZeroDivisionError",
    ),
    "interactive_moved": (
        [
            Code("import ipywidgets\nslider = ipywidgets.IntSlider()"),
            Code("picture = ipywidgets.interactive(lambda x: 1 / (x - 3), x=slider)"),
            Code("slider.value = 3"),
        ],
        2,
        "ZeroDivisionError",
    ),
    "button": (
        [Code("import ipywidgets\nb = ipywidgets.Button()\nb.on_click(lambda _: 1 / 0)\nb.click()")],
        0,
        "ZeroDivisionError",
    ),
    "observer": (
        [
            Code(
                "import ipywidgets, asyncio\nslider = ipywidgets.IntSlider()\n"
                "slider.observe(lambda change: 1 / 0, 'value')\n"
                "asyncio.get_running_loop().call_soon(setattr, slider, 'value', 3)"
            ),
            Code("x = 1"),
        ],
        1,
        "an exception was swallowed: logged by asyncio: ZeroDivisionError",
    ),
    "thread": (
        [Code("import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()")],
        0,
        "an exception was swallowed: raised in a thread: ZeroDivisionError",
    ),
}


def write(path: Path, cells: list[Code]) -> None:
    notebook = nbformat.v4.new_notebook()
    for number, code in enumerate(cells):
        cell = nbformat.v4.new_code_cell(code.source, id=f"cell-{number}", metadata={"tags": list(code.tags)})
        if code.out is not None:
            cell.execution_count = number + 1
            cell.outputs = [nbformat.v4.new_output("stream", text=code.out)]
        notebook.cells.append(cell)
    path.write_text(nbformat.writes(notebook), encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """What the report says of a cell."""

    word: str
    text: str
    seconds: float


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Outcome]:
    """The outcome of every cell of every notebook above, from a single run."""
    folder = tmp_path_factory.mktemp("guarded")
    for name, cells in {**GOOD, **{name: case[0] for name, case in BROKEN.items()}}.items():
        write(folder / f"{name}.ipynb", cells)
    (folder / "pytest.ini").write_text("[pytest]\n")
    options = "-p course.authoring.nbval_guard -p no:cacheprovider --nbval-lax --nbval-current-env"
    options += " --nbval-cell-timeout=60 --junitxml=report.xml --color=no -q -n 2"
    command = [sys.executable, "-m", "pytest", *options.split()]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment |= {"MPLBACKEND": "Agg", "COURSE_HOME": "somewhere"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1, done.stdout + done.stderr
    outcomes = {}
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        outcomes[_key(case)] = _outcome(case)
    return outcomes


def _key(case: Any) -> tuple[str, int]:
    return case.get("classname").removesuffix(".ipynb"), int(case.get("name").removeprefix("Cell "))


def _outcome(case: Any) -> Outcome:
    seconds = float(case.get("time"))
    for word in ("failure", "error", "skipped"):
        found = case.find(word)
        if found is not None:
            return Outcome(word, f"{found.get('message')}\n{found.text}", seconds)
    return Outcome("passed", "", seconds)


@pytest.mark.parametrize("name", GOOD)
def test_good_notebook_passes(report: dict[tuple[str, int], Outcome], name: str) -> None:
    for number in range(len(GOOD[name])):
        assert report[name, number].word == "passed", report[name, number].text


@pytest.mark.parametrize("name", BROKEN)
def test_broken_notebook_fails(report: dict[tuple[str, int], Outcome], name: str) -> None:
    cells, failing, message = BROKEN[name]
    for number in range(len(cells)):
        outcome = report[name, number]
        if number < failing:
            assert outcome.word == "passed", outcome.text
        elif number == failing:
            assert outcome.word == "failure", f"{name} passed: the hole is open"
            assert message in outcome.text
        else:
            assert outcome.word == "skipped"
            assert f"after failure of cell {failing}" in outcome.text


def test_dead_kernel_is_noticed_within_seconds(report: dict[tuple[str, int], Outcome]) -> None:
    assert report["dead_kernel", 0].seconds < 10
