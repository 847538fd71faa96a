"""Drivers: how an answer of each form is run on a case, and what is written down of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.arrays import is_array
from course.exercises.base import Case, Driver, Fault, Outcome, StopDriving, copied, mutated

__all__ = ["function", "rule", "rule_of_gradient_function"]


def function(*returns: str, integer: bool = False) -> Driver:
    """Drive a plain function: one call, one or several named values back.

    Args:
        returns: the names of the values; with more than one, the answer must return a tuple.
        integer: whether the value must be a whole number.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        given = copied(case.inputs)
        result = answer(*given.values())
        _note_mutations(case.inputs, given, out, 1)
        values = _tuple_of(result, returns) if len(returns) > 1 else (result,)
        for name, value in zip(returns, values, strict=True):
            _require_number(name, value)
            if integer and np.asarray(value).dtype.kind not in "iu":
                out.fault("type", name, f"{name} must be a whole number (an int); yours is {_kind(value)}")
            out.see(1, name, value)

    return drive


def rule(*state_names: str) -> Driver:
    """Drive an update function ``(grad, state, param, *hyperparameters) -> (delta, state)``.

    The case's inputs hold ``grads`` (one gradient a step), ``state``, ``param`` and the hyperparameters;
    one that is a list has one value a step. The answer's own state and parameter go into its next step.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        inputs = copied(case.inputs)
        grads, state, param = inputs.pop("grads"), inputs.pop("state"), inputs.pop("param")
        form = _form(state, state_names)
        for step, grad in enumerate(grads, start=1):
            hyper = [v[step - 1] if isinstance(v, list) else v for v in inputs.values()]
            given = {"grad": grad, "state": state, "param": param}
            param, state = _one_step(answer, given, hyper, form, out, step)

    return drive


def rule_of_gradient_function(*state_names: str) -> Driver:
    """Drive an update function that takes a gradient function in the place of a gradient.

    The loss is ``sum(curvature * param ** 2) / 2 + slope . param``; the case's inputs hold ``curvature``,
    ``slope`` and ``steps``, and otherwise what :func:`rule` needs.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        inputs = copied(case.inputs)
        curvature, slope, steps = inputs.pop("curvature"), inputs.pop("slope"), inputs.pop("steps")
        state, param = inputs.pop("state"), inputs.pop("param")
        form = _form(state, state_names)

        def grad_fn(theta: np.ndarray) -> np.ndarray:
            """Return the gradient of the loss at ``theta``."""
            if not is_array(theta):
                raise StopDriving(
                    Fault("argument", "grad_fn", f"grad_fn was given {_kind(theta)}; it takes an array")
                )
            return curvature * theta + slope

        grad_fn.__qualname__ = "grad_fn"  # as a wrong call of it is told
        for step in range(1, steps + 1):
            given = {"grad_fn": grad_fn, "state": state, "param": param}
            param, state = _one_step(answer, given, list(inputs.values()), form, out, step)

    return drive


def _form(state: dict[str, Any], names: tuple[str, ...]) -> dict[str, bool]:
    """Say of each entry of the first state whether it is an array; it must stay what it is."""
    return {name: is_array(state[name]) for name in names}


def _one_step(
    answer: Callable[..., Any],
    given: dict[str, Any],
    hyper: list[Any],
    form: dict[str, bool],
    out: Outcome,
    step: int,
) -> tuple[Any, dict[str, Any]]:
    """Call the answer once, write its delta and state down, and return the next ``(param, state)``."""
    before = copied(given)
    result = answer(*given.values(), *hyper)
    _note_mutations(before, given, out, step)
    delta, state = _tuple_of(result, ("delta", "state"), step)
    _require_array("delta", delta, before["param"], step)
    out.see(step, "delta", delta)
    if not isinstance(state, dict):
        raise StopDriving(Fault("state", "type", f"the state must be a dict; yours is {_kind(state)}", step))
    if not form and state:
        out.fault("state", "extra", "the state came empty and must be returned as it came", step)
    for name, array in form.items():
        if name not in state:
            has = ", ".join(repr(str(key)) for key in state) or "nothing"
            raise StopDriving(
                Fault("state", name, f"the state you return must hold {name!r}; it holds {has}", step)
            )
        if array:
            _require_array(f"state[{name!r}]", state[name], before["param"], step)
        out.see(step, f"state[{name!r}]", state[name])
    return before["param"] - delta, copied(state)


def _note_mutations(before: dict[str, Any], after: dict[str, Any], out: Outcome, step: int) -> None:
    for name, value in before.items():
        if mutated(value, after[name]):
            message = f"your function changed its input {name} in place; the caller still needs it"
            out.fault("mutated", name, message, step)


def _tuple_of(result: Any, names: tuple[str, ...], step: int = 1) -> tuple[Any, ...]:
    wanted = f"return {', '.join(names)}"
    if result is None:
        raise StopDriving(
            Fault("none", "result", f"your function returned None; it must end in `{wanted}`", step)
        )
    if not isinstance(result, tuple | list) or len(result) != len(names):
        has = f"{len(result)} values" if isinstance(result, tuple | list) else _kind(result)
        raise StopDriving(Fault("count", "result", f"your function returned {has}; it must `{wanted}`", step))
    return tuple(result)


def _require_number(name: str, value: Any) -> None:
    """Refuse what is neither a number nor a NumPy array of numbers."""
    _refuse_tensor(name, value, 1)
    if value is None:
        raise StopDriving(
            Fault("none", name, f"your function returned None for {name}; is a `return` missing?")
        )
    if isinstance(value, bool | str | dict | set | list | tuple) or np.asarray(value).dtype.kind not in "iuf":
        raise StopDriving(
            Fault("type", name, f"{name} must be a number or an array; yours is {_kind(value)}")
        )


def _require_array(name: str, value: Any, like: Any, step: int, whose: str = "param's") -> None:
    """Refuse what is no array of the shape that the parameter has, or whatever ``whose`` names."""
    if value is None:
        raise StopDriving(Fault("none", name, f"{name} is None; it must be an array", step))
    _refuse_tensor(name, value, step)
    if not is_array(value):
        raise StopDriving(
            Fault("type", name, f"{name} must be an array like param; yours is {_kind(value)}", step)
        )
    if value.shape != like.shape:
        message = f"{name} has shape {value.shape}; it must have {whose}, {like.shape}"
        raise StopDriving(Fault("shape", name, message, step))


def _refuse_tensor(name: str, value: Any, step: int) -> None:
    if hasattr(value, "detach"):
        message = f"{name} is a torch tensor; the inputs are NumPy arrays, so return one too"
        raise StopDriving(Fault("type", name, message, step))


def _kind(value: Any) -> str:
    """Name a value's type with its article: ``a list``, ``an int``."""
    name = (
        "function"
        if callable(value)
        else {"ndarray": "array"}.get(type(value).__name__, type(value).__name__)
    )
    return "None" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
