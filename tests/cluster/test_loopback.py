"""What the ledger says is what the system counts: the loopback of a network of our own, on Linux."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
    import subprocess
    import numpy as np
    from course import cluster
    from course.rules import AdamW

    SIZES = [500, 1000, 500]

    def counter():
        with open("/proc/net/dev") as file:
            (line,) = [line for line in file if line.strip().startswith("lo:")]
        return int(line.split(":")[1].split()[8])  # bytes sent

    def strategy(make):
        def program(comm):
            trainer = make(comm, cluster.models.MLP.of_sizes(SIZES), AdamW())
            trainer.step(np.ones((1, 500)), np.ones((1, 500)))
        return program

    def ring(comm):
        x = np.ones(1_000_000)
        for _ in range(comm.world_size - 1):
            x = comm.exchange(x, (comm.rank + 1) % comm.world_size, (comm.rank - 1) % comm.world_size)

    PROGRAMS = {
        "all_reduce": lambda comm: comm.all_reduce(np.ones(1_000_000)),
        "reduce_scatter": lambda comm: comm.reduce_scatter(np.ones(1_000_000)),
        "all_gather": lambda comm: comm.all_gather(np.ones(250_000)),
        "all_to_all": lambda comm: comm.all_to_all(np.ones(1_000_000)),
        "broadcast": lambda comm: comm.broadcast(np.ones(1_000_000)),
        "a ring of whole tensors": ring,
        "ddp": strategy(cluster.data_parallel.DataParallel),
        "zero 2": strategy(cluster.zero.zero),
        "zero 3": strategy(cluster.fsdp.FullyShard),
    }
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, program in PROGRAMS.items():
        before = counter()
        outcome = cluster.run(program, 4, "gloo")
        print(name, outcome.ledger.sent(), counter() - before, sep=": ")
"""


def own_network() -> bool:
    """Say whether a process may have a network of its own here."""
    if sys.platform != "linux" or not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not own_network(), reason="no network namespaces here")
def test_the_loopback_counts_what_the_ledger_says():
    command = ["unshare", "-rn", sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split(": ") for line in done.stdout.splitlines()]
    assert len(rows) == 9
    for name, told, counted in rows:
        # Headers, acknowledgements and the ranks' first greetings come on top.
        assert int(told) <= int(counted) <= 1.02 * int(told), name
