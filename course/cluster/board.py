"""Where ranks write what they call and what they wait for, so that a run that hangs can be explained."""

from __future__ import annotations

import contextlib
import io
import mmap
import os
from pathlib import Path

import numpy as np

from course.cluster.errors import different, shortened

__all__ = ["Board"]

_LINE = 256


class Board:
    """One line a rank in a file that all processes map, and a file a rank that lists its collectives."""

    def __init__(self, folder: Path, ranks: int) -> None:
        path = folder / "board"
        if not path.exists():
            path.write_bytes(bytes(ranks * _LINE))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), ranks * _LINE)
        self.folder, self.ranks = folder, ranks
        self._waits = 0
        self._calls = [folder / f"calls-{rank}" for rank in range(ranks)]
        self._own: io.FileIO | None = None
        self._read = [0] * ranks
        self._first: dict[str, tuple[int, str]] = {}
        self._found: str | None = None

    def call(self, rank: int, place: str, text: str) -> None:
        """Write down a collective: its place (its group, and the how-manieth there), and what it is."""
        if self._own is None:
            self._own = io.FileIO(self._calls[rank], "w")
        self._own.write(f"{place}|{text}\n".encode())

    def enter(self, rank: int, text: str) -> None:
        """Write that this rank waits in ``text``."""
        self._waits += 1
        self._write(rank, f"{self._waits}|waits in {text}")

    def leave(self, rank: int, text: str = "computes") -> None:
        """Write that this rank waits for nothing."""
        self._write(rank, f"{self._waits}|{text}")

    def lines(self) -> list[str]:
        """Return each rank's line: the number of its waits, and what it does."""
        rows = [self._map[rank * _LINE : (rank + 1) * _LINE] for rank in range(self.ranks)]
        return [row.rstrip(b"\0").decode(errors="replace") or "0|starts" for row in rows]

    def mismatch(self) -> str | None:
        """Return the line that names two ranks which called different collectives, if there are such."""
        for rank, path in enumerate(self._calls):
            if self._found is None and path.exists():
                self._compare(rank, path)
        return self._found

    def waits(self) -> str:
        """Return who waits for what, in a line."""
        texts = [f"rank {rank} {line.split('|', 1)[1]}" for rank, line in enumerate(self.lines())]
        return shortened(texts)

    def shared(self, name: str, like: np.ndarray) -> np.ndarray:
        """Return the array of this name that all processes map; who comes first fills it."""
        path = self.folder / f"shared-{name.encode().hex()}"
        mine = path.with_suffix(f".{os.getpid()}")
        np.ascontiguousarray(like).tofile(mine)
        with contextlib.suppress(FileExistsError):
            os.link(mine, path)  # whole or not at all
        mine.unlink()
        return np.memmap(path, like.dtype, "r+", shape=like.shape)

    def close(self) -> None:
        """Give the map back."""
        self._map.close()

    def _compare(self, rank: int, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(self._read[rank])
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._read[rank] += len(whole) + 1
        for line in whole.decode().splitlines():
            place, text = line.split("|", 1)
            other, known = self._first.setdefault(place, (rank, text))
            if known != text and self._found is None:
                self._found = different(other, known, rank, text)

    def _write(self, rank: int, text: str) -> None:
        line = text.encode()[: _LINE - 1]
        self._map[rank * _LINE : (rank + 1) * _LINE] = line + bytes(_LINE - len(line))
