"""LAMB: Adam whose step is in proportion to the norm of each layer's weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from course.arrays import Array, is_array, is_floating, minimum, norm, zeros_like
from course.rules.adam import adam
from course.rules.base import Rule, State, require
from course.rules.lars import ratio
from course.trees import leaves, tree_map

__all__ = ["LAMB"]


@dataclass(frozen=True)
class LAMB(Rule):
    """Adam with decay, its step scaled to the norm of each layer's weights.

    Formula, with ``m_hat`` and ``v_hat`` as in Adam and norms over the whole array::

        u      = m_hat / (sqrt(v_hat) + eps) + weight_decay theta
        trust  = min(|theta|, max_weight_norm) / (|u| + trust_eps)
        delta  = lr trust u

    Args:
        lr: learning rate, >= 0. betas: shares of ``m`` and ``v`` that survive a step, each in [0, 1).
        eps: keeps the quotient finite, >= 0. weight_decay: added to the step before its norm is taken, >= 0.
        bias_correction: False leaves ``m`` and ``v`` uncorrected.
        max_weight_norm: the largest norm that trust counts, > 0; none by default.
        trust_eps: added to the denominator of trust, >= 0.
        max_grad_norm: clip the gradient to this norm first, > 0: over the whole tree that ``update`` gets,
            so of a single array its own; None does not clip.
        maximize: climb instead of descend.

    Shapes: any; ``delta``, ``m`` and ``v`` have the shape and dtype of ``param``.
    State: ``m`` and ``v``, 8 bytes per parameter in float32 (16 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`. Where a norm is 0, trust is 1.

    >>> import numpy as np
    >>> rule, theta = LAMB(lr=0.1), np.array([3.0, 4.0])
    >>> delta, state = rule.update(np.array([1.0, 1e3]), rule.init(theta), theta)
    >>> float(np.linalg.norm(delta).round(6))  # lr times the norm of theta, whatever the gradient
    0.5

    Source: Y. You et al. (2020), Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes,
    algorithm 2.
    Counterpart: torch has none. ``optax.lamb`` computes the same. timm clips the gradients of all parameters
    to ``max_grad_norm`` 1.0; ``pytorch_optimizer.Lamb`` does not correct ``v``, limits the norm of the
    weights to 10 and adds eps below trust: ``bias_correction=False, max_weight_norm=10, trust_eps=eps``
    where it is told ``adam_debias=True, weight_decouple=False``.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-6
    weight_decay: float = 0.0
    bias_correction: bool = True
    max_weight_norm: float = math.inf
    trust_eps: float = 0.0
    max_grad_norm: float | None = None
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m", "v", "step"})
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay", "trust_eps"):
            self._require_rate(field)
        for field in ("max_weight_norm", "max_grad_norm"):
            value = getattr(self, field)
            if value is not None:
                known = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
                require(self, field, known, "a number > 0")
        self._require_betas()

    @property
    def across(self) -> bool:
        """Whether it clips, which takes the norm of all gradients together."""
        return self.max_grad_norm is not None

    def init_leaf(self, param: Array) -> State:
        """Return zero means."""
        return {"m": zeros_like(param), "v": zeros_like(param), "step": 0}

    def update(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return ``(delta, state)``; clips over the whole of ``grad`` first where that is asked for."""
        arrays = list(leaves(grad))
        if self.max_grad_norm is None or not all(is_array(x) and is_floating(x) for x in arrays):
            return super().update(grad, state, param)
        total = math.sqrt(sum(float(norm(x)) ** 2 for x in arrays))
        factor = min(1.0, self.max_grad_norm / total) if total != 0 else 1.0
        clipped = tree_map(lambda g: factor * g, grad)
        return self.with_hyperparameters(max_grad_norm=None).update(clipped, state, param)

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = -grad if self.maximize else grad
        (beta1, beta2), t = self.betas, state["step"] + 1
        correction1, correction2 = (1 - beta1**t, 1 - beta2**t) if self.bias_correction else (1.0, 1.0)
        x, m, v = adam(g, state["m"], state["v"], 1.0, beta1, beta2, correction1, correction2, self.eps, 0.0)
        u = x + self.weight_decay * param
        trust = ratio(minimum(norm(param), self.max_weight_norm), norm(u) + self.trust_eps)
        return self.lr * trust * u, {"m": m, "v": v, "step": t}
