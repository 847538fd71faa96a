"""Gradient descent and its two momenta: SGD, heavy ball, Nesterov.

The three functions ``sgd``, ``heavy_ball`` and ``nesterov`` are the formulas: pure, elementwise, without
a branch on data. The classes give them names, checks and a state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, zeros_like
from course.rules.base import Rule, State

__all__ = ["SGD", "HeavyBall", "Nesterov"]


def regularized(g: Array, theta: Array, weight_decay: float, maximize: bool) -> Array:
    """Return the gradient that the step uses: its sign turned to climb, L2 decay added."""
    if maximize:
        g = -g
    return g + weight_decay * theta if weight_decay != 0 else g


def shrinkage(theta: Array, lr: float, weight_decay: float) -> Array | float:
    """Return what decoupled decay takes away: ``theta - (1 - lr weight_decay) theta``.

    Not ``lr weight_decay theta``: in float32 the factor ``1 - 1e-5`` is rounded, the same way at every step,
    and only written so does the parameter end where libraries that multiply by it do.
    """
    return theta - (1 - lr * weight_decay) * theta if weight_decay != 0 else 0.0


def sgd(g: Array, lr: float) -> Array:
    """Return ``lr g``."""
    delta = lr * g
    return delta


def heavy_ball(g: Array, b: Array, lr: float, momentum: float, dampening: float) -> tuple[Array, Array]:
    """Return ``(lr b', b')`` with ``b' = momentum b + (1 - dampening) g``."""
    buffer = momentum * b + (1 - dampening) * g
    delta = lr * buffer
    return delta, buffer


def nesterov(g: Array, b: Array, lr: float, momentum: float) -> tuple[Array, Array]:
    """Return ``(lr (g + momentum b'), b')`` with ``b' = momentum b + g``."""
    buffer = momentum * b + g
    look_ahead = g + momentum * buffer
    delta = lr * look_ahead
    return delta, buffer


@dataclass(frozen=True)
class SGD(Rule):
    """Step against the gradient (stochastic gradient descent).

    Formula, with ``g`` the gradient (``-g`` to maximize)::

        g     <- g + weight_decay theta
        delta  = lr g

    Args:
        lr: learning rate, >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        maximize: climb instead of descend.

    Shapes: any; ``delta`` has the shape and dtype of ``param``.
    State: none, 0 bytes per parameter.
    Errors: ``ValueError`` for hyperparameters out of range, mismatched shapes or a foreign state;
        ``TypeError`` for integer gradients.

    >>> import numpy as np
    >>> rule = SGD(lr=0.1)
    >>> theta = np.array([1.0, -2.0])
    >>> delta, state = rule.update(2 * theta, rule.init(theta), theta)
    >>> theta - delta
    array([ 0.8, -1.6])

    Source: H. Robbins and S. Monro (1951), A Stochastic Approximation Method, eq. 6.
    Counterpart: ``torch.optim.SGD(momentum=0)``; ``optax.sgd`` (which has no decay and returns
    ``-delta``: optax adds its updates).
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    maximize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_rate("lr")
        self._require_rate("weight_decay")

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        return sgd(g, self.lr), {}


@dataclass(frozen=True)
class HeavyBall(Rule):
    """Step along a decaying sum of gradients (Polyak's heavy ball, classical momentum).

    Formula, with ``b`` the buffer and ``t`` the step, counted from 1::

        g     <- g + weight_decay theta
        b     <- g                                  at t = 1
        b     <- momentum b + (1 - dampening) g     after
        delta  = lr b

    Args:
        lr: learning rate, >= 0.
        momentum: share of the buffer that survives a step, in [0, 1].
        dampening: share of the gradient that the buffer leaves out, in [0, 1].
        weight_decay: L2 penalty, added to the gradient before it enters the buffer, >= 0.
        maximize: climb instead of descend.

    Shapes: any; ``delta`` and ``buffer`` have the shape and dtype of ``param``.
    State: ``buffer``, 4 bytes per parameter in float32 (8 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = HeavyBall(lr=0.1, momentum=0.5), np.array([1.0])
    >>> state = rule.init(theta)
    >>> for _ in range(2):
    ...     delta, state = rule.update(np.array([1.0]), state, theta)
    >>> delta, state["buffer"]
    (array([0.15]), array([1.5]))

    Source: B. T. Polyak (1964), Some methods of speeding up the convergence of iteration methods.
    Counterpart: ``torch.optim.SGD(momentum=...)``, ``optax.trace``. Conventions that differ: the
    learning rate stands outside the buffer here and in torch, inside it in Sutskever et al. (2013), which
    is the same while ``lr`` is constant and not after it changes. The first buffer is the whole gradient
    even with dampening, as in torch; a buffer that starts at zero and is dampened gives another path.
    With momentum 0 dampening has no effect, as in torch: this is gradient descent then.
    """

    lr: float = 1e-3
    momentum: float = 0.9
    dampening: float = 0.0
    weight_decay: float = 0.0
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"buffer", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_rate("lr")
        self._require_rate("momentum", most=1.0)
        self._require_rate("dampening", most=1.0)
        self._require_rate("weight_decay")

    def init_leaf(self, param: Array) -> State:
        """Return a zero buffer and step 0."""
        return {"buffer": zeros_like(param), "step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        # torch: the first buffer is g itself, and without momentum there is nothing to dampen against.
        dampening = self.dampening if state["step"] > 0 and self.momentum != 0 else 0.0
        delta, buffer = heavy_ball(g, state["buffer"], self.lr, self.momentum, dampening)
        return delta, {"buffer": buffer, "step": state["step"] + 1}


@dataclass(frozen=True)
class Nesterov(Rule):
    """Step along the buffer as it will stand one step ahead (Nesterov momentum).

    Formula, with ``b`` the buffer::

        g     <- g + weight_decay theta
        b     <- momentum b + g
        delta  = lr (g + momentum b)

    The textbook form evaluates the gradient at a look-ahead point, ``theta - lr momentum b``. Here, as in
    torch, the stored parameter *is* that look-ahead point, so the gradient is taken where it stands.

    Args:
        lr: learning rate, >= 0.
        momentum: share of the buffer that survives a step, in [0, 1].
        weight_decay: L2 penalty, added to the gradient before it enters the buffer, >= 0.
        maximize: climb instead of descend.

    Shapes: any; ``delta`` and ``buffer`` have the shape and dtype of ``param``.
    State: ``buffer``, 4 bytes per parameter in float32 (8 in float64).
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = Nesterov(lr=0.1, momentum=0.5), np.array([1.0])
    >>> delta, state = rule.update(np.array([1.0]), rule.init(theta), theta)
    >>> delta, state["buffer"]
    (array([0.15]), array([1.]))

    Source: Y. Nesterov (1983), A method of solving a convex programming problem with convergence rate
    O(1/k^2); in the form of I. Sutskever et al. (2013), with their variables changed.
    Counterpart: ``torch.optim.SGD(momentum=..., nesterov=True)`` (which demands dampening 0),
    ``optax.sgd(..., nesterov=True)``.
    """

    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"buffer"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_rate("lr")
        self._require_rate("momentum", most=1.0)
        self._require_rate("weight_decay")

    def init_leaf(self, param: Array) -> State:
        """Return a zero buffer."""
        return {"buffer": zeros_like(param)}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        delta, buffer = nesterov(g, state["buffer"], self.lr, self.momentum)
        return delta, {"buffer": buffer}
