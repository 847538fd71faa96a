"""From a failing case to the smallest one: fewer steps, fewer elements, rounder numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from course.exercises.base import Case

__all__ = ["shrink"]


def shrink(case: Case, still_fails: Callable[[Case], bool], seconds: float = 0.15) -> Case:
    """Return the smallest case found within the time that still fails.

    Greedy: the first simpler case that fails takes the place of the case, until none does.

    Args:
        seconds: of this process's own work: what is told must not depend on what else the machine does.
    """
    end = time.process_time() + seconds
    again = True
    while again and time.process_time() < end:
        again = False
        for simpler in _simpler(case):
            if time.process_time() > end:
                break
            if still_fails(simpler):
                case, again = simpler, True
                break
    return case


def _simpler(case: Case) -> Iterator[Case]:
    """Yield cases that are one notion simpler, the greatest simplifications first."""
    for inputs in _fewer_steps(case.inputs):
        yield replace(case, inputs=inputs)
    for inputs in _fewer_elements(case.inputs):
        yield replace(case, inputs=inputs)
    for name, value in case.inputs.items():
        for rounder in _rounder(value) if name not in case.fixed else ():
            yield replace(case, inputs=case.inputs | {name: rounder})


def _fewer_steps(inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    grads, steps = inputs.get("grads"), inputs.get("steps")
    count = len(grads) if isinstance(grads, list) else steps
    for n in range(1, count or 1):
        short = {k: v[:n] if isinstance(v, list) else v for k, v in inputs.items()}
        yield short | ({"steps": n} if isinstance(steps, int) else {})


def _fewer_elements(inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Keep one element of every array, or half of them, where all arrays have the same shape."""
    arrays = list(_arrays(inputs))
    shapes = {a.shape for a in arrays}
    if len(shapes) != 1 or arrays[0].ndim != 1 or arrays[0].size < 2:
        return
    n = arrays[0].size
    for keep in [slice(i, i + 1) for i in range(min(n, 8))] + [slice(0, n // 2), slice(n // 2, n)]:
        if keep.stop - keep.start < n:
            yield {name: _cut(value, keep) for name, value in inputs.items()}


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays(part)


def _cut(value: Any, keep: slice) -> Any:
    if isinstance(value, np.ndarray):
        return value[keep]
    if isinstance(value, dict):
        return {key: _cut(v, keep) for key, v in value.items()}
    return [_cut(v, keep) for v in value] if isinstance(value, list) else value


def _rounder(value: Any) -> Iterator[Any]:
    """Yield rounder values of the same kind: ones, then one digit."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 1:
        one_digit = np.array([float(f"{x:.1g}") for x in value.flat], value.dtype).reshape(value.shape)
        for simple in (np.ones_like(value), one_digit):
            if not np.array_equal(simple, value):
                yield simple
    elif isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        for i, part in enumerate(value):
            for simple in _rounder(part):
                yield [*value[:i], simple, *value[i + 1 :]]
