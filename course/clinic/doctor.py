"""``course doctor script.py``: run somebody's training script as it is, and say why its model does not learn.

The script runs in this process as ``__main__``, with its own arguments. Optimizers are taken in as they are
built, models as they are first called.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course.clinic.finding import Finding
from course.clinic.recorder import Recorder
from course.clinic.schedulers import find_schedulers
from course.clinic.signs.words import count
from course.clinic.sites import here
from course.clinic.watch import Exam

__all__ = ["SECONDS", "UsageError", "Visit", "examine"]

SECONDS = 60.0
STUBBORN = 5  # how often a script may swallow the end before the process is left


class UsageError(Exception):
    """The command cannot be carried out as given."""


class _Enough(BaseException):
    """Ends a script that has run long enough; no Exception, so that ``except Exception`` lets it pass."""


@dataclass(frozen=True)
class Visit:
    """What came of a visit to the doctor.

    Args:
        exam: the closed exam.
        trouble: one line on what kept the script from being examined to its end; "" where nothing did.
        stopped: one line on why it was stopped before its end; "" where it was not.
    """

    exam: Exam
    trouble: str
    stopped: str

    @property
    def findings(self) -> list[Finding]:
        """The findings, the cause first."""
        return self.exam.findings

    @property
    def code(self) -> int:
        """The exit code: 1 for an error finding or a script that could not be examined, 2 for a clinic that
        could not look, else 0."""
        if not self.trouble and not self.findings and self.exam.facts.blind:
            return 2
        return int(bool(self.trouble) or any(f.severity == "error" for f in self.findings))


def examine(
    script: Path,
    words: Sequence[str] = (),
    *,
    steps: int | None = None,
    seconds: float | None = SECONDS,
    at_end: Callable[[Visit], None] | None = None,
) -> Visit:
    """Run a script and watch it.

    Args:
        script: the file.
        words: its command line.
        steps: stop after this many optimizer steps (no limit).
        seconds: stop after this time (60 s; None: no limit). Needs the main thread.
        at_end: called with the visit if the script cannot be stopped and the process must end.

    Raises:
        UsageError: there is no such file, or it is no Python.
    """
    code = _compiled(script)
    exam = Exam({}, [], quiet=True, dynamic=True)
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=str(script), __builtins__=__builtins__)
    stopped = ""

    def stop_hard() -> None:
        exam.__exit__(None, None, None)
        if at_end is not None:
            at_end(Visit(exam, "", f"{script} does not stop: it catches every exception"))
        sys.stdout.flush()
        os._exit(1)

    trouble = ""
    try:
        with (
            _as_main(script, words, module),
            _adopting(exam.recorder, module),
            exam,
            _alarm(seconds, stop_hard),
        ):
            exam.limit_steps(None if steps is None else _stopper(steps))
            exec(code, module.__dict__)
    except _Enough as end:
        stopped = str(end)
    except KeyboardInterrupt:
        stopped = "stopped by hand"
    except SystemExit as end:
        if end.code not in (None, 0):
            trouble = f"{script} left with exit code {end.code}"
    except _ReadsInputError:
        trouble = f"{script} reads input: give it its answers as arguments"
    except Exception as error:
        trouble = (
            f"{_place(script, error)}: {type(error).__name__}:"
            f" {str(error).splitlines()[0] if str(error) else ''}"
        )
    if not exam.recorder.optimizers and not exam.findings:
        stopped_too = f" ({stopped})" if stopped else ""
        trouble = trouble or f"{script} built no optimizer{stopped_too}: there is nothing to examine"
    return Visit(exam, trouble.rstrip(": "), stopped)


def _compiled(script: Path) -> types.CodeType:
    if not script.exists():
        raise UsageError(f"there is no file {script}")
    if script.is_dir():
        raise UsageError(f"{script} is a folder: give the script that trains")
    try:
        return compile(script.read_bytes(), str(script), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise UsageError(f"{script}{f':{line}' if line else ''} is no Python: {error.args[0]}") from None


def _place(script: Path, error: BaseException) -> str:
    """Return the script and the innermost of its lines in a traceback."""
    line, traceback = None, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(script):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f"{script}:{line}" if line else str(script)


def _stopper(steps: int) -> Callable[[int], None]:
    def stop(taken: int) -> None:
        if taken >= steps:
            raise _Enough(f"stopped after {count(taken, 'step')}, as asked")

    return stop


class _ReadsInputError(EOFError):
    """The script wants to be talked to."""


class _NoInput(io.RawIOBase):
    """What lies under a standard input that says so when it is read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        raise _ReadsInputError("course doctor gives no input")


@contextmanager
def _as_main(script: Path, words: Sequence[str], module: types.ModuleType) -> Iterator[None]:
    """Let a script find itself as the main program, and put everything back afterwards."""
    kept = sys.argv, sys.path[:], sys.stdin, sys.modules.get("__main__")
    sys.argv = [str(script), *words]
    sys.path.insert(0, str(script.resolve().parent))
    sys.stdin = io.TextIOWrapper(io.BufferedReader(_NoInput()))
    sys.modules["__main__"] = module
    grad = torch.is_grad_enabled()
    try:
        yield
    finally:
        sys.argv, sys.path[:], sys.stdin = kept[0], kept[1], kept[2]
        if kept[3] is not None:
            sys.modules["__main__"] = kept[3]
        torch.set_grad_enabled(grad)


@contextmanager
def _adopting(recorder: Recorder, module: types.ModuleType) -> Iterator[None]:
    """Take in every optimizer that is built meanwhile."""
    made: Any = torch.optim.Optimizer
    original = made.__init__

    def init(self: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        recorder.adopt_optimizer(self, here())

    made.__init__ = init
    recorder.root_of = lambda inner: _root_of(inner, module)
    recorder.namespace = module.__dict__
    recorder.on_first_forward = lambda: find_schedulers(recorder, late=True)
    try:
        yield
    finally:
        made.__init__ = original


def _root_of(inner: nn.Module, module: types.ModuleType) -> tuple[str, nn.Module]:
    """Return the whole model that a module is part of, and its name in the script."""
    spaces = [module.__dict__]
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals is not module.__dict__:
        frame = frame.f_back
    while frame is not None and frame.f_globals is module.__dict__:
        spaces.append(frame.f_locals)
        frame = frame.f_back
    best = ("", inner, sum(1 for _ in inner.modules()))
    for space in spaces:
        for name, value in list(space.items()):
            if isinstance(value, nn.Module) and name != "self" and any(m is inner for m in value.modules()):
                size = sum(1 for _ in value.modules())
                if size > best[2] or (size == best[2] and not best[0]):
                    best = (name, value, size)
    return best[0] or type(inner).__name__, best[1]


@contextmanager
def _alarm(seconds: float | None, stop_hard: Callable[[], None]) -> Iterator[None]:
    """Raise ``_Enough`` in the script after some seconds, and again each second if it goes on."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    rung = 0

    def ring(signum: int, frame: types.FrameType | None) -> None:
        nonlocal rung
        rung += 1
        if rung > STUBBORN:
            stop_hard()
        raise _Enough(f"stopped after {seconds:g} s: give --seconds or --steps for more")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
