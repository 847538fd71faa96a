"""The verdict on an answer, and how it is shown: a card in a notebook, text in a terminal."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from typing import Literal

__all__ = ["CourseError", "Verdict", "ZeroPoints", "grading_now"]

Status = Literal["not attempted", "passed", "failed"]
_FRAME = "padding:8px 14px;margin:4px 0;max-width:52em;line-height:1.5"
_LABEL = "text-align:left;padding:1px 14px 1px 0;opacity:.75;white-space:nowrap"
_VALUE = "text-align:left;font-family:var(--jp-code-font-family,monospace)"
_GREEN, _ORANGE, _GREY = "#009E73", "#D55E00", "#7A7A7A"  # Okabe and Ito's: told apart by all readers


class CourseError(Exception):
    """A mistake in using the course itself; shown as one line, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class ZeroPoints(AssertionError):
    """Raised while nbgrader executes a notebook, where an answer earns nothing; shown as one line."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def grading_now() -> bool:
    """Say whether nbgrader is executing this notebook."""
    return bool(os.environ.get("NBGRADER_EXECUTION"))


@dataclass(frozen=True)
class Verdict:
    """What ``check`` found.

    Attributes:
        exercise: its name.
        status: ``not attempted``, ``passed`` or ``failed``.
        score: the points earned, of ``points``.
        slip: the name of the recognized mistake, or None.
        message: one or two sentences: what is wrong.
        evidence: ``(label, text)`` lines: where it was seen first, with which figures.
        nudge: where to look next.
    """

    exercise: str
    status: Status
    score: int
    points: int
    slip: str | None = None
    message: str = ""
    evidence: tuple[tuple[str, str], ...] = ()
    nudge: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right in all cases."""
        return self.status == "passed"

    def __str__(self) -> str:
        lines = [self._headline()]
        if self.slip:
            lines.append(f"  The mistake: {self.slip}.")
        if self.message:
            lines.append(f"  {self.message}")
        width = max((len(label) for label, _ in self.evidence), default=0)
        lines += [f"    {label.ljust(width)}  {text}" for label, text in self.evidence]
        if self.nudge:
            lines.append(f"  {self.nudge}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        # nbgrader reads the points of a cell from its text/plain.
        return str(self.score) if grading_now() else str(self)

    def _repr_html_(self) -> str:
        colour = {"passed": _GREEN, "failed": _ORANGE, "not attempted": _GREY}[self.status]
        sign = f"<span style='color:{colour}'>{self._sign()}</span>"
        parts = [f"<div style='font-weight:600'>{sign} {_e(self._headline())}</div>"]
        if self.slip:
            parts.append(f"<div style='margin-top:6px'>The mistake: <b>{_e(self.slip)}</b>.</div>")
        if self.message:
            parts.append(f"<div style='margin-top:4px'>{_e(self.message)}</div>")
        if self.evidence:
            rows = "".join(
                f"<tr><td style='{_LABEL}'>{_e(label)}</td><td style='{_VALUE}'>{_e(text)}</td></tr>"
                for label, text in self.evidence
            )
            parts.append(f"<table style='margin:8px 0 4px;font-size:inherit'>{rows}</table>")
        if self.nudge:
            parts.append(f"<div style='margin-top:4px'>{_e(self.nudge)}</div>")
        kind = self.status.replace(" ", "-")
        frame = f"border-left:4px solid {colour};{_FRAME}"
        body = "".join(parts)
        return f"<div class='course-verdict course-{kind}' role='status' style='{frame}'>{body}</div>"

    def _sign(self) -> str:
        return {"passed": "&#10003;", "failed": "&#10007;", "not attempted": "&#8212;"}[self.status]

    def _headline(self) -> str:
        score = f"{self.score} of {self.points} points"
        if self.status == "passed":
            return f"{self.exercise}: right in all cases, {score}"
        if self.status == "not attempted":
            return f"{self.exercise}: not attempted yet"
        return f"{self.exercise}: not right yet, {score}"


def _e(text: str) -> str:
    return html.escape(text, quote=False)
