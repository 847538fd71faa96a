"""Tensor parallelism: every layer is cut up among the ranks, and all of them see the same data.

A linear layer can be cut by columns: each rank computes some of the outputs from all inputs. Or by rows: each
rank takes some of the inputs, and the outputs are summed. Column after column would need a gather in between;
column, then row, needs none: what the first leaves on a rank is what the second takes there. So a pair costs
one all-reduce in the forward (after the row layer) and one in the backward (before the column layer).

The sharded models are layered models themselves: data parallelism, ZeRO and pipelines take them as any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from course.arrays import Array, copy
from course.cluster.communicator import Communicator
from course.cluster.models import MLP, Params

__all__ = ["TensorAttention", "TensorMLP", "part"]


def part(length: int, comm: Communicator, what: str) -> slice:
    """Return this rank's part of an axis.

    Raises:
        ValueError: the axis does not divide.
    """
    if length % comm.world_size:
        raise ValueError(f"tensor: {what} of {length} does not divide into {comm.world_size} ranks")
    each = length // comm.world_size
    return slice(comm.rank * each, (comm.rank + 1) * each)


class TensorMLP(MLP):
    """An MLP in pairs of layers, the first cut by columns, the second by rows; a last odd one stays whole.

    The bias of a row layer is added once, after the sum: on every rank before it, it would count as often
    as there are ranks.

    Args:
        comm: the ranks that hold the parts. model: the whole one.
    """

    def __init__(self, comm: Communicator, model: MLP) -> None:
        self.comm = comm
        pairs = len(model.layers) // 2 * 2
        self.cuts = ["column" if i % 2 == 0 else "row" for i in range(pairs)]
        self.cuts += ["whole"] * (len(model.layers) - pairs)
        super().__init__(
            [self._cut(cut, params) for cut, params in zip(self.cuts, model.layers, strict=True)]
        )

    def forward(self, i: int, params: Params, x: Array) -> tuple[Array, Any]:
        """Return the layer's output: a part of it after a column layer, all of it after a row layer."""
        y = x @ params["weight"]
        if self.cuts[i] == "row":
            y = self.comm.all_reduce(y, label="activations")
        y = y + params["bias"]
        if i + 1 < len(self.layers):
            y = array_namespace(y).tanh(y)
        return y, (x, y)

    def backward_input(self, i: int, params: Params, saved: Any, dy: Array) -> tuple[Array, Any]:
        """Return the gradient in the input; before a column layer it is a sum over the ranks."""
        dx, kept = super().backward_input(i, params, saved, dy)
        if self.cuts[i] == "column":
            dx = self.comm.all_reduce(dx, label="gradients of activations")
        return dx, kept

    def gathered(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """Return the whole model's parameters from this rank's; every rank must call this."""
        whole = {}
        for name, param in params.items():
            i, local = name.split(".")
            axis = {"column": param.ndim - 1, "row": 0 if local == "weight" else None}.get(self.cuts[int(i)])
            whole[name] = param if axis is None else _gather(self.comm, param, axis)
        return whole

    def _cut(self, cut: str, params: Params) -> dict[str, Array]:
        weight, bias = params["weight"], params["bias"]
        if cut == "column":
            mine = part(weight.shape[1], self.comm, "a hidden width")
            weight, bias = weight[:, mine], bias[mine]
        elif cut == "row":
            weight = weight[part(weight.shape[0], self.comm, "a hidden width")]
        return {"weight": copy(weight), "bias": copy(bias)}


class TensorAttention:
    """Multi-head self-attention over one sequence, each rank computing some of the heads.

    The projections to queries, keys and values are cut by columns, so that whole heads stay on a rank; the
    projection of the output is cut by rows. Between them the ranks have nothing to say to each other.

    Args:
        comm: the ranks. heads: how many.
        weights: ``query``, ``key``, ``value`` and ``out``, each (width, width).
    """

    names = ("query", "key", "value")

    def __init__(self, comm: Communicator, weights: Mapping[str, Array], heads: int) -> None:
        self.comm, self.width = comm, weights["out"].shape[0]
        self.head = self.width // heads
        mine = part(heads, comm, "a number of heads")
        columns = slice(mine.start * self.head, mine.stop * self.head)
        self.layers: Sequence[Params] = [
            {name: copy(weights[name][:, columns]) for name in self.names},
            {"out": copy(weights["out"][columns])},
        ]

    def forward(self, i: int, params: Params, x: Array) -> tuple[Array, Any]:
        """Return this rank's heads (layer 0), or the sum of all ranks' projections of theirs (layer 1)."""
        if i == 1:
            return self.comm.all_reduce(x @ params["out"], label="activations"), x
        q, k, v = (self._heads(x @ params[name]) for name in self.names)
        scores = q @ k.transpose(0, 2, 1) / self.head**0.5
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return self._rows(weights @ v), (x, q, k, v, weights)

    def backward(self, i: int, params: Params, saved: Any, dy: Array) -> tuple[Array, dict[str, Array]]:
        """Return the gradients, by the chain rule."""
        if i == 1:
            return dy @ params["out"].T, {"out": saved.T @ dy}
        x, q, k, v, weights = saved
        dy = self._heads(dy)
        dweights = dy @ v.transpose(0, 2, 1)
        dscores = weights * (dweights - (dweights * weights).sum(-1, keepdims=True)) / self.head**0.5
        parts = (dscores @ k, dscores.transpose(0, 2, 1) @ q, weights.transpose(0, 2, 1) @ dy)
        rows = dict(zip(self.names, map(self._rows, parts), strict=True))
        dx = sum(rows[name] @ params[name].T for name in self.names)
        dx = self.comm.all_reduce(dx, label="gradients of activations")
        return dx, {name: x.T @ rows[name] for name in self.names}

    def loss(self, out: Array, target: Array) -> tuple[float, Array]:
        """Return half the mean over the positions of the squared distance."""
        apart = out - target
        return 0.5 * float((apart * apart).sum()) / len(out), apart / len(out)

    def gathered(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """Return the whole weights from this rank's; every rank must call this."""
        return {name: _gather(self.comm, p, 0 if name.endswith("out") else 1) for name, p in params.items()}

    def _heads(self, x: Array) -> Array:
        return x.reshape(len(x), -1, self.head).transpose(1, 0, 2)

    def _rows(self, x: Array) -> Array:
        return x.transpose(1, 0, 2).reshape(x.shape[1], -1)


def _gather(comm: Communicator, param: Array, axis: int) -> Array:
    """Put the parts of all ranks together along an axis."""
    if axis == 0:
        return comm.all_gather(param, label="result")
    return comm.all_gather(param.T, label="result").T
