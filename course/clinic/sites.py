"""Where in the user's code something happens: the innermost line outside torch and the clinic."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import warnings
from types import FrameType, TracebackType

import torch

__all__ = ["here", "here_with_code", "outside", "raised_at"]

_INSIDE = (
    os.path.dirname(torch.__file__) + os.sep,
    os.path.dirname(__file__) + os.sep,
    contextlib.__file__,
    warnings.__file__,
    "<frozen",
)


def outside() -> FrameType | None:
    """Return the innermost running frame of the user's code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame = frame.f_back
    return frame


def here() -> str:
    """Return the line that is running now: ``train.py:12``; "" where none of the user's is."""
    frame = outside()
    return "" if frame is None else _place(frame.f_code.co_filename, frame.f_lineno)


def here_with_code() -> tuple[str, str]:
    """Return the line that is running now, and its text."""
    frame = outside()
    if frame is None:
        return "", ""
    filename, line = frame.f_code.co_filename, frame.f_lineno
    return _place(filename, line), linecache.getline(filename, line).strip()


def raised_at(traceback: TracebackType | None) -> str:
    """Return the innermost line of the user's code in a traceback."""
    found = ""
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not name.startswith(_INSIDE):
            found = _place(name, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _place(filename: str, line: int) -> str:
    if "ipykernel" in filename or filename.startswith("<ipython"):
        return f"line {line} of the cell"
    return f"{os.path.basename(filename)}:{line}"
