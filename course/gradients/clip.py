"""Clipping: by the norm of all gradients together, by value, and unit by unit.

The functions take one array or a tree of them (dicts and lists; a None is passed over) and change nothing.
The classes are the same as transforms for ``chain``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from array_api_compat import array_namespace

from course.arrays import Array, astype, at_least_float32, clip, maximum, minimum, vector_norm, where
from course.rules.base import Rule, State, require
from course.trees import Tree, floating_leaves, tree_map

__all__ = [
    "AdaptiveClip",
    "ClipByNorm",
    "ClipByValue",
    "clip_adaptively",
    "clip_by_norm",
    "clip_by_value",
    "global_norm",
]

ORDERS = (1, 2, math.inf)


def global_norm(tree: Tree, norm_type: float = 2.0) -> Array:
    """Return the norm of all arrays of the tree, as if they were one vector: a 0-d array.

    It is the norm of the arrays' norms. Each of those is kept in its array's dtype, as in torch: in float16
    it is infinite above 65504. The result has the widest of the dtypes; a tree without arrays has norm 0.0.

    >>> import numpy as np
    >>> float(global_norm({"w": np.array([[2.0, 4.0]]), "b": np.array([4.0])}))
    6.0

    Raises:
        TypeError: a leaf is no floating array. ValueError: ``norm_type`` is none of 1, 2 and inf.

    Counterpart: ``torch.nn.utils.get_total_norm``; ``optax.global_norm``.
    """
    if norm_type not in ORDERS:
        raise ValueError(f"global_norm: norm_type must be 1, 2 or inf, not {norm_type!r}")
    arrays = floating_leaves("global_norm", tree)
    if not arrays:
        return 0.0
    norms = [vector_norm(x, norm_type) for x in arrays]
    widest = array_namespace(*arrays).result_type(*(x.dtype for x in arrays))
    return vector_norm(array_namespace(*arrays).stack([astype(n, widest) for n in norms]), norm_type)


def clip_by_norm(
    grads: Tree,
    max_norm: float,
    norm_type: float = 2.0,
    *,
    eps: float = 1e-6,
    error_if_nonfinite: bool = False,
) -> tuple[Tree, Array]:
    """Shorten all gradients by one factor, so that their common norm is at most ``max_norm``.

    Formula, with ``n`` the norm of all arrays together::

        grads <- min(1, max_norm / (n + eps)) grads

    The direction stays. Short gradients stay too: the factor is never above 1.

    Args:
        grads: one array, or a dict or list of them, nested as one likes. A None stays None.
        max_norm: >= 0; infinity only measures.
        norm_type: 1, 2 or infinity.
        eps: below the fraction, >= 0. With torch's 1e-6 the result is shorter than ``max_norm`` by the share
            ``eps / n``, and clipping it again shortens it once more; with 0 (optax) it is ``max_norm``.
        error_if_nonfinite: refuse a norm that is infinite or a NaN. Otherwise, as in torch, an infinite norm
            makes 0 of finite elements and NaN of infinite ones, and a NaN makes NaN of everything.

    Returns:
        The gradients, each in its dtype, and the norm before clipping.

    >>> import numpy as np
    >>> clipped, norm = clip_by_norm({"w": np.array([3.0]), "b": np.array([4.0])}, 1.0)
    >>> float(norm), clipped["w"].round(5), clipped["b"].round(5)
    (5.0, array([0.6]), array([0.8]))

    Raises:
        TypeError: a leaf is no floating array.
        ValueError: an argument is out of range, or the norm is not finite where that is to be an error.

    Source: R. Pascanu, T. Mikolov and Y. Bengio (2013), On the difficulty of training recurrent neural
    networks, algorithm 1.
    Counterpart: ``torch.nn.utils.clip_grad_norm_``; ``optax.clip_by_global_norm`` (``eps=0``).
    """
    asked = ClipByNorm(max_norm, norm_type, eps, error_if_nonfinite)  # refuses what is out of range
    total = global_norm(grads, norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise ValueError(f"clip_by_norm: the norm is {float(total)}, so the gradients cannot be clipped")
    if type(total) is float:  # no array at all
        return tree_map(lambda g: g, grads), total
    below = total + asked.eps
    zero = below == 0
    factor = where(zero, below + 1, minimum(asked.max_norm / where(zero, below + 1, below), 1.0))
    return tree_map(lambda g: scaled(g, factor), grads), total


def scaled(x: Array, factor: Array) -> Array:
    """Return ``factor * x`` in the dtype of ``x``, multiplied in float32 where that is narrower."""
    wide = at_least_float32(x)
    return astype(wide * astype(factor, wide.dtype), x.dtype)


def clip_by_value(grads: Tree, limit: float) -> Tree:
    """Bring each element into ``[-limit, limit]``; a NaN stays one.

    This turns the gradient: only the elements that stand out are cut.

    >>> import numpy as np
    >>> clip_by_value([np.array([0.5, -3.0]), None], 1.0)
    [array([ 0.5, -1. ]), None]

    Raises:
        TypeError: a leaf is no floating array. ValueError: ``limit`` is no finite number >= 0.

    Counterpart: ``torch.nn.utils.clip_grad_value_``; ``optax.clip``.
    """
    most = ClipByValue(limit).limit
    floating_leaves("clip_by_value", grads)
    return tree_map(lambda g: clip(g, -most, most), grads)


def clip_adaptively(
    grads: Tree, params: Tree, clipping: float = 1e-2, *, eps: float = 1e-3, unit_axis: int = 0
) -> Tree:
    """Shorten the gradient of each unit to a share of the norm of its weights (AGC).

    Formula, for each unit ``i`` of an array, with norms over its incoming weights::

        most = clipping max(|theta_i|, eps)
        g_i <- most / |g_i| g_i        where |g_i| > most

    Args:
        grads: gradients. params: the parameters, a tree of the same form.
        clipping: how long a unit's gradient may be, as a share of its weights' norm, >= 0.
        eps: the least norm that counts for weights, >= 0: units of zeros must be able to move.
        unit_axis: the axis that counts the units: 0 in torch's ``(out, in, ...)``, -1 in ``(in, out)``.
            A vector or scalar is one unit.

    >>> import numpy as np
    >>> w, g = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[6.0, 8.0], [6.0, 8.0]])
    >>> clip_adaptively(g, w, 0.1)
    array([[3.e-01, 4.e-01],
           [6.e-05, 8.e-05]])

    Raises:
        TypeError: a leaf is no floating array. ValueError: an argument is out of range, or the trees differ.

    Source: A. Brock, S. De, S. L. Smith and K. Simonyan (2021), High-Performance Large-Scale Image
    Recognition Without Normalization, section 4.
    Counterpart: torch has none. ``timm.utils.agc.adaptive_clip_grad``; ``optax.adaptive_grad_clip``.
    """
    asked = AdaptiveClip(clipping, eps, unit_axis)
    floating_leaves("clip_adaptively", grads)
    floating_leaves("clip_adaptively", params)
    return tree_map(lambda g, p: adaptively_clipped(g, p, asked), grads, params)


def adaptively_clipped(g: Array, theta: Array, asked: AdaptiveClip) -> Array:
    """Return the gradient of one array after AGC."""
    axes: tuple[int, ...] | None = None
    if len(g.shape) > 1:
        axes = tuple(i for i in range(len(g.shape)) if i != asked.unit_axis % len(g.shape))
    wide, weights = at_least_float32(g), at_least_float32(theta)
    size = vector_norm(wide, axis=axes)
    most = asked.clipping * maximum(vector_norm(weights, axis=axes), asked.eps)
    fits = size <= most
    one = size * 0 + 1
    factor = where(fits, one, most / where(fits, one, size))
    return astype(wide * where(fits, one, factor), g.dtype)


@dataclass(frozen=True)
class ClipByNorm(Rule):
    """Shorten what passes, all arrays by one factor, to a common norm: :func:`clip_by_norm`.

    It looks at the whole tree that ``update`` gets, so give it all parameters at once. After clipping by
    array the direction is another: that is not this transform.

    Shapes: any. State: none.

    >>> import numpy as np
    >>> from course.rules import SGD, chain
    >>> rule, theta = chain(ClipByNorm(1.0), SGD(lr=0.1)), {"w": np.zeros(1), "b": np.zeros(1)}
    >>> delta, _ = rule.update({"w": np.array([30.0]), "b": np.array([40.0])}, rule.init(theta), theta)
    >>> delta["w"].round(6), delta["b"].round(6)
    (array([0.06]), array([0.08]))

    Counterpart: ``optax.clip_by_global_norm`` (``eps=0``).
    """

    max_norm: float = 1.0
    norm_type: float = 2.0
    eps: float = 1e-6
    error_if_nonfinite: bool = False

    elementwise: ClassVar[bool] = False

    @property
    def across(self) -> bool:
        """Say yes: the norm is that of all gradients together."""
        return True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_norm != math.inf:
            self._require_rate("max_norm")
        self._require_rate("eps")
        require(self, "norm_type", self.norm_type in ORDERS, "1, 2 or inf")

    def update(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return the clipped gradients and the state, which is empty."""
        passing, after = self._leaf_by_leaf(grad, state, param)
        clipped, _ = clip_by_norm(
            passing, self.max_norm, self.norm_type, eps=self.eps, error_if_nonfinite=self.error_if_nonfinite
        )
        return clipped, after

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(grad, {})``: what can be said of one array alone."""
        return grad, {}


@dataclass(frozen=True)
class ClipByValue(Rule):
    """Bring each element of what passes into ``[-limit, limit]``: :func:`clip_by_value`.

    Shapes: any. State: none.

    >>> import numpy as np
    >>> ClipByValue(0.5).update(np.array([0.25, -2.0]), {}, np.zeros(2))[0]
    array([ 0.25, -0.5 ])

    Counterpart: ``optax.clip``.
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        self._require_rate("limit")

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(clipped, {})``."""
        return clip(grad, -self.limit, self.limit), {}


@dataclass(frozen=True)
class AdaptiveClip(Rule):
    """Shorten what passes, unit by unit, to a share of the norm of the weights: :func:`clip_adaptively`.

    Shapes: any. State: none.

    >>> import numpy as np
    >>> AdaptiveClip(0.1).update(np.array([6.0, 8.0]), {}, np.array([3.0, 4.0]))[0]
    array([0.3, 0.4])

    Counterpart: ``optax.adaptive_grad_clip``.
    """

    clipping: float = 1e-2
    eps: float = 1e-3
    unit_axis: int = 0

    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in ("clipping", "eps"):
            self._require_rate(field)
        self._require_one_of("unit_axis", 0, -1)

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(clipped, {})``."""
        return adaptively_clipped(grad, param, self), {}
