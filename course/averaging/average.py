"""Averages of the weights over the steps: exponential (EMA) and equal (SWA)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from course.arrays import Array, astype, at_least_float32, copy, is_array, zeros_like
from course.rules.base import State, require
from course.trees import Tree, floating_leaves, tree_map

__all__ = ["EMA", "SWA"]


def blend(average: Array, theta: Array, share: float) -> Array:
    """Return ``average + share (theta - average)``."""
    return average + share * (theta - average)


@dataclass(frozen=True)
class SWA:
    """The equal average of all parameters it was given.

    Formula, with ``t`` the number of parameters so far, this one included::

        average <- average + (theta - average) / t

    Args:
        widen: keep the average of float16 and bfloat16 parameters in float32, and that of others in their own
            dtype. False keeps every average in its parameter's dtype, as torch does.

    State: ``average``, an array for each parameter, and ``count``, in which the parameter of ``init`` is one.

    >>> import numpy as np
    >>> swa = SWA()
    >>> state = swa.init(np.array([1.0]))
    >>> state = swa.update(np.array([2.0]), state)
    >>> swa.value(swa.update(np.array([6.0]), state))
    array([3.])

    Source: P. Izmailov et al. (2018), Averaging Weights Leads to Wider Optima and Better Generalization,
    algorithm 1.
    Counterpart: ``torch.optim.swa_utils.AveragedModel``.
    """

    widen: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        require(self, "widen", isinstance(self.widen, bool), "True or False")

    def init(self, param: Tree) -> State:
        """Return the state after this first parameter, an array or a tree."""
        floating_leaves(type(self).__name__, param)
        return {"average": tree_map(self._first, param), "count": 1}

    def update(self, param: Tree, state: State) -> State:
        """Return the state after one more parameter. Nothing is changed in place.

        Raises:
            TypeError: a leaf is no floating array.
            ValueError: the parameter differs in form or shape from those before, or the state is foreign.
        """
        self._check(param, state)
        count = state["count"] + 1
        share = self._share(count)
        average = tree_map(lambda a, p: blend(a, astype(p, a.dtype), share), state["average"], param)
        return {"average": average, "count": count}

    def value(self, state: State, like: Tree = None) -> Tree:
        """Return the average, in the dtypes of the parameters ``like`` where they are given."""
        average = tree_map(copy, state["average"])
        return average if like is None else tree_map(lambda a, p: astype(a, p.dtype), average, like)

    def _share(self, count: int) -> float:
        return 1 / count

    def _first(self, param: Array) -> Array:
        return copy(at_least_float32(param) if self.widen else param)

    def _check(self, param: Tree, state: State) -> None:
        name = type(self).__name__
        floating_leaves(name, param)
        if not isinstance(state, Mapping) or set(state) != {"average", "count"}:
            raise ValueError(f"{name}: this state is not mine: I keep average, count; start with init(param)")
        tree_map(lambda a, p: _same_shape(name, a, p), state["average"], param)


@dataclass(frozen=True)
class EMA(SWA):
    """The exponential moving average of the parameters.

    Formula, with ``t`` the number of parameters so far, this one included::

        average <- decay average + (1 - decay) theta
        value    = average                          (debias: average / (1 - decay^t))

    Without ``debias`` the average starts at the first parameter, which so keeps the weight decay^(t-1): at
    decay .999 more than a third after 1000 steps. With it the average starts at zero, as the moments of Adam
    do, and the weights of all parameters fall off by the same factor from step to step.

    Args:
        decay: the share of the average that survives a step, in [0, 1]; below 1 with ``debias``.
        debias: start at zero and divide by the sum of the weights.
        widen: as :class:`SWA`. In bfloat16 an average with decay .999 would hardly ever move: a step adds a
            thousandth of the difference, and the numbers are a 256th to a 128th of their size apart.

    State: ``average``, an array for each parameter, and ``count``, in which the parameter of ``init`` is one.

    >>> import numpy as np
    >>> for debias in (False, True):
    ...     ema = EMA(decay=0.5, debias=debias)
    ...     print(ema.value(ema.update(np.array([6.0]), ema.init(np.array([0.0])))))
    [3.]
    [4.]

    Source: B. T. Polyak and A. B. Juditsky (1992), Acceleration of Stochastic Approximation by Averaging, for
    averaging; the bias correction is that of D. P. Kingma and J. Ba (2015), section 3.
    Counterpart: ``AveragedModel(multi_avg_fn=get_ema_multi_avg_fn(decay))``; ``optax.ema`` (with ``debias``).
    """

    decay: float = 0.999
    debias: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "debias", isinstance(self.debias, bool), "True or False")
        number = isinstance(self.decay, int | float) and not isinstance(self.decay, bool)
        inside = number and (0 <= self.decay < 1 or (self.decay == 1 and not self.debias))
        require(self, "decay", inside, "a number >= 0 and < 1" if self.debias else "a number >= 0 and <= 1")
        object.__setattr__(self, "decay", float(self.decay))

    def value(self, state: State, like: Tree = None) -> Tree:
        """Return the average, in the dtypes of the parameters ``like`` where they are given."""
        if not self.debias:
            return super().value(state, like)
        weight = 1 - self.decay ** state["count"]
        average = tree_map(lambda a: a / weight, state["average"])
        return average if like is None else tree_map(lambda a, p: astype(a, p.dtype), average, like)

    def _share(self, count: int) -> float:
        return 1 - self.decay

    def _first(self, param: Array) -> Array:
        first = super()._first(param)
        return blend(zeros_like(first), first, 1 - self.decay) if self.debias else first


def _same_shape(name: str, average: Any, param: Any) -> None:
    if not is_array(param) or tuple(average.shape) != tuple(param.shape):
        shape = tuple(getattr(param, "shape", ()))
        raise ValueError(f"{name}: param has shape {shape}, the average has {tuple(average.shape)}")
    if hasattr(average, "detach") != hasattr(param, "detach"):
        raise TypeError(f"{name}: param is a {type(param).__name__}, the average a {type(average).__name__}")
