"""Running code that is not ours: with a time limit, in silence, and knowing the line that failed."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import inspect
import io
import linecache
import logging
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

__all__ = ["TimeUp", "line_of", "silence", "time_limit"]


class TimeUp(BaseException):
    """Raised inside code that has run too long. No Exception, so that ``except Exception`` lets it pass."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeUp` in the code inside when it runs longer than ``seconds``.

    In the main thread of a Unix process an alarm does it, which ends a sleep too; elsewhere a second
    thread does, which can end Python code only. It is raised again and again, and a second time right
    where a bare ``except:`` swallows it: an endless loop around one ends too.
    """
    outside = sys._getframe(2)  # the frame of the with statement; between it and here stands contextlib
    tracing = sys.gettrace()
    try:
        if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
            yield from _by_alarm(seconds, outside)
        else:
            yield from _by_thread(seconds, outside)
    finally:
        if sys.gettrace() is not tracing:
            sys.settrace(tracing)


def _by_alarm(seconds: float, outside: FrameType) -> Iterator[None]:
    over = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not over:
            _insist(frame, outside)
            raise TimeUp

    begin = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
    try:
        yield
    finally:
        over = True  # first of all: an alarm between here and the next line must not raise any more
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:  # somebody else's timer goes on
            signal.setitimer(signal.ITIMER_REAL, max(left - time.monotonic() + begin, 1e-3), interval)


def _by_thread(seconds: float, outside: FrameType) -> Iterator[None]:
    class InThatThread(TimeUp):
        """Made, as exceptions from another thread are, by the thread that it is raised in."""

        def __init__(self) -> None:
            super().__init__()
            _insist(sys._getframe(1), outside)

    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    target = ctypes.c_ulong(threading.get_ident())
    done = threading.Event()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            raise_in(target, ctypes.py_object(InThatThread))
            wait = 0.05

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        # One that was asked for and has not arrived arrives here. (Taking it back by raise_in(target, None)
        # leaves Python 3.11 with a signal that nothing clears: with a tracer it then runs in a circle.)
        while True:
            try:
                done.set()
                watcher.join()
                for _ in range(2):
                    pass
                break
            except TimeUp:
                continue


def _insist(frame: FrameType | None, outside: FrameType) -> None:
    """Raise TimeUp once more at the next line that runs in ``frame`` or its callers, up to ``outside``."""

    def again(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            raise TimeUp  # which also ends the tracing
        return again

    while frame is not None and frame is not outside:
        if not frame.f_globals.get("__name__", "").startswith("course."):  # ours swallow nothing
            frame.f_trace = again
        frame = frame.f_back
    sys.settrace(lambda *_: None)  # new frames are left alone


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Swallow what the code inside prints or warns, and let it ask nobody: a verdict is all a check shows."""

    def no_one_answers(*_: Any) -> str:
        raise RuntimeError("input() waits for somebody to type; an answer gets all it needs as arguments")

    nowhere, ask = io.StringIO(), builtins.input
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        builtins.input = no_one_answers
        logged = logging.root.manager.disable
        logging.disable(
            logging.CRITICAL
        )  # its handlers know the real stderr, and nbgrader counts that as a failure
        try:
            yield
        finally:
            builtins.input = ask
            logging.disable(logged)


def line_of(error: BaseException, answer: Callable[..., Any]) -> str | None:
    """Return the line of the answer's own code where ``error`` arose: ``line 3: v = mu * v``.

    The number counts from the ``def`` line (as 1), so that it means the same in a cell and in a file. Of a
    class the method is named too.
    """
    code = _code_of(answer)
    if code is None:
        return None
    inside: list[tuple[FrameType, int]] = []
    cause: BaseException | None = error
    while cause is not None and not inside:  # what was raised on the way out has the first one as context
        own = [
            (frame, number)
            for frame, number in traceback.walk_tb(cause.__traceback__)
            if frame.f_code.co_filename == code.co_filename
        ]
        inside = [pair for pair in own if pair[0].f_code is code] or own
        cause = cause.__context__
    if not inside:
        return None
    number, where = inside[-1][1], ""
    if inspect.isclass(answer):
        code = inside[-1][0].f_code
        where = f"{code.co_name}, "
    text = linecache.getline(code.co_filename, number).strip()
    return f"{where}line {number - code.co_firstlineno + 1}" + (f": {text}" if text else "")


def _code_of(answer: Callable[..., Any]) -> CodeType | None:
    """Return the code of an answer; of a class that of any method: all stand in one file."""
    if not inspect.isclass(answer):
        return getattr(answer, "__code__", None)
    return next((f.__code__ for f in vars(answer).values() if inspect.isfunction(f)), None)
