"""Three ways to sum four ranks' arrays, run on the simulated cluster and written down hop by hop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from course import cluster

__all__ = ["HOPS", "RANKS", "WAYS", "Run", "run"]

RANKS = 4
HOPS = 2 * (RANKS - 1)
Move = tuple[int, int] | None  # from rank, to rank


@dataclass(frozen=True)
class Run:
    """What was seen of one way.

    Attributes:
        holds: how many ranks' numbers are in each block: (hops + 1, ranks, blocks); 0 hops: the beginning.
        sent, received: arrays that each rank has so far, from the ledger: (hops + 1, ranks).
        moves: at each hop where each disc goes: a block of the ring, or the whole array of a rank.
    """

    holds: npt.NDArray[np.int64]
    sent: npt.NDArray[np.float64]
    received: npt.NDArray[np.float64]
    moves: list[list[Move]]


def _ring(comm: Any, x: Any, see: Callable[[Any], None]) -> None:
    n, rank = comm.world_size, comm.rank
    for hop in range(HOPS):
        comm.step, adds = hop, hop < n - 1
        give = (rank - hop) % n
        came = comm.exchange(x[give : give + 1], (rank + 1) % n, (rank - 1) % n)
        x[(give - 1) % n] = x[(give - 1) % n] + came[0] if adds else came[0]
        see(x)


def _whole(comm: Any, x: Any, see: Callable[[Any], None]) -> None:
    n, rank = comm.world_size, comm.rank
    passing = x.copy()
    for hop in range(HOPS):
        comm.step = hop
        if hop < n - 1:  # then all have the sum
            passing = comm.exchange(passing, (rank + 1) % n, (rank - 1) % n)
            x[:] = x + passing
        see(x)


def _through_one(comm: Any, x: Any, see: Callable[[Any], None]) -> None:
    for hop in range(HOPS):
        comm.step = hop
        back, other = divmod(hop, RANKS - 1)
        source, to = (0, other + 1) if back else (other + 1, 0)
        if comm.rank == source:
            comm.send(x, to)
        elif comm.rank == to:
            came = comm.recv(source)
            x[:] = came if back else x + came
        see(x)


WAYS: dict[str, Callable[..., None]] = {
    "blocks": _ring,
    "arrays": _whole,
    "rank 0": _through_one,
}


@cache
def run(way: str) -> Run:
    """Run one way on the cluster; rank ``r``'s numbers are ``10**r``, so a sum tells whose are in it."""

    def program(comm: Any) -> list[Any]:
        x = np.full(RANKS, 10.0**comm.rank)
        seen = [x.copy()]
        WAYS[way](comm, x, lambda now: seen.append(now.copy()))
        return seen

    outcome = cluster.run(program, ranks=RANKS)
    values = np.array(outcome.results).swapaxes(0, 1).astype(int)
    holds = sum((values // 10**r) % 10 for r in range(RANKS))
    size = RANKS * 8
    sent, received = np.zeros((2, HOPS + 1, RANKS))
    for entry in outcome.ledger:
        sent[entry.step + 1 :, entry.rank] += entry.sent / size
        received[entry.step + 1 :, entry.rank] += entry.received / size
    return Run(np.asarray(holds), sent, received, [_moves(way, hop) for hop in range(HOPS)])


def _moves(way: str, hop: int) -> list[Move]:
    """Return where each disc goes: in a ring block ``c`` starts at rank ``c``."""
    if way == "arrays" and hop >= RANKS - 1:
        return [None] * RANKS
    if way != "rank 0":
        return [((c + hop) % RANKS, (c + hop + 1) % RANKS) for c in range(RANKS)]
    back, other = divmod(hop, RANKS - 1)
    moves: list[Move] = [None] * RANKS
    moves[0 if back else other + 1] = (0, other + 1) if back else (other + 1, 0)
    return moves
