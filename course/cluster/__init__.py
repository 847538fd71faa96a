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

``engine="gloo"`` runs the same program on processes of this machine; under torchrun, ``-m course.cluster``
does on any cluster. What is built on the communicator stands in modules, loaded when first named:

=================  ==================================================================================
data_parallel      every rank the whole model, gradients all-reduced in buckets (DDP)
zero, fsdp         optimizer state, gradients and parameters cut up among the ranks (ZeRO 1, 2, 3)
tensor             layers cut by columns and rows, attention by heads
pipeline           layers on different ranks; the orders of work are data, in ``schedules``
mesh               groups for two and three kinds at a time
local, hogwild     meeting now and then (local SGD, DiLoCo); not waiting at all (stale gradients)
models             what all of them train: layers with a forward and a backward each
rings, wire        the algorithms of the collectives, and what they cost
plan, published    a run on paper, and beside runs that were published
native             what torch's own strategies send, in the same ledger
=================  ==================================================================================
"""

from __future__ import annotations

import importlib
from typing import Any

from course.cluster.communicator import Communicator
from course.cluster.errors import ClusterError, Deadlock, Mismatch, RankError
from course.cluster.ledger import Entry, Ledger
from course.cluster.memory import Memory, MemoryReport
from course.cluster.rings import ring_sum
from course.cluster.run import Outcome, run

_MODULES = (
    "data_parallel",
    "fsdp",
    "hogwild",
    "local",
    "mesh",
    "models",
    "native",
    "pipeline",
    "plan",
    "published",
    "schedules",
    "tensor",
    "zero",
)

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


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"course.cluster.{name}")
    raise AttributeError(f"module 'course.cluster' has no attribute {name!r}")
