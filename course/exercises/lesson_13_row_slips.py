"""The slips of ``row_parallel``: a bias N times, sums forgotten, sums too many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_13_words import (
    AS_TORCH,
    AVERAGED,
    BOTH_AVERAGED,
    NOT_TURNED,
    ROWS,
    TURNED,
    UNUSED,
    WEIGHT,
)

__all__ = ["row_slips"]

Array = np.ndarray
row_slips = Slips()


def _own(x: Array, dy: Array) -> Array:
    return x.T @ dy


def _rows(dy: Array) -> Array:
    return dy.sum(axis=0)


def _row(
    comm: Any,
    x: Array,
    weight: Array,
    bias: Array,
    out: Callable[[Array], Any] | None = None,
    dx: Callable[[Array], Any] = lambda g: g,
    dweight: Callable[[Array], Any] = lambda g: g,
    dbias: Callable[[Array], Any] = _rows,
    dy_first: Callable[[Array], Any] = lambda dy: dy,
    turned: Callable[[Array], Array] = np.transpose,
) -> Any:
    """Cut by rows, with another piece."""

    def backward(dy: Array) -> Any:
        dy = dy_first(dy)
        return dx(dy @ turned(weight)), dweight(_own(x, dy)), dbias(dy)

    part = x @ weight
    return (comm.all_reduce(part) + bias if out is None else out(part)), backward


@row_slips(
    "the bias on every rank before the sum",
    "Each rank adds the bias to its part, and the sum adds it up: it counts as often as there are ranks.",
    "Add it once, after the sum.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, out=lambda part: comm.all_reduce(part + bias))


@row_slips(
    "the bias' gradient divided",
    "Dividing the bias before the sum makes the output right. But its gradient must not be divided with it: "
    "nobody adds up the ranks' parts.",
    "dbias is the sum of dy over the rows, on every rank.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    n = comm.world_size
    return _row(
        comm, x, weight, bias, lambda part: comm.all_reduce(part + bias / n), dbias=lambda dy: _rows(dy) / n
    )


@row_slips(
    "the bias on rank 0 alone",
    "Only rank 0 adds the bias, which makes the output right; but only its copy gets a gradient. The others' "
    "copies stay behind, and a checkpoint of theirs is wrong.",
    "Every rank has the whole bias, and the same gradient for it.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    first = float(comm.rank == 0)
    return _row(
        comm, x, weight, bias, lambda part: comm.all_reduce(part + (first * bias).astype(bias.dtype)),
        dbias=lambda dy: _rows(dy) * np.asarray(first, dy.dtype),
    )  # fmt: skip


@row_slips(
    "the sum in the forward forgotten",
    "Your output is what this rank's inputs give. The other inputs are on other ranks.",
    "comm.all_reduce(x @ weight).",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, out=lambda part: part + bias)


@row_slips(
    "a mean in the place of the sum",
    "You average the parts. A product over all inputs is the sum of the products over some.",
    "comm.all_reduce without an op adds.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, out=lambda part: comm.all_reduce(part, "mean") + bias)


@row_slips(
    "dy summed over the ranks",
    "You add up dy over the ranks, as if the backward of a sum were a sum. All ranks have the same dy, that "
    "of the one output: everything comes out as many times too large as there are ranks.",
    "Backwards, the sum hands its gradient to each of its parts as it is.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dy_first=comm.all_reduce)


@row_slips(
    "dx summed",
    "You add up dx over the ranks. Each rank's dx belongs to other inputs.",
    "The sum in the backward belongs to the column layer.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dx=comm.all_reduce)


@row_slips("the weight's gradient summed", WEIGHT, "x.T @ dy, without a word to the others.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dweight=comm.all_reduce)


@row_slips(
    "the bias' gradient summed over the ranks",
    "You add the bias' gradients over the ranks. They are all the same one: it comes out N times.",
    "Every rank has the whole dy. The sum over its rows is all.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dbias=lambda dy: comm.all_reduce(_rows(dy)))


@row_slips("the bias' gradient averaged", ROWS, "dy.sum(axis=0).")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dbias=lambda dy: dy.mean(axis=0))


@row_slips("the bias forgotten", "Your output has no bias.", "Add it once, after the sum.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, out=comm.all_reduce)


@row_slips("the weight turned round", TURNED, "x @ weight; in the backward dy @ weight.T.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight.T, bias)


@row_slips(
    "everything gathered",
    "Your values are right, but you gather inputs and weights and compute the whole layer on every rank. "
    "Then nothing is parallel, and the weight must fit after all.",
    "Multiply what you have; all-reduce the products.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def out(part: Array) -> Array:
        whole = comm.all_gather(x.T.copy()).T @ comm.all_gather(weight)
        return np.asarray(whole + bias)

    return _row(comm, x, weight, bias, out=out)


@row_slips("the weight not turned in the backward", NOT_TURNED, "dy @ weight.T.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, turned=lambda w: w)


@row_slips("the weight as torch has it", AS_TORCH, "x @ weight; backwards dy @ weight.T and x.T @ dy.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight.T, bias, dweight=lambda g: g.T)


@row_slips(
    "the weight's gradient turned round",
    "Your dweight is the transpose of what it should be: its shape is that of torch's weight.",
    "dweight has the shape of weight, (inputs, outputs): x.T @ dy.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dweight=lambda g: g.T)


@row_slips("the weight's gradient averaged over the rows", AVERAGED, "x.T @ dy.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dweight=lambda g: g / len(x))


@row_slips("both gradients averaged over the rows", BOTH_AVERAGED, "x.T @ dy, and dy.sum(axis=0).")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dweight=lambda g: g / len(x), dbias=lambda dy: dy.mean(axis=0))


@row_slips(
    "both gradients summed over the ranks",
    "You add the gradients of weight and bias over the ranks, as in data parallelism. There each rank sees "
    "other rows; here all have the same dy. The weight's parts differ, and the bias' gradient comes N times.",
    "x.T @ dy and dy.sum(axis=0), without a word to the others.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dweight=comm.all_reduce, dbias=lambda dy: comm.all_reduce(_rows(dy)))


@row_slips("the sum made and not used", UNUSED, "Give what it returns a name, and add the bias to that.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def out(part: Array) -> Array:
        comm.all_reduce(part)
        return part + bias

    return _row(comm, x, weight, bias, out=out)


@row_slips(
    "the bias on rank 0 after the sum",
    "After the sum only rank 0 adds the bias. Then the others have another output: all need the whole y.",
    "After the sum every rank adds the bias. On one rank alone it would have to come before.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def out(part: Array) -> Any:
        whole = comm.all_reduce(part)
        return whole + bias if comm.rank == 0 else whole

    return _row(comm, x, weight, bias, out=out)


@row_slips(
    "dx divided by the ranks",
    "You divide dx by the number of ranks. All get the same dy, but the sum hands each of its parts the "
    "whole of it.",
    "dx is dy @ weight.T, as it is.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dx=lambda g: g / np.asarray(comm.world_size, g.dtype))


@row_slips(
    "dy divided by the ranks",
    "You divide dy by the number of ranks before you use it: all three gradients come out too small. A sum "
    "shares nothing out backwards: each of its parts gets the whole dy.",
    "Take dy as it is.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dy_first=lambda dy: dy / np.asarray(comm.world_size, dy.dtype))


@row_slips(
    "the sum in the backward, none in the forward",
    "You sum dx in the backward and nothing in the forward: that is how a column layer does it. Here it is "
    "the output that is a sum, and each rank's dx belongs to other inputs.",
    "comm.all_reduce(x @ weight) in the forward; nothing is sent in the backward.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, out=lambda part: part + bias, dx=comm.all_reduce)
