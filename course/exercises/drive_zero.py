"""Drivers of rank programs that shard: values and bytes of every rank, on the simulated cluster.

A case's inputs hold ``ranks`` and what the ranks are given. What each rank returns is written down with a row
a rank, and beside it the bytes that each rank sent, from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from course import cluster
from course.arrays import is_array
from course.cluster import Communicator
from course.exercises.base import Case, Fault, Outcome, StopDriving, copied, mutated
from course.exercises.demands import changed_in_place, kind_of, require_array, tuple_of
from course.exercises.drive_cluster import most_of_a_ring, on_ranks, refuse_wider
from course.exercises.watch import Gradients, Watched, Weights
from course.trees import leaves

__all__ = ["Layers", "one_call", "stage_one", "stage_three", "stage_two"]

Array = np.ndarray
Answer = Callable[..., Any]
Values = dict[str, Any]


def stage_one(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, param, grad, state, rule) -> (param, state)`` through steps."""

    def program(comm: Communicator) -> list[Values]:
        given = copied(case.inputs)
        param, state, rule = given["param"], None, given["rule"]
        seen = []
        for step, grads in enumerate(given["grads"], start=1):
            comm.step = step
            before = {"param": param, "grad": grads[comm.rank], "state": state}
            args = copied(before)
            result = answer(comm, *args.values(), rule)
            _refuse_changes(before, args, step)
            new, state = tuple_of(result, ("param", "state"), step)
            require_array("param", new, param, step)
            if not isinstance(state, dict):
                raise StopDriving(
                    Fault("state", "type", f"the state must be a dict; yours is {kind_of(state)}", step)
                )
            param, state = np.array(new), copied(state)
            size = sum(np.size(leaf) for leaf in leaves(state))
            seen.append({"param": param, "state size": size})
        return seen

    ranks, like = case.inputs["ranks"], case.inputs["param"]
    done = on_ranks(program, ranks)
    need = most_of_a_ring(like, ranks)
    sent = np.array([done.ledger.sent(rank=r, step=1) for r in range(ranks)], float)
    refuse_wider(sent, need, like.dtype, [seen[0]["param"] for seen in done.results])
    _write(done, out)


def stage_two(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, params, backward, states, rule) -> (params, states)`` through steps."""

    def program(comm: Communicator) -> list[Values]:
        given = copied(case.inputs)
        params, rule = given["params"], given["rule"]
        states = [rule.init(_own(param, comm)) for param in params]
        seen = []
        for step, grads in enumerate(given["grads"], start=1):
            comm.step = step
            before = {"params": params, "states": states}
            args, kept = copied(before), Gradients(comm)
            backward = _backward(grads[comm.rank], kept)
            result = answer(comm, args["params"], backward, args["states"], rule)
            _refuse_changes(before, args, step)
            new, states = tuple_of(result, ("params", "states"), step)
            _require_list("params", new, params, step)
            _require_count("states", states, params, step)
            params, states = copied(list(new)), copied(list(states))
            seen.append(
                {f"params[{i}]": p for i, p in enumerate(params)} | {"whole gradients kept": kept.kept}
            )
        return seen

    _write(on_ranks(program, case.inputs["ranks"]), out)


def stage_three(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, shards, states, model, x, rule) -> (shards, states)`` through steps."""

    def program(comm: Communicator) -> list[Values]:
        given = copied(case.inputs)
        weights, rule = given["weights"], given["rule"]
        shards = [_own(weight.reshape(-1), comm) for weight in weights]
        states = [rule.init(shard) for shard in shards]
        seen = []
        for step, (inputs, targets) in enumerate(zip(given["x"], given["target"], strict=True), start=1):
            comm.step = step
            before = {"shards": shards, "states": states, "x": inputs[comm.rank]}
            args = copied(before)
            held, kept = Weights(list(args["shards"])), Gradients(comm)
            model = Layers([weight.shape for weight in weights], targets[comm.rank], held, kept)
            result = answer(Watched(comm, held), args["shards"], args["states"], model, args["x"], rule)
            _refuse_changes(before, args, step)
            new, states = tuple_of(result, ("shards", "states"), step)
            _require_list("shards", new, shards, step)
            _require_count("states", states, shards, step)
            shards, states = copied(list(new)), copied(list(states))
            most = held.most if comm.world_size > 1 else 1  # alone, a rank has no other choice
            counts = {"whole layers held": most, "whole gradients kept": kept.kept}
            seen.append({f"shards[{i}]": s for i, s in enumerate(shards)} | counts)
        return seen

    ranks = case.inputs["ranks"]
    each = [-(-weight.size // ranks) * weight.itemsize * (ranks - 1) for weight in case.inputs["weights"]]
    _write(on_ranks(program, ranks), out, enough=(3 * sum(each) - each[-1], 3 * sum(each)))


def one_call(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, weights, update, lr) -> delta``: shards of one layer, one call; bytes of all ranks."""

    def program(comm: Communicator) -> list[Values]:
        given = copied(case.inputs)
        comm.step = 1
        before = {name: _own(given[name], comm) for name in ("param", "update")}
        args = copied(before)
        delta = answer(comm, args["param"], args["update"], given["lr"])
        _refuse_changes({"weights": before["param"], "update": before["update"]},
                        {"weights": args["param"], "update": args["update"]}, 1)  # fmt: skip
        require_array("delta", delta, before["param"], 1)
        return [{"delta": np.array(delta)}]

    _write(on_ranks(program, case.inputs["ranks"]), out, together=True)


class Layers:
    """Linear layers with tanh, whose weights come as one flat row: what ``zero3_step`` trains.

    It tells ``held`` of the weights that it is given, and ``kept`` of the gradients that it returns.
    """

    def __init__(
        self,
        shapes: list[tuple[int, ...]],
        target: Array,
        held: Weights | None = None,
        kept: Gradients | None = None,
    ) -> None:
        self.shapes, self.target = shapes, target
        self.sizes = [int(np.prod(shape)) for shape in shapes]
        self._held, self._kept = held, kept

    def forward(self, i: int, weights: Array, x: Array) -> Array:
        """Return the output of layer ``i``."""
        return np.tanh(x @ self._whole(i, weights))

    def loss(self, y: Array) -> Array:
        """Return the gradient of the loss in the last output."""
        return (y - self.target) / len(y)

    def backward(self, i: int, weights: Array, x: Array, dy: Array) -> tuple[Array, Array]:
        """Return the gradients of layer ``i``: in its input ``x``, and in its weights as a flat row."""
        if self._kept:
            self._kept.next()
        if np.shape(x)[-1:] != self.shapes[i][:1]:
            had = f"an x of shape {np.shape(x)}; its rows have {self.shapes[i][0]} entries, as in the forward"
            raise StopDriving(Fault("x", "not the input", f"the backward of layer {i} was given {had}"))
        weight = self._whole(i, weights)
        inner = dy * (1 - np.tanh(x @ weight) ** 2)
        grad = (x.T @ inner).reshape(-1)
        if self._kept:
            self._kept.found(grad)
        return inner @ weight.T, grad

    def _whole(self, i: int, weights: Any) -> Array:
        if not is_array(weights) or weights.shape != (self.sizes[i],):
            has = f"shape {weights.shape}" if is_array(weights) else kind_of(weights)
            few = not is_array(weights) or weights.size < self.sizes[i]
            message = f"layer {i} was given weights of {has}; it needs all {self.sizes[i]}, in one row"
            raise StopDriving(Fault("weights", "too few" if few else "too many", message))
        if self._held:
            self._held.used(i, weights)
        return weights.reshape(self.shapes[i])


def _backward(grads: list[Array], kept: Gradients) -> Iterator[tuple[int, Array]]:
    """Yield the layers' gradients, the last first."""
    for i in reversed(range(len(grads))):
        grad = grads[i].copy()
        kept.found(grad)
        yield i, grad
        del grad
        kept.next()


def _own(row: Array, comm: Communicator) -> Array:
    """Return this rank's shard of a flat row."""
    blocks = np.pad(row, (0, -len(row) % comm.world_size)).reshape(comm.world_size, -1)
    return blocks[comm.rank].copy()


def _write(done: cluster.Outcome, out: Outcome, together: bool = False, enough: tuple[int, ...] = ()) -> None:
    """Write down what the ranks saw, one row a rank, and what they sent at each step.

    To send any of the amounts in ``enough`` is as good as to send the last of them.
    """
    for step, rows in enumerate(zip(*done.results, strict=True), start=1):
        sent = np.array([done.ledger.sent(rank=r, step=step) for r in range(len(rows))])
        for name in rows[0]:
            out.see(step, name, np.stack([row[name] for row in rows]))
        if enough and set(sent) <= set(enough):
            sent = np.full(len(rows), enough[-1])
        out.see(step, "bytes sent", sent.sum() if together else sent)
    out.notes.extend(sorted({entry.kind for entry in done.ledger}))


def _refuse_changes(before: Values, after: Values, step: int) -> None:
    for name, value in before.items():
        if mutated(value, after[name]):
            raise StopDriving(Fault("mutated", name, changed_in_place(name), step))


def _require_list(name: str, value: Any, like: list[Array], step: int) -> None:
    _require_count(name, value, like, step)
    for i, one in enumerate(value):
        require_array(f"{name}[{i}]", one, like[i], step, "the shape that it came with")


def _require_count(name: str, value: Any, like: list[Any], step: int) -> None:
    if not isinstance(value, list | tuple) or len(value) != len(like):
        has = f"{len(value)} of them" if isinstance(value, list | tuple) else kind_of(value)
        message = f"{name} must be a list with one entry a layer, {len(like)}; yours is {has}"
        raise StopDriving(Fault("type", name, message, step))
