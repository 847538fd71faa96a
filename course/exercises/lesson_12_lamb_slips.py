"""The slips of ``lamb_under_zero``: norms of a shard, roots added up, and too much on the wire."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["lamb_slips"]

Array = np.ndarray
lamb_slips = Slips()


def _delta(top: Any, bottom: Any, update: Array, lr: float) -> Array:
    return lr * (top / bottom if top > 0 and bottom > 0 else 1.0) * update


def _of_pair(norms: Array, update: Array, lr: float) -> Array:
    return _delta(norms[0], norms[1], update, lr)


def _squares(shard: Array, update: Array) -> Array:
    return np.array([shard @ shard, update @ update])


@lamb_slips(
    "norms of the shard only",
    "Each rank takes the norms of its own shard. LAMB's ratio is one number for the whole layer.",
    "All-reduce the sums of squares, then take the roots.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    return _of_pair(np.sqrt(_squares(shard, update)), update, lr)


@lamb_slips(
    "roots all-reduced",
    "You all-reduce the norms. The norm of the whole is not the sum of the norms of its parts.",
    "Add squares, and take the root after.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    return _of_pair(comm.all_reduce(np.sqrt(_squares(shard, update))), update, lr)


@lamb_slips(
    "mean of the ratios",
    "Each rank makes a ratio of its own shard, and you take the mean of these.",
    "First the whole norms, then one ratio.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    top, bottom = np.sqrt(_squares(shard, update))
    trust = top / bottom if top > 0 and bottom > 0 else 1.0
    return lr * comm.all_reduce(np.array([trust]), "mean")[0] * update


@lamb_slips(
    "only the weights' norm reduced",
    "The norm of the weights is that of the whole layer, but the norm of the update is that of your shard.",
    "Both norms need the sum over the ranks.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    top, bottom = _squares(shard, update)
    return _delta(np.sqrt(comm.all_reduce(top)), np.sqrt(bottom), update, lr)


@lamb_slips(
    "only the update's norm reduced",
    "The norm of the update is that of the whole layer, but the norm of the weights is that of your shard.",
    "Both norms need the sum over the ranks.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    top, bottom = _squares(shard, update)
    return _delta(np.sqrt(top), np.sqrt(comm.all_reduce(bottom)), update, lr)


@lamb_slips(
    "root forgotten",
    "Your ratio is one of squares. A norm is the root of the sum.",
    "np.sqrt after the all-reduce.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    return _of_pair(comm.all_reduce(_squares(shard, update)), update, lr)


@lamb_slips(
    "ratio upside down",
    "You divide the update's norm by the weights'.",
    "Large weights take large steps: the weights' norm stands above.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    top, bottom = np.sqrt(comm.all_reduce(_squares(shard, update)))
    return _delta(bottom, top, update, lr)


@lamb_slips(
    "the whole layer gathered",
    "Your values are right, but you gather the layer, and the update, to take two norms.",
    "Two numbers a rank are enough: all-reduce the sums of squares.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    whole = comm.all_gather(shard), comm.all_gather(update)
    return _of_pair(np.sqrt(_squares(*whole)), update, lr)


@lamb_slips(
    "squares gathered",
    "Your values are right, but every rank gathers the squares of all: its share grows with the ranks.",
    "all_reduce adds them on the way, and costs less than 2 numbers a rank, twice.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    every = comm.all_gather(_squares(shard, update)).reshape(-1, 2)
    return _of_pair(np.sqrt(every.sum(axis=0)), update, lr)


@lamb_slips(
    "no guard for zero",
    "You divide in any case: an update of zero gives NaN, and weights of zero never move.",
    "Where one of the norms is 0, the ratio is 1.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    top, bottom = np.sqrt(comm.all_reduce(_squares(shard, update)))
    return lr * (top / bottom) * update


@lamb_slips(
    "the shard's zeros guarded",
    "You set the ratio to 1 where the norm of your shard is 0. The layer's norm need not be: its other ranks "
    "then take another step than you.",
    "Look for the 0 after the all-reduce, in the norms of the layer.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    norms = np.sqrt(comm.all_reduce(_squares(shard, update)))
    return _of_pair(norms * (shard.any() and update.any()), update, lr)


@lamb_slips(
    "lr forgotten",
    "You leave lr out.",
    "Delta is lr times the ratio times the update.",
)
def _(comm: Any, shard: Array, update: Array, lr: float) -> Any:
    return _of_pair(np.sqrt(comm.all_reduce(_squares(shard, update))), update, 1.0)
