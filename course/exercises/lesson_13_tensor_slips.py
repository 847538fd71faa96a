"""The slips of ``column_parallel`` and ``row_parallel``: sums forgotten, sums too many, a bias N times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["column_slips", "row_slips"]

Array = np.ndarray
column_slips, row_slips = Slips(), Slips()

_TURNED = (
    "You multiply by the transpose of the weight. torch keeps a linear layer's weight as (outputs, inputs); "
    "here it is (inputs, outputs), and y = x @ weight + bias."
)
_ROWS = "You average the bias' gradient over the rows. dy has its mean in it already; the bias gets the sum."
_WEIGHT = "You add the weight's gradients over the ranks. Each rank holds another part of the weight."


def _own(x: Array, dy: Array) -> Array:
    return x.T @ dy


def _rows(dy: Array) -> Array:
    return dy.sum(axis=0)


def _column(
    comm: Any,
    x: Array,
    weight: Array,
    bias: Array,
    out: Callable[[Array], Any] = lambda y: y,
    dx: Callable[[Array], Any] | None = None,
    dweight: Callable[[Array], Any] = lambda g: g,
    dbias: Callable[[Array], Any] = _rows,
) -> Any:
    """Cut by columns, with another piece."""

    def backward(dy: Array) -> Any:
        before = comm.all_reduce(dy @ weight.T) if dx is None else dx(dy @ weight.T)
        return before, dweight(_own(x, dy)), dbias(dy)

    return out(x @ weight + bias), backward


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
) -> Any:
    """Cut by rows, with another piece."""

    def backward(dy: Array) -> Any:
        dy = dy_first(dy)
        return dx(dy @ weight.T), dweight(_own(x, dy)), dbias(dy)

    part = x @ weight
    return (comm.all_reduce(part) + bias if out is None else out(part)), backward


@column_slips(
    "the sum in the backward forgotten",
    "Your dx is this rank's part of a sum. x went into the columns of every rank, so all send a gradient "
    "back: the layers before get different ones on each rank, and drift apart.",
    "comm.all_reduce of dy @ weight.T.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dx=lambda g: g)


@column_slips(
    "a mean in the place of the sum",
    "You average dx over the ranks. They hold different columns, and the chain rule adds up all of them.",
    "comm.all_reduce without an op adds.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dx=lambda g: comm.all_reduce(g, "mean"))


@column_slips(
    "the output gathered",
    "You put the output together on every rank. The row layer that follows needs just this rank's columns.",
    "Leave y in parts: that is what makes the pair cheap.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, out=lambda y: comm.all_gather(y.T.copy()).T)


@column_slips(
    "gathered and cut again",
    "Your values are right, but in the forward you gather the output, to keep only your own columns of it.",
    "Nothing has to be sent in the forward of a column layer.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def out(y: Array) -> Array:
        comm.all_gather(y.T.copy())
        return y

    return _column(comm, x, weight, bias, out=out)


@column_slips(
    "the output summed",
    "You add up the ranks' outputs. They are different columns, not parts of one sum.",
    "The sum in the forward belongs to the row layer.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, out=comm.all_reduce)


@column_slips("the weight's gradient summed", _WEIGHT, "x.T @ dy, without a word to the others.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dweight=comm.all_reduce)


@column_slips(
    "the bias' gradient summed over the ranks",
    "You add the bias' gradients over the ranks. Each rank holds another part of the bias.",
    "The sum over the rows of dy is all.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dbias=lambda dy: comm.all_reduce(_rows(dy)))


@column_slips("the bias' gradient averaged", _ROWS, "dy.sum(axis=0).")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dbias=lambda dy: dy.mean(axis=0))


@column_slips("the bias forgotten", "Your output has no bias.", "x @ weight + bias.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, 0 * bias)


@column_slips(
    "the bias divided",
    "You divide the bias by the number of ranks. Each rank has its own part of it, which counts in full.",
    "x @ weight + bias.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias / comm.world_size)


@column_slips("the weight turned round", _TURNED, "x @ weight; in the backward dy @ weight.T.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight.T, bias)


@column_slips(
    "gathered to be added",
    "Your values are right, but each rank gathers every other rank's dx and adds them up itself: N - 1 "
    "arrays instead of 2 (N - 1) / N.",
    "comm.all_reduce adds on the way.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def dx(g: Array) -> Array:
        return np.asarray(comm.all_gather(g).reshape(comm.world_size, *g.shape).sum(axis=0))

    return _column(comm, x, weight, bias, dx=dx)


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


@row_slips("the weight's gradient summed", _WEIGHT, "x.T @ dy, without a word to the others.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dweight=comm.all_reduce)


@row_slips(
    "the bias' gradient summed over the ranks",
    "You add the bias' gradients over the ranks. They are all the same one: it comes out N times.",
    "Every rank has the whole dy. The sum over its rows is all.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dbias=lambda dy: comm.all_reduce(_rows(dy)))


@row_slips("the bias' gradient averaged", _ROWS, "dy.sum(axis=0).")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, dbias=lambda dy: dy.mean(axis=0))


@row_slips("the bias forgotten", "Your output has no bias.", "Add it once, after the sum.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _row(comm, x, weight, bias, out=comm.all_reduce)


@row_slips("the weight turned round", _TURNED, "x @ weight; in the backward dy @ weight.T.")
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
