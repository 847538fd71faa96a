"""Drivers of a pipeline: a schedule is run on paper, a stage is run among its neighbours."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from course import cluster
from course.arrays import is_array
from course.cluster.communicator import Pending
from course.cluster.schedules import Work, timeline
from course.exercises.base import Case, Fault, Outcome, StopDriving, mutated
from course.exercises.demands import kind_of
from course.exercises.drive_cluster import on_ranks, require_like

__all__ = ["Stage", "order_of", "schedule", "stage"]

Array = np.ndarray
Answer = Callable[..., Any]
_PIECE = "a pair like ('F', 0) or ('B', 0)"
_NO_WAITS = "waiting is not written down: it follows from the order"
LOCALS = 2  # what a right program may still hold of a spent micro-batch: the values of its variables


def schedule(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(stages, micros) -> for each stage a list of (kind, micro)``; the schedule is run on paper."""
    stages, micros = case.inputs["stages"], case.inputs["micros"]
    plan = _plan(answer(stages, micros), stages)
    for s, works in enumerate(plan):
        out.see(1, order_of(s), np.array([_number(work) for work in works], dtype=np.int64))
    try:
        seen = timeline(plan)
    except ValueError as error:
        text = str(error).removeprefix("schedule: ")
        raise StopDriving(Fault("schedule", "waits", f"the schedule can never run: {text}")) from None
    out.see(1, "length", seen.length)
    out.see(1, "bubble", seen.bubble)
    out.see(1, "held", np.array(seen.held))


def order_of(stage: int) -> str:
    """Return what the order of a stage's work is called where it is shown."""
    return f"order of stage {stage} (F0 as 1, B0 as -1)"


def _number(work: Work) -> int:
    """Return F0, F1 as 1, 2 and B0, B1 as -1, -2: so that an order is a row of numbers."""
    return (work.micro + 1) * (1 if work.kind == "F" else -1)


def _plan(result: Any, stages: int) -> list[list[Work]]:
    if result is None:
        raise StopDriving(Fault("none", "result", "your function returned None; is a `return` missing?"))
    if isinstance(result, list | tuple) and any(map(_is_pair, result)):
        text = "the schedule must hold a list for each stage; yours is one list of pairs"
        raise StopDriving(Fault("type", "nesting", text))
    if not isinstance(result, list | tuple) or any(not isinstance(works, list | tuple) for works in result):
        texts = isinstance(result, list | tuple) and any(isinstance(works, str) for works in result)
        has = f"a list of texts, and each piece of work must be {_PIECE}" if texts else kind_of(result)
        text = f"the schedule must be a list with a list for each stage; yours is {has}"
        raise StopDriving(Fault("type", "schedule", text))
    plan = [[_work(one) for one in works] for works in result]
    if len(plan) != stages:
        text = f"the schedule must have a list for each of the {stages} stages; yours has {len(plan)}"
        raise StopDriving(Fault("stages", "count", text))
    return plan


def _work(one: Any) -> Work:
    if not _is_pair(one):
        text = f"each piece of work must be {_PIECE}; one of yours is {one!r:.40}"
        waits = one is None or (isinstance(one, str) and not set("FB") & set(one.upper()))
        raise StopDriving(Fault("type", "work", text + (f" ({_NO_WAITS})" if waits else "")))
    return Work(one[0], int(one[1]))


def _is_pair(one: Any) -> bool:
    """Say whether this is a kind and the number of a micro-batch."""
    if not isinstance(one, tuple | list) or len(one) != 2 or not isinstance(one[0], str):
        return False
    whole = isinstance(one[1], int | np.integer) and not isinstance(one[1], bool)
    return one[0] in ("F", "B") and whole


class _Saved:
    """What a forward keeps for its backward: for the learner a thing without a handle."""

    def __init__(self, number: int, x: Array, y: Array) -> None:
        self.number, self.x, self.y = number, x, y


class _Sent(Pending):
    """A message on its way, which says when somebody waits for it."""

    def __init__(self, pending: Pending) -> None:
        self.pending, self.waited = pending, False

    def wait(self) -> None:
        self.waited = True
        self.pending.wait()


def _counting(comm: Any, sent: list[_Sent]) -> None:
    """Let ``comm.isend`` write down what it sends; a program must wait for all of it before it ends."""
    isend = comm.isend

    def counted(*args: Any, **kwargs: Any) -> Pending:
        sent.append(_Sent(isend(*args, **kwargs)))
        return sent[-1]

    comm.isend = counted


class Stage:
    """A layer of a network, ``tanh(x W)``, that writes down in which order it is used.

    Args:
        weight: its own. targets: of each micro-batch, for the loss, half the mean squared distance.
    """

    def __init__(self, weight: Array, targets: Sequence[Array]) -> None:
        self.weight, self.targets = weight, targets
        self.order: list[int] = []
        self.spent: list[weakref.ref[_Saved]] = []
        self.kept = 0

    def forward(self, x: Any) -> tuple[Array, _Saved]:
        """Return the output, and what the backward needs."""
        if not is_array(x) or x.ndim != 2 or x.shape[1] != len(self.weight):
            has = f"shape {x.shape}" if is_array(x) else kind_of(x)
            text = f"forward was given {has}; this stage takes rows of {len(self.weight)} numbers"
            raise StopDriving(Fault("input", "forward", text))
        number = sum(one > 0 for one in self.order)
        self.order.append(number + 1)
        y = np.tanh(x @ self.weight)
        return y, _Saved(number, x, y)

    def loss(self, i: int, y: Any) -> Array:
        """Return the gradient in ``y`` of the mean loss over the rows of micro-batch ``i``."""
        if not isinstance(i, int | np.integer):
            has = f"an array of shape {i.shape}" if is_array(i) else kind_of(i)
            text = f"loss takes (i, y), the number of the micro-batch first; yours gave it {has} as i"
            raise StopDriving(Fault("input", "loss's i", text))
        if not is_array(y) or y.shape != self.targets[i].shape:
            self._refuse_early(i)
            has = f"shape {y.shape}" if is_array(y) else kind_of(y)
            need = f"the output of micro-batch {i} has shape {self.targets[i].shape}"
            raise StopDriving(Fault("input", "loss's y", f"loss({i}, y) was given {has} as y; {need}"))
        return (y - self.targets[i]) / len(y)

    def backward(self, saved: Any, dy: Any) -> tuple[Array, Array]:
        """Return the gradients in the input and in the weight."""
        if not isinstance(saved, _Saved):
            self._refuse_early(sum(one < 0 for one in self.order))
            has = f"an array of shape {saved.shape}" if is_array(saved) else kind_of(saved)
            text = (
                f"backward takes (saved, dy), and saved is the second value of forward; yours gave it {has}"
            )
            raise StopDriving(Fault("input", "saved", text))
        if not is_array(dy) or dy.shape != saved.y.shape:
            has = f"shape {dy.shape}" if is_array(dy) else kind_of(dy)
            text = f"backward was given {has} as dy; this stage's output had shape {saved.y.shape}"
            raise StopDriving(Fault("input", "dy", text))
        self.order.append(-saved.number - 1)
        self.kept = max(self.kept, sum(ref() is not None for ref in self.spent) - LOCALS)
        self.spent.append(weakref.ref(saved))
        inner = dy * (1 - saved.y**2)
        return inner @ self.weight.T, saved.x.T @ inner

    def _refuse_early(self, i: int) -> None:
        """Refuse a backward, of which something is asked here, before its forward."""
        if i >= sum(one > 0 for one in self.order):
            text = f"the backward of micro-batch {i} was begun before its forward: nothing was saved for it"
            raise StopDriving(Fault("order", "backward first", text))


def stage(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, works, forward, backward, loss, inputs) -> gradient`` on every stage.

    The inputs hold ``schedule`` (a row of pairs for each stage), ``widths``, ``rows`` of each micro-batch,
    a ``seed``, a ``dtype`` and the ``size`` of the targets.
    """
    weights, inputs, targets = drawn(case)
    plan = case.inputs["schedule"]

    def program(comm: Any) -> dict[str, Any]:
        own = Stage(weights[comm.rank].copy(), [target.copy() for target in targets])
        given = [x.copy() for x in inputs]
        works = list(plan[comm.rank])
        sent: list[_Sent] = []
        _counting(comm, sent)
        gradient = answer(comm, works, own.forward, own.backward, own.loss, given)
        changed = mutated([inputs, weights[comm.rank]], [given, own.weight]) or works != plan[comm.rank]
        return {
            "gradient": gradient,
            "order": own.order,
            "kept": own.kept,
            "changed": changed,
            "unwaited": sum(not one.waited for one in sent),
        }

    run = on_ranks(program, len(plan))
    for rank, result in enumerate(run.results):
        if result["gradient"] is None:
            text = "your function returned None; it must return the gradient"
            raise StopDriving(Fault("none", "result", text))
        require_like("the gradient", result["gradient"], weights[rank])
    for rank, result in enumerate(run.results):
        out.see(1, f"gradient of stage {rank}", result["gradient"])
    for rank, result in enumerate(run.results):
        out.see(1, order_of(rank), np.array(result["order"], dtype=np.int64))
    _see_messages(out, run.ledger, len(plan))
    out.see(1, "kept after use", np.array([result["kept"] for result in run.results]))
    out.see(1, "sends not waited for", np.array([result["unwaited"] for result in run.results]))
    if any(result["changed"] for result in run.results):
        text = "your function changed one of its inputs in place; the caller still needs it"
        out.fault("mutated", "inputs", text)


def drawn(case: Case) -> tuple[list[Array], list[Array], list[Array]]:
    """Return the stages' weights, and the inputs and targets of each micro-batch."""
    given = case.inputs
    rng, dtype, widths = np.random.default_rng(given["seed"]), given["dtype"], given["widths"]
    weights = [rng.normal(size=pair).round(2).astype(dtype) for pair in pairwise(widths)]
    inputs = [rng.normal(size=(n, widths[0])).round(2).astype(dtype) for n in given["rows"]]
    size = given["size"]
    targets = [(size * rng.normal(size=(n, widths[-1])).round(2)).astype(dtype) for n in given["rows"]]
    return weights, inputs, targets


def _see_messages(out: Outcome, ledger: cluster.Ledger, stages: int) -> None:
    """Write down what each stage sent onwards, back, and elsewhere or by collectives."""
    onwards, back, other = (np.zeros(stages) for _ in range(3))
    for entry in ledger:
        where: dict[tuple[int, ...], Array] = {(entry.rank + 1,): onwards, (entry.rank - 1,): back}
        (where.get(entry.peers, other) if entry.kind == "send" else other)[entry.rank] += entry.sent
    out.see(1, "bytes sent onwards", onwards)
    out.see(1, "bytes sent back", back)
    out.see(1, "other bytes", other)
