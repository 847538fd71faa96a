"""Drivers for rank programs: an answer runs on every rank of a simulated cluster, and its bytes count."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from course import cluster, rules
from course.arrays import is_array
from course.cluster import Deadlock, Mismatch, RankError
from course.exercises.base import Case, Fault, Outcome, StopDriving, copied, mutated
from course.exercises.demands import changed_in_place, kind_of, refuse_tensor, tuple_of

__all__ = [
    "buckets",
    "data_parallel_steps",
    "most_of_a_ring",
    "on_ranks",
    "refuse_wider",
    "require_like",
    "ring",
    "see_bytes",
]

Answer = Callable[..., Any]
Array = np.ndarray
_MESSAGES = ("send", "recv")
_COUNT = 8  # bytes of a number that is summed beside the gradients


def on_ranks(program: Callable[..., Any], ranks: int) -> cluster.Outcome:
    """Run a program on simulated ranks; a deadlock or a mismatch is a fault of the answer, in one line.

    Raises:
        StopDriving: the ranks cannot go on. Exception: what a rank raised, as it raised it.
    """
    try:
        return cluster.run(program, ranks=ranks)
    except (Deadlock, Mismatch) as error:
        text = str(error)
        kind = "deadlock" if isinstance(error, Deadlock) else "mismatch"
        calls = ("recv from", "send of", "has returned", "all_reduce")
        waits = ", ".join(call for call in calls if call in text) if kind == "deadlock" else "calls"
        raise StopDriving(Fault(kind, waits, f"on {ranks} ranks: {text}")) from None
    except RankError as error:
        raise error.__cause__ or error from None


def ring(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, x) -> sum`` built of single messages; the inputs hold ``x``, one array a rank."""
    given = case.inputs["x"]
    ranks = len(given)

    def program(comm: Any) -> tuple[Any, bool]:
        mine = given[comm.rank].copy(order="K")
        result = answer(comm, mine)
        return result, mutated(given[comm.rank], mine)

    run = on_ranks(program, ranks)
    _refuse_collectives(run.ledger)
    for rank, (result, _) in enumerate(run.results):
        name = f"the sum on rank {rank}"
        require_like(name, result, given[rank])
        out.see(1, name, result)
    sent = np.array([run.ledger.sent(rank=rank) for rank in range(ranks)], float)
    need = 2 * (ranks - 1) / ranks * given[0].nbytes
    refuse_wider(sent, need, given[0].dtype, [result for result, _ in run.results])
    see_bytes(out, "bytes that each rank sent", sent, need, most_of_a_ring(given[0], ranks))
    neighbours = {peer for entry in run.ledger.select("send", rank=0) for peer in entry.peers}
    if len(neighbours) > 1:
        text = f"rank 0 sends to {len(neighbours)} ranks; in a ring everyone sends to one neighbour only"
        out.fault("peers", "ring", text)
    _note_mutations(out, "x", [changed for _, changed in run.results])


def data_parallel_steps(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, grad_fn, update, param, state, x, y) -> (param, state)`` over some rounds.

    The inputs hold ``param``, the rows ``x`` and ``y`` of each rank, the name of a ``rule`` of the course,
    and how many ``rounds`` are made of these rows.
    """
    inputs = case.inputs
    ranks, rounds = len(inputs["x"]), inputs["rounds"]
    rule = rules.ALL[inputs["rule"]]().with_hyperparameters(lr=inputs["lr"])

    def program(comm: Any) -> list[tuple[Any, bool]]:
        param, state = inputs["param"].copy(), rule.init(inputs["param"])
        x, y = inputs["x"][comm.rank].copy(), inputs["y"][comm.rank].copy()
        seen = []
        for step in range(rounds):
            comm.step = step
            before = copied({"param": param, "state": state, "x": x, "y": y})
            result = answer(comm, mean_gradient, rule.update, param, state, x, y)
            after = {"param": param, "state": state, "x": x, "y": y}
            seen.append((result, mutated(before, after)))
            param, state = _next(result, before, step + 1)
        return seen

    run = on_ranks(program, ranks)
    for step in range(rounds):
        for rank in range(ranks):
            param, state = run.results[rank][step][0]
            out.see(step + 1, f"param on rank {rank}", param)
            for key, value in state.items():
                out.see(step + 1, f"state[{key!r}] on rank {rank}", value)
    need = rounds * 2 * (ranks - 1) / ranks * inputs["param"].nbytes
    most = rounds * (most_of_a_ring(inputs["param"], ranks) + 2 * (ranks - 1) * _COUNT)
    sent = np.array([run.ledger.sent(rank=rank) for rank in range(ranks)], float)
    see_bytes(out, "bytes that each rank sent", sent, need, most)
    changed = [flag for result in run.results for _, flag in result]
    _note_mutations(out, "param, state or rows", changed)


def mean_gradient(param: Array, x: Array, y: Array) -> Array:
    """Return the gradient of half the mean squared error over the rows; zeros where there is no row."""
    return x.T @ (x @ param - y) / max(len(x), 1)


def buckets(answer: Answer, case: Case, out: Outcome) -> None:
    """Drive ``(comm, arrays, bucket_bytes) -> means``; the inputs hold ``arrays``, a list for each rank."""
    given, most = case.inputs["arrays"], case.inputs["bucket_bytes"]

    def program(comm: Any) -> tuple[Any, bool]:
        mine = copied(given[comm.rank])
        result = answer(comm, mine, most)
        return result, mutated(given[comm.rank], mine)

    run = on_ranks(program, len(given))
    for rank, (result, _) in enumerate(run.results):
        if not isinstance(result, list | tuple):
            text = f"your function returned {kind_of(result)}; it must return a list of arrays"
            raise StopDriving(Fault("type", "result", text))
        if len(result) != len(given[rank]):
            text = f"your function returned {len(result)} arrays for {len(given[rank])}"
            raise StopDriving(Fault("count", "result", text))
        for i, (array, like) in enumerate(zip(result, given[rank], strict=True)):
            require_like(f"array {i} of what you return", array, like)
        for i, array in enumerate(result):
            out.see(1, f"array {i} on rank {rank}", array)
    calls = [entry.payload for entry in run.ledger.select(rank=0) if entry.kind not in _MESSAGES]
    out.see(1, "bytes of each collective", np.array(calls, float))
    _note_mutations(out, "arrays", [changed for _, changed in run.results])


def _next(result: Any, before: dict[str, Any], step: int) -> tuple[Any, Any]:
    """Return copies of what a step has returned, for the next one, once it has the right form."""
    param, state = tuple_of(result, ("param", "state"), step)
    require_like("param", param, before["param"], step)
    if not isinstance(state, dict) or set(state) != set(before["state"]):
        text = f"the state must be what update returns; yours is {kind_of(state)}"
        raise StopDriving(Fault("state", "form", text, step))
    return param.copy(), copied(state)


def refuse_wider(sent: Array, need: float, dtype: np.dtype[Any], results: list[Array]) -> None:
    """Refuse float64 on the wire, or as what comes back with other bytes, where the inputs are float32.

    Raises:
        StopDriving: the bytes are not those of float32, and float64 is why.
    """
    twice = bool(need) and bool((sent == 2 * need).all())
    wide = bool((sent != need).any()) and any(result.dtype == np.float64 for result in results)
    if dtype == np.float32 and (twice or wide):
        text = (
            "the inputs are float32, and you send float64: 8 bytes a number in the place of 4. np.zeros "
            "makes float64, and so does np.append or np.concatenate with it: give dtype=x.dtype"
        )
        raise StopDriving(Fault("dtype", "float64", text))


def most_of_a_ring(array: Array, ranks: int) -> int:
    """Return the bytes that a rank sends in an all-reduce by a ring whose blocks are all filled up."""
    return 2 * (ranks - 1) * math.ceil(array.size / ranks) * array.itemsize


def see_bytes(out: Outcome, name: str, sent: Array, need: float, most: int) -> None:
    """Write down what each rank sent: up to ``most``, what full blocks come to, all is as good as that.

    Less than ``need`` on average is not: ranks on other machines have the wire, and no memory to share.
    """
    as_good = (sent <= most).all() and sent.sum() >= round(need * len(sent))
    out.see(1, name, np.full(len(sent), float(most)) if as_good else sent)


def _refuse_collectives(ledger: cluster.Ledger) -> None:
    for entry in ledger:
        if entry.kind not in _MESSAGES:
            text = f"your function calls {entry.kind}; make the ring of single messages"
            raise StopDriving(Fault("collective", entry.kind, text))


def require_like(name: str, value: Any, like: Array, step: int = 1) -> None:
    """Refuse what is no array of the shape that ``like`` has."""
    refuse_tensor(name, value, step)
    if value is None or not is_array(value):
        raise StopDriving(Fault("type", name, f"{name} must be an array; yours is {kind_of(value)}", step))
    if value.shape != like.shape:
        text = f"{name} has shape {value.shape}; it must have shape {like.shape}"
        raise StopDriving(Fault("shape", name, text, step))


def _note_mutations(out: Outcome, name: str, changed: list[bool]) -> None:
    if any(changed):
        out.fault("mutated", name, changed_in_place(name))
