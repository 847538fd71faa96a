"""What runs in the process of one rank."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from datetime import timedelta
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from course.cluster import shipping
from course.cluster.communicator import Books
from course.cluster.errors import RankError

__all__ = ["live"]


def live(rank: int, ranks: int, backend: str, folder: str, job: bytes, pipe: Any) -> None:
    """Join the others, run the program, send home what came of it, and wait to be let go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr = _Print(pipe)
    answer: tuple[str, Any]
    try:
        answer = ("result", _run(rank, ranks, backend, Path(folder), job))
    except BaseException as error:
        answer = ("error", _told(rank, error))
    sys.stdout.flush()
    pipe.send(answer)
    # Leaving now would close the connections of ranks that are still at work, and theirs would be the error.
    pipe.poll(None)
    os._exit(0)


def _run(rank: int, ranks: int, backend: str, folder: Path, job: bytes) -> bytes:
    import torch
    import torch.distributed as dist

    from course.cluster.board import Board
    from course.cluster.distributed import DistributedCommunicator

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // ranks))
    os.environ["GLOO_SOCKET_IFNAME"] = "lo0" if sys.platform == "darwin" else "lo"
    board = Board(folder, ranks)
    if backend == "nccl":
        torch.cuda.set_device(rank % torch.cuda.device_count())
    torchs: Any = dist  # whose stubs do not have FileStore; a file's address would not survive a space
    store = torchs.FileStore(str(folder / "store"), ranks)
    dist.init_process_group(backend, store=store, rank=rank, world_size=ranks, timeout=timedelta(hours=1))
    books = Books(rank)
    program, arguments = shipping.loads(job)
    result = program(DistributedCommunicator(books, range(ranks), board), *arguments)
    board.leave(rank, "has returned")
    return shipping.dumps((result, books.entries, books.memory.report()), returning=True)


def _told(rank: int, error: BaseException) -> tuple[RankError, bytes | None]:
    """Return the error as it is told at home, and the exception itself if it can be sent."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    text = "".join(traceback.format_exception(type(error), error, frames))
    failure = RankError(rank, f"{type(error).__name__}: {error}", text)
    try:
        whole = shipping.dumps(error, returning=True)
        shipping.loads(whole)
    except Exception:  # an exception may hold anything, and be rebuilt from nothing it holds
        return failure, None
    return failure, whole


def _end_with_parent() -> None:
    """End this process when the one that asked for it is gone."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


class _Print(io.TextIOBase):
    """Sends what the rank prints home, line by line."""

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.line = pipe, ""

    def write(self, text: str) -> int:
        whole, newline, self.line = (self.line + text).rpartition("\n")
        if newline:
            self.pipe.send(("print", whole + newline))
        return len(text)

    def flush(self) -> None:
        if self.line:
            self.pipe.send(("print", self.line))
            self.line = ""
