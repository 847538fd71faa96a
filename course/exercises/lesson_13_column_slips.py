"""The slips of ``column_parallel``: sums forgotten, sums in the wrong place, sums too many."""

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

__all__ = ["column_slips"]

Array = np.ndarray
column_slips = Slips()


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
    turned: Callable[[Array], Array] = np.transpose,
) -> Any:
    """Cut by columns, with another piece."""

    def backward(dy: Array) -> Any:
        part = dy @ turned(weight)
        before = comm.all_reduce(part) if dx is None else dx(part)
        return before, dweight(_own(x, dy)), dbias(dy)

    return out(x @ weight + bias), backward


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


@column_slips("the weight's gradient summed", WEIGHT, "x.T @ dy, without a word to the others.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dweight=comm.all_reduce)


@column_slips(
    "the bias' gradient summed over the ranks",
    "You add the bias' gradients over the ranks. Each rank holds another part of the bias.",
    "The sum over the rows of dy is all.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dbias=lambda dy: comm.all_reduce(_rows(dy)))


@column_slips("the bias' gradient averaged", ROWS, "dy.sum(axis=0).")
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


@column_slips("the weight turned round", TURNED, "x @ weight; in the backward dy @ weight.T.")
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


@column_slips("the weight not turned in the backward", NOT_TURNED, "dy @ weight.T.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, turned=lambda w: w)


@column_slips("the weight as torch has it", AS_TORCH, "x @ weight; backwards dy @ weight.T and x.T @ dy.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight.T, bias, dweight=lambda g: g.T)


@column_slips(
    "the weight's gradient turned round",
    "Your dweight is the transpose of what it should be: its shape is that of torch's weight.",
    "dweight has the shape of weight, (inputs, outputs): x.T @ dy.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dweight=lambda g: g.T)


@column_slips("the weight's gradient averaged over the rows", AVERAGED, "x.T @ dy.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dweight=lambda g: g / len(x))


@column_slips("both gradients averaged over the rows", BOTH_AVERAGED, "x.T @ dy, and dy.sum(axis=0).")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, dweight=lambda g: g / len(x), dbias=lambda dy: dy.mean(axis=0))


@column_slips(
    "both gradients summed over the ranks",
    "You add the gradients of weight and bias over the ranks, as in data parallelism. There all ranks hold "
    "the same weights and see other rows; here each holds another part of them, and all see the same rows.",
    "x.T @ dy and dy.sum(axis=0), without a word to the others.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(
        comm, x, weight, bias, dweight=comm.all_reduce, dbias=lambda dy: comm.all_reduce(_rows(dy))
    )


@column_slips("the sum made and not used", UNUSED, "Give what it returns a name, and return that.")
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def dx(g: Array) -> Array:
        comm.all_reduce(g)
        return g

    return _column(comm, x, weight, bias, dx=dx)


@column_slips(
    "dy summed in the place of dx",
    "You sum dy over the ranks, and multiply by your own columns afterwards. Each rank's dy belongs to other "
    "outputs: what can be added is what they give in x.",
    "First dy @ weight.T, then the sum.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def backward(dy: Array) -> Any:
        return comm.all_reduce(dy) @ weight.T, _own(x, dy), _rows(dy)

    return x @ weight + bias, backward


@column_slips(
    "dy summed before all three",
    "You sum dy over the ranks before you use it. Each rank's dy belongs to other outputs: there is nothing "
    "in it to be added.",
    "Only dx is a sum over the ranks: first dy @ weight.T, then comm.all_reduce.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    def backward(dy: Array) -> Any:
        dy = comm.all_reduce(dy)
        return dy @ weight.T, _own(x, dy), _rows(dy)

    return x @ weight + bias, backward


@column_slips(
    "the sum in the forward, none in the backward",
    "You sum the outputs in the forward and nothing in the backward: that is how a row layer does it. Here "
    "the outputs are different columns, and it is dx that is a sum.",
    "Nothing is sent in the forward; comm.all_reduce of dy @ weight.T in the backward.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    return _column(comm, x, weight, bias, out=comm.all_reduce, dx=lambda g: g)


@column_slips(
    "the product summed, and nothing in backward",
    "You sum the products in the forward, add the bias, and sum nothing in the backward: that is a row "
    "layer. Here the outputs are different columns, and it is dx that is a sum.",
    "Nothing is sent in the forward; comm.all_reduce of dy @ weight.T in the backward.",
)
def _(comm: Any, x: Array, weight: Array, bias: Array) -> Any:
    _, backward = _column(comm, x, weight, bias, dx=lambda g: g)
    return comm.all_reduce(x @ weight) + bias, backward
