"""Arrays that a rank program finds outside itself, kept from being changed while it runs simulated.

Real ranks each get a copy of what the program captures. Simulated ones would all change the same array, and
the simulation would compute something else. So NumPy arrays that the program reaches through its closure,
its defaults and its globals are read-only meanwhile: a rank that writes into one is told.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["read_only"]


@contextlib.contextmanager
def read_only(program: Callable[..., Any]) -> Iterator[None]:
    """Lock the arrays that ``program`` captures, and unlock them afterwards."""
    home = getattr(program, "__globals__", None)
    found = [array for array in _arrays(program, home, set()) if array.flags.writeable]
    for array in found:
        array.flags.writeable = False
    try:
        yield
    finally:
        for array in sorted(found, key=lambda array: array.base is not None):  # owners before their views
            array.flags.writeable = True


def _arrays(value: Any, home: dict[str, Any] | None, seen: set[int]) -> Iterator[np.ndarray]:
    """Yield what ``value`` leads to; of functions only those of the program's own module are looked into."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield value
        return
    inside: list[Any] = []
    if isinstance(value, types.FunctionType) and value.__globals__ is home:
        names = (name for name in _loaded_names(value.__code__) if name in value.__globals__)
        inside += [value.__globals__[name] for name in names]
        inside += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        for cell in value.__closure__ or ():
            with contextlib.suppress(ValueError):  # a name that is not assigned yet
                inside.append(cell.cell_contents)
    elif isinstance(value, functools.partial):
        inside += [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, Mapping):
        inside += list(value.values())
    elif isinstance(value, list | tuple):
        inside += list(value)
    for one in inside:
        if isinstance(one, np.ndarray | types.FunctionType | functools.partial | Mapping | list | tuple):
            yield from _arrays(one, home, seen)


def _loaded_names(code: types.CodeType) -> Iterator[str]:
    """Yield the global names that the code and the functions within it load."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and isinstance(step.argval, str):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _loaded_names(constant)
