"""What travels between this process and its ranks: functions and classes of a notebook go along by value.

``pickle`` sends a function as the name of its module, and another process cannot import a notebook's
``__main__``. cloudpickle sends the code itself. Two things are added here: tracebacks in a rank show the
lines of a notebook's cell, and what a rank sends home is made of the classes that this process has.
"""

from __future__ import annotations

import io
import linecache
import pickle
import sys
from pathlib import Path
from typing import Any

import cloudpickle

__all__ = ["dumps", "loads"]


def dumps(value: Any, *, returning: bool = False) -> bytes:
    """Return ``value`` as bytes for a process of the same interpreter.

    Args:
        value: anything that pickle can send, and functions and classes of ``__main__``.
        returning: send classes of ``__main__`` by name, since the receiver is where they came from.

    Raises:
        TypeError: something in it cannot be sent; the message says what.
    """
    buffer = io.BytesIO()
    pickler = _Homeward(buffer) if returning else cloudpickle.Pickler(buffer)
    try:
        pickler.dump((value, {} if returning else _sources()))
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        raise TypeError(f"cluster: this cannot be sent to another process: {error}") from error
    return buffer.getvalue()


def loads(data: bytes) -> Any:
    """Return what :func:`dumps` wrote."""
    value, sources = pickle.loads(data)
    linecache.cache.update(sources)
    return value


class _Homeward(cloudpickle.Pickler):
    """Sends a class of ``__main__`` by name: by value, it would overwrite the one that it came from."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type) and value.__module__ == "__main__":
            return _from_main, (value.__qualname__,)
        return super().reducer_override(value)


def _from_main(qualname: str) -> Any:
    found: Any = sys.modules["__main__"]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def _sources() -> dict[str, Any]:
    """Return what linecache knows of files that are not on the disk: the cells of a notebook."""
    return {name: entry for name, entry in linecache.cache.items() if not Path(name).exists()}
