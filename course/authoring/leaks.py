"""Look for solutions in what a learner is given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from course.authoring.stub import Stub


def leaks(notebook: Any, stubs: Mapping[str, Stub]) -> list[str]:
    """One line for every place in a learner's notebook where a solution shows: source, output, metadata.

    A formula that a lesson explains, or a loop as everyone writes it, may stand in another cell: there only
    more than half of a solution at a stretch, or its marker, counts. In an exercise cell, an output or
    metadata a single line is too much.
    """
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if "### BEGIN SOLUTION" in cell.source:
            found.append(f"cell {number} ({cell.id}) holds a solution marker")
        for place, text in _hidden(cell):
            found += [f"cell {number} ({cell.id}) {place}: {line}" for line in _lines(text, stubs)]
        if name in stubs:
            found += [
                f"cell {number} ({cell.id}) source: {line}" for line in _lines(cell.source, stubs, name)
            ]
        else:
            found += [f"cell {number} ({cell.id}) source: {line}" for line in _runs(cell.source, stubs)]
    for line in _lines(strings(notebook.metadata), stubs):
        found.append(f"metadata of the notebook: {line}")
    return found


def _hidden(cell: Any) -> Iterator[tuple[str, str]]:
    yield "metadata", strings(cell.metadata)
    yield "attachments", strings(cell.get("attachments", ""))
    for output in cell.get("outputs", ()):
        yield "output", strings(output)


def strings(node: Any) -> str:
    """Every string within, keys too, one below the other and as they are: a repr would escape them."""
    if isinstance(node, dict):
        return "\n".join(f"{key}\n{strings(value)}" for key, value in node.items())
    if isinstance(node, list | tuple):
        return "\n".join(strings(value) for value in node)
    return str(node)


def _squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _lines(text: str, stubs: Mapping[str, Stub], own: str | None = None) -> list[str]:
    """The solution lines in a text: of every exercise, or of one's own cell only."""
    squeezed = _squeeze(text)
    chosen = [stubs[own]] if own else list(stubs.values())
    return [line for stub in chosen for line in stub.secrets() if _squeeze(line) in squeezed]


def _runs(source: str, stubs: Mapping[str, Stub]) -> list[str]:
    """More than half of a solution, two lines at least, one after the other in the text of another cell."""
    squeezed = _squeeze(source)
    runs = []
    for stub in stubs.values():
        secrets = stub.secrets()
        length = max(2, len(secrets) // 2 + 1)
        windows = (secrets[at : at + length] for at in range(len(secrets) - length + 1))
        runs += [" / ".join(window) for window in windows if _squeeze(" ".join(window)) in squeezed]
    return runs
