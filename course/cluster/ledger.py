"""The books: every message and collective of every rank, in bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Entry", "Ledger"]


@dataclass(frozen=True)
class Entry:
    """One call of one rank.

    Attributes:
        rank: who called. index: the how-manieth call of this rank. step: ``comm.step`` at that time.
        kind: ``all_reduce``, ``send`` and so on.
        payload: bytes that the call is about: of the whole array (for a gather the output, for a
            scatter the input).
        sent, received: bytes that this rank put on the wire and took from it.
        peers: the ranks it sent to. group: the ranks that took part. label: what it was for, in words.
    """

    rank: int
    index: int
    step: int
    kind: str
    payload: int
    sent: int
    received: int
    peers: tuple[int, ...] = ()
    group: tuple[int, ...] = ()
    label: str = ""


class Ledger:
    """The entries of a run, and sums over them.

    >>> ledger = Ledger([Entry(0, 0, 0, "send", 8, 8, 0, (1,)), Entry(1, 0, 0, "recv", 8, 0, 8)])
    >>> ledger.sent(), ledger.sent(rank=1), ledger.count("send")
    (8, 0, 1)
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = sorted(entries, key=lambda entry: (entry.rank, entry.index))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def select(
        self,
        kind: str | None = None,
        rank: int | None = None,
        step: int | None = None,
        label: str | None = None,
    ) -> Ledger:
        """Return the entries of this kind, rank, step and label; None takes them all."""
        wanted = {"kind": kind, "rank": rank, "step": step, "label": label}
        given = {name: value for name, value in wanted.items() if value is not None}
        return Ledger(e for e in self if all(getattr(e, name) == value for name, value in given.items()))

    def sent(self, kind: str | None = None, rank: int | None = None, step: int | None = None) -> int:
        """Return the bytes put on the wire."""
        return sum(entry.sent for entry in self.select(kind, rank, step))

    def received(self, kind: str | None = None, rank: int | None = None, step: int | None = None) -> int:
        """Return the bytes taken from the wire."""
        return sum(entry.received for entry in self.select(kind, rank, step))

    def payload(self, kind: str | None = None, rank: int | None = None, step: int | None = None) -> int:
        """Return the bytes that the calls were about."""
        return sum(entry.payload for entry in self.select(kind, rank, step))

    def count(self, kind: str | None = None, rank: int | None = None, step: int | None = None) -> int:
        """Return how many calls there were."""
        return len(self.select(kind, rank, step))

    def __str__(self) -> str:
        """Return a table: for each rank and kind the calls, the payload and the bytes on the wire."""
        rows: list[tuple[str, ...]] = [("rank", "kind", "calls", "payload", "sent", "received")]
        for rank, kind in sorted({(entry.rank, entry.kind) for entry in self}):
            some = self.select(kind, rank)
            sums = (len(some), some.payload(), some.sent(), some.received())
            rows.append((str(rank), kind, *(f"{number:,}" for number in sums)))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join(
            "  ".join(
                cell.ljust(w) if i == 1 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )
