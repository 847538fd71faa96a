"""How long a simulated cluster takes, and how its cost grows with the number of ranks.

``python -m benchmarks.cluster`` prints the figures.
"""

from __future__ import annotations

import time

import numpy as np

from course import cluster
from course.rules import AdamW

SIZES = [500, 1000, 500]  # a million weights


def ring(ranks: int, size: int = 1_000_000) -> float:
    """Return the seconds of one ring all-reduce of this many float32 numbers."""

    def program(comm: cluster.Communicator) -> None:
        comm.all_reduce(np.ones(size, np.float32))

    start = time.perf_counter()
    cluster.run(program, ranks)
    return time.perf_counter() - start


def zero3(ranks: int, steps: int = 3) -> float:
    """Return the seconds of a ZeRO-3 step of an MLP of a million float32 weights."""

    def program(comm: cluster.Communicator) -> float:
        trainer = cluster.fsdp.FullyShard(comm, cluster.models.MLP.of_sizes(SIZES, dtype="float32"), AdamW())
        x = np.ones((1, 500), np.float32)
        start = time.perf_counter()
        for _ in range(steps):
            trainer.step(x, x)
        return (time.perf_counter() - start) / steps

    return max(cluster.run(program, ranks).results)


def measure() -> dict[str, tuple[float, float]]:
    """Return the seconds and the goal of each."""
    return {
        "ring all-reduce of 1e6 numbers": (min(ring(64) for _ in range(3)), 1.0),
        "ZeRO-3 step of 1e6 weights": (zero3(64), 2.0),
    }


def main() -> None:
    """Print the figures, and the ring's for growing numbers of ranks."""
    for name, (seconds, goal) in measure().items():
        print(f"{name}: {seconds:.2f} s (goal {goal:g} s)")
    for ranks in (8, 16, 32, 64):
        print(f"ring, {ranks} ranks: {1e9 * ring(ranks) / ranks / 1e6:.2f} ns a rank and number")


if __name__ == "__main__":
    main()
