"""What differs between an answer and the reference: where first, and by what factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from course.exercises.base import Case, Exercise, Outcome, Seen
from course.oracle import deviation

__all__ = ["Difference", "first_difference", "name_of_factor", "same_outcome", "show_inputs", "soft_faults"]

# Other orders of the same operations part by 1e-15 and 1e-7; no slip comes near these.
TOLERANCE = {"float32": 2e-5, "float16": 1e-2}
ORDER = 24  # so many whole numbers in a row are still shown: an order of work, sizes
ZERO = 1e-30  # what counts as 0 where the reference is exactly 0: rounding, squared
_REAL = "biuf"  # NumPy's kinds of real numbers


@dataclass(frozen=True)
class Difference:
    """The first value that differs: in which case, at which step, under which name, and how.

    ``ratio`` is the factor between the two, where there is one for all elements and it means something.
    ``tiny`` says that they part by no more than a rounding might.
    """

    case: Case
    step: int
    name: str
    mine: str
    expected: str
    factor: str
    ratio: float | None = None
    tiny: bool = False


def close(a: Any, b: Any) -> bool:
    """Say whether two observed values are equal up to rounding."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype.kind not in _REAL or b.dtype.kind not in _REAL:
        return False
    # Next to a 0 every difference is infinite in the oracle's metric.
    if b.size and not b.any() and b.dtype.kind == "f":
        return bool(np.all(np.abs(a) <= ZERO))
    return deviation(a, b) <= TOLERANCE.get(str(b.dtype), 1e-9)


def first_difference(exercise: Exercise, case: Case, got: Outcome, want: Outcome) -> Difference | None:
    """Return the first value of ``got`` that differs from ``want``, or None."""
    for mine, expected in zip(got.seen, want.seen, strict=False):
        if not close(mine.value, expected.value):
            return _describe(case, mine, expected, mine.name in exercise.positions)
    return None


def name_of_factor(differences: list[Difference]) -> str | None:
    """Return what the factor of the first difference is, such as ``1 - momentum``, or None.

    A single case proves nothing: with momentum 0.5 every 2 is 1/momentum. So the name must fit the first
    case and at least half of those that show the same value wrong by a factor, with two different factors.
    """
    shown = [(d.ratio, dict(_candidates(d.case))) for d in differences if d.name == differences[0].name]
    ratios = [(ratio, names) for ratio, names in shown if ratio is not None]
    if differences[0].ratio is None:
        return None
    for name in ratios[0][1]:
        fits = [r for r, names in ratios if name in names and math.isclose(r, names[name], rel_tol=1e-6)]
        first = math.isclose(ratios[0][0], ratios[0][1][name], rel_tol=1e-6)
        if first and len({round(r, 9) for r in fits}) > 1 and 2 * len(fits) >= len(ratios):
            return name
    return None


def soft_faults(got: Outcome, want: Outcome) -> list[tuple[int, str]]:
    """Return what is wrong beside the values: ``(step, message)``, dtypes among it."""
    found = [(fault.step, fault.message) for fault in got.faults]
    for mine, expected in zip(got.seen, want.seen, strict=False):
        a, b = mine.value.dtype, expected.value.dtype
        arrays = expected.value.ndim > 0 or b.name != "float64"  # a Python float is as good as a float64
        if arrays and b.kind == "f" and a != b:
            message = f"{mine.name} comes out as {a} where the inputs are {b}; keep the dtype"
            if (a, b) == (np.float64, np.float32):
                message += (
                    ". Two things may do it: np.zeros and np.append of zeros make float64 (dtype=x.dtype "
                    "makes what x is); and a NumPy scalar in float64 makes the array one that it is "
                    "multiplied with (np.sqrt of a plain number is such a scalar; float(...) of it is none)"
                )
            found.append((mine.step, message))
            break
    return found


def same_outcome(a: Outcome, b: Outcome, notes: bool = False) -> bool:
    """Say whether two answers did the same in a case: values and faults, and the way they went about it.

    Args:
        a: one outcome. b: another. notes: whether the way counts too.
    """
    return (
        type(a.error) is type(b.error)
        and (a.notes == b.notes or not notes)
        and _identity(a) == _identity(b)
        and len(a.seen) == len(b.seen)
        and all(close(x.value, y.value) for x, y in zip(a.seen, b.seen, strict=True))
    )


def show_inputs(case: Case) -> str:
    """Write a case's inputs on one line: ``theta = [1], gradient = [2], lr = 0.25``."""
    inputs = dict(case.inputs)
    parts = []
    if "slope" in inputs:  # of the loss behind grad_fn; "steps" are the driver's
        slope = show(inputs.pop("slope"))
        parts.append(f"grad_fn(theta) = {show(inputs.pop('curvature'))} * theta + {slope}")
        inputs.pop("steps")
    steps = len(inputs["grads"]) if isinstance(inputs.get("grads"), list) else 0
    for name, value in inputs.items():
        if name == "grads" and case.row != "grad":
            name, value = case.row, _one_a_step(value)
        elif name == "grads" and steps == 1 and not isinstance(value[0], list):
            name, value = "grads" if isinstance(value[0], dict) else "grad", value[0]
        elif steps and isinstance(value, list) and len(value) == steps and _is_window(value[0]):
            value = _one_a_step(value)
        if name == "hessian" and "probe" in inputs:
            parts.append(f"hessian_vector(v) = {show(value)} @ v")
            continue
        if name == "probe" and len(value) == 1:
            value = value[0]
        if isinstance(value, dict) and not value:
            continue
        parts.append(f"{name} = {value if isinstance(value, _Steps) else show(value)}")
    return ", ".join(parts)


class _Steps(str):
    """The values of one argument in several calls, written out."""


def _one_a_step(values: list[Any]) -> _Steps:
    return _Steps(", then ".join(show(value) for value in values))


def _is_window(value: Any) -> bool:
    """Say whether a value of one step is a list of gradients or counts, or a number."""
    return isinstance(value, list | int | float)


def show(value: Any, digits: int = 6) -> str:
    """Write a value short enough to be read, its numbers to so many significant digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {show(v, digits)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(show(v, digits) for v in value) + "]"
    if isinstance(value, np.ndarray | np.generic):
        if value.ndim == 0:
            return show(value.item(), digits)
        if value.size > (ORDER if value.ndim == 1 and value.dtype.kind in "iu" else 8):
            return f"array of shape {value.shape}"
        text = np.array2string(
            np.asarray(value),
            separator=", ",
            formatter={"float_kind": lambda x: f"{x:.{digits}g}", "int_kind": str},
        )
        return " ".join(text.split())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:.{digits}g}"
    return " ".join(f"{value!s:.60}".split())


def _apart(a: Any, b: Any) -> tuple[str, str]:
    """Write two values to as many digits as it takes to see that they differ."""
    pairs = ((show(a, digits), show(b, digits)) for digits in range(6, 18))
    return next((pair for pair in pairs if pair[0] != pair[1]), (show(a), show(b)))


def _identity(outcome: Outcome) -> set[tuple[str, str, str]]:
    faults = [*outcome.faults, *([outcome.stopped] if outcome.stopped else [])]
    faults = [fault for fault in faults if fault.kind != "cost"]  # a waste hides no mistake's name
    # Three values and none at all are both no pair, and not the same mistake: there the message counts.
    return {(f.kind, f.what, f.message if f.kind == "count" else "") for f in faults}


def _describe(case: Case, mine: Seen, expected: Seen, position: bool) -> Difference:
    a, b = np.asarray(mine.value), np.asarray(expected.value)

    def made(how: str, ratio: float | None = None, tiny: bool = False) -> Difference:
        return Difference(case, mine.step, mine.name, *_apart(a, b), how, ratio, tiny)

    if a.ndim == b.ndim == 1 and a.shape != b.shape:
        return made(f"has {a.size} entries; it should have {b.size}")
    if a.shape != b.shape:
        return made(f"has shape {a.shape}; it should have shape {b.shape}")
    if a.dtype.kind not in _REAL:
        return made(f"is not made of real numbers (its type is {_type_of(a)})")
    if b.dtype.kind == "b":
        return made(f"should be {show(b)}, and is {show(a)}")
    if deviation(a, b) < 1e-4:  # "1 times what it should be" would say nothing
        apart = float(np.max(np.abs(a - b)) / np.max(np.abs(b)))
        return made(f"is off by a relative {apart:.1g}", tiny=True)
    return made(*_factor(a.astype(np.float64), b.astype(np.float64), position))


def _type_of(a: np.ndarray) -> str:
    """Name the type of what an array holds, as a learner knows it: ``str``, ``complex128``, ``NoneType``."""
    if a.dtype.kind == "O" and a.size:
        return type(a.flat[0]).__name__
    return "str" if a.dtype.kind == "U" else str(a.dtype)


def _factor(a: np.ndarray, b: np.ndarray, position: bool) -> tuple[str, float | None]:
    """Say how ``a`` relates to ``b``: by one factor everywhere, or where they part most.

    For a position, a count or a list the factor means nothing; there the difference is told.
    """
    if np.isnan(a).any() and not np.isnan(b).any():
        return ("is not a number (NaN)" if a.size == 1 else f"holds {int(np.isnan(a).sum())} NaN"), None
    if np.isinf(a).any() and not np.isinf(b).any():
        return "is infinite", None
    at = (b != 0) & np.isfinite(b)
    if np.isfinite(b).all() and at.any() and (a[~at] == 0).all() and not position:
        ratios = a[at] / b[at]
        ratio = float(np.median(ratios))
        if np.allclose(ratios, ratio, rtol=1e-6, atol=1e-12):
            return _ratio(ratio), ratio
    with np.errstate(invalid="ignore"):
        apart = np.where(
            (a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.nan_to_num(np.abs(a - b), nan=np.inf)
        )
    worst = np.unravel_index(int(np.argmax(apart)), a.shape)
    if a.size > 1:
        where = tuple(int(i) for i in worst)
        mine, right = _apart(a[worst], b[worst])
        return f"differs most at index {where}: {mine} instead of {right}", None
    if position and float(a.flat[0]).is_integer() and float(b.flat[0]).is_integer():
        off = int(a.flat[0] - b.flat[0])
        return f"is {abs(off)} too {'many' if off > 0 else 'few'}", None
    mine, right = _apart(a[worst], b[worst])
    return f"is {mine} where it should be {right}", None


def _ratio(ratio: float) -> str:
    if ratio == 0:
        return "is 0"
    if math.isclose(ratio, -1, rel_tol=1e-9):
        return "has the opposite sign"
    said = next((text for n in range(4, 10) if (text := f"{ratio:.{n}g}") != "1"), "1")
    return f"is {said} times what it should be"


def _candidates(case: Case) -> list[tuple[str, float]]:
    """Return factors that a reader would recognize: the hyperparameters and their usual companions."""
    plain, derived = [], []
    examples = {"samples"} | ({"x", "y"} if {"x", "y"} <= case.inputs.keys() else set())
    for name, value in case.inputs.items():
        if isinstance(value, float) and value != 0:
            plain.append((name, value))
            derived.append((f"1/{name}", 1 / value))
            if value != 1:
                derived += [(f"1 - {name}", 1 - value), (f"1/(1 - {name})", 1 / (1 - value))]
        elif name in examples and isinstance(value, np.ndarray) and value.ndim == 1 and value.size > 1:
            plain.append(("the number of examples", float(value.size)))
    return plain + derived
