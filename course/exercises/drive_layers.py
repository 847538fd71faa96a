"""Drivers of the rules that need more than one array and numbers: several layers, a Hessian, a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.arrays import is_array
from course.exercises.base import Case, Driver, Fault, Outcome, StopDriving, copied
from course.exercises.demands import kind_of, note_mutations, require_array, tuple_of
from course.exercises.drive import form_of, one_step

__all__ = ["rule_of_layers", "rule_with_function", "rule_with_hessian"]


def rule_of_layers(*state_names: str) -> Driver:
    """Drive ``(grads, state, params, *hyperparameters) -> (deltas, state)`` over a dict of layers.

    ``grads``, ``params`` and ``deltas`` hold an array under each layer's name, ``state`` a dict with
    ``state_names``. The case's inputs hold ``grads`` (one such dict a step), ``state``, ``params`` and the
    hyperparameters; one that is a list has one value a step.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        inputs = copied(case.inputs)
        all_grads, state, params = inputs.pop("grads"), inputs.pop("state"), inputs.pop("params")
        forms = {layer: form_of(entry, state_names) for layer, entry in state.items()}
        for step, grads in enumerate(all_grads, start=1):
            hyper = [v[step - 1] if isinstance(v, list) else v for v in inputs.values()]
            given = {"grads": grads, "state": state, "params": params}
            before = copied(given)
            result = answer(*given.values(), *hyper)
            note_mutations(before, given, out, step)
            deltas, state = tuple_of(result, ("deltas", "state"), step)
            _require_layers("deltas", deltas, before["params"], step)
            _require_layers("state", state, before["params"], step)
            for layer, param in before["params"].items():
                _see_layer(out, step, layer, param, deltas[layer], state[layer], forms[layer])
            params = {layer: param - deltas[layer] for layer, param in before["params"].items()}
            state = copied(state)

    return drive


def rule_with_function(name: str, function: Callable[[Any], Any], *state_names: str) -> Driver:
    """Drive ``(grad, state, param, function, *hyperparameters) -> (delta, state)``.

    Args:
        name: of the argument. function: what is given there, of one matrix.
        state_names: what the state holds.
    """

    def given_function(matrix: Any) -> Any:
        _require_given(name, matrix)
        return function(matrix)

    given_function.__qualname__ = name  # as a wrong call of it is told

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        inputs = copied(case.inputs)
        grads, state, param = inputs.pop("grads"), inputs.pop("state"), inputs.pop("param")
        form = form_of(state, state_names)
        for step, grad in enumerate(grads, start=1):
            given = {"grad": grad, "state": state, "param": param, name: given_function}
            param, state = one_step(answer, given, list(inputs.values()), form, out, step)

    return drive


def rule_with_hessian(*state_names: str) -> Driver:
    """Drive ``(grad, state, param, hessian_vector, probe, *hyperparameters) -> (delta, state)``.

    The case's inputs hold ``hessian``, a matrix over all elements of the parameter, and ``probe``, a list
    with one random array a step; otherwise what :func:`course.exercises.drive.rule` needs. The Hessian may be
    asked once where the count of steps, as it comes, is divisible by ``every``, and not at all elsewhere.
    """

    def drive(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
        inputs = copied(case.inputs)
        grads, state, param = inputs.pop("grads"), inputs.pop("state"), inputs.pop("param")
        hessian, probes = inputs.pop("hessian"), inputs.pop("probe")
        form = form_of(state, state_names)

        def hessian_vector(vector: Any) -> Any:
            """Return the Hessian times ``vector``, in its shape."""
            calls.append(1)
            _require_given("hessian_vector", vector)
            if vector.shape != param.shape:
                message = (
                    f"hessian_vector was given an array of shape {vector.shape}; param has {param.shape}"
                )
                raise StopDriving(Fault("argument", "hessian_vector", message))
            return np.asarray(hessian @ vector.reshape(-1), hessian.dtype).reshape(vector.shape)

        hessian_vector.__qualname__ = "hessian_vector"
        calls: list[int] = []
        count, every = state["step"], inputs["every"]
        for step, (grad, probe) in enumerate(zip(grads, probes, strict=True), start=1):
            given = {"grad": grad, "state": state, "param": param}
            given |= {"hessian_vector": hessian_vector, "probe": probe}
            calls.clear()
            param, state = one_step(answer, given, list(inputs.values()), form, out, step)
            due = (count + step - 1) % every == 0
            if len(calls) > due:
                message = "hessian_vector was called " + (
                    "twice or more" if due else "where no estimate is due"
                )
                message += "; each call costs a backward pass"
                out.fault("cost", "hessian_vector", message, step)

    return drive


def _require_given(name: str, value: Any) -> None:
    if not is_array(value):
        raise StopDriving(Fault("argument", name, f"{name} was given {kind_of(value)}; it takes an array"))


def _require_layers(what: str, value: Any, params: dict[str, Any], step: int) -> None:
    """Refuse what is no dict with the names of the layers."""
    if not isinstance(value, dict):
        raise StopDriving(
            Fault("type", what, f"{what} must be a dict of layers; yours is {kind_of(value)}", step)
        )
    if set(value) != set(params):
        wanted, has = ", ".join(map(repr, params)), ", ".join(repr(str(k)) for k in value) or "nothing"
        message = f"{what} must hold the layers {wanted}; yours holds {has}"
        raise StopDriving(Fault("layers", what, message, step))


def _see_layer(
    out: Outcome, step: int, layer: str, param: Any, delta: Any, state: Any, form: dict[str, bool]
) -> None:
    """Write down the delta and the state of one layer."""
    here = f"deltas[{layer!r}]"
    require_array(here, delta, param, step)
    out.see(step, here, delta)
    if not isinstance(state, dict):
        message = f"state[{layer!r}] must be a dict; yours is {kind_of(state)}"
        raise StopDriving(Fault("state", "type", message, step))
    for name, array in form.items():
        there = f"state[{layer!r}][{name!r}]"
        if name not in state:
            has = ", ".join(repr(str(key)) for key in state) or "nothing"
            message = f"state[{layer!r}] must hold {name!r}; it holds {has}"
            raise StopDriving(Fault("state", name, message, step))
        if array:
            require_array(there, state[name], param, step)
        out.see(step, there, state[name])
