"""RMSProp: plain, centered, with momentum.

The functions are the formula in three parts, pure and elementwise; the class puts together what its
options ask for.
"""

from __future__ import annotations

from dataclasses import dataclass

from course.arrays import Array, maximum, sqrt, zeros_like
from course.rules.base import Rule, State
from course.rules.sgd import regularized

__all__ = ["RMSProp"]


def rmsprop(g: Array, v: Array, lr: float, alpha: float, eps: float, eps_root: float) -> tuple[Array, Array]:
    """Return ``(lr g / (sqrt(v' + eps_root) + eps), v')`` with ``v'`` the running mean of ``g^2``."""
    v = alpha * v + (1 - alpha) * (g * g)
    delta = lr * g / (sqrt(v + eps_root) + eps)
    return delta, v


def centered_rmsprop(
    g: Array, v: Array, m: Array, lr: float, alpha: float, eps: float, eps_root: float
) -> tuple[Array, Array, Array]:
    """Return ``(lr g / (sqrt(v' - m'^2 + eps_root) + eps), v', m')``: divided by the standard deviation."""
    v = alpha * v + (1 - alpha) * (g * g)
    m = alpha * m + (1 - alpha) * g
    # Rounding can make the variance of a nearly constant gradient negative, and its root NaN.
    variance = maximum(v - m * m, 0.0)
    delta = lr * g / (sqrt(variance + eps_root) + eps)
    return delta, v, m


def accumulated(x: Array, b: Array, lr: float, momentum: float) -> tuple[Array, Array]:
    """Return ``(lr b', b')`` with ``b' = momentum b + x``."""
    b = momentum * b + x
    delta = lr * b
    return delta, b


@dataclass(frozen=True)
class RMSProp(Rule):
    """Divide each gradient by the root of a running mean of its squares.

    Formula, with ``v`` and ``m`` the running means of the squares and of the gradient, ``b`` the buffer::

        g     <- g + weight_decay theta
        v     <- alpha v + (1 - alpha) g^2
        m     <- alpha m + (1 - alpha) g                  if centered, else m = 0
        x      = g / (sqrt(v - m^2) + eps)
        b     <- momentum b + x                           with momentum, else b = x
        delta  = lr b

    Args:
        lr: learning rate, >= 0.
        alpha: share of the running means that survives a step, in [0, 1].
        eps: keeps the quotient finite, >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        momentum: share of the buffer that survives a step, in [0, 1]; 0 keeps no buffer.
        centered: divide by the standard deviation instead.
        eps_in_sqrt: put eps inside the root, where 1e-8 is a floor of 1e-4 under it.
        lr_in_buffer: put the learning rate inside the momentum, which differs once lr changes.
        maximize: climb instead of descend.

    Shapes: any; ``delta`` and the state arrays have the shape and dtype of ``param``.
    State: ``square_avg``, 4 bytes per parameter in float32 (8 in float64); ``grad_avg`` if centered and
        ``buffer`` with momentum take as much again each.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = RMSProp(lr=0.01), np.array([1.0, 1.0])
    >>> delta, state = rule.update(np.array([3.0, -0.01]), rule.init(theta), theta)
    >>> delta.round(5)
    array([ 0.1, -0.1])

    Source: T. Tieleman and G. Hinton (2012), Lecture 6.5 of Neural Networks for Machine Learning; centered:
    A. Graves (2013), Generating Sequences With Recurrent Neural Networks, eq. 38 to 45.
    Counterpart: ``torch.optim.RMSprop``; ``optax.rmsprop`` and Keras put eps inside the root
    (``eps_in_sqrt=True``) and the learning rate inside the momentum (``lr_in_buffer=True``), and keep a
    share of 0.9 instead of 0.99. Here a variance that rounding made negative counts as 0; in torch and
    Keras its root is NaN.
    """

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    eps_in_sqrt: bool = False
    lr_in_buffer: bool = False
    maximize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay"):
            self._require_rate(field)
        for field in ("alpha", "momentum"):
            self._require_rate(field, most=1.0)

    def state_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        """Return the shape of what these options keep."""
        names = ["square_avg", *["grad_avg"] * self.centered, *["buffer"] * (self.momentum > 0)]
        return dict.fromkeys(names, shape)

    def init_leaf(self, param: Array) -> State:
        """Return zero means, and a zero buffer with momentum."""
        return {name: zeros_like(param) for name in self.state_shapes(tuple(param.shape))}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        eps, eps_root = (0.0, self.eps) if self.eps_in_sqrt else (self.eps, 0.0)
        inner, outer = (self.lr, 1.0) if self.lr_in_buffer or self.momentum == 0 else (1.0, self.lr)
        after = dict(state)
        if self.centered:
            delta, after["square_avg"], after["grad_avg"] = centered_rmsprop(
                g, state["square_avg"], state["grad_avg"], inner, self.alpha, eps, eps_root
            )
        else:
            delta, after["square_avg"] = rmsprop(g, state["square_avg"], inner, self.alpha, eps, eps_root)
        if self.momentum > 0:
            delta, after["buffer"] = accumulated(delta, state["buffer"], outer, self.momentum)
        return delta, after
