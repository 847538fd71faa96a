"""Drivers of a layer that is cut up among the ranks: its forward, its backward, and the bytes of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.arrays import is_array
from course.exercises.base import Case, Fault, Outcome, StopDriving, copied, mutated
from course.exercises.demands import kind_of, tuple_of
from course.exercises.drive_cluster import most_of_a_ring, on_ranks, require_like, see_bytes

__all__ = ["cut", "layer"]

Array = np.ndarray
Answer = Callable[..., Any]
FORWARD, BACKWARD = 1, 2  # as steps in the ledger


def cut(inputs: dict[str, Any], by: str, rank: int) -> dict[str, Array]:
    """Return what one rank is given of a layer that is cut by ``column`` or by ``row``."""
    ranks, whole = inputs["ranks"], {name: inputs[name] for name in ("x", "weight", "bias", "dy")}
    axes = {"weight": 1, "bias": 0, "dy": 1} if by == "column" else {"x": 1, "weight": 0}
    for name, axis in axes.items():
        whole[name] = np.split(whole[name], ranks, axis)[rank]
    return {name: array.copy() for name, array in whole.items()}


def layer(by: str) -> Callable[[Answer, Case, Outcome], None]:
    """Drive ``(comm, x, weight, bias) -> (y, backward)`` with ``backward(dy) -> (dx, dweight, dbias)``.

    The inputs hold ``ranks`` and the whole ``x``, ``weight``, ``bias`` and ``dy``.
    """

    def drive(answer: Answer, case: Case, out: Outcome) -> None:
        inputs = case.inputs

        def program(comm: Any) -> dict[str, Any]:
            given = cut(inputs, by, comm.rank)
            dy = given.pop("dy")
            before = copied(given)
            comm.step = FORWARD
            y, backward = tuple_of(answer(comm, *given.values()), ("y", "backward"))
            _require_like("y", y, dy, inputs["dy"])
            if not callable(backward):
                text = f"the second value must be a function, backward(dy); yours is {kind_of(backward)}"
                raise StopDriving(Fault("type", "backward", text))
            found = {"y": y.copy()}
            comm.step, kept = BACKWARD, dy.copy()
            gradients = tuple_of(backward(dy), ("dx", "dweight", "dbias"))
            for name, gradient in zip(("x", "weight", "bias"), gradients, strict=True):
                _require_like(f"d{name}", gradient, before[name], inputs[name])
                found[f"d{name}"] = gradient.copy()
            changed = mutated(before, given) or mutated(kept, dy) or mutated(found["y"], y)
            return {"found": found, "changed": changed}

        run = on_ranks(program, inputs["ranks"])
        for name in ("y", "dx", "dweight", "dbias"):
            out.see(1, name, np.stack([result["found"][name] for result in run.results]))
        talks = {FORWARD: ("forward", "dy", by == "row"), BACKWARD: ("backward", "x", by == "column")}
        ranks = inputs["ranks"]
        for step, (what, array, allowed) in talks.items():
            sent = np.array([run.ledger.sent(rank=rank, step=step) for rank in range(ranks)], float)
            need = 2 * (ranks - 1) / ranks * inputs[array].nbytes if allowed else 0
            most = most_of_a_ring(inputs[array], ranks) if allowed else 0
            see_bytes(out, f"bytes sent in the {what}", sent, need, most)
            if allowed and sent.any():
                out.notes.append(f"talks in the {what}")  # a sum made and one not made are two mistakes
        if any(result["changed"] for result in run.results):
            text = "your function changed an array in place that the caller still needs"
            out.fault("mutated", "inputs", text)

    return drive


def _require_like(name: str, value: Any, like: Array, whole: Array) -> None:
    """Refuse what is no array of the shape that ``like`` has; the whole thing is told as such."""
    if is_array(value) and value.shape == whole.shape != like.shape:
        text = f"{name} has shape {value.shape}; it must have shape {like.shape}: only this rank's part"
        raise StopDriving(Fault("whole", name, text))
    require_like(name, value, like)
