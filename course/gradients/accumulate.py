"""Accumulation: the gradient of a large batch from small ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from course.arrays import astype, is_array
from course.rules.base import State
from course.trees import Tree, floating_leaves, tree_map

__all__ = ["Accumulator"]


@dataclass(frozen=True)
class Accumulator:
    """Sum the gradients of micro-batches, each weighted by what it is a mean over.

    Formula, with ``g_k`` the gradient of the mean loss over ``n_k`` examples (or tokens)::

        grad = sum_k n_k g_k / sum_k n_k

    This is the gradient of the mean over all of them, however they were split. Dividing by the number of
    micro-batches is the same only while all are of one size: not in the last window of an epoch, and not for
    texts, where the count is that of the tokens in the loss.

    Args:
        dtype: the dtype to sum in, by name; None keeps the gradients' own, as ``.grad`` does in torch.

    State: ``total``, as large as the gradients, and ``count``.

    >>> import numpy as np
    >>> window = Accumulator()
    >>> state = window.init()
    >>> state = window.add(np.array([1.0]), state, count=20)
    >>> state = window.add(np.array([5.0]), state, count=12)
    >>> window.mean(state)  # not 3, the mean of the two
    array([2.5])

    Counterpart: in torch ``.grad`` sums by itself; the loss of each micro-batch has to be multiplied by
    ``n_k / sum n`` before ``backward``. ``optax.MultiSteps`` takes the plain mean.
    """

    dtype: str | None = None

    def init(self) -> State:
        """Return the state before the first micro-batch; names and shapes come with its gradient."""
        return {"total": None, "count": 0}

    def add(self, grad: Tree, state: State, count: float = 1) -> State:
        """Return the state after one more micro-batch. Nothing is changed in place.

        Args:
            grad: the gradient of the mean loss: an array or a tree. A None adds nothing.
            state: what ``init`` or the last ``add`` returned.
            count: over how many examples or tokens the mean was taken, >= 0. With 0 the gradient is not
                looked at: the mean over no token is a NaN, and adds nothing.

        Raises:
            TypeError: a leaf is no floating array.
            ValueError: ``count`` is out of range, or the gradient differs in form or shape from the last.
        """
        number = isinstance(count, int | float) or is_array(count)
        if isinstance(count, bool) or not number or not math.isfinite(count) or count < 0:
            raise ValueError(f"Accumulator: count must be a finite number >= 0, not {count!r}")
        if count == 0:
            return dict(state)
        floating_leaves("Accumulator", grad)
        weight = float(count)
        share = tree_map(lambda g: weight * (g if self.dtype is None else astype(g, self.dtype)), grad)
        total = share if state["total"] is None else merged(state["total"], share)
        return {"total": total, "count": state["count"] + count}

    def mean(self, state: State) -> Tree:
        """Return the gradient of the mean over all that was added; None where no gradient came.

        Raises:
            ValueError: nothing was added.
        """
        if state["count"] == 0:
            raise ValueError("Accumulator: nothing was added, so there is no mean")
        count = float(state["count"])
        return tree_map(lambda g: g / count, state["total"])


def merged(left: Any, right: Any) -> Any:
    """Return the sum of two trees; where one holds None, the other."""
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, dict) and isinstance(right, dict) and set(left) == set(right):
        return {name: merged(left[name], right[name]) for name in left}
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        return type(left)([merged(a, b) for a, b in zip(left, right, strict=True)])
    if not (is_array(left) and is_array(right)) or tuple(left.shape) != tuple(right.shape):
        raise ValueError("Accumulator: the gradient differs in form or shape from those before; start anew")
    return left + right
