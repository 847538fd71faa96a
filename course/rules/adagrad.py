"""Rules that divide by the root of summed or averaged squares: AdaGrad and Adadelta.

The functions ``adagrad`` and ``adadelta`` are the formulas: pure, elementwise, without a branch on data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, sqrt, zeros_like
from course.rules.base import Rule, State
from course.rules.sgd import regularized

__all__ = ["AdaGrad", "Adadelta"]


def adagrad(g: Array, s: Array, lr: float, eps: float, eps_root: float) -> tuple[Array, Array]:
    """Return ``(lr g / (sqrt(s' + eps_root) + eps), s')`` with ``s' = s + g^2``."""
    s = s + g * g
    delta = lr * g / (sqrt(s + eps_root) + eps)
    return delta, s


def adadelta(g: Array, v: Array, u: Array, lr: float, rho: float, eps: float) -> tuple[Array, Array, Array]:
    """Return ``(lr x, v', u')`` with ``x = g sqrt(u + eps) / sqrt(v' + eps)``."""
    v = rho * v + (1 - rho) * (g * g)
    x = sqrt(u + eps) / sqrt(v + eps) * g
    u = rho * u + (1 - rho) * (x * x)
    delta = lr * x
    return delta, v, u


@dataclass(frozen=True)
class AdaGrad(Rule):
    """Divide each gradient by the root of all its squares so far: rare features keep their pace.

    Formula, with ``s`` the sum of squares and ``t`` the step, counted from 1::

        g     <- g + weight_decay theta
        s     <- s + g^2
        delta  = lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Args:
        lr: learning rate, >= 0.
        lr_decay: how fast the learning rate falls as 1/t, >= 0.
        eps: keeps the quotient finite, >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        initial_accumulator_value: where ``s`` starts, >= 0.
        eps_in_sqrt: put eps inside the root: ``sqrt(s + eps)``.
        maximize: climb instead of descend.

    Shapes: any; ``delta`` and ``sum`` have the shape and dtype of ``param``.
    State: ``sum``, 4 bytes per parameter in float32 (8 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = AdaGrad(lr=0.5), np.array([1.0, 1.0])
    >>> delta, state = rule.update(np.array([3.0, 0.01]), rule.init(theta), theta)
    >>> delta.round(6), state["sum"]
    (array([0.5, 0.5]), array([9.e+00, 1.e-04]))

    Source: J. Duchi, E. Hazan and Y. Singer (2011), Adaptive Subgradient Methods, eq. 1 and sec. 3
    (diagonal form).
    Counterpart: ``torch.optim.Adagrad``; ``optax.adagrad`` puts eps (1e-7) inside the root and starts the
    sum at 0.1, as does Keras: ``eps_in_sqrt=True, eps=1e-7, initial_accumulator_value=0.1``. Only torch
    has ``lr_decay`` and ``weight_decay``.
    """

    lr: float = 1e-2
    lr_decay: float = 0.0
    eps: float = 1e-10
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps_in_sqrt: bool = False
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"sum", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value"):
            self._require_rate(field)

    def init_leaf(self, param: Array) -> State:
        """Return the sum of squares at its initial value."""
        return {"sum": zeros_like(param) + self.initial_accumulator_value, "step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        eps, eps_root = (0.0, self.eps) if self.eps_in_sqrt else (self.eps, 0.0)
        lr = self.lr / (1 + state["step"] * self.lr_decay)
        delta, s = adagrad(g, state["sum"], lr, eps, eps_root)
        return delta, {"sum": s, "step": state["step"] + 1}


@dataclass(frozen=True)
class Adadelta(Rule):
    """Step by the size of past steps over the size of past gradients: the units come out right.

    Formula, with ``v`` the running mean of squared gradients and ``u`` that of squared steps::

        g     <- g + weight_decay theta
        v     <- rho v + (1 - rho) g^2
        x      = sqrt(u + eps) / sqrt(v + eps) g
        u     <- rho u + (1 - rho) x^2
        delta  = lr x

    Args:
        lr: factor on the step, >= 0; the paper has none (1).
        rho: share of the running means that survives a step, in [0, 1].
        eps: inside both roots; it starts the motion, >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        maximize: climb instead of descend.

    Shapes: any; ``delta``, ``square_avg`` and ``acc_delta`` have the shape and dtype of ``param``.
    State: ``square_avg`` and ``acc_delta``, 8 bytes per parameter in float32 (16 in float64).
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = Adadelta(), np.array([1.0])
    >>> delta, state = rule.update(np.array([2.0]), rule.init(theta), theta)
    >>> delta.round(6)
    array([0.003162])

    Source: M. D. Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method, algorithm 1.
    Counterpart: ``torch.optim.Adadelta`` (lr 1.0); ``optax.adadelta`` and Keras compute the same, with rho
    0.9 in optax as in torch, and 0.95 with lr 0.001 and eps 1e-7 in Keras. The paper uses rho 0.95.
    """

    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"square_avg", "acc_delta"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay"):
            self._require_rate(field)
        self._require_rate("rho", most=1.0)

    def init_leaf(self, param: Array) -> State:
        """Return two zero means."""
        return {"square_avg": zeros_like(param), "acc_delta": zeros_like(param)}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        delta, v, u = adadelta(g, state["square_avg"], state["acc_delta"], self.lr, self.rho, self.eps)
        return delta, {"square_avg": v, "acc_delta": u}
