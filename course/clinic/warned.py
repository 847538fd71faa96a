"""Warnings of torch, shown at the line of the user's code.

A warning is shown at the line that called torch. While a watch is open, that is a line of the clinic, through
which all calls go; so it is put right where it is shown.
"""

from __future__ import annotations

import os
import warnings
from typing import TextIO

from course.clinic import calls
from course.clinic.sites import outside

__all__ = ["Warned"]

_CLINIC = os.path.dirname(__file__) + os.sep


class Warned:
    """Stands in for ``warnings.showwarning`` from the moment it is made until it is closed."""

    def __init__(self) -> None:
        self._before, self._stand_in = warnings.showwarning, self.show
        self._closed = False
        self._forget()
        warnings.showwarning = self._stand_in

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Show a warning, with the user's line for one of the clinic's."""
        frame = outside() if filename.startswith(_CLINIC) and not self._closed else None
        if frame is not None:
            filename, lineno = frame.f_code.co_filename, frame.f_lineno
        self._before(message, category, filename, lineno, file, line)

    def close(self) -> None:
        """Put back what was there; what somebody else has put there since stays."""
        self._closed = True
        self._forget()
        if warnings.showwarning is self._stand_in:
            warnings.showwarning = self._before

    def _forget(self) -> None:
        """Forget which warnings were shown at the clinic's lines: the next watch may see other lines."""
        vars(calls).pop("__warningregistry__", None)
