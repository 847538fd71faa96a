"""Running code that is not ours: with a time limit, in silence, and knowing the line that failed."""

from __future__ import annotations

import contextlib
import ctypes
import io
import linecache
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["TimeUp", "line_of", "silence", "time_limit"]


class TimeUp(BaseException):
    """Raised inside code that has run too long. No Exception, so that ``except Exception`` lets it pass."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeUp` in the code inside when it runs longer than ``seconds``.

    In the main thread of a Unix process an alarm does it, which ends a sleep too; elsewhere a second
    thread does, which can end Python code only. It is raised again and again, so that a bare ``except:``
    in an endless loop does not swallow it for ever.
    """
    if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
        yield from _by_alarm(seconds)
    else:
        yield from _by_thread(seconds)


def _by_alarm(seconds: float) -> Iterator[None]:
    over = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not over:
            raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
    try:
        yield
    finally:
        over = True  # first of all: an alarm between here and the next line must not raise any more
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _by_thread(seconds: float) -> Iterator[None]:
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    target = ctypes.c_ulong(threading.get_ident())
    done, lock = threading.Event(), threading.Lock()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            with lock:
                if not done.is_set():
                    raise_in(target, ctypes.py_object(TimeUp))
            wait = 0.05

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            done.set()
            raise_in(target, None)  # take back one that was asked for and has not arrived
        watcher.join()


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Swallow what the code inside prints or warns: a verdict is the only thing a check shows."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def line_of(error: BaseException, answer: Callable[..., Any]) -> str | None:
    """Return the line of the answer's own code where ``error`` arose: ``line 3: v = mu * v``.

    The number counts from the ``def`` line (as 1), so that it means the same in a cell and in a file.
    """
    code = getattr(answer, "__code__", None)
    if code is None:
        return None
    own = [
        (frame, number)
        for frame, number in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == code.co_filename
    ]
    inside = [pair for pair in own if pair[0].f_code is code] or own
    if not inside:
        return None
    number = inside[-1][1]
    text = linecache.getline(code.co_filename, number).strip()
    return f"line {number - code.co_firstlineno + 1}" + (f": {text}" if text else "")
