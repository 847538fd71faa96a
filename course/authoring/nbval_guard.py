"""A pytest plugin that closes the holes through which a broken notebook passes nbval 0.11.

nbval alone stays green when a cell that promises an exception raises none, when a magic is unknown, when a
callback's exception is swallowed, and when a notebook lost the outputs to compare with; it waits for a dead
kernel until the cell's time is out, and runs on after a failed cell. Here each of these fails, at once.

It also keeps the tests apart from the person who runs them: progress and IPython's files go to a temporary
folder, and ``MPLBACKEND=Agg``, under which ``plt.show()`` shows nothing, is taken out of the environment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from importlib import import_module, metadata
from typing import Any

import pytest

NBVAL = "0.11"
_failed_at = pytest.StashKey[int]()
_home = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Put the guarded kernel in nbval's place and set the environment that kernels inherit."""
    home = config.stash[_home] = tempfile.mkdtemp(prefix="course-tests-")
    os.environ["COURSE_HOME"] = os.path.join(home, "course")
    os.environ["IPYTHONDIR"] = os.path.join(home, "ipython")
    if os.environ.get("MPLBACKEND", "").lower() == "agg":
        del os.environ["MPLBACKEND"]
    # The cells of a notebook share a kernel, so one worker must have them all.
    if getattr(config.option, "dist", "no") in ("load", "worksteal"):
        config.option.dist = "loadfile"
    if config.pluginmanager.hasplugin("nbval"):
        _guard_nbval()


def _guard_nbval() -> None:
    version = metadata.version("nbval")
    if version != NBVAL and not version.startswith(NBVAL + "."):
        raise pytest.UsageError(f"course.authoring.nbval_guard is written for nbval {NBVAL}, not {version}")
    kernel = import_module("course.authoring.guarded_kernel")
    plugin: Any = import_module("nbval.plugin")
    plugin.RunningKernel = kernel.GuardedKernel


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the temporary folder."""
    shutil.rmtree(config.stash.get(_home, ""), ignore_errors=True)


def _is_cell(item: pytest.Item) -> bool:
    return type(item).__module__ == "nbval.plugin" and hasattr(item, "cell")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip the cells after a failed one: what they show would be its consequence."""
    if _is_cell(item) and item.parent is not None and _failed_at in item.parent.stash:
        pytest.skip(f"after failure of cell {item.parent.stash[_failed_at]}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which cell failed first."""
    report = yield
    if _is_cell(item) and report.failed and item.parent is not None:
        item.parent.stash.setdefault(_failed_at, getattr(item, "cell_num", -1))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run a cell between two looks: at what is stored, and at what the kernel replied."""
    if not _is_cell(item):
        return (yield)
    cell: Any = item
    _demand_stored_output(cell)
    try:
        result = yield
    except RuntimeError as error:
        if type(error).__name__ == "KernelDiedError":
            cell.raise_cell_error(str(error))
        raise
    _demand_honest_reply(cell)
    return result


def _demand_stored_output(cell: Any) -> None:
    course = cell.parent.nb.metadata.get("course", {})
    if course.get("role") == "learner" or not cell.options["check"] or cell.options["skip"]:
        return
    if not cell.cell.outputs or cell.cell.execution_count is None:
        cell.raise_cell_error(
            "this cell's output is to be compared, but none is stored: build the notebook again"
        )


def _demand_honest_reply(cell: Any) -> None:
    kernel = cell.parent.kernel
    failed = kernel.reply.get("status") == "error"
    swallowed = kernel.swallowed()
    if cell.options["check_exception"]:
        if not failed and not swallowed:
            cell.raise_cell_error("this cell is marked as raising an exception, and raised none")
        return
    if failed:
        # An unknown magic: the kernel replies with an error, of which no error message is broadcast.
        name, value = kernel.reply.get("ename"), kernel.reply.get("evalue")
        cell.raise_cell_error(f"the kernel reports {name}: {value}")
    if swallowed:
        cell.raise_cell_error("an exception was swallowed: " + "; ".join(swallowed))
