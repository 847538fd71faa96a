"""What every driver demands of an answer: a refusal is one line, of what is wrong and what would be right."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.arrays import is_array
from course.exercises.base import Fault, Outcome, StopDriving, mutated

__all__ = [
    "changed_in_place",
    "kind_of",
    "note_mutations",
    "refuse_tensor",
    "require_array",
    "require_number",
    "tuple_of",
]


def note_mutations(before: dict[str, Any], after: dict[str, Any], out: Outcome, step: int) -> None:
    """Write down which inputs are no longer what they were before the call."""
    for name, value in before.items():
        if mutated(value, after[name]):
            out.fault("mutated", name, changed_in_place(name), step)


def changed_in_place(name: str) -> str:
    """Say that an input is no longer what it was."""
    return f"your function changed its input {name} in place; the caller still needs it"


def tuple_of(result: Any, names: tuple[str, ...], step: int = 1) -> tuple[Any, ...]:
    """Return what an answer returned as a tuple; refuse what has not so many values."""
    wanted = f"return {', '.join(names)}"
    if result is None:
        raise StopDriving(
            Fault("none", "result", f"your function returned None; it must end in `{wanted}`", step)
        )
    if not isinstance(result, tuple | list) or len(result) != len(names):
        has = f"{len(result)} values" if isinstance(result, tuple | list) else kind_of(result)
        raise StopDriving(Fault("count", "result", f"your function returned {has}; it must `{wanted}`", step))
    return tuple(result)


def require_number(name: str, value: Any) -> None:
    """Refuse what is neither a number nor a NumPy array of numbers."""
    refuse_tensor(name, value, 1)
    if value is None:
        raise StopDriving(
            Fault("none", name, f"your function returned None for {name}; is a `return` missing?")
        )
    if isinstance(value, bool | str | dict | set | list | tuple) or np.asarray(value).dtype.kind not in "iuf":
        raise StopDriving(
            Fault("type", name, f"{name} must be a number or an array; yours is {kind_of(value)}")
        )


def require_array(name: str, value: Any, like: Any, step: int, whose: str = "param's") -> None:
    """Refuse what is no array of the shape that the parameter has, or whatever ``whose`` names."""
    if value is None:
        raise StopDriving(Fault("none", name, f"{name} is None; it must be an array", step))
    refuse_tensor(name, value, step)
    if not is_array(value):
        raise StopDriving(
            Fault("type", name, f"{name} must be an array like param; yours is {kind_of(value)}", step)
        )
    if value.shape != like.shape:
        message = f"{name} has shape {value.shape}; it must have {whose}, {like.shape}"
        raise StopDriving(Fault("shape", name, message, step))


def refuse_tensor(name: str, value: Any, step: int) -> None:
    """Refuse torch's tensors where the inputs are NumPy's arrays."""
    if hasattr(value, "detach"):
        message = f"{name} is a torch tensor; the inputs are NumPy arrays, so return one too"
        raise StopDriving(Fault("type", name, message, step))


def kind_of(value: Any) -> str:
    """Name a value's type with its article: ``a list``, ``an int``."""
    name = (
        "function"
        if callable(value)
        else {"ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    )
    return "None" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
