"""The same communicator on torch.distributed: real processes, by gloo; or GPUs, by nccl (untested here).

Two things differ from calling torch.distributed oneself. gloo's reduce-scatter is an all-reduce in disguise,
which moves twice the bytes: here it is an all-to-all and a local sum, in the order of the ring. And a
message carries its shape and dtype in a header of 80 bytes before it, so that ``recv`` needs no buffer.
The ledger counts the bytes of arrays, not the headers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from course.arrays import Array
from course.cluster import wire
from course.cluster.board import Board
from course.cluster.communicator import Books, Call, Communicator, Pending, Traffic, shape_of
from course.cluster.errors import ClusterError

__all__ = ["DistributedCommunicator"]

_DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip
_HEADER = 10  # numbers: dtype and library, axes, up to eight lengths
_OPS = {
    "sum": dist.ReduceOp.SUM,
    "mean": dist.ReduceOp.SUM,
    "max": dist.ReduceOp.MAX,
    "min": dist.ReduceOp.MIN,
}


class _Sent(Pending):
    def __init__(self, comm: DistributedCommunicator, works: list[Any], kept: list[Any], text: str) -> None:
        self.comm, self.works, self.kept, self.text = comm, works, kept, text

    def wait(self) -> None:
        with self.comm.waiting(self.text):
            for work in self.works:
                work.wait()
        self.works, self.kept = [], []


class _Waiting:
    """Writes on the board what a rank waits for, while it does."""

    def __init__(self, comm: DistributedCommunicator, text: str) -> None:
        self.comm, self.text = comm, text

    def __enter__(self) -> None:
        if self.comm.board is not None:
            self.comm.board.enter(self.comm.books.rank, self.text)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an error the line stays: it tells what this rank was in.
        if self.comm.board is not None and kind is None:
            self.comm.board.leave(self.comm.books.rank)


class DistributedCommunicator(Communicator):
    """A rank that is a process of its own."""

    def __init__(
        self, books: Books, ranks: Sequence[int], board: Board | None = None, group: Any = None
    ) -> None:
        super().__init__(books, ranks)
        self.board, self.group_handle = board, group
        self.calls = 0
        on_gpu = dist.get_backend(group) == "nccl"
        self.device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else torch.device("cpu")

    def waiting(self, text: str) -> _Waiting:
        """Return a context that tells the board what this rank waits for."""
        return _Waiting(self, text)

    def _collect(self, call: Call, array: Array | None) -> tuple[Any, Traffic]:
        if self.board is not None:
            self.board.call(self.books.rank, f"{self.ranks}/{self.calls}", call.text)
        self.calls += 1
        with self.waiting(call.text):
            if call.kind == "barrier":
                dist.barrier(self.group_handle)
                return None, Traffic()
            if call.kind == "broadcast":
                result = self._broadcast(array, call.root)
            else:
                assert array is not None  # checked by the caller
                result = _home(self._reduce_or_gather(call, self._away(array)), array)
        return result, self._traffic(call, array, result)

    def _reduce_or_gather(self, call: Call, x: torch.Tensor) -> torch.Tensor:
        n, group = self.world_size, self.group_handle
        if call.kind == "all_reduce":
            if x.numel():
                dist.all_reduce(x, _OPS[call.op], group)
            return x / n if call.op == "mean" else x
        if call.kind == "all_gather":
            out = x.new_empty((n * x.shape[0], *x.shape[1:]))
            if x.numel():
                dist.all_gather(list(out.chunk(n)), x, group)
            return out
        out = torch.empty_like(x)
        if x.numel():
            dist.all_to_all_single(out, x, group=group)
        if call.kind == "all_to_all":
            return out
        blocks = out.reshape(n, x.shape[0] // n, *x.shape[1:])
        total = blocks[self.rank - 1].clone()
        for hop in range(2, n + 1):
            other = blocks[(self.rank - hop) % n]
            if call.op in ("sum", "mean"):
                total += other
            else:
                total = (torch.maximum if call.op == "max" else torch.minimum)(total, other)
        return total / n if call.op == "mean" else total

    def _broadcast(self, array: Array | None, root: int) -> Array:
        source = self.ranks[root]
        head = torch.zeros(_HEADER, dtype=torch.int64) if array is None else _header(array)
        head = head.to(self.device)
        dist.broadcast(head, source, self.group_handle)
        x, plain = _buffer(head.cpu(), self.device)
        if array is not None:
            x = self._away(array)
        if x.numel():
            dist.broadcast(x, source, self.group_handle)
        return _as_was(x, plain) if array is None else _home(x, array)

    def _post(self, array: Array, to: int, tag: int) -> Pending:
        head, x = _header(array).to(self.device), self._away(array)
        works = [
            dist.isend(part, self.ranks[to], self.group_handle, tag) for part in (head, x) if part.numel()
        ]
        return _Sent(self, works, [head, x], f"send of {shape_of(array)} to rank {self.ranks[to]}")

    def _take(self, source: int, tag: int) -> Array:
        other = self.ranks[source]
        with self.waiting(f"recv from rank {other}"):
            head = torch.zeros(_HEADER, dtype=torch.int64, device=self.device)
            dist.recv(head, other, self.group_handle, tag)
            x, plain = _buffer(head.cpu(), self.device)
            if x.numel():
                dist.recv(x, other, self.group_handle, tag)
        return _as_was(x, plain)

    def _make_group(self, members: tuple[int, ...]) -> Communicator:
        with self.waiting(f"making a group of ranks {members}"):
            handle = dist.new_group(list(members), use_local_synchronization=True)
        return DistributedCommunicator(self.books, members, self.board, handle)

    def _shared(self, name: str, like: np.ndarray) -> np.ndarray:
        if self.board is None:
            raise ClusterError(
                "shared: memory is shared by the ranks that cluster.run started, not by torchrun's"
            )
        return self.board.shared(name, like)

    def _pause(self) -> None:
        time.sleep(0)

    def _traffic(self, call: Call, array: Array | None, result: Array) -> Traffic:
        """Return what the ring or tree of this collective sends: torch does not tell."""
        n, me = self.world_size, self.rank
        if call.kind == "broadcast":
            below = wire.children(me, n, call.root)
            return Traffic(result.nbytes * len(below), 0 if me == call.root else result.nbytes, set(below))
        whole = result if call.kind == "all_gather" else array
        assert whole is not None
        size = wire.sent(call.kind, whole.nbytes, me, n, itemsize=whole.itemsize)
        came = size
        if call.kind == "all_reduce":  # what comes is what the neighbour above sends
            came = wire.sent(call.kind, whole.nbytes, (me + 1) % n, n, itemsize=whole.itemsize)
        every = call.kind in ("all_to_all", "reduce_scatter")
        peers = set(range(n)) - {me} if every else {(me - 1) % n} - {me}
        return Traffic(size, came, peers if size else set())

    def _away(self, array: Array) -> torch.Tensor:
        """Return a contiguous tensor of one's own, where the backend wants it."""
        if hasattr(array, "detach"):
            return array.detach().to(self.device, copy=True, memory_format=torch.contiguous_format)
        return torch.from_numpy(np.array(array, order="C")).to(self.device)


def _home(x: torch.Tensor, like: Array) -> Array:
    if hasattr(like, "detach"):
        return x.to(like.device)
    return x.cpu().numpy()


def _header(array: Array) -> torch.Tensor:
    if array.ndim > _HEADER - 2:
        raise ValueError(f"cluster: an array to be sent has at most {_HEADER - 2} axes, not {array.ndim}")
    plain = not hasattr(array, "detach")
    names = [str(dtype).removeprefix("torch.") for dtype in _DTYPES]
    name = str(array.dtype).removeprefix("torch.")
    if name not in names:
        raise TypeError(f"cluster: arrays of dtype {name} cannot be sent; use one of {', '.join(names)}")
    head = [2 * names.index(name) + plain, array.ndim, *array.shape]
    return torch.tensor(head + [0] * (_HEADER - len(head)), dtype=torch.int64)


def _buffer(head: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, bool]:
    code, axes, *lengths = head.tolist()
    return torch.empty(lengths[:axes], dtype=_DTYPES[code // 2], device=device), bool(code % 2)


def _as_was(x: torch.Tensor, plain: bool) -> Array:
    return x.cpu().numpy() if plain else x
