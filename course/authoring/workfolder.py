"""Give the notebooks to a learner, again and again, and never lose a stroke of their work.

What was delivered is remembered by a hash of its cells' sources. A notebook that still has these sources is
untouched, however often it was run, and a newer release replaces it; an edited one stays, and the new one is
laid beside it as ``04_momentum.new.ipynb``. Without that memory everything counts as edited.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass, field
from pathlib import Path

from course.authoring import AuthoringError
from course.authoring.files import write_atomic

HIDDEN = ".course"


@dataclass
class Report:
    """What `prepare` did: one name in one list, and ``notes`` in words for the learner."""

    delivered: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prepare(work: Path, notebooks: Path) -> Report:
    """Bring the learner's folder up to the notebooks of this release."""
    originals = sorted(notebooks.glob("*.ipynb"))
    if not originals:
        raise AuthoringError(f"no notebooks in {notebooks}: run this in a checkout of the course")
    try:
        work.mkdir(parents=True, exist_ok=True)
        report = Report()
        record = _Record.read(work / HIDDEN / "manifest.json", report)
        for original in originals:
            _deliver(original, work, record, report)
        record.write()
    except OSError as error:
        raise AuthoringError(f"cannot write to {work}: {error.strerror or error}") from error
    return report


def fingerprint(text: str) -> str | None:
    """A hash of a notebook's cell sources; None where the text is no notebook."""
    try:
        cells = [(cell["cell_type"], _joined(cell["source"])) for cell in json.loads(text)["cells"]]
    except (ValueError, KeyError, TypeError):
        return None
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def _joined(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


@dataclass
class _Record:
    """The hash of every file as it was delivered, by its name in the learner's folder."""

    path: Path
    files: dict[str, str]

    @classmethod
    def read(cls, path: Path, report: Report) -> _Record:
        try:
            files = json.loads(path.read_text(encoding="utf-8"))["files"]
            return cls(path, {str(name): str(digest) for name, digest in files.items()})
        except FileNotFoundError:
            return cls(path, {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            report.notes.append(
                f"{path} could not be read: every notebook counts as edited and is left alone"
            )
            return cls(path, {})

    def write(self) -> None:
        write_atomic(
            self.path, json.dumps({"version": 1, "files": self.files}, indent=1, sort_keys=True) + "\n"
        )


def _deliver(original: Path, work: Path, record: _Record, report: Report) -> None:
    name, text = original.name, _opened_before(original.read_text(encoding="utf-8"))
    new, target = fingerprint(text), work / original.name
    if new is None:
        raise AuthoringError(f"{original} is not a notebook")
    old = record.files.get(name)
    if not target.exists():
        if old is not None:
            report.notes.append(f"{name} was missing: delivered again")
        report.delivered.append(name)
    else:
        current = fingerprint(_text(target))
        if current == new:
            record.files[name] = new
            report.kept.append(name)
            return
        if current != old or old is None:
            report.kept.append(name)
            if new != old:
                _lay_beside(original, text, new, work, record, report)
            return
        report.replaced.append(name)
        report.notes.append(f"{name} is new in this release; yours was untouched and is replaced")
    write_atomic(target, text)
    record.files[name] = new


def _opened_before(text: str) -> str:
    """Name this Python in a notebook, as JupyterLab does on opening it: else that counts as a change."""
    try:
        notebook = json.loads(text)
        notebook["metadata"]["language_info"]["version"] = platform.python_version()
    except (ValueError, KeyError, TypeError):
        return text
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _lay_beside(original: Path, text: str, new: str, work: Path, record: _Record, report: Report) -> None:
    """Put the new version next to an edited one, under the first name that holds nothing of the learner's."""
    taken = 1
    while True:
        name = f"{original.stem}.new{'' if taken == 1 else f'-{taken}'}.ipynb"
        target, old = work / name, record.files.get(name)
        if not target.exists():
            if old == new:
                return  # laid down before, and taken away by the learner
            break
        current = fingerprint(_text(target))
        if current == new:
            record.files[name] = new
            return
        if old is not None and current == old:
            break
        taken += 1
    write_atomic(target, text)
    record.files[name] = new
    report.beside.append(name)
    report.notes.append(f"{original.name} is yours and stays; the new version lies beside it as {name}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
