"""Functions that no other process can import, written out: those of a notebook, lambdas, inner functions.

``pickle`` sends a function as the name of its module. What stands in a notebook's ``__main__`` has none that
another process could import, so it is sent by value here: its byte code, its defaults, what its closure
holds, and of its globals those that its code loads. Both ends run the same interpreter (the ranks are forked
from a server that this process started), so byte code is safe to hand over; nothing here crosses versions or
machines.
"""

from __future__ import annotations

import dataclasses
import dis
import importlib
import io
import linecache
import marshal
import pickle
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["dumps", "loaded_names", "loads"]

_SENTINELS = (type(dataclasses.MISSING), type(dataclasses._FIELD))  # type: ignore[attr-defined]
# Class attributes that Python makes anew, or that cannot be carried.
_MADE_ANEW = {"__dict__", "__weakref__", "__module__", "__doc__", "_abc_impl"}


def dumps(value: Any, *, returning: bool = False) -> bytes:
    """Return ``value`` as bytes for a process of the same interpreter.

    Args:
        value: anything that pickle can send, and functions and classes of ``__main__``.
        returning: send classes of ``__main__`` by name, since the receiver is where they came from.

    Raises:
        TypeError: something in it cannot be sent; the message says what.
    """
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, returning).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError) as error:
        raise TypeError(f"cluster: this cannot be sent to another process: {error}") from error
    return buffer.getvalue()


def loads(data: bytes) -> Any:
    """Return what :func:`dumps` wrote."""
    return pickle.loads(data)


class _Pickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, returning: bool) -> None:
        super().__init__(buffer, protocol=pickle.HIGHEST_PROTOCOL)
        self.returning = returning

    def reducer_override(self, value: Any) -> Any:
        """Say how to rebuild what pickle would send as a name that nobody can import."""
        if isinstance(value, types.FunctionType) and not _findable(value):
            return _reduce_function(value)
        if isinstance(value, type) and not _findable(value):
            if self.returning and value.__module__ == "__main__":
                return _from_main, (value.__qualname__,)
            return _reduce_class(value)
        if isinstance(value, types.ModuleType):
            return importlib.import_module, (value.__name__,)
        if isinstance(value, property):
            return property, (value.fget, value.fset, value.fdel, value.__doc__)
        if isinstance(value, staticmethod | classmethod):
            return type(value), (value.__func__,)
        if isinstance(value, types.MappingProxyType):
            return _make_proxy, (dict(value),)
        if type(value) in _SENTINELS:  # what a dataclass compares by identity
            return getattr, (dataclasses, getattr(value, "name", "MISSING"))
        if isinstance(value, types.CellType):
            return _make_cell, (), _contents(value), None, None, _fill_cell
        return NotImplemented


def _findable(value: Any) -> bool:
    """Say whether another process can import ``value`` by its module and name."""
    found: Any = sys.modules.get(value.__module__ or "")
    if found is None or value.__module__ == "__main__":
        return False
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is value and _on_the_path(value.__module__)


def _on_the_path(module: str) -> bool:
    """Say whether the module can be found as a fresh interpreter would find it."""
    if module in sys.builtin_module_names or module in sys.stdlib_module_names:
        return True
    names, path = module.split("."), None
    for i in range(len(names)):
        name = ".".join(names[: i + 1])
        specs = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return False
        path = list(spec.submodule_search_locations or [])
    return True


def _reduce_function(function: types.FunctionType) -> tuple[Any, ...]:
    names = {name for name in loaded_names(function.__code__) if name in function.__globals__}
    state = {
        "globals": {name: function.__globals__[name] for name in sorted(names)},
        "defaults": function.__defaults__,
        "kwdefaults": function.__kwdefaults__,
        "dict": function.__dict__,
        "doc": function.__doc__,
        "qualname": function.__qualname__,
        "module": function.__module__,
        "source": _source(function.__code__.co_filename),
    }
    made = (
        marshal.dumps(function.__code__),
        function.__name__,
        function.__closure__,
        id(function.__globals__),
    )
    return _make_function, made, state, None, None, _fill_function


def _source(filename: str) -> dict[str, Any]:
    """Return what linecache knows of a file that is not on the disk: a notebook's cell."""
    known = linecache.cache.get(filename)
    return {filename: known} if known is not None and not Path(filename).exists() else {}


def loaded_names(code: types.CodeType) -> Iterator[str]:
    """Yield the global names that the code and the functions within it load."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME") and isinstance(step.argval, str):
            yield step.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from loaded_names(constant)


# Functions of one module share their globals: here by the number that the module's had at the sender.
_namespaces: dict[int, dict[str, Any]] = {}


def _make_function(code: bytes, name: str, closure: Any, key: int) -> types.FunctionType:
    space = _namespaces.setdefault(key, {"__builtins__": __builtins__, "__name__": "__main__"})
    return types.FunctionType(marshal.loads(code), space, name, None, closure)


def _fill_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    function.__globals__.update(state["globals"])
    function.__defaults__, function.__kwdefaults__ = state["defaults"], state["kwdefaults"]
    function.__dict__.update(state["dict"])
    function.__doc__, function.__module__ = state["doc"], state["module"]
    function.__qualname__ = state["qualname"]
    linecache.cache.update(state["source"])  # so that tracebacks show the lines of a notebook's cell


def _contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # a name that is not assigned yet
        return ()


def _make_proxy(mapping: dict[Any, Any]) -> types.MappingProxyType[Any, Any]:
    return types.MappingProxyType(mapping)


def _make_cell() -> types.CellType:
    return types.CellType()


def _fill_cell(cell: types.CellType, contents: tuple[Any, ...]) -> None:
    if contents:
        cell.cell_contents = contents[0]


def _reduce_class(cls: type) -> tuple[Any, ...]:
    slots = cls.__dict__.get("__slots__", ())
    left_out = _MADE_ANEW | set([slots] if isinstance(slots, str) else slots)
    body = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    first = {name: body.pop(name) for name in ("__slots__",) if name in body}
    first |= {"__module__": cls.__module__, "__doc__": cls.__doc__, "__qualname__": cls.__qualname__}
    return _make_class, (type(cls), cls.__name__, cls.__bases__, first), body, None, None, _fill_class


def _make_class(meta: Callable[..., type], name: str, bases: tuple[type, ...], first: dict[str, Any]) -> type:
    return meta(name, bases, first)


def _fill_class(cls: type, body: dict[str, Any]) -> None:
    for name, value in body.items():
        setattr(cls, name, value)


def _from_main(qualname: str) -> Any:
    found: Any = sys.modules["__main__"]
    for part in qualname.split("."):
        found = getattr(found, part)
    return found
