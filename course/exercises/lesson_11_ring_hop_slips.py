"""More slips of ring_all_reduce: hops too few and too many, neighbours swapped, sums that do not travel."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_11_ring_slips import cut, gather, joined, places, reduce

__all__ = ["ring_hop_slips"]

Array = np.ndarray
ring_hop_slips = Slips()


def both(comm: Any, blocks: list[Array], hops: int) -> None:
    """Run both phases for some hops each."""
    n, rank, right, left = places(comm)
    reduce(comm, blocks, hops)
    for hop in range(hops):
        blocks[(rank - hop) % n] = comm.exchange(blocks[(rank + 1 - hop) % n].copy(), right, left)


@ring_hop_slips(
    "one hop too few",
    "The first phase ends one hop early: every block lacks the array of one rank.",
    "A block that starts at one rank must visit the N - 1 others.",
)
def _(comm: Any, x: Array) -> Array:
    blocks = cut(comm, x)
    reduce(comm, blocks, comm.world_size - 2)
    gather(comm, blocks)
    return joined(blocks, x)


@ring_hop_slips(
    "one hop too few, in both phases",
    "Both phases end one hop early: every block lacks the array of one rank, and does not reach all ranks.",
    "A block that starts at one rank must visit the N - 1 others: range(n - 1) makes N - 1 hops.",
)
def _(comm: Any, x: Array) -> Array:
    blocks = cut(comm, x)
    both(comm, blocks, comm.world_size - 2)
    return joined(blocks, x)


@ring_hop_slips(
    "one hop too many",
    "One of your two phases goes one hop too far, so that a finished block comes back to where it started. "
    "The sum is right all the same, but each rank sends a block for nothing.",
    "A block that starts at one rank must visit the N - 1 others, and no more.",
)
def _(comm: Any, x: Array) -> Array:
    blocks = cut(comm, x)
    reduce(comm, blocks, comm.world_size)
    gather(comm, blocks)
    return joined(blocks, x)


@ring_hop_slips(
    "one hop too many, in both phases",
    "Both phases make N hops. The sum is right all the same, but each rank sends two blocks for nothing.",
    "A block that starts at one rank must visit the N - 1 others, and no more.",
)
def _(comm: Any, x: Array) -> Array:
    blocks = cut(comm, x)
    both(comm, blocks, comm.world_size)
    return joined(blocks, x)


@ring_hop_slips(
    "left and right swapped",
    "You send to the left and take from the right, but count the blocks as if they went the other way.",
    "Block r - h goes to rank r + 1, and block r - h - 1 comes from rank r - 1. To go round the other way, "
    "turn every minus into a plus.",
)
def _(comm: Any, x: Array) -> Array:
    n, rank, right, left = places(comm)
    blocks = cut(comm, x)
    for hop in range(n - 1):
        take = (rank - hop - 1) % n
        blocks[take] = blocks[take] + comm.exchange(blocks[(rank - hop) % n], left, right)
    for hop in range(n - 1):
        blocks[(rank - hop) % n] = comm.exchange(blocks[(rank + 1 - hop) % n], left, right)
    return joined(blocks, x)


@ring_hop_slips(
    "added in the second phase too",
    "In the second phase you add what comes to your own block. It is finished, and your numbers are in it.",
    "The second phase puts what comes in the place of the own block.",
)
def _(comm: Any, x: Array) -> Array:
    n, rank, right, left = places(comm)
    blocks = cut(comm, x)
    reduce(comm, blocks, n - 1)
    for hop in range(n - 1):
        put = (rank - hop) % n
        blocks[put] = blocks[put] + comm.exchange(blocks[(rank + 1 - hop) % n], right, left)
    return joined(blocks, x)


@ring_hop_slips(
    "the own numbers sent on, not the sum",
    "At each hop you send a block of your own x, and not what has been added up so far. A block then holds "
    "the numbers of two ranks at most.",
    "What came at the last hop was added to a block. That block is what goes out now.",
)
def _(comm: Any, x: Array) -> Array:
    n, rank, right, left = places(comm)
    own, blocks = cut(comm, x), cut(comm, x)
    for hop in range(n - 1):
        take = (rank - hop - 1) % n
        blocks[take] = blocks[take] + comm.exchange(own[(rank - hop) % n], right, left)
    gather(comm, blocks)
    return joined(blocks, x)


@ring_hop_slips(
    "cut by rows",
    "You cut a matrix into rows. The sum is right, but where there are fewer rows than ranks some blocks are "
    "empty and others too large.",
    "Make one row of all numbers first: np.array_split(x.flatten(), N).",
)
def _(comm: Any, x: Array) -> Array:
    blocks = np.array_split(np.atleast_1d(x).copy(), comm.world_size)
    reduce(comm, blocks, comm.world_size - 1)
    gather(comm, blocks)
    return joined(blocks, x)
