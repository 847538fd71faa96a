"""torch's own strategies beside ours: what DDP, FSDP and the like send, in the same ledger.

``Wiretap`` writes down every collective that torch dispatches. ``AllToAllReduceScatter`` gives
``fully_shard`` a reduce-scatter that moves what a ring moves: gloo's own is an all-reduce, twice the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

from course.cluster import wire
from course.cluster.communicator import Communicator, Traffic

__all__ = ["AllToAllReduceScatter", "Wiretap"]

# What torch calls them, each in two namespaces and several forms, by the beginning of the name.
_KINDS = {
    "_allgather_base": "all_gather",
    "allgather": "all_gather",
    "all_gather": "all_gather",
    "_reduce_scatter_base": "reduce_scatter",
    "reduce_scatter": "reduce_scatter",
    "allreduce": "all_reduce",
    "all_reduce": "all_reduce",
    "alltoall": "all_to_all",
    "all_to_all": "all_to_all",
    "broadcast": "broadcast",
    "barrier": "barrier",
    "send": "send",
    "recv": "recv",
}


class Wiretap(TorchDispatchMode):
    """Writes the collectives that torch dispatches within a ``with`` into the ledger of a rank.

    The bytes on the wire are the closed forms of :mod:`course.cluster.wire` for the logged payload; of a
    broadcast, whose root torch's call does not tell by its rank, none are counted.

    Args:
        comm: the rank whose ledger it is. label: put beside each entry.
    """

    def __init__(self, comm: Communicator, label: str = "torch") -> None:
        super().__init__()
        self.comm, self.label = comm, label

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Let the call through, and write it down if it is a collective."""
        result = func(*args, **(kwargs or {}))
        if func.namespace in ("c10d", "_c10d_functional"):
            kind = _kind(func.overloadpacket.__name__)
            if kind is not None:
                self._note(kind, _payload(kind, func.namespace == "c10d", args, result))
        return result

    def _note(self, kind: str, payload: int) -> None:
        comm = self.comm
        if kind in ("send", "recv"):
            sent = payload if kind == "send" else 0
            traffic = Traffic(sent, payload - sent)
        else:
            sent = 0 if kind == "broadcast" else wire.sent(kind, payload, comm.rank, comm.world_size)
            traffic = Traffic(sent, sent)
        comm._write(kind, payload, traffic, self.label)


class AllToAllReduceScatter:
    """For ``FSDPModule.set_custom_reduce_scatter``: an all-to-all and a sum, which move what a ring moves."""

    def allocate(self, size: Any, *, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return a buffer."""
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self,
        output_tensor: torch.Tensor,
        input_tensor: torch.Tensor,
        group: Any,
        op: Any,
        async_op: bool = False,
    ) -> None:
        """Fill ``output_tensor`` with this rank's block of the sum or mean."""
        came = torch.empty_like(input_tensor)
        dist.all_to_all_single(came, input_tensor, group=group)
        n = dist.get_world_size(group)
        torch.sum(came.view(n, *output_tensor.shape), dim=0, out=output_tensor)
        if op == dist.ReduceOp.AVG:
            output_tensor /= n


def _kind(name: str) -> str | None:
    return next((kind for start, kind in _KINDS.items() if name.startswith(start)), None)


def _payload(kind: str, in_place: bool, args: Any, result: Any) -> int:
    """Return the bytes of the whole array: of a gather the output, of a scatter the input."""
    if kind == "barrier":
        return 0
    if in_place and kind in ("reduce_scatter", "all_to_all"):  # (outputs, inputs, ...)
        return _bytes(args[1])
    if not in_place and kind == "all_gather":
        return _bytes(result)
    return _bytes(args[0])


def _bytes(tree: Any) -> int:
    return sum(tensor.nbytes for tensor in _tensors(tree))


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from _tensors(branch)
