"""What can go wrong on a cluster; each error is one line that names the ranks."""

from __future__ import annotations

__all__ = ["ClusterError", "Deadlock", "Mismatch", "RankError", "different", "shortened"]

_SHOWN = 4  # ranks that an error names one by one


class ClusterError(RuntimeError):
    """A run on the cluster did not end well."""


class Deadlock(ClusterError):
    """Every rank that has not returned waits for another one."""


class Mismatch(ClusterError):
    """Two ranks of a group call different collectives, or the same one with different arrays."""


class RankError(ClusterError):
    """A rank raised an exception of its own.

    Attributes:
        rank: which one. text: the rank's own traceback, as text.
    """

    def __init__(self, rank: int, message: str, text: str = "") -> None:
        super().__init__(f"rank {rank}: {message}")
        self.rank, self.message, self.text = rank, message, text

    def __reduce__(self) -> tuple[type[RankError], tuple[int, str, str]]:
        return RankError, (self.rank, self.message, self.text)


def shortened(texts: list[str]) -> str:
    """Join what is said of each rank, the first few of them."""
    more = len(texts) - _SHOWN
    if more <= 1:
        return "; ".join(texts)
    return "; ".join(texts[:_SHOWN]) + f"; and {more} more"


def different(first: int, known: str, rank: int, text: str) -> str:
    """Say which two ranks of a group call different collectives, and which."""
    return f"ranks call different collectives: rank {first} calls {known}, rank {rank} calls {text}"
