"""Where in the user's code something happens: the innermost line outside torch and the clinic."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
import warnings
from types import FrameType, TracebackType

import torch

__all__ = ["here", "outside", "raised_at"]

Site = tuple[str, str]  # "train.py:12" and the text of that line

_INSIDE = (
    os.path.dirname(torch.__file__) + os.sep,
    os.path.dirname(__file__) + os.sep,
    contextlib.__file__,
    warnings.__file__,
    "<frozen",
)
NOWHERE: Site = ("", "")


def outside() -> FrameType | None:
    """Return the innermost running frame of the user's code."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame = frame.f_back
    return frame


def here() -> Site:
    """Return the line that is running now."""
    frame = outside()
    return NOWHERE if frame is None else _site(frame.f_code.co_filename, frame.f_lineno)


def raised_at(traceback: TracebackType | None) -> Site:
    """Return the innermost line of the user's code in a traceback."""
    found = NOWHERE
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if not name.startswith(_INSIDE):
            found = _site(name, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def _site(filename: str, line: int) -> Site:
    code = linecache.getline(filename, line).strip()
    if "ipykernel" in filename or filename.startswith("<ipython"):
        return f"line {line} of the cell", code
    return f"{os.path.basename(filename)}:{line}", code
