"""Drivers: how an answer of each form is run on a case, and what is written down of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.arrays import is_array
from course.exercises.base import Case, Driver, Fault, Outcome, StopDriving, copied
from course.exercises.demands import (
    kind_of,
    note_mutations,
    require_array,
    require_number,
    tuple_of,
)

__all__ = ["form_of", "function", "one_step", "rule", "rule_of_gradient_function"]


def function(*returns: str, integer: bool = False) -> Driver:
    """Drive a plain function: one call, one or several named values back.

    Args:
        returns: the names of the values; with more than one, the answer must return a tuple.
        integer: whether the value must be a whole number.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        given = copied(case.inputs)
        result = answer(*given.values())
        note_mutations(case.inputs, given, out, 1)
        values = tuple_of(result, returns) if len(returns) > 1 else (result,)
        for name, value in zip(returns, values, strict=True):
            require_number(name, value)
            if integer and np.asarray(value).dtype.kind not in "iu":
                out.fault("type", name, f"{name} must be a whole number (an int); yours is {kind_of(value)}")
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
        form = form_of(state, state_names)
        for step, grad in enumerate(grads, start=1):
            hyper = [v[step - 1] if isinstance(v, list) else v for v in inputs.values()]
            given = {"grad": grad, "state": state, "param": param}
            param, state = one_step(answer, given, hyper, form, out, step)

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
        form = form_of(state, state_names)

        def grad_fn(theta: np.ndarray) -> np.ndarray:
            """Return the gradient of the loss at ``theta``."""
            if not is_array(theta):
                raise StopDriving(
                    Fault("argument", "grad_fn", f"grad_fn was given {kind_of(theta)}; it takes an array")
                )
            return curvature * theta + slope

        grad_fn.__qualname__ = "grad_fn"  # as a wrong call of it is told
        for step in range(1, steps + 1):
            given = {"grad_fn": grad_fn, "state": state, "param": param}
            param, state = one_step(answer, given, list(inputs.values()), form, out, step)

    return drive


def form_of(state: dict[str, Any], names: tuple[str, ...]) -> dict[str, bool]:
    """Say of each entry of the first state whether it is an array; it must stay what it is."""
    return {name: is_array(state[name]) for name in names}


def one_step(
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
    note_mutations(before, given, out, step)
    delta, state = tuple_of(result, ("delta", "state"), step)
    require_array("delta", delta, before["param"], step)
    out.see(step, "delta", delta)
    if not isinstance(state, dict):
        raise StopDriving(
            Fault("state", "type", f"the state must be a dict; yours is {kind_of(state)}", step)
        )
    if not form and state:
        out.fault("state", "extra", "the state came empty and must be returned as it came", step)
    for name, array in form.items():
        if name not in state:
            has = ", ".join(repr(str(key)) for key in state) or "nothing"
            raise StopDriving(
                Fault("state", name, f"the state you return must hold {name!r}; it holds {has}", step)
            )
        if array:
            require_array(f"state[{name!r}]", state[name], before["param"], step)
        out.see(step, f"state[{name!r}]", state[name])
    return before["param"] - delta, copied(state)
