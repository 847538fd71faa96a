"""Adam with a maximum below: AMSGrad (of the second moment) and Adamax (of the gradient itself).

The functions ``amsgrad`` and ``adamax`` are the formulas: pure, elementwise, without a branch on data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, absolute, maximum, sqrt, zeros_like
from course.rules.base import Rule, State
from course.rules.sgd import regularized

__all__ = ["AMSGrad", "Adamax"]


def amsgrad(
    g: Array, m: Array, v: Array, v_max: Array, lr: float, beta1: float, beta2: float,
    correction1: float, inner: float, outer: float, eps: float,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Return ``(lr m_hat / (sqrt(v_max' / outer) + eps), m', v', v_max')``, ``v_max' = max(v' / inner)``."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    v_max = maximum(v / inner, v_max)
    m_hat = m / correction1
    delta = lr * m_hat / (sqrt(v_max / outer) + eps)
    return delta, m, v, v_max


def adamax(
    g: Array, m: Array, u: Array, lr: float, beta1: float, beta2: float,
    correction1: float, eps: float, eps_after: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return ``(lr m_hat / (u' + eps_after), m', u')`` with ``u' = max(beta2 u, |g| + eps)``."""
    m = beta1 * m + (1 - beta1) * g
    u = maximum(absolute(g) + eps, beta2 * u)
    m_hat = m / correction1
    delta = lr * m_hat / (u + eps_after)
    return delta, m, u


@dataclass(frozen=True)
class AMSGrad(Rule):
    """Adam whose denominator never shrinks: it divides by the largest second moment so far.

    Formula, with ``m``, ``v`` and ``m_hat`` as in :class:`Adam`::

        v_max <- max(v_max, v)
        delta  = lr m_hat / (sqrt(v_max / (1 - beta2^t)) + eps)

    Args:
        lr, betas, eps, weight_decay, maximize: as :class:`Adam`.
        max_of_corrected: take the maximum of ``v_hat`` instead, and correct it no further.

    Shapes: any; ``delta`` and the state arrays have the shape and dtype of ``param``.
    State: ``m``, ``v`` and ``v_max``, 12 bytes per parameter in float32 (24 in float64), and ``step``, one
        integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = AMSGrad(lr=0.1), np.array([1.0])
    >>> delta, state = rule.update(np.array([3.0]), rule.init(theta), theta)
    >>> delta.round(6)
    array([0.1])

    Source: S. J. Reddi, S. Kale and S. Kumar (2018), On the Convergence of Adam and Beyond, algorithm 2
    (which corrects no bias).
    Counterpart: ``torch.optim.Adam(amsgrad=True)`` takes the maximum of the raw ``v``, Keras too (with eps
    before the correction); ``optax.amsgrad`` takes that of ``v_hat``: ``max_of_corrected=True``.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    max_of_corrected: bool = False
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m", "v", "v_max", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay"):
            self._require_rate(field)
        self._require_betas()

    def init_leaf(self, param: Array) -> State:
        """Return zero means and a zero maximum."""
        return {name: zeros_like(param) for name in ("m", "v", "v_max")} | {"step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        (beta1, beta2), t = self.betas, state["step"] + 1
        correction1, correction2 = 1 - beta1**t, 1 - beta2**t
        inner, outer = (correction2, 1.0) if self.max_of_corrected else (1.0, correction2)
        delta, m, v, v_max = amsgrad(
            g,
            state["m"],
            state["v"],
            state["v_max"],
            self.lr,
            beta1,
            beta2,
            correction1,
            inner,
            outer,
            self.eps,
        )
        return delta, {"m": m, "v": v, "v_max": v_max, "step": t}


@dataclass(frozen=True)
class Adamax(Rule):
    """Adam with the largest recent gradient, instead of a root mean square, below.

    Formula, with ``m_hat`` as in Adam::

        u     <- max(beta2 u, |g| + eps)
        delta  = lr m_hat / u

    Args:
        lr: learning rate, >= 0.
        betas: shares of ``m`` and ``u`` that survive a step, each in [0, 1).
        eps: keeps the quotient finite, >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        eps_in_max: where eps stands; False adds it to ``u`` when dividing.
        maximize: climb instead of descend.

    Shapes: any; ``delta``, ``m`` and ``u`` have the shape and dtype of ``param``.
    State: ``m`` and ``u``, 8 bytes per parameter in float32 (16 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = Adamax(lr=0.1), np.array([1.0])
    >>> rule.update(np.array([3.0]), rule.init(theta), theta)[0].round(6)
    array([0.1])

    Source: D. P. Kingma and J. Ba (2015), Adam, algorithm 2 (which has no eps).
    Counterpart: ``torch.optim.Adamax`` and ``optax.adamax``; Keras adds eps (1e-7) after the maximum:
    ``eps_in_max=False``.
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    eps_in_max: bool = True
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m", "u", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay"):
            self._require_rate(field)
        self._require_betas()

    def init_leaf(self, param: Array) -> State:
        """Return a zero mean and a zero maximum."""
        return {"m": zeros_like(param), "u": zeros_like(param), "step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = regularized(grad, param, self.weight_decay, self.maximize)
        (beta1, beta2), t = self.betas, state["step"] + 1
        eps, eps_after = (self.eps, 0.0) if self.eps_in_max else (0.0, self.eps)
        delta, m, u = adamax(g, state["m"], state["u"], self.lr, beta1, beta2, 1 - beta1**t, eps, eps_after)
        return delta, {"m": m, "u": u, "step": t}
