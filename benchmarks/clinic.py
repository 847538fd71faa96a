"""What being watched costs: the step time of a loop inside ``clinic.watch`` over that of the loop alone.

``python -m benchmarks.clinic`` prints the figures.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import Any

import torch
from torch import nn

from course import clinic

STEPS = 100


def loop(kind: str, batch: int, *, watched: bool) -> float:
    """Return the seconds a step of an MLP of a million parameters takes, over 100 steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 784), nn.ReLU(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 10))
    optimizer: torch.optim.Optimizer = getattr(torch.optim, kind)(model.parameters(), lr=1e-3)
    x, y = torch.randn(batch, 784), torch.randint(0, 10, (batch,))
    context: Any = clinic.watch(model, optimizer, quiet=True) if watched else contextlib.nullcontext()
    with context:
        start = time.perf_counter()
        for _ in range(STEPS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        return (time.perf_counter() - start) / STEPS


def measure(rounds: int = 25) -> dict[str, tuple[float, float]]:
    """Return for each loop the milliseconds of a step alone, and the median ratio of watched to alone.

    The two are run in turn, so that a busy moment hits both.
    """
    found = {}
    for kind in ("SGD", "AdamW"):
        for batch in (64, 256):
            loop(kind, batch, watched=False)
            pairs = [
                (loop(kind, batch, watched=False), loop(kind, batch, watched=True)) for _ in range(rounds)
            ]
            found[f"{kind}, batch of {batch}"] = (
                1000 * statistics.median(alone for alone, _ in pairs),
                statistics.median(seen / alone for alone, seen in pairs),
            )
    return found


def main() -> None:
    """Print the figures."""
    for name, (alone, ratio) in measure().items():
        print(f"{name}: {alone:.1f} ms a step alone, {100 * (ratio - 1):.0f} % more when watched")


if __name__ == "__main__":
    main()
