"""The slips of bucketed_all_reduce: buckets filled, sent or unpacked wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["bucket_slips"]

Array = np.ndarray
bucket_slips = Slips()


def fill(order: Sequence[int], sizes: Sequence[float], most: float, late: bool = False) -> list[list[int]]:
    """Return the buckets of these places; ``late`` closes one after the array that overfills it."""
    buckets: list[list[int]] = []
    for i in order:
        held = sum(sizes[j] for j in buckets[-1]) if buckets else 0
        if not buckets or (held >= most if late else held + sizes[i] > most):
            buckets.append([])
        buckets[-1].append(i)
    return buckets


def backwards(arrays: list[Array], most: float) -> list[list[int]]:
    """Return the buckets as they should be."""
    return fill(range(len(arrays))[::-1], [a.nbytes for a in arrays], most)


def send(comm: Any, arrays: list[Array], buckets: list[list[int]], op: str = "mean") -> list[Any]:
    """All-reduce bucket by bucket; an array in no bucket stays as it is."""
    means: list[Any] = [array.copy() for array in arrays]
    for bucket in buckets:
        row = comm.all_reduce(np.concatenate([arrays[i].reshape(-1) for i in bucket]), op)
        for i in bucket:
            means[i] = row[: arrays[i].size].reshape(arrays[i].shape)
            row = row[arrays[i].size :]
    return means


@bucket_slips(
    "one collective for each array",
    "You call all_reduce once for each array. The values are right; the many small messages are what buckets "
    "are there to avoid.",
    "Lay the arrays of a bucket into one row with np.concatenate, and reduce the row.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return [comm.all_reduce(array, "mean") for array in arrays]


@bucket_slips(
    "one collective for each array, the last first",
    "The order is right, but you call all_reduce once for each array: there are no buckets.",
    "Lay the arrays of a bucket into one row with np.concatenate, and reduce the row.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return [comm.all_reduce(array, "mean") for array in arrays[::-1]][::-1]


@bucket_slips(
    "the first array first",
    "You fill the buckets from the first array on. The backward pass finishes with the first: all buckets "
    "would have to wait for its end.",
    "Go through the arrays from the last to the first.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    sizes = [array.nbytes for array in arrays]
    return send(comm, arrays, fill(range(len(arrays)), sizes, bucket_bytes))


@bucket_slips(
    "returned in the order of the buckets",
    "You return the arrays in the order in which they went out, the last first.",
    "Put each array back at its own place in the list.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return send(comm, arrays, backwards(arrays, bucket_bytes))[::-1]


@bucket_slips(
    "unpacked in another order than packed",
    "Within a bucket you pack the last array first and unpack the first one first.",
    "Use one list of places for both.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    means: list[Any] = list(arrays)
    for bucket in backwards(arrays, bucket_bytes):
        row = comm.all_reduce(np.concatenate([arrays[i].reshape(-1) for i in bucket]), "mean")
        for i in sorted(bucket):
            means[i] = row[: arrays[i].size].reshape(arrays[i].shape)
            row = row[arrays[i].size :]
    return means


@bucket_slips(
    "the last bucket dropped",
    "A bucket goes out when the next array does not fit. The last one is never followed by another, and "
    "stays behind: its arrays are not reduced.",
    "When the arrays end, what has been gathered still has to go.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return send(comm, arrays, backwards(arrays, bucket_bytes)[:-1])


@bucket_slips(
    "full buckets sent, whatever is in them",
    "You reduce a buffer of bucket_bytes even where less is in it. The values are right, and the padding "
    "travels along.",
    "Make the row as long as what it holds.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    means: list[Any] = list(arrays)
    for bucket in backwards(arrays, bucket_bytes):
        row = np.concatenate([arrays[i].reshape(-1) for i in bucket])
        room = max(bucket_bytes // row.itemsize, row.size)
        row = comm.all_reduce(np.concatenate([row, np.zeros(room - row.size, row.dtype)]), "mean")
        for i in bucket:
            means[i] = row[: arrays[i].size].reshape(arrays[i].shape)
            row = row[arrays[i].size :]
    return means


@bucket_slips(
    "the padding leaked",
    "You pad every array to a multiple of the number of ranks and forget it when you unpack: from the second "
    "array of a bucket on, zeros of the padding come out in the place of values.",
    "Step on by the padded length, or pad nothing: all_reduce takes any length.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    means: list[Any] = list(arrays)
    for bucket in backwards(arrays, bucket_bytes):
        parts = [np.pad(arrays[i].reshape(-1), (0, -arrays[i].size % comm.world_size)) for i in bucket]
        row = comm.all_reduce(np.concatenate(parts), "mean")
        for i in bucket:
            means[i] = row[: arrays[i].size].reshape(arrays[i].shape)
            row = row[arrays[i].size :]
    return means


@bucket_slips(
    "the sum instead of the mean",
    "You return sums. Gradients of a mean loss need the mean over the ranks.",
    'all_reduce(row, "mean") divides by the number of ranks.',
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return send(comm, arrays, backwards(arrays, bucket_bytes), "sum")


@bucket_slips(
    "the mean taken twice",
    'You divide by the number of ranks what all_reduce(..., "mean") has divided already.',
    "Divide once: there, or by yourself after a sum.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return [mean / comm.world_size for mean in send(comm, arrays, backwards(arrays, bucket_bytes))]


@bucket_slips(
    "one bucket for everything",
    "You lay all arrays into one row and look at bucket_bytes nowhere. Nothing can go out before backward "
    "has ended, and the row is a second copy of all gradients.",
    "A new bucket begins where the next array would not fit any more.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return send(comm, arrays, backwards(arrays, float("inf")))


@bucket_slips(
    "elements counted, not bytes",
    "You hold bucket_bytes against the number of elements. An element of float64 has eight bytes.",
    "array.nbytes is its size in bytes, array.size in elements.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    sizes = [array.size for array in arrays]
    return send(comm, arrays, fill(range(len(arrays))[::-1], sizes, bucket_bytes))


@bucket_slips(
    "closed too late",
    "You close a bucket after the array with which it has reached bucket_bytes, so it may hold more than "
    "that. torch's DDP counts like this; here a bucket holds at most bucket_bytes.",
    "Ask before you add an array whether it still fits.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    sizes = [array.nbytes for array in arrays]
    return send(comm, arrays, fill(range(len(arrays))[::-1], sizes, bucket_bytes, late=True))


@bucket_slips(
    "the size never set back",
    "You begin a new bucket and go on counting from the size of the old one. After the first full bucket "
    "every array has a bucket of its own.",
    "A new bucket begins with the size of its first array.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    buckets: list[list[int]] = [[]]
    size = 0
    for i in reversed(range(len(arrays))):
        size += arrays[i].nbytes
        if buckets[-1] and size > bucket_bytes:
            buckets.append([])
        buckets[-1].append(i)
    return send(comm, arrays, buckets)


@bucket_slips(
    "an exact fit refused",
    "You begin a new bucket when the old one is exactly full, or would be. At most bucket_bytes means that "
    "an array that fills it still goes in.",
    "Compare with >, not with >=.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return send(comm, arrays, backwards(arrays, bucket_bytes - 1))


@bucket_slips(
    "the shapes lost",
    "You return rows. Each array must come back in its own shape.",
    "End with reshape(arrays[i].shape) for each array.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    return [mean.reshape(-1) for mean in send(comm, arrays, backwards(arrays, bucket_bytes))]


@bucket_slips(
    "the inputs overwritten",
    "The means are right, but you write them into the arrays that you were given.",
    "Make a new list of new arrays.",
)
def _(comm: Any, arrays: list[Array], bucket_bytes: int) -> Any:
    for array, mean in zip(arrays, send(comm, arrays, backwards(arrays, bucket_bytes)), strict=True):
        array[...] = mean
    return list(arrays)
