"""Run a solution's notebook in a fresh kernel and keep of its outputs what is the same every time."""

from __future__ import annotations

import copy
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from course.authoring.leaks import strings
from course.authoring.lesson import LessonError

TIMEOUT = 120  # seconds for one cell, as in nbval
_WIDGET = "application/vnd.jupyter.widget-view+json"
_BAR = re.compile(r"\d+%\||\d+(it|s)/(s|it)\b|\?(it|s)/(s|it)\b")
_ADDRESS = re.compile(r"( at) 0x[0-9a-fA-F]{6,}")
_CELL_FILE = re.compile(r"\S*ipykernel_\d+[/\\]\d+\.py")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def execute(notebook: Any, name: str) -> None:
    """Run every cell in place and normalise the outputs; a cell that fails raises a `LessonError`."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    metadata = copy.deepcopy(notebook.metadata)
    with tempfile.TemporaryDirectory(prefix="course-build-") as folder:
        work = Path(folder, "work")
        work.mkdir()
        client = NotebookClient(
            notebook,
            km=_kernel_manager(),
            timeout=TIMEOUT,
            extra_arguments=["--IPKernelApp.log_level=40"],  # else a note about TCP for every lesson
            resources={"metadata": {"path": str(work)}},
            record_timing=False,
            store_widget_state=False,
        )
        try:
            client.execute(env=_environment(folder))
        except CellExecutionError as error:
            detail = f"{error.ename}: {' '.join(_COLOUR.sub('', error.evalue).split())}"
            raise LessonError(f"{_where(notebook, name)}: {detail}") from error
        except CellTimeoutError as error:
            raise LessonError(f"{_where(notebook, name)}: still running after {TIMEOUT} s") from error
        except DeadKernelError as error:
            raise LessonError(f"{_where(notebook, name)}: the kernel died") from error
        notebook.metadata = metadata  # the kernel adds its patch version
        normalise(notebook)
        _demand_no_private_path(notebook, name, folder)


def _kernel_manager() -> Any:
    """A manager of this very Python, whatever kernels the user has registered under the name python3."""
    import ipykernel.kernelspec as ours
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(resource_dir=ours.RESOURCES, **ours.get_kernel_dict())

    return AsyncKernelManager(kernel_name="python3", kernel_spec_manager=ThisPython())


def _environment(folder: str) -> dict[str, str]:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "NBGRADER_EXECUTION")
    }
    return environment | {
        "COURSE_HOME": os.path.join(folder, "home"),
        "IPYTHONDIR": os.path.join(folder, "ipython"),
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": "0",
    }


def _where(notebook: Any, name: str) -> str:
    """The last cell that was started: the one that failed."""
    started = [(i, cell) for i, cell in enumerate(notebook.cells, 1) if cell.get("execution_count")]
    number, cell = started[-1] if started else (1, notebook.cells[0])
    first = next((line for line in cell.source.splitlines() if line.strip()), "")
    return f"{name}: cell {number} ({cell.id}: {first.strip()[:60]})"


def normalise(notebook: Any) -> None:
    """Drop what differs from run to run: widget models, progress bars, addresses, kernel details."""
    count = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.metadata.pop("execution", None)
        kept: list[Any] = []
        for output in cell.outputs:
            _keep(output, kept, count)
        cell.outputs = kept
    notebook.metadata.pop("widgets", None)


def _keep(output: Any, kept: list[Any], count: int) -> None:
    if output.output_type == "stream":
        output.text = _stable(_without_bars(output.text) if output.name == "stderr" else output.text)
        if not output.text:
            return
        # A bar between two prints splits their text at a place that depends on timing.
        if kept and kept[-1].output_type == "stream" and kept[-1].name == output.name:
            kept[-1].text += output.text
            return
    elif output.output_type in ("display_data", "execute_result"):
        output.data.pop(_WIDGET, None)
        output.metadata.pop(_WIDGET, None)
        plain = output.data.get("text/plain", "")
        if not output.data or (set(output.data) == {"text/plain"} and _BAR.search(plain)):
            return
        for kind, value in output.data.items():
            if kind.startswith("text/") and isinstance(value, str):
                output.data[kind] = _stable(value)
        if output.output_type == "execute_result":
            output.execution_count = count
    elif output.output_type == "error":
        output.traceback = [_stable(_COLOUR.sub("", line)) for line in output.traceback]
    kept.append(output)


def _without_bars(text: str) -> str:
    lines = [line.rsplit("\r", 1)[-1] for line in text.splitlines(keepends=True)]
    kept = "".join(line for line in lines if not _BAR.search(line))
    return kept if kept.strip() else ""


def _stable(text: str) -> str:
    if "ipykernel_" not in text:  # the pattern below is slow on a player's long runs without a space
        return _ADDRESS.sub(r"\1 0x...", text)
    return _CELL_FILE.sub("<cell>", _ADDRESS.sub(r"\1 0x...", text))


def _demand_no_private_path(notebook: Any, name: str, folder: str) -> None:
    private = {
        folder,
        str(Path(folder).resolve()),
        str(Path.home()) + os.sep,
        str(Path(__file__).resolve().parents[2]) + os.sep,
    }
    for number, cell in enumerate(notebook.cells, 1):
        text = strings(cell.get("outputs", ""))
        found = next((path for path in sorted(private) if path in text), None)
        if found:
            raise LessonError(
                f"{name}: cell {number} ({cell.id}): its output shows a path of this machine: {found}"
            )
