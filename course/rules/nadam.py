"""Adam's relatives NAdam (Nesterov's look-ahead above) and RAdam (a rectified start).

The functions are the formulas: pure, elementwise, without a branch on data. All that depends on the step
alone comes in as plain numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, sqrt, zeros_like
from course.rules.base import Rule, State
from course.rules.sgd import regularized, shrinkage

__all__ = ["NAdam", "RAdam"]


def nadam(
    g: Array, m: Array, v: Array, lr: float, beta1: float, beta2: float,
    weight_g: float, weight_m: float, correction2: float, eps: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return ``(lr (weight_g g + weight_m m') / (sqrt(v_hat) + eps), m', v')``."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    v_hat = v / correction2
    look_ahead = weight_g * g + weight_m * m
    delta = lr * look_ahead / (sqrt(v_hat) + eps)
    return delta, m, v


def radam(
    g: Array, m: Array, v: Array, lr: float, beta1: float, beta2: float,
    correction1: float, correction2: float, rectification: float, eps: float,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Return ``(lr rectification m_hat / (sqrt(v_hat) + eps), m', v')``; without division where that is 0."""
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * (g * g)
    m_hat = m / correction1
    v_hat = v / correction2
    delta = lr * rectification * m_hat / (sqrt(v_hat) + eps) if rectification > 0 else lr * m_hat
    return delta, m, v


@dataclass(frozen=True)
class NAdam(Rule):
    """Adam that steps along its first moment as it will stand one step ahead (Nesterov).

    Formula, with ``m``, ``v`` and ``v_hat`` as in Adam, and ``P_t = mu_1 ... mu_t``::

        mu_t   = beta1 (1 - 0.96^(t momentum_decay) / 2)
        delta  = lr ((1 - mu_t) / (1 - P_t) g + mu_(t+1) / (1 - P_(t+1)) m) / (sqrt(v_hat) + eps)

    Args:
        lr, betas, eps: as Adam. weight_decay: L2 penalty, >= 0.
        momentum_decay: how fast ``mu`` rises to beta1, >= 0; infinite: it is beta1 from the start.
        decoupled_weight_decay: shrink the weights directly, as AdamW.
        maximize: climb instead of descend.

    Shapes: any; ``delta``, ``m`` and ``v`` have the shape and dtype of ``param``.
    State: ``m`` and ``v``, 8 bytes per parameter in float32 (16 in float64), ``step``, one integer, and
        ``mu_product``, one number.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = NAdam(lr=0.1), np.array([1.0])
    >>> rule.update(np.array([3.0]), rule.init(theta), theta)[0].round(6)
    array([0.105645])

    Source: T. Dozat (2016), Incorporating Nesterov Momentum into Adam, algorithm 2.
    Counterpart: ``torch.optim.NAdam`` (momentum_decay 0.004; keeps the product in float32, hence parts by
    1e-10 in float64 unless that is torch's default dtype); Keras is ``momentum_decay=1``,
    ``optax.nadam`` is ``momentum_decay=inf``.
    """

    lr: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m", "v", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay"):
            self._require_rate(field)
        if self.momentum_decay != math.inf:
            self._require_rate("momentum_decay")
        self._require_betas()

    def state_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        """Return the shapes of ``m`` and ``v``; ``step`` and ``mu_product`` are plain numbers."""
        return {**super().state_shapes(shape), "mu_product": None}

    def init_leaf(self, param: Array) -> State:
        """Return zero means and the empty product."""
        return {"m": zeros_like(param), "v": zeros_like(param), "step": 0, "mu_product": 1.0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        l2 = 0.0 if self.decoupled_weight_decay else self.weight_decay
        g = regularized(grad, param, l2, self.maximize)
        (beta1, beta2), t = self.betas, state["step"] + 1
        mu, mu_next = self._mu(t), self._mu(t + 1)
        product = state["mu_product"] * mu
        weight_g, weight_m = (1 - mu) / (1 - product), mu_next / (1 - product * mu_next)
        delta, m, v = nadam(
            g, state["m"], state["v"], self.lr, beta1, beta2, weight_g, weight_m, 1 - beta2**t, self.eps
        )
        if self.decoupled_weight_decay:
            delta = shrinkage(param, self.lr, self.weight_decay) + delta
        return delta, {"m": m, "v": v, "step": t, "mu_product": product}

    def _mu(self, t: int) -> float:
        return self.betas[0] * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))


@dataclass(frozen=True)
class RAdam(Rule):
    """Adam that waits until its second moment means something: plain momentum first, then rectified steps.

    Formula, with ``m_hat`` and ``v_hat`` as in Adam::

        rho_inf = 2 / (1 - beta2) - 1,   rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t)
        r       = sqrt((rho_t - 4) (rho_t - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho_t))
        delta   = lr r m_hat / (sqrt(v_hat) + eps / sqrt(1 - beta2^t))      if rho_t > threshold
        delta   = lr m_hat                                                  else

    Args:
        lr, betas, eps: as Adam. weight_decay: L2 penalty, >= 0.
        threshold: the length of memory from which steps are rectified, >= 4.
        eps_hat: eps before the bias correction, as above; False takes Adam's ``sqrt(v_hat) + eps``.
        decoupled_weight_decay: shrink the weights directly, as AdamW.
        maximize: climb instead of descend.

    Shapes: any; ``delta``, ``m`` and ``v`` have the shape and dtype of ``param``.
    State: ``m`` and ``v``, 8 bytes per parameter in float32 (16 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = RAdam(lr=0.1), np.array([1.0])
    >>> rule.update(np.array([3.0]), rule.init(theta), theta)[0].round(6)
    array([0.3])

    Source: L. Liu et al. (2020), On the Variance of the Adaptive Learning Rate and Beyond, algorithm 2.
    Counterpart: ``torch.optim.RAdam`` (rectifies where rho_t > 5); ``optax.radam`` (rho_t >= 5,
    ``eps_hat=False``); the paper rectifies where rho_t > 4. Keras has none.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    threshold: float = 5.0
    eps_hat: bool = True
    decoupled_weight_decay: bool = False
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m", "v", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "eps", "weight_decay"):
            self._require_rate(field)
        self._require_rate("threshold", least=4.0)
        self._require_betas()

    def init_leaf(self, param: Array) -> State:
        """Return zero means."""
        return {"m": zeros_like(param), "v": zeros_like(param), "step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        l2 = 0.0 if self.decoupled_weight_decay else self.weight_decay
        g = regularized(grad, param, l2, self.maximize)
        (beta1, beta2), t = self.betas, state["step"] + 1
        correction1, correction2 = 1 - beta1**t, 1 - beta2**t
        eps = self.eps / correction2**0.5 if self.eps_hat else self.eps
        delta, m, v = radam(
            g, state["m"], state["v"], self.lr, beta1, beta2, correction1, correction2, self._rectify(t), eps
        )
        if self.decoupled_weight_decay:
            delta = shrinkage(param, self.lr, self.weight_decay) + delta
        return delta, {"m": m, "v": v, "step": t}

    def _rectify(self, t: int) -> float:
        """Return the factor r of step ``t``; 0 while the memory is too short for one."""
        beta2 = self.betas[1]
        longest = 2 / (1 - beta2) - 1
        rho = longest - 2 * t * beta2**t / (1 - beta2**t)
        if rho <= self.threshold:
            return 0.0
        return float(((rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)) ** 0.5)
