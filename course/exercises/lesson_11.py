"""Lesson 11: ``ring_all_reduce``, ``ddp_step``, ``bucketed_all_reduce``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from course.cluster import rings
from course.cluster.flat import Naming
from course.exercises.base import Case, Exercise
from course.exercises.drive_cluster import buckets, data_parallel_steps, ring
from course.exercises.lesson_11_bucket_slips import bucket_slips
from course.exercises.lesson_11_ddp_slips import ddp_slips
from course.exercises.lesson_11_ring_hop_slips import ring_hop_slips
from course.exercises.lesson_11_ring_slips import ring_slips

__all__ = ["EXERCISES"]

Array = np.ndarray


class _Messages:
    """What the library's ring needs of an engine, made of a communicator's single messages."""

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.world_size = comm, comm.rank, comm.world_size
        self.posted: deque[Any] = deque()

    def post(self, to: int, array: Array) -> None:
        self.posted.append(self.comm.isend(array, to))

    def take(self, source: int) -> Any:
        return self.comm.recv(source)

    def drain(self) -> None:
        while self.posted:
            self.posted.popleft().wait()


def ring_reference(comm: Any, x: Array) -> Any:
    """Return the sum by the library's ring."""
    return rings.all_reduce(_Messages(comm), x, "sum", "even")


def ddp_reference(comm: Any, grad_fn: Any, update: Any, param: Any, state: Any, x: Any, y: Any) -> Any:
    """Take the step with the gradient and the count in one row."""
    row = np.append(grad_fn(param, x, y) * len(x), len(x))
    total = comm.all_reduce(row)
    delta, state = update((total[:-1] / total[-1]).reshape(param.shape), state, param)
    return param - delta, state


def buckets_reference(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    """Return the means by the library's buckets."""
    names = Naming([{str(i): array for i, array in enumerate(arrays)}])
    means: dict[str, Any] = {}
    for unit in names.buckets(1, bucket_bytes):
        means.update(unit.views(comm.all_reduce(unit.flatten(names.params), "mean")))
    return [means[f"0.{i}"] for i in range(len(arrays))]


def _on_each(ranks: int, shape: tuple[int, ...], seed: int = 0) -> list[Array]:
    rng = np.random.default_rng([ranks, *shape, seed])
    return [rng.normal(size=shape) for _ in range(ranks)]


def _ring_cases() -> Iterator[Case]:
    small = [np.array([1.0, 2.0]), np.array([10.0, 30.0])]
    yield Case("two ranks, two numbers", {"x": small})
    three = [np.array([1.0, 2.0, 4.0]), np.array([10.0, 30.0, 50.0]), np.array([700.0, 200.0, 500.0])]
    yield Case("three ranks, three numbers", {"x": three})
    yield Case("four ranks, eight numbers", {"x": _on_each(4, (8,))})
    yield Case("seven ranks, 21 numbers", {"x": _on_each(7, (21,))})
    yield Case("a length that does not divide", {"x": _on_each(4, (10,))}, "edges")
    yield Case("fewer numbers than ranks", {"x": _on_each(4, (3,))}, "edges")
    yield Case("one rank alone", {"x": _on_each(1, (5,))}, "edges")
    yield Case("a matrix", {"x": _on_each(3, (3, 4))}, "edges")
    yield Case("a matrix of few rows", {"x": _on_each(4, (2, 12))}, "edges")
    yield Case("a transposed matrix", {"x": [x.T for x in _on_each(2, (3, 4), 1)]}, "edges")
    yield Case("a single number", {"x": _on_each(3, ())}, "edges")
    yield Case("float32", {"x": [x.astype("f4") for x in _on_each(3, (6,), 2)]}, "edges")
    yield Case("tiny numbers", {"x": [1e-12 * x for x in _on_each(3, (6,), 3)]}, "edges")
    yield Case("huge numbers", {"x": [1e12 * x for x in _on_each(3, (6,), 4)]}, "edges")


def _rows(counts: list[int], inputs: int, seed: int, outputs: tuple[int, ...] = ()) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "param": rng.normal(size=(inputs, *outputs)),
        "x": [rng.normal(size=(n, inputs)) for n in counts],
        "y": [rng.normal(size=(n, *outputs)) for n in counts],
    }


def _ddp_cases() -> Iterator[Case]:
    simple = {
        "param": np.array([0.0]),
        "x": [np.array([[1.0]]), np.array([[1.0]])],
        "y": [np.array([-1.0]), np.array([-3.0])],
    }
    sgd, momentum, adam = (
        {"rule": r, "lr": lr} for r, lr in (("SGD", 0.1), ("HeavyBall", 0.1), ("Adam", 0.01))
    )
    yield Case("two ranks, a row each", {**simple, **sgd, "rounds": 1})
    yield Case("three ranks and Adam", {**_rows([2, 2, 2], 4, 1), **adam, "rounds": 1})
    yield Case("uneven shares", {**_rows([3, 1], 2, 2), **sgd, "rounds": 1})
    yield Case(
        "four ranks, uneven shares, 24 parameters", {**_rows([3, 3, 2, 1], 24, 3), **adam, "rounds": 1}
    )
    yield Case("three steps with momentum", {**_rows([2, 2, 1], 3, 4), **momentum, "rounds": 3}, "steps")
    yield Case("three steps of Adam", {**_rows([3, 2], 3, 5), **adam, "rounds": 3}, "steps")
    yield Case("ranks without a row", {**_rows([2, 1, 0, 0], 3, 6), **adam, "rounds": 2}, "edges")
    yield Case("one rank alone", {**_rows([4], 3, 7), **adam, "rounds": 2}, "edges")
    yield Case("a matrix", {**_rows([2, 1], 3, 8, (2,)), **momentum, "rounds": 2}, "edges")
    yield Case("seven ranks", {**_rows([2, 2, 2, 2, 1, 1, 1], 9, 9), **momentum, "rounds": 1}, "edges")
    zero = {"param": np.zeros(2), "x": [np.zeros((1, 2))] * 2, "y": [np.zeros(1)] * 2}
    yield Case("gradients of zero", {**zero, **adam, "rounds": 1}, "edges")


def _lists(ranks: int, shapes: list[tuple[int, ...]], seed: int, dtype: str = "f8") -> list[list[Array]]:
    rng = np.random.default_rng(seed)
    return [[rng.normal(size=shape).astype(dtype) for shape in shapes] for _ in range(ranks)]


def _bucket_cases() -> Iterator[Case]:
    first = [[np.array([1.0]), np.array([2.0, 4.0])], [np.array([3.0]), np.array([6.0, 0.0])]]
    yield Case("two arrays that fit into one bucket", {"arrays": first, "bucket_bytes": 64})
    same = _lists(2, [(3,), (3,), (3,), (3,)], 1)
    yield Case("two buckets of two arrays", {"arrays": same, "bucket_bytes": 50})
    mixed = _lists(3, [(2,), (2, 3), (1,), (4,), (2, 2), (5,)], 2)
    yield Case("shapes of all kinds", {"arrays": mixed, "bucket_bytes": 80})
    yield Case("buckets of 39 bytes", {"arrays": _lists(2, [(3,), (2,), (3,), (2,)], 3), "bucket_bytes": 39})
    yield Case("many small arrays", {"arrays": _lists(2, [(1,)] * 18, 11), "bucket_bytes": 16})
    yield Case("exact fits", {"arrays": _lists(2, [(2,), (2,), (3,), (1,)], 4), "bucket_bytes": 32}, "edges")
    large = _lists(2, [(2,), (9,), (2,)], 5)
    yield Case("an array larger than a bucket", {"arrays": large, "bucket_bytes": 32}, "edges")
    yield Case("a single array", {"arrays": _lists(3, [(4,)], 6), "bucket_bytes": 16}, "edges")
    yield Case("one rank alone", {"arrays": _lists(1, [(2,), (3,)], 7), "bucket_bytes": 24}, "edges")
    numbers = _lists(3, [(), (2, 2), ()], 8)
    yield Case("single numbers among them", {"arrays": numbers, "bucket_bytes": 40}, "edges")
    small = _lists(2, [(4,), (4,), (4,)], 9, "f4")
    yield Case("float32", {"arrays": small, "bucket_bytes": 32}, "edges")
    for name, scale in (("tiny", 1e-12), ("huge", 1e12)):
        scaled = [[scale * a for a in arrays] for arrays in _lists(2, [(2,), (3,)], 10)]
        yield Case(f"{name} numbers", {"arrays": scaled, "bucket_bytes": 40}, "edges")


SENT = {"bytes that each rank sent": "by the cluster's ledger (expected is the most that is allowed)"}
FIRST = "neither of the two needs the other; all ranks do them in the same order"
NEGATIVE = "a negative place counts from the end, which is the same block"

EXERCISES = (
    Exercise(
        name="ring_all_reduce",
        lesson="11",
        arguments=("comm", "x"),
        reference=ring_reference,
        drive=ring,
        make_cases=_ring_cases,
        slips=(*ring_slips, *ring_hop_slips),
        hints=(
            "First phase: at each of N - 1 hops send one block to the right, and add the one that comes from "
            "the left to your own. At hop 0 rank r sends block r.",
            "At hop h rank r sends block r - h and takes block r - h - 1, all modulo N. After the phase the "
            "finished block of rank r is r + 1.",
            "Second phase: at hop h send block r + 1 - h and put what comes in the place of block r - h. "
            "np.array_split(x.flatten(), N) cuts; comm.exchange(block, right, left) sends and receives.",
        ),
        meaning=SENT,
        equivalent={
            "right, left = ((rank + 1) % n, (rank - 1) % n) -> "
            "blocks = np.array_split(x.flatten(), n)": FIRST,
            "take = (rank - hop - 1) % n -> take = rank - hop - 1": NEGATIVE,
            "blocks[(rank - hop) % n] = comm.exchange(blocks[(rank + 1 - hop) % n], right, left) -> "
            "blocks[rank - hop] = comm.exchange(blocks[(rank + 1 - hop) % n], right, left)": NEGATIVE,
            "blocks[take] = blocks[take] + comm.exchange(blocks[(rank - hop) % n], right, left) -> "
            "blocks[take] = blocks[take] + comm.exchange(blocks[rank - hop], right, left)": NEGATIVE,
        },
    ),
    Exercise(
        name="ddp_step",
        lesson="11",
        arguments=("comm", "grad_fn", "update", "param", "state", "x", "y"),
        reference=ddp_reference,
        drive=data_parallel_steps,
        make_cases=_ddp_cases,
        slips=tuple(ddp_slips),
        hints=(
            "grad_fn gives the mean over your rows. Times their number it is a sum, and sums may be added.",
            "Two all-reduces: one of len(x) times the gradient, one of len(x). Their quotient is the "
            "gradient of the whole batch.",
            "Hand that to update with the state and the parameter, and return param minus delta, and state.",
        ),
        meaning=SENT,
        equivalent={
            "total = comm.all_reduce(len(x) * grad_fn(param, x, y)) -> count = comm.all_reduce(len(x))": FIRST
        },
    ),
    Exercise(
        name="bucketed_all_reduce",
        lesson="11",
        arguments=("comm", "arrays", "bucket_bytes"),
        reference=buckets_reference,
        drive=buckets,
        make_cases=_bucket_cases,
        slips=tuple(bucket_slips),
        hints=(
            "First make lists of places: go from the last array to the first; begin a new list where the "
            "array would not fit any more.",
            "For each list: np.concatenate of the arrays' rows, one all_reduce with the mean, and then cut "
            "the row up again, in the same order.",
            "row[:arrays[i].size].reshape(arrays[i].shape) is the first array of a row, and "
            "row[arrays[i].size:] the rest.",
        ),
        meaning={"bytes of each collective": "in the order in which they were called"},
        positions=frozenset({"bytes of each collective"}),
        equivalent={"for i in reversed(range(len(arrays))): -> means = [None] * len(arrays)": FIRST},
    ),
)
