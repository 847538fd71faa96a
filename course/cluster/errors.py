"""What can go wrong on a cluster; each error is one line that names the ranks."""

from __future__ import annotations

__all__ = ["ClusterError", "Deadlock", "Mismatch", "RankError"]


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
