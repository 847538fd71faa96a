"""Many ranks: a cluster that computes with real arrays, in one process or on torch.distributed.

A rank program is a function of its communicator, written once:

>>> import numpy as np
>>> from course import cluster
>>> def program(comm):
...     gradient = np.full(4, float(comm.rank))
...     return comm.all_reduce(gradient, "mean")
>>> outcome = cluster.run(program, ranks=4)
>>> outcome.results[0]
array([1.5, 1.5, 1.5, 1.5])
>>> outcome.ledger.sent(rank=0)  # 2 (N-1)/N times the 32 bytes
48
"""

from __future__ import annotations

from course.cluster.communicator import Communicator
from course.cluster.errors import ClusterError, Deadlock, Mismatch, RankError
from course.cluster.ledger import Entry, Ledger
from course.cluster.memory import Memory, MemoryReport
from course.cluster.rings import ring_sum
from course.cluster.run import Outcome, run

__all__ = [
    "ClusterError",
    "Communicator",
    "Deadlock",
    "Entry",
    "Ledger",
    "Memory",
    "MemoryReport",
    "Mismatch",
    "Outcome",
    "RankError",
    "ring_sum",
    "run",
]
