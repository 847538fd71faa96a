"""Adam and AdamW: running means of the gradient and of its square, corrected for their start.

The function ``adam`` is the formula: pure, elementwise, without a branch on data. The bias
corrections ``1 - beta^t`` come in as plain numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, sqrt, zeros_like
from course.rules.base import Rule, State
from course.rules.sgd import regularized, shrinkage

__all__ = ["Adam", "AdamW"]


def adam(
    g: Array, m: Array, v: Array, lr: float, beta1: float, beta2: float,
    correction1: float, correction2: float, eps: float, eps_root: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return ``(lr m_hat / (sqrt(v_hat + eps_root) + eps), m', v')``."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    m_hat = m / correction1
    v_hat = v / correction2
    delta = lr * m_hat / (sqrt(v_hat + eps_root) + eps)
    return delta, m, v


@dataclass(frozen=True)
class Adam(Rule):
    """Step by the running mean of the gradient over the root of the running mean of its square.

    Formula, with ``t`` the step, counted from 1::

        g     <- g + weight_decay theta
        m     <- beta1 m + (1 - beta1) g
        v     <- beta2 v + (1 - beta2) g^2
        m_hat  = m / (1 - beta1^t),   v_hat = v / (1 - beta2^t)
        delta  = lr m_hat / (sqrt(v_hat + eps_root) + eps)

    Args:
        lr: learning rate, >= 0; the first step has just this size wherever |g| is far above eps.
        betas: shares of ``m`` and ``v`` that survive a step, each in [0, 1).
        eps: keeps the quotient finite, >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0 (decoupled decay: :class:`AdamW`).
        eps_root: a second eps, inside the root, >= 0.
        eps_hat: put eps before the bias correction:
            ``lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps)``.
        maximize: climb instead of descend.

    Shapes: any; ``delta``, ``m`` and ``v`` have the shape and dtype of ``param``.
    State: ``m`` and ``v``, 8 bytes per parameter in float32 (16 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = Adam(lr=0.1), np.array([1.0, 1.0])
    >>> delta, state = rule.update(np.array([3.0, -1e-8]), rule.init(theta), theta)
    >>> delta.round(6)
    array([ 0.1 , -0.05])

    Source: D. P. Kingma and J. Ba (2015), Adam: A Method for Stochastic Optimization, algorithm 1; eps_hat
    is the form at the end of its section 2.
    Counterpart: ``torch.optim.Adam``; ``optax.adam`` (which has ``eps_root`` and no decay). Keras applies
    epsilon before the bias correction: ``eps_hat=True, eps=1e-7``.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    eps_root: float = 0.0
    eps_hat: bool = False
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m", "v", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay", "eps_root"):
            self._require_rate(field)
        self._require_betas()

    def init_leaf(self, param: Array) -> State:
        """Return zero means."""
        return {"m": zeros_like(param), "v": zeros_like(param), "step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        return self._step(regularized(grad, param, self.weight_decay, self.maximize), state)

    def _step(self, g: Array, state: State) -> tuple[Array, State]:
        (beta1, beta2), t = self.betas, state["step"] + 1
        correction1, correction2 = 1 - beta1**t, 1 - beta2**t
        eps = self.eps / correction2**0.5 if self.eps_hat else self.eps
        delta, m, v = adam(
            g, state["m"], state["v"], self.lr, beta1, beta2, correction1, correction2, eps, self.eps_root
        )
        return delta, {"m": m, "v": v, "step": t}


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam whose weight decay does not pass through the moments: it shrinks the weights directly.

    Formula, with ``x`` the delta of :class:`Adam` without decay::

        delta = lr weight_decay theta + x

    Args:
        lr, betas, eps, eps_root, eps_hat, maximize: as :class:`Adam`.
        weight_decay: share of theta that goes in a step, in units of lr, >= 0.

    Shapes: any; ``delta``, ``m`` and ``v`` have the shape and dtype of ``param``.
    State: ``m`` and ``v``, 8 bytes per parameter in float32 (16 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = AdamW(lr=0.1, weight_decay=0.5), np.array([2.0])
    >>> delta, state = rule.update(np.array([0.0]), rule.init(theta), theta)
    >>> delta  # a zero gradient, and still the weight decays
    array([0.1])

    Source: I. Loshchilov and F. Hutter (2019), Decoupled Weight Decay Regularization, algorithm 2.
    Counterpart: ``torch.optim.AdamW`` (decay 0.01); ``optax.adamw`` (decay 1e-4); Keras (decay 0.004, eps
    before the bias correction). The paper decays by ``schedule weight_decay theta`` without lr; all the
    libraries multiply by lr.
    """

    weight_decay: float = 1e-2

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        x, after = self._step(-grad if self.maximize else grad, state)
        return shrinkage(param, self.lr, self.weight_decay) + x, after
