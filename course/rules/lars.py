"""LARS: momentum whose step is in proportion to the norm of each layer's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, norm, where, zeros_like
from course.rules.base import Rule, State

__all__ = ["LARS", "ratio"]


def ratio(top: Array, bottom: Array, coefficient: float = 1.0) -> Array:
    """Return ``coefficient top / bottom`` of two norms, a 0-d array.

    It is 1 where either norm is 0: a layer of zeros must be able to move. A NaN is not 0, and stays one.
    """
    one = zeros_like(top) + 1
    usable = (top != 0) & (bottom != 0)
    return where(usable, coefficient * top / where(usable, bottom, one), one)


def lars(
    g: Array, theta: Array, b: Array, trust: Array, lr: float, momentum: float, weight_decay: float
) -> Array:
    """Return ``momentum b + lr trust (g + weight_decay theta)``."""
    x = lr * trust * (g + weight_decay * theta)
    return momentum * b + x


@dataclass(frozen=True)
class LARS(Rule):
    """Momentum with a learning rate for each layer: in proportion to its weights' norm over its gradient's.

    Formula, with ``b`` the buffer and norms over the whole array::

        trust  = trust_coefficient |theta| / (|g| + weight_decay |theta| + eps)
        b     <- momentum b + lr trust (g + weight_decay theta)
        delta  = b                                     (nesterov: lr trust (...) + momentum b)

    Args:
        lr: learning rate, >= 0. momentum: share of the buffer that survives a step, in [0, 1].
        weight_decay: L2 penalty, >= 0.
        trust_coefficient: how far a layer goes in a step, as a share of its norm, >= 0.
        eps: added to the denominator of trust, >= 0.
        nesterov: step along the buffer as it will stand one step ahead.
        joint_norm: divide by ``|g + weight_decay theta|`` instead.
        adapt_vectors: False gives scalars and vectors plain momentum, with neither trust nor decay.
        lr_in_buffer: False puts the learning rate outside the buffer, as torch's SGD does.
        maximize: climb instead of descend.

    Shapes: any; ``delta`` and ``buffer`` have the shape and dtype of ``param``.
    State: ``buffer``, 4 bytes per parameter in float32 (8 in float64).
    Errors: as :class:`SGD`. Where a norm is 0, trust is 1.

    >>> import numpy as np
    >>> rule, theta = LARS(lr=1.0, trust_coefficient=0.1), np.array([3.0, 4.0])
    >>> rule.update(np.array([0.0, 1e-5]), rule.init(theta), theta)[0]
    array([0. , 0.5])

    Source: Y. You, I. Gitman and B. Ginsburg (2017), Large Batch Training of Convolutional Networks, eq. 6
    and algorithm 1.
    Counterpart: torch has none. ``pytorch_optimizer.LARS`` is ``adapt_vectors=False, lr_in_buffer=False``;
    ``optax.lars`` is ``joint_norm=True``; timm adapts only groups with decay, unless told otherwise.
    """

    lr: float = 1e-1
    momentum: float = 0.9
    weight_decay: float = 0.0
    trust_coefficient: float = 1e-3
    eps: float = 0.0
    nesterov: bool = False
    joint_norm: bool = False
    adapt_vectors: bool = True
    lr_in_buffer: bool = True
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"buffer"})
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "weight_decay", "trust_coefficient", "eps"):
            self._require_rate(field)
        self._require_rate("momentum", most=1.0)

    def init_leaf(self, param: Array) -> State:
        """Return a zero buffer."""
        return {"buffer": zeros_like(param)}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = -grad if self.maximize else grad
        trust = self._trust(g, param) if self.adapts(len(param.shape)) else None
        return self.update_with(trust, grad, state, param)

    def adapts(self, axes: int) -> bool:
        """Say whether an array of so many axes gets a rate of its own (and decay)."""
        return self.adapt_vectors or axes > 1

    def update_with(
        self, trust: Array | None, grad: Array, state: State, param: Array
    ) -> tuple[Array, State]:
        """Return ``(delta, state)`` for an array, or a piece of one, whose trust is known.

        Args:
            trust: a scalar array; None for an array that does not adapt.
        """
        g, decay = -grad if self.maximize else grad, self.weight_decay if trust is not None else 0.0
        trust = zeros_like(norm(g)) + 1 if trust is None else trust
        inner, outer = (self.lr, 1.0) if self.lr_in_buffer else (1.0, self.lr)
        buffer = lars(g, param, state["buffer"], trust, inner, self.momentum, decay)
        delta = lars(g, param, buffer, trust, inner, self.momentum, decay) if self.nesterov else buffer
        # Never the buffer itself: who changes the delta in place must not change the state.
        return outer * delta, {"buffer": buffer}

    def _trust(self, g: Array, theta: Array) -> Array:
        weights, decay = norm(theta), self.weight_decay
        below = norm(g + decay * theta) if self.joint_norm else norm(g) + decay * weights
        return ratio(weights, below + self.eps, self.trust_coefficient)
