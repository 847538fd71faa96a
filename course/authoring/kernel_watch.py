"""Runs inside the kernel under test and notes every exception that nobody saw.

A widget callback, a thread or a task that raises leaves its traceback on a screen or in a log, while the
cell that set it off counts as passed. ``start`` puts an ear to each of those places; ``drain`` says what was
heard.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

_LOGGERS = ("asyncio", "traitlets", "tornado.application", "concurrent.futures", "ipykernel")
_heard: list[tuple[BaseException | None, str]] = []


def _note(place: str, error: BaseException | None) -> None:
    if error is None or all(error is not seen for seen, _ in _heard):
        _heard.append((error, f"{place}: {type(error).__name__}: {error}"))


class _LogEar(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            _note(f"logged by {record.name}", record.exc_info[1])


def _hear_tracebacks(shell: Any) -> None:
    # ipywidgets shows what a callback or an Output block raised with this method, and then goes on.
    show = shell.showtraceback

    def showtraceback(exc_tuple: Any = None, *args: Any, **kwargs: Any) -> Any:
        _note("shown and swallowed", (exc_tuple or sys.exc_info())[1])
        return show(exc_tuple, *args, **kwargs)

    shell.showtraceback = showtraceback

    def forget_own(result: Any) -> None:
        # The exception that ended the cell itself is no secret: the kernel's reply reports it.
        own = (result.error_in_exec, result.error_before_exec)
        _heard[:] = [item for item in _heard if item[0] is None or all(item[0] is not error for error in own)]

    shell.events.register("post_run_cell", forget_own)


def _hear_threads() -> None:
    default = threading.excepthook

    def excepthook(args: Any, /) -> None:
        _note("raised in a thread", args.exc_value)
        default(args)

    threading.excepthook = excepthook


def start() -> None:
    """Begin to listen; called once, in a fresh kernel."""
    from IPython import get_ipython

    shell: Any = get_ipython()
    ear = _LogEar()
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(ear)
    shell.kernel.log.addHandler(ear)
    _hear_tracebacks(shell)
    _hear_threads()


def drain() -> list[str]:
    """What was swallowed since the last call, one line each."""
    lines = [" ".join(text.split())[:300] for _, text in _heard]
    _heard.clear()
    return lines
