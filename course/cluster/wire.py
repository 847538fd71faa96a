"""What each collective costs on the wire: the closed forms that the ledger is held to.

Sizes are in elements or bytes alike. A ring of ``N`` ranks cuts an array into ``N`` blocks; what does
not divide leaves the last blocks shorter, or empty.
"""

from __future__ import annotations

import math

__all__ = ["blocks", "ring_factor", "sent"]


def blocks(size: int, ranks: int, layout: str = "even", itemsize: int = 8) -> list[slice]:
    """Return the block of each rank.

    Args:
        size: elements. ranks: how many blocks.
        layout: ``even`` for blocks of ``ceil(size / ranks)``; ``gloo`` for the cut of torch's gloo, which
            sums in the order of the simulation only if the blocks are the same.
        itemsize: bytes an element (gloo cuts by bytes).

    >>> blocks(10, 4)
    [slice(0, 3, None), slice(3, 6, None), slice(6, 9, None), slice(9, 10, None)]
    """
    if layout == "gloo":
        segments = max(math.ceil(size * itemsize / 2**20), 2 * ranks)
        segments = math.ceil(segments / ranks) * ranks
        length = math.ceil(size / segments) * (segments // ranks)
    elif layout == "even":
        length = math.ceil(size / ranks)
    else:
        raise ValueError(f"cluster: layout must be 'even' or 'gloo', not {layout!r}")
    return [slice(min(r * length, size), min((r + 1) * length, size)) for r in range(ranks)]


def ring_factor(kind: str, ranks: int) -> float:
    """Return the bytes that a rank sends, as a multiple of the payload (of a broadcast: on average).

    >>> ring_factor("all_reduce", 4)
    1.5
    """
    share = (ranks - 1) / ranks
    return {"all_reduce": 2 * share, "barrier": 0.0}.get(kind, share)


def sent(
    kind: str,
    payload: int,
    rank: int,
    ranks: int,
    *,
    root: int = 0,
    itemsize: int = 1,
    layout: str = "even",
) -> int:
    """Return the bytes that this rank of a group puts on the wire, to the byte.

    >>> sent("all_gather", 400, rank=0, ranks=4)
    300
    """
    if kind == "all_reduce":
        lengths = [b.stop - b.start for b in blocks(payload // itemsize, ranks, layout, itemsize)]
        kept = lengths[rank] + lengths[rank - 1]
        return 2 * payload - kept * itemsize if ranks > 1 else 0
    if kind in ("all_gather", "reduce_scatter", "all_to_all"):
        return payload // ranks * (ranks - 1)
    if kind == "broadcast":
        return payload * len(children(rank, ranks, root))
    if kind == "barrier":
        return 0
    raise ValueError(f"cluster: there is no collective {kind!r}")


def children(rank: int, ranks: int, root: int) -> list[int]:
    """Return whom this rank serves in a binomial tree, in order: the number of servers doubles each round."""
    place, reach, found = (rank - root) % ranks, 1, []
    while reach < ranks:
        if place < reach and place + reach < ranks:
            found.append((place + reach + root) % ranks)
        reach *= 2
    return found


def parent(rank: int, ranks: int, root: int) -> int | None:
    """Return who serves this rank in the binomial tree; None for the root."""
    place = (rank - root) % ranks
    return None if place == 0 else (place - 2 ** (place.bit_length() - 1) + root) % ranks
