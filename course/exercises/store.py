"""The learner's progress: one small JSON file, written whole or not at all.

It stands in the user's data folder, or in the folder that ``COURSE_HOME`` names. Two kernels may write at
once (a lock file orders them). A file that cannot be read is set aside, never overwritten. Where nothing can
be written, the course goes on without, says so once, and remembers for as long as the session lasts.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import platformdirs

__all__ = ["change", "path", "read", "recall_prediction", "remember_prediction"]

Edit = Callable[[dict[str, Any]], None]

_PATIENCE = 5.0  # seconds to wait for another kernel's lock
_told: set[str] = set()
# Changes that could not be written; the next one that can takes them along.
_unsaved: dict[Path, list[Edit]] = {}


def path() -> Path:
    """Return the progress file's path; the file need not exist."""
    own = platformdirs.user_data_dir("parameter-update", appauthor=False)
    home = os.environ.get("COURSE_HOME") or own
    try:
        return Path(home).expanduser() / "progress.json"
    except RuntimeError:  # ~somebody, who has no home
        _tell(f"COURSE_HOME={home} names no folder; your progress goes to {own}.")
        return Path(own) / "progress.json"


def read() -> dict[str, Any]:
    """Return what is stored: ``{"version": 1, "exercises": {...}, "predictions": {...}}``.

    A missing file reads as an empty record; a damaged one is set aside first, and that is said.
    """
    file = path()
    data = _empty()
    try:
        data = _load(file)
    except OSError as problem:
        _tell_unsaved(file, problem)
    except ValueError:
        change(lambda _: None)  # sets it aside, under the lock
    for edit in _unsaved.get(file, ()):
        edit(data)
    return data


def change(edit: Edit) -> bool:
    """Read the record, let ``edit`` change it, and write it back; return whether that was possible."""
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{file}.lock", timeout=_PATIENCE):
            data = _load_or_set_aside(file)
            for one in (*_unsaved.get(file, ()), edit):
                one(data)
            _write(file, data)
        _unsaved.pop(file, None)
        return True
    except filelock.Timeout:
        _tell(f"Progress is not saved: another program holds {file}.lock.")
    except (OSError, NotImplementedError) as problem:  # the latter: a file system without locks
        _tell_unsaved(file, problem)
    _unsaved.setdefault(file, []).append(edit)
    return False


def remember_prediction(name: str, answer: str) -> None:
    """Keep a prediction; the first one counts, a later one does not replace it."""
    change(lambda data: data["predictions"].setdefault(name, answer))


def recall_prediction(name: str) -> str | None:
    """Return the prediction kept under this name, or None."""
    return read()["predictions"].get(name)


def _empty() -> dict[str, Any]:
    return {"version": 1, "exercises": {}, "predictions": {}}


def _load(file: Path) -> dict[str, Any]:
    """Return what the file holds. Raises OSError: it cannot be read. ValueError: it is damaged."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _empty()
    except RecursionError:
        raise ValueError("nested without end") from None
    if not _is_record(data):
        raise ValueError("not a record of this course")
    return data


def _is_record(data: Any) -> bool:
    """Say whether data has the form that the course relies on; it may hold more (a newer release's)."""
    if not isinstance(data, dict) or not isinstance(data.get("predictions"), dict):
        return False
    exercises = data.get("exercises")
    return isinstance(exercises, dict) and all(
        isinstance(entry, dict)
        and all(isinstance(entry.get(key, 0), int) for key in ("score", "checks", "hints"))
        and isinstance(entry.get("slips", {}), dict)
        for entry in exercises.values()
    )


def _load_or_set_aside(file: Path) -> dict[str, Any]:
    """Return what the file holds; move a damaged one out of the way under a free name, and say where."""
    try:
        return _load(file)
    except ValueError:
        number = 1
        while (aside := file.with_name(f"progress.damaged-{number}.json")).exists():
            number += 1
        os.replace(file, aside)
        _tell(f"Your progress file was damaged; it is kept as {aside}, and a new one begins.")
        return _empty()


def _write(file: Path, data: dict[str, Any]) -> None:
    """Write to a file beside it, then put it in its place: a crash leaves the old file whole."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=file.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(data, out, indent=1, sort_keys=True)
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _tell_unsaved(file: Path, problem: Exception) -> None:
    reason = getattr(problem, "strerror", None) or problem
    line = (
        f"Progress is not saved: {file} cannot be read or written ({reason}). "
        "Set COURSE_HOME to a folder of your own to keep it."
    )
    _tell(line, about=str(file))  # reading and writing fail for reasons of their own


def _tell(line: str, about: str = "") -> None:
    """Say a line once a session, or one line about a thing."""
    if (about or line) not in _told:
        _told.add(about or line)
        print(line, file=sys.stderr)
