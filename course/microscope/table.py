"""The table that a look is: one row for each value that got a name."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course.oracle import deviation

__all__ = ["LONG", "UNWRITTEN", "Look", "Row"]

LONG = 100  # a list longer than this is not looked into
UNWRITTEN = "This cell uses your {}. Write it above, then run this cell again."


@dataclass(frozen=True)
class Row:
    """One assignment: the name, the value it got, and the line that did it."""

    name: str
    value: Any
    line: int
    code: str
    reference: Any = None
    returned: bool = False

    @property
    def agrees(self) -> bool | None:
        """Whether the value equals the reference's (to 1e-6); None where there is nothing to compare."""
        if self.reference is None or self.value is None:
            return None
        return _agree(self.value, self.reference)


@dataclass(frozen=True)
class Look:
    """What :func:`look` saw: ``rows`` in order, and what the step returned (``result``).

    ``unwritten`` is the name of a step that is still to be written: then there is nothing to show but that.
    """

    rows: list[Row]
    result: Any
    error: BaseException | None = field(default=None)
    unwritten: str | None = None

    def __getitem__(self, name: str) -> Any:
        """Return the last value that ``name`` had."""
        for row in reversed(self.rows):
            if row.name == name:
                return row.value
        raise KeyError(f"the step has no value named {name!r}; it has {', '.join(self.names)}")

    @property
    def names(self) -> list[str]:
        """The names in the order in which they first got a value."""
        return list(dict.fromkeys(row.name for row in self.rows))

    @property
    def first_difference(self) -> Row | None:
        """The first row that parts from the reference, or None."""
        return next((row for row in self.rows if row.agrees is False), None)

    def __str__(self) -> str:
        if self.unwritten:
            return UNWRITTEN.format(self.unwritten)
        cells = [self._cells(row) for row in self.rows]
        head = ("name", "value", "reference", "", "line")
        compared = any(row.reference is not None for row in self.rows)
        keep = [0, 1, 2, 3, 4] if compared else [0, 1, 4]
        table = [[line[i] for i in keep] for line in [head, *cells]]
        width = [max(len(line[i]) for line in table) for i in range(len(keep))]
        text = "\n".join(
            "  ".join(c.ljust(w) for c, w in zip(line, width, strict=True)).rstrip() for line in table
        )
        return text + (f"\nstopped by {type(self.error).__name__}: {self.error}" if self.error else "")

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if self.unwritten:
            return f"<p>{html.escape(str(self))}</p>"
        compared = any(row.reference is not None for row in self.rows)
        head = ["name", "value", *(["reference", ""] if compared else []), "line"]
        body = []
        for row in self.rows:
            name, value, reference, verdict, code = map(html.escape, self._cells(row))
            texts = [
                f"<code>{name}</code>",
                value,
                *([reference, verdict] if compared else []),
                f"<code>{code}</code>",
            ]
            weight = ";font-weight:600" if row.agrees is False else ""
            cells = "".join(f"<td style='text-align:left{weight}'>{text}</td>" for text in texts)
            body.append(f"<tr>{cells}</tr>")
        stopped = (
            f"<p>stopped by {type(self.error).__name__}: {html.escape(str(self.error))}</p>"
            if self.error
            else ""
        )
        heads = "".join(f"<th style='text-align:left'>{h}</th>" for h in head)
        return f"<table><tr>{heads}</tr>{''.join(body)}</table>{stopped}"

    def _cells(self, row: Row) -> tuple[str, str, str, str, str]:
        verdict = {None: "", True: "same", False: "differs"}[row.agrees]
        reference = "" if row.reference is None else _show(row.reference)
        return row.name, _show(row.value), reference, verdict, "returned" if row.returned else row.code


def _agree(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_agree(x, y) for x, y in zip(a, b, strict=True))
    try:
        return deviation(np.asarray(a), np.asarray(b)) <= 1e-6
    except (TypeError, ValueError):
        return False


def _show(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 6:
        size = float(np.sqrt(np.sum(value.astype(np.float64) ** 2))) if value.dtype.kind in "iuf" else 0.0
        return f"{' x '.join(map(str, value.shape))} array, norm {size:.4g}"
    if isinstance(value, np.ndarray):
        return " ".join(np.array2string(value, precision=4, suppress_small=False, separator=" ").split())
    if isinstance(value, list | tuple) and len(value) <= LONG:
        inner = ", ".join(_show(v) for v in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return f"{value:.6g}" if isinstance(value, float) else " ".join(f"{value!s:.200}".split())
