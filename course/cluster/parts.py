"""How work is cut among ranks, stages and micro-batches: in parts that differ by one at most."""

from __future__ import annotations

__all__ = ["even_part"]


def even_part(count: int, parts: int, place: int) -> range:
    """Return which of ``count`` things are the ``place``-th part: the first parts have one more if need be.

    >>> [list(even_part(5, 2, place)) for place in range(2)]
    [[0, 1, 2], [3, 4]]
    """
    each, more = divmod(count, parts)
    start = place * each + min(place, more)
    return range(start, start + each + (place < more))
