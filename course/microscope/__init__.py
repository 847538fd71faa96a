"""One step of any step function, term by term.

``look`` runs a function once and writes down every value that it gives to a name on the way, in the order
in which that happens: the learner's function or the library's, unchanged.
"""

from __future__ import annotations

import copy as copying
import functools
import inspect
import linecache
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from course import rules
from course.arrays import copy, is_array, to_numpy
from course.microscope.table import LONG, Look, Row
from course.rules import Rule

__all__ = ["Look", "Row", "look"]

# Names that mean the same thing; the first of a group is the field's usual word.
_SAME = (
    ("g", "grad", "gradient", "d_p"),
    ("buffer", "buf", "velocity", "v", "b", "momentum_buffer"),
    ("theta", "param", "params", "w", "p", "x"),
    ("look_ahead", "lookahead", "look", "ahead", "peek", "theta_ahead"),
    ("delta", "update"),
)
_LIMIT = 200  # assignments that one look writes down: a loop of a million must not fill the memory


def look(
    step: Callable[..., Any] | Rule,
    *args: Any,
    beside: Callable[..., Any] | Rule | None = None,
    names: Mapping[str, str] | None = None,
    returns: str = "delta",
    **kwargs: Any,
) -> Look:
    """Run ``step(*args, **kwargs)`` once and show every named intermediate with its value.

    Args:
        step: any function, or a rule (then its ``update`` is run with ``grad, state, param``).
        beside: a second function, or a rule, run on the same arguments; its values stand beside the
            first one's, matched by name (usual other names for the same thing are known).
        names: further names to match: ``{"my_name": "reference_name"}``.
        returns: what the first of a returned pair is called, the second of which is a state.

    The arguments are copied first, so looking changes nothing. An exception in the step is not raised
    but shown, with all that happened before it. Of a step that is still to be written only that is said.

    Raises:
        TypeError: ``step`` is neither a function nor a rule.

    >>> def step(theta, g, lr):
    ...     delta = lr * g
    ...     return theta - delta
    >>> print(look(step, 1.0, 2.0, lr=0.1))
    name   value  line
    delta  0.2    delta = lr * g
    value  0.8    returned
    """
    for what in (step,) if beside is None else (step, beside):
        if not callable(what) and not isinstance(what, Rule):
            raise TypeError(f"look takes a function or a rule, not {type(what).__name__}")
    rows, result, error = _run(step, args, kwargs, returns)
    if beside is not None:
        # A rule carries its own hyperparameters: it takes grad, state, param and nothing else.
        theirs, _, _ = _run(
            beside, args[:3] if isinstance(beside, Rule) else args, {} if isinstance(beside, Rule) else kwargs
        )
        rows = _match(rows, theirs, dict(names or {}))
    stub = isinstance(error, NotImplementedError) and not rows and not isinstance(step, Rule)
    return Look(rows, result, error, getattr(step, "__name__", "function") if stub else None)


def _run(
    step: Any, args: tuple, kwargs: dict, returns: str = "delta"
) -> tuple[list[Row], Any, BaseException | None]:
    if isinstance(step, Rule):
        own = _leaf_codes(step)
        call, watch = step.update, _Watch(lambda c: _is_formula(c) or c in own)
    else:
        call, code = step, _code_of(step)
        watch = _Watch(lambda c: c is code)
    args, kwargs = _copied(args), _copied(kwargs)
    before = sys.gettrace()
    result, error = None, None
    sys.settrace(watch.start)
    try:
        result = call(*args, **kwargs)
    except Exception as problem:
        error = problem
    finally:
        sys.settrace(before)
    rows = watch.rows + [Row(n, _frozen(v), 0, "", returned=True) for n, v in _outputs(result, returns)]
    return rows, result, error


def _code_of(function: Callable[..., Any]) -> CodeType | None:
    while isinstance(function, functools.partial):
        function = function.func
    inner = inspect.unwrap(function)
    return getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)


class _Watch:
    """A trace function that compares a frame's local names before and after every line."""

    def __init__(self, wanted: Callable[[CodeType], bool]) -> None:
        self.wanted = wanted
        self.rows: list[Row] = []
        self._seen: dict[FrameType, tuple[dict[str, Any], int]] = {}
        self._of: dict[FrameType, list[Row]] = {}
        self._latest: dict[str, Any] = {}  # a value handed from an inner frame to an outer one is one row

    def start(self, frame: FrameType, event: str, _: Any) -> Any:
        if not self.wanted(frame.f_code):
            return None
        self._seen[frame] = (_plain(frame.f_locals), frame.f_lineno)
        return self.line

    def line(self, frame: FrameType, event: str, _: Any) -> Any:
        before, number = self._seen[frame]
        now = _plain(frame.f_locals)
        for name, value in now.items():
            known = before if name in before else self._latest
            if len(self.rows) < _LIMIT and not (name in known and _same(value, known[name])):
                code = linecache.getline(frame.f_code.co_filename, number).strip()
                self.rows.append(Row(name, value, number, code))
                self._of.setdefault(frame, []).append(self.rows[-1])
                self._latest[name] = value
        if event == "return":  # from Python 3.12 on a comprehension's own names show up meanwhile
            own = {id(row) for row in self._of.pop(frame, []) if row.name not in now}
            self.rows = [row for row in self.rows if id(row) not in own]
        self._seen[frame] = (now, frame.f_lineno)
        if len(self.rows) >= _LIMIT:
            sys.settrace(None)  # the rest of the step runs unwatched, at full speed
        return self.line


def _leaf_codes(rule: Rule) -> set[CodeType]:
    """Return the formulas of a rule and of its stages, wherever they are written."""
    rules_in_it = (rule, *getattr(rule, "stages", ()))
    return {code for r in rules_in_it if (code := getattr(type(r).update_leaf, "__code__", None))}


def _is_formula(code: CodeType) -> bool:
    """Say whether code is a rule's own file: where its formula stands, not the checks around it."""
    path = Path(code.co_filename)
    return path.parent == Path(rules.__file__).parent and path.name not in ("base.py", "chain.py")


def _match(rows: list[Row], theirs: list[Row], names: dict[str, str]) -> list[Row]:
    def canonical(name: str) -> str:
        name = names.get(name, name)
        return next((group[0] for group in _SAME if name.lower() in group), name)

    # The last value of a name counts: that is the one which the rest of the step uses.
    final = {(canonical(row.name), row.returned): row.value for row in theirs}
    either = {canonical(row.name): row.value for row in theirs if not row.returned}
    last = {canonical(row.name): i for i, row in enumerate(rows) if not row.returned}
    matched = []
    for i, row in enumerate(rows):
        key = canonical(row.name)
        value = final.get((key, True)) if row.returned else either.get(key) if last[key] == i else None
        matched.append(Row(row.name, row.value, row.line, row.code, value, row.returned))
    return matched


def _outputs(result: Any, first: str) -> list[tuple[str, Any]]:
    """Name what a step returned: ``(delta, state)`` is the house's form."""
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        return [(first, result[0]), *((str(name), value) for name, value in result[1].items())]
    if isinstance(result, tuple):
        return [(f"value {i}", value) for i, value in enumerate(result, start=1)]
    return [] if result is None else [("value", result)]


def _plain(names: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the local values that can be shown: numbers, arrays, and dicts of them, entry by entry."""
    flat: dict[str, Any] = {}
    for name, value in names.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}[{key!r}]": _frozen(v) for key, v in value.items() if _showable(v)}
        elif _showable(value):
            flat[name] = _frozen(value)
    return flat


def _showable(value: Any) -> bool:
    return is_array(value) or isinstance(value, int | float | list | tuple | None)


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple) and len(value) <= LONG:
        parts = [_frozen(v) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    return to_numpy(copy(value)) if is_array(value) else value


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(v) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copied(v) for v in value)
    if is_array(value) and getattr(value, "requires_grad", False) and value.is_leaf:
        twin = copying.deepcopy(value)  # it can still be differentiated by
        twin.grad = None if value.grad is None else value.grad.clone()
        return twin
    return copy(value) if is_array(value) else value


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (
            a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, list | tuple) and type(a) is type(b) and max(len(a), len(b)) <= LONG:
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return a is b or (type(a) is type(b) and not isinstance(a, list | tuple) and bool(a == b))
