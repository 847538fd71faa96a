"""The algorithms behind the collectives, as each rank runs them: rings and trees of single messages.

A ``link`` sends and takes single messages. ``post(to, array)`` leaves a message without waiting and
``take(source)`` waits for one; both count places in the group. What was posted must not be changed until
``drain()`` has returned.

All rings run downwards: rank ``r`` sends to ``r - 1``. So block ``c``, which starts at rank ``c - 1`` and
ends at rank ``c``, sums the ranks in the order c-1, c-2, ..., c, as gloo's ring does.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from course.arrays import Array, maximum, minimum
from course.cluster.wire import blocks, children, parent

__all__ = [
    "OPS",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "barrier",
    "broadcast",
    "reduce_scatter",
    "ring_sum",
]

OPS = ("sum", "mean", "max", "min")


class Link(Protocol):
    """What the algorithms need of an engine."""

    rank: int
    world_size: int

    def post(self, to: int, array: Array) -> None:
        """Leave a message for a rank of the group, without waiting."""

    def take(self, source: int) -> Array:
        """Wait for the next message of a rank and return it; it is only to be read."""

    def drain(self) -> None:
        """Wait until all that was posted has been taken."""


def all_reduce(link: Link, array: Array, op: str, layout: str) -> Array:
    """Reduce-scatter, then all-gather, on one flat copy of the array."""
    flat, n = flat_copy(array), link.world_size
    parts = blocks(flat.shape[0], n, layout, flat.itemsize)
    _reduce_around(link, flat, parts, op)
    if op == "mean":
        mine = parts[link.rank]
        flat[mine] = flat[mine] / n
    _gather_around(link, flat, parts)
    link.drain()
    return flat.reshape(tuple(array.shape))


def reduce_scatter(link: Link, array: Array, op: str) -> Array:
    """Return this rank's block of the reduced array."""
    flat, n = flat_copy(array), link.world_size
    parts = blocks(flat.shape[0], n)
    _reduce_around(link, flat, parts, op)
    link.drain()
    mine = flat_copy(flat[parts[link.rank]])
    mine = mine / n if op == "mean" else mine
    return mine.reshape((array.shape[0] // n, *tuple(array.shape)[1:]))


def all_gather(link: Link, array: Array) -> Array:
    """Return the arrays of all ranks, one after the other along the first axis."""
    n, shape = link.world_size, tuple(array.shape)
    piece = array.reshape(-1)
    flat = empty(piece, n * piece.shape[0])
    parts = blocks(flat.shape[0], n)
    flat[parts[link.rank]] = piece
    _gather_around(link, flat, parts)
    link.drain()
    return flat.reshape((n * shape[0], *shape[1:]))


def broadcast(link: Link, array: Array | None, root: int) -> Array:
    """Hand the root's array down a binomial tree."""
    above = parent(link.rank, link.world_size, root)
    whole = array if above is None else link.take(above)
    assert whole is not None  # the root's was checked, the others' came by message
    mine = flat_copy(whole).reshape(tuple(whole.shape))
    for below in children(link.rank, link.world_size, root):
        link.post(below, mine)
    link.drain()
    return mine


def all_to_all(link: Link, array: Array) -> Array:
    """Send block ``j`` to rank ``j``; return the blocks that came, in the order of their senders."""
    n, out = link.world_size, flat_copy(array).reshape(tuple(array.shape))
    rows = array.shape[0] // n
    for hop in range(1, n):
        to, source = (link.rank + hop) % n, (link.rank - hop) % n
        link.post(to, array[to * rows : (to + 1) * rows])
        out[source * rows : (source + 1) * rows] = link.take(source)
    link.drain()
    return out


def barrier(link: Link) -> None:
    """Hear, directly or not, from every rank: after round k from the 2^k - 1 before (dissemination)."""
    reach, nothing = 1, np.empty(0)
    while reach < link.world_size:
        link.post((link.rank + reach) % link.world_size, nothing)
        link.take((link.rank - reach) % link.world_size)
        reach *= 2
    link.drain()


def ring_sum(arrays: list[Array], layout: str = "even") -> Array:
    """Return what the ring's all-reduce makes of one array a rank, to the last bit, in one process.

    >>> ring_sum([np.ones(3), np.ones(3)])
    array([2., 2., 2.])
    """
    flats, n = [flat_copy(array) for array in arrays], len(arrays)
    total = flat_copy(arrays[0])
    for c, part in enumerate(blocks(total.shape[0], n, layout, total.itemsize)):
        total[part] = flats[c - 1][part]
        for hop in range(2, n + 1):
            total[part] += flats[(c - hop) % n][part]
    return total.reshape(tuple(arrays[0].shape))


def flat_copy(array: Array) -> Array:
    """Return the elements in one row (C order), sharing no memory and no autograd history."""
    if hasattr(array, "detach"):
        return array.detach().clone(memory_format=_contiguous()).reshape(-1)
    return np.array(array, order="C").reshape(-1)


def empty(like: Array, length: int) -> Array:
    """Return an unset row of this length, in the dtype and library of ``like``."""
    return like.new_empty(length) if hasattr(like, "new_empty") else np.empty(length, like.dtype)


def _contiguous() -> Any:
    import torch

    return torch.contiguous_format


def _reduce_around(link: Link, flat: Array, parts: list[slice], op: str) -> None:
    """After this, ``flat`` holds the reduced block at this rank's own place."""
    n = link.world_size
    for hop in range(n - 1):
        link.post((link.rank - 1) % n, flat[parts[(link.rank + 1 + hop) % n]])
        _accumulate(flat, parts[(link.rank + 2 + hop) % n], link.take((link.rank + 1) % n), op)


def _accumulate(flat: Array, part: slice, came: Array, op: str) -> None:
    if op in ("sum", "mean"):
        flat[part] += came
    else:
        flat[part] = (maximum if op == "max" else minimum)(flat[part], came)


def _gather_around(link: Link, flat: Array, parts: list[slice]) -> None:
    """Hand the blocks around until everyone has all of them."""
    n = link.world_size
    for hop in range(n - 1):
        link.post((link.rank - 1) % n, flat[parts[(link.rank + hop) % n]])
        flat[parts[(link.rank + 1 + hop) % n]] = link.take((link.rank + 1) % n)
