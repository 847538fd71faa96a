"""What the tests of real ranks share: what torch's own strategies need, and a look at what is left over."""

import time

import pytest

from course.cluster import processes
from tests.cluster.leftovers import ranks_alive

# Imported once, not by every rank of every run.
processes.PRELOAD += [
    "torch.distributed.fsdp",
    "torch.distributed.optim",
    "torch.distributed.pipelining",
    "torch.distributed.tensor.parallel",
    "torch._dynamo",
]


@pytest.fixture
def nothing_stays():
    """Fail a test that leaves the process of a rank behind."""
    yield
    until = time.monotonic() + 5
    while ranks_alive() and time.monotonic() < until:
        time.sleep(0.02)
    assert ranks_alive() == []
