"""A mesh of ranks: one group for each kind of parallelism."""

from __future__ import annotations

import math

from course.cluster.communicator import Communicator

__all__ = ["mesh"]


def mesh(comm: Communicator, **sizes: int) -> dict[str, Communicator]:
    """Lay the ranks out on axes and return this rank's group along each axis.

    Args:
        comm: all ranks. sizes: the length of each axis by name; neighbours in the last axis have neighbouring
            ranks, so the axis that talks most comes last.

    Raises:
        ValueError: the lengths do not multiply to the number of ranks.

    >>> from course import cluster
    >>> run = cluster.run(lambda comm: [g.ranks for g in mesh(comm, dp=2, tp=2).values()], 4)
    >>> run.results[3]
    [(1, 3), (2, 3)]
    """
    if math.prod(sizes.values()) != comm.world_size or any(size < 1 for size in sizes.values()):
        axes = " x ".join(f"{name}={size}" for name, size in sizes.items())
        raise ValueError(f"mesh: {axes} is not {comm.world_size} ranks")
    groups, stride = {}, comm.world_size
    for name, size in sizes.items():
        stride //= size
        place = comm.rank // stride % size
        first = comm.rank - place * stride
        groups[name] = comm.group([first + i * stride for i in range(size)])
    return groups
