"""Drivers for what happens between backward and step: lists of gradients, a scaler, copies of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Case, Driver, Fault, Outcome, StopDriving, copied
from course.exercises.demands import kind_of, note_mutations, require_array, require_number, tuple_of

__all__ = ["lists_of_gradients", "scaler", "steps_with_a_copy"]

Array = np.ndarray


def lists_of_gradients(name: str, *numbers: str) -> Driver:
    """Drive a function of a list of gradients that returns a list of arrays, and perhaps numbers after it.

    Args:
        name: of the list that comes back. numbers: the names of what comes with it.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        given = copied(case.inputs)
        result = answer(*given.values())
        note_mutations(case.inputs, given, out, 1)
        values = tuple_of(result, (name, *numbers)) if numbers else (result,)
        arrays = _list_of_arrays(name, values[0], case.inputs["gradients"], 1)
        out.see(1, f"the number of {name}", len(arrays))
        for i, array in enumerate(arrays):
            out.see(1, f"{name}[{i}]", array)
        for number, value in zip(numbers, values[1:], strict=True):
            require_number(number, value)
            out.see(1, number, _number_among(value, case.inputs["gradients"]))

    return drive


def scaler(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
    """Drive a class that scales losses through steps of training in float16.

    The case's inputs hold the hyperparameters and ``grads``: for each step the list of the gradients of the
    loss itself, as exact arithmetic has them. What ``unscale`` gets is what backward would leave: these,
    times what the class makes of a loss, rounded to float16.
    """
    inputs = copied(case.inputs)
    steps = inputs.pop("grads")
    made = answer(*inputs.values())
    taken: list[int] = []
    for step, exact in enumerate(steps, start=1):
        factor = _scaled_loss(made, 0.5, out, step) / 0.5
        left = [(g.astype(np.float64) * factor).astype(np.float16) for g in exact]
        given = copied(left)
        unscaled = _list_of_arrays("unscale(grads)", made.unscale(given), exact, step)
        note_mutations({"gradients": left}, {"gradients": given}, out, step)
        out.see(step, "the number of unscaled gradients", len(unscaled))
        for i, array in enumerate(unscaled):
            out.see(step, f"unscale(grads)[{i}]", array)
        made.step(lambda step=step: taken.append(step))
        out.see(step, "the number of steps taken", len(taken))
        made.update()
    _scaled_loss(made, 0.5, out, len(steps))


def _scaled_loss(made: Any, loss: float, out: Outcome, step: int) -> float:
    scaled = made.scale(loss)
    require_number("scale(loss)", scaled)
    if np.ndim(scaled):
        raise StopDriving(Fault("shape", "scale(loss)", "scale(loss) of one number must be one number", step))
    out.see(step, "scale(0.5)", float(scaled))
    return float(scaled)


def steps_with_a_copy(weight: str, copy: str, *, counted: bool = False) -> Driver:
    """Drive a step that keeps a copy of the weights: the case's inputs hold one array a step, and the copy.

    With ``counted`` the answer is an average ``(average, param, decay, step)`` that returns ``(copy,
    weight)``; otherwise it is a step ``(grad, weight, master, *hyperparameters)`` and returns ``(weight,
    copy)``.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        inputs = copied(case.inputs)
        rows, kept = inputs.pop("grads"), inputs.pop(copy)
        first, visible = inputs.pop("step", 1), inputs.pop("weight", None)  # what is left: hyperparameters
        for step, row in enumerate(rows, start=1):
            given = {copy: kept, "param": row} if counted else {"grad": row, "weight": visible, copy: kept}
            before, at = copied(given), first + step - 1
            number = [at] if counted else []
            result = answer(*given.values(), *inputs.values(), *number)
            note_mutations(before, given, out, at)
            names = (copy, weight) if counted else (weight, copy)
            values = dict(zip(names, tuple_of(result, names, at), strict=True))
            for name, value in values.items():
                require_array(name, value, row, at)
                out.see(at, name, value)
            kept, visible = np.array(values[copy]), np.array(values[weight])

    return drive


def _number_among(value: Any, gradients: list[Array]) -> Any:
    """Return one number in the dtype of the gradients: a Python float says as much as a float32."""
    return value if np.ndim(value) else np.asarray(value).astype(np.result_type(*gradients))


def _list_of_arrays(name: str, value: Any, like: list[Array], step: int) -> list[Any]:
    if value is None:
        raise StopDriving(Fault("none", name, f"{name} is None; it must be a list of arrays", step))
    if not isinstance(value, list | tuple):
        raise StopDriving(
            Fault("type", name, f"{name} must be a list of arrays; yours is {kind_of(value)}", step)
        )
    for i, array in enumerate(value):
        require_array(f"{name}[{i}]", array, like[min(i, len(like) - 1)], step)
    return list(value)
