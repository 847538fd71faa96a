"""The slips of ring_all_reduce: rings as people write them, wrong in values, in bytes, or for ever."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["ring_slips"]

Array = np.ndarray
ring_slips = Slips()


def places(comm: Any) -> tuple[int, int, int, int]:
    """Return ranks, own rank, right and left neighbour."""
    n, rank = comm.world_size, comm.rank
    return n, rank, (rank + 1) % n, (rank - 1) % n


def cut(comm: Any, x: Array) -> list[Array]:
    """Return the blocks of a copy."""
    return np.array_split(x.flatten(), comm.world_size)


def reduce(comm: Any, blocks: list[Array], hops: int) -> None:
    """Run the first phase for some hops."""
    n, rank, right, left = places(comm)
    for hop in range(hops):
        take = (rank - hop - 1) % n
        came = comm.exchange(blocks[(rank - hop) % n], right, left)
        blocks[take] = blocks[take] + came


def gather(comm: Any, blocks: list[Array], first: int = 1) -> None:
    """Run the second phase; ``first`` says which block is sent first, counted from the own rank."""
    n, rank, right, left = places(comm)
    for hop in range(n - 1):
        blocks[(rank + first - 1 - hop) % n] = comm.exchange(
            blocks[(rank + first - hop) % n].copy(), right, left
        )


def whole(comm: Any, x: Array) -> Array:
    """Return the sum by whole arrays passed around once."""
    n, _, right, left = places(comm)
    total, passing = x, x
    for _ in range(n - 1):
        passing = comm.exchange(passing, right, left)
        total = total + passing
    return total


def joined(blocks: list[Array], x: Array) -> Array:
    """Return the blocks as one array."""
    return np.concatenate(blocks).reshape(x.shape)


def right_sum(comm: Any, x: Array) -> Array:
    """Return the sum as it should be."""
    blocks = cut(comm, x)
    reduce(comm, blocks, comm.world_size - 1)
    gather(comm, blocks)
    return joined(blocks, x)


@ring_slips(
    "whole tensors around the ring",
    "You send the whole array at every hop and add up what comes. The sum is right, and every rank sends "
    "N - 1 arrays instead of 2 (N - 1) / N of one.",
    "Cut the array into N blocks. At each hop a rank sends one block.",
)
def _(comm: Any, x: Array) -> Array:
    return whole(comm, x)


@ring_slips(
    "whole tensors, in both phases",
    "You run both phases, but with the whole array in the place of a block. The sum is right after the "
    "first phase, and the second does nothing useful: N times the bytes of a ring.",
    "In the first phase a rank sends one block of N and adds one. Nobody has the whole sum after it.",
)
def _(comm: Any, x: Array) -> Array:
    n, _, right, left = places(comm)
    passing = whole(comm, x)
    for _ in range(n - 1):
        passing = comm.exchange(passing, right, left)
    return passing


@ring_slips(
    "everything through rank 0",
    "All ranks send their array to rank 0, which adds up and sends the sum to each. Its wire carries N - 1 "
    "arrays each way while the others wait.",
    "Nobody is special in a ring: every rank sends one block to the right and takes one from the left.",
)
def _(comm: Any, x: Array) -> Array:
    if comm.rank:
        comm.send(x, 0)
        return comm.recv(0)
    total = sum((comm.recv(other) for other in range(1, comm.world_size)), x)
    for other in range(1, comm.world_size):
        comm.send(total, other)
    return total


@ring_slips(
    "the gather phase left out",
    "You stop after the first phase. Each rank then has one finished block; the others are partial sums.",
    "N - 1 more hops hand the finished blocks around.",
)
def _(comm: Any, x: Array) -> Array:
    blocks = cut(comm, x)
    reduce(comm, blocks, comm.world_size - 1)
    return joined(blocks, x)


@ring_slips(
    "only one rank has the sum",
    "One rank has the sum; the others return what they had or what passed by. After an all-reduce every rank "
    "has all of it.",
    "Whatever one rank has at the end must have been sent on to the next.",
)
def _(comm: Any, x: Array) -> Array:
    if comm.rank:
        comm.send(x, 0)
        return x
    return sum((comm.recv(other) for other in range(1, comm.world_size)), x)


@ring_slips(
    "the mean instead of the sum",
    "You divide by the number of ranks. This function returns the sum; who needs a mean divides afterwards.",
    "Leave the division out.",
)
def _(comm: Any, x: Array) -> Array:
    return right_sum(comm, x) / comm.world_size


@ring_slips(
    "unsummed blocks handed around",
    "Every rank ends with blocks that hold one rank's numbers only. Either the first phase overwrites where "
    "it should add, or the second is off by one and hands around the block with your own number: that is not "
    "the one that was finished here.",
    "Follow one block through the first phase. What is added to it, and at which rank does it end?",
)
def _(comm: Any, x: Array) -> Array:
    blocks = cut(comm, x)
    reduce(comm, blocks, comm.world_size - 1)
    gather(comm, blocks, first=0)
    return joined(blocks, x)


@ring_slips(
    "added to the wrong block",
    "In the first phase you are off by one: what comes from the left is another block than the one that you "
    "have just sent, and you add it to that.",
    "At hop h the left neighbour sends block r - h - 1, seen from rank r.",
)
def _(comm: Any, x: Array) -> Array:
    n, rank, right, left = places(comm)
    blocks = cut(comm, x)
    for hop in range(n - 1):
        came = comm.exchange(blocks[(rank - hop) % n], right, left)
        blocks[(rank - hop) % n] = blocks[(rank - hop) % n] + came
    gather(comm, blocks)
    return joined(blocks, x)


@ring_slips(
    "the wrong neighbour",
    "You send to the right and wait for something from the right, where everybody sends away from you. From "
    "three ranks on all wait for ever.",
    "What all send to the right comes from the left.",
)
def _(comm: Any, x: Array) -> Array:
    n, rank, right, _ = places(comm)
    blocks = cut(comm, x)
    for hop in range(n - 1):
        take = (rank - hop - 1) % n
        blocks[take] = blocks[take] + comm.exchange(blocks[(rank - hop) % n], right, right)
    for hop in range(n - 1):
        blocks[(rank - hop) % n] = comm.exchange(blocks[(rank + 1 - hop) % n], right, right)
    return joined(blocks, x)


@ring_slips(
    "everybody receives first",
    "Every rank waits for its left neighbour before it sends anything. So nobody sends: a deadlock.",
    "Use comm.exchange, which sends and receives at once; or let one rank send first.",
)
def _(comm: Any, x: Array) -> Array:
    _, _, right, left = places(comm)
    for _ in range(comm.world_size - 1):
        came = comm.recv(left)
        comm.send(x, right)
        x = x + came
    return x


@ring_slips(
    "everybody sends first",
    "Every rank sends before it receives. comm.send returns when the other side has taken the message, and "
    "nobody gets there: a deadlock.",
    "Use comm.exchange, which sends and receives at once; or let one rank receive first.",
)
def _(comm: Any, x: Array) -> Array:
    _, _, right, left = places(comm)
    for _ in range(comm.world_size - 1):
        comm.send(x, right)
        x = x + comm.recv(left)
    return x


@ring_slips(
    "the input changed in place",
    "The sum is right, but your blocks are views of x, and += writes into the caller's array.",
    "Make a copy first (x.flatten() is one, x.reshape(-1) is not), or add without +=.",
)
def _(comm: Any, x: Array) -> Array:
    n, rank, right, left = places(comm)
    blocks = np.array_split(x.reshape(-1), n)
    for hop in range(n - 1):
        blocks[(rank - hop - 1) % n] += comm.exchange(blocks[(rank - hop) % n], right, left)
    gather(comm, blocks)
    return joined(blocks, x)


@ring_slips(
    "the remainder left out",
    "Each block has size // N elements. What does not divide is in no block and is never summed.",
    "np.array_split makes some blocks one longer; or let the last block go to the end.",
)
def _(comm: Any, x: Array) -> Array:
    n, flat = comm.world_size, x.flatten()
    each = flat.size // n
    blocks = [flat[i * each : (i + 1) * each] for i in range(n)]
    reduce(comm, blocks, n - 1)
    gather(comm, blocks)
    return np.concatenate([*blocks, flat[n * each :]]).reshape(x.shape)


@ring_slips("the shape lost", "You return the numbers in one row.", "End with reshape(x.shape).")
def _(comm: Any, x: Array) -> Array:
    return right_sum(comm, x).reshape(-1)


@ring_slips(
    "the library called",
    "You call comm.all_reduce. That is what you are to write.",
    "Only single messages: comm.exchange, or comm.send and comm.recv.",
)
def _(comm: Any, x: Array) -> Array:
    return comm.all_reduce(x)


@ring_slips(
    "everyone to everyone",
    "Each rank sends a block to every other rank. The sum is right and so are the bytes, but every rank "
    "needs a wire to every other.",
    "In a ring a rank sends to one neighbour only, and blocks travel on from there.",
)
def _(comm: Any, x: Array) -> Array:
    n, rank = comm.world_size, comm.rank
    blocks = cut(comm, x)
    total = blocks[rank]
    for hop in range(1, n):
        total = total + comm.exchange(blocks[(rank + hop) % n], (rank + hop) % n, (rank - hop) % n)
    blocks[rank] = total
    for hop in range(1, n):
        blocks[(rank - hop) % n] = comm.exchange(total, (rank + hop) % n, (rank - hop) % n)
    return joined(blocks, x)
