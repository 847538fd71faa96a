"""The learner's progress: one small JSON file, written whole or not at all.

It stands in the user's data folder, or in the folder that ``COURSE_HOME`` names. Two kernels may write at
once (a lock file orders them). A file that cannot be read is set aside, never overwritten. Where nothing can
be written, the course goes on without, and says so once.
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

_told: set[str] = set()


def path() -> Path:
    """Return the progress file's path; the file need not exist."""
    home = os.environ.get("COURSE_HOME") or platformdirs.user_data_dir("parameter-update", appauthor=False)
    return Path(home).expanduser() / "progress.json"


def read() -> dict[str, Any]:
    """Return what is stored: ``{"version": 1, "exercises": {...}, "predictions": {...}}``.

    A missing file reads as an empty record; a damaged one is set aside first, and that is said.
    """
    file = path()
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(data, dict) and all(
            isinstance(data.get(key), dict) for key in ("exercises", "predictions")
        ):
            return data
    except (FileNotFoundError, NotADirectoryError):
        return _empty()
    except OSError as problem:
        _tell(f"Your progress cannot be read: {file} ({problem.strerror or problem}).")
        return _empty()
    except ValueError:
        pass
    _set_aside(file)
    return _empty()


def change(edit: Callable[[dict[str, Any]], None]) -> bool:
    """Read the record, let ``edit`` change it, and write it back; return whether that was possible."""
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{file}.lock", timeout=5):
            data = read()
            edit(data)
            _write(file, data)
        return True
    except filelock.Timeout:
        _tell(f"Progress is not saved: another program holds {file}.lock.")
    except OSError as problem:
        reason = problem.strerror or problem
        _tell(
            f"Progress is not saved: {file.parent} cannot be written ({reason}). "
            "Set COURSE_HOME to a folder of your own to keep it."
        )
    return False


def remember_prediction(name: str, answer: str) -> None:
    """Keep a prediction; the first one counts, a later one does not replace it."""
    change(lambda data: data["predictions"].setdefault(name, answer))


def recall_prediction(name: str) -> str | None:
    """Return the prediction kept under this name, or None."""
    return read()["predictions"].get(name)


def _empty() -> dict[str, Any]:
    return {"version": 1, "exercises": {}, "predictions": {}}


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


def _set_aside(file: Path) -> None:
    """Move a damaged file out of the way under a free name, and say where it went."""
    number = 1
    while (aside := file.with_name(f"progress.damaged-{number}.json")).exists():
        number += 1
    try:
        os.replace(file, aside)
        _tell(f"Your progress file was damaged; it is kept as {aside}, and a new one begins.")
    except OSError as problem:
        _tell(
            f"Your progress file {file} is damaged and cannot be set aside ({problem.strerror or problem})."
        )


def _tell(line: str) -> None:
    """Say a line once a session."""
    if line not in _told:
        _told.add(line)
        print(line, file=sys.stderr)
