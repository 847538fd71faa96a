"""Sophia: momentum over an estimate of the Hessian's diagonal, clipped; and two such estimates.

The functions ``sophia_g`` and ``sophia_h`` are the formulas: pure, elementwise, without a branch on data.
The estimates need more than a gradient, so the caller makes them, every ten steps or so, and hands them in
with ``rule.with_hessian(state, estimate)``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from course.arrays import Array, absolute, clip, maximum, minimum, sign, smallest_normal, zeros_like
from course.rules.base import Rule, State
from course.rules.sgd import shrinkage

__all__ = ["Sophia", "gauss_newton_bartlett", "hutchinson"]


def hutchinson(hessian_vector_product: Callable[[Array], Array], probe: Array) -> Array:
    """Return Hutchinson's estimate ``u * (H u)`` of the Hessian's diagonal.

    Its mean over probes ``u`` with independent elements of mean 0 and variance 1 is the diagonal itself;
    random signs have the least variance, none at all where H is diagonal.

    Args:
        hessian_vector_product: ``u -> H u``, such as autograd of ``(gradient * u).sum()``.
        probe: the random u, of the parameter's shape.

    >>> import numpy as np
    >>> hutchinson(lambda u: np.diag([2.0, 5.0]) @ u, np.array([1.0, -1.0]))
    array([2., 5.])
    """
    return probe * hessian_vector_product(probe)


def gauss_newton_bartlett(sampled_gradient: Array, batch_size: int) -> Array:
    """Return the estimate ``batch_size g^2`` of the Gauss-Newton matrix's diagonal, which is never negative.

    Its mean over labels drawn from the model's own predictions is the diagonal itself (Bartlett's identity).

    Args:
        sampled_gradient: of the batch's mean loss, with labels drawn from the model, not from the data.
        batch_size: examples in the batch, >= 1.

    >>> import numpy as np
    >>> gauss_newton_bartlett(np.array([0.5, -0.1]), 8)
    array([2.  , 0.08])
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"gauss_newton_bartlett: batch_size must be an integer >= 1, not {batch_size!r}")
    return batch_size * sampled_gradient * sampled_gradient


def sophia_g(
    g: Array, m: Array, h: Array, lr: float, beta1: float, correction1: float, rho: float, eps: float
) -> tuple[Array, Array]:
    """Return ``(lr sign(m_hat) min(|m_hat| / (rho h + eps), 1), m')``."""
    m = beta1 * m + (1 - beta1) * g
    m_hat = m / correction1
    size = minimum(absolute(m_hat) / (rho * h + eps), 1.0)
    delta = lr * (sign(m_hat) * size)
    return delta, m


def sophia_h(
    g: Array, m: Array, h: Array, lr: float, beta1: float, correction1: float, rho: float, eps: float
) -> tuple[Array, Array]:
    """Return ``(lr clip(m_hat / max(h, eps), -rho, rho), m')``."""
    m = beta1 * m + (1 - beta1) * g
    m_hat = m / correction1
    delta = lr * clip(m_hat / maximum(h, eps), -rho, rho)
    return delta, m


@dataclass(frozen=True)
class Sophia(Rule):
    """Step by the momentum over the curvature, and no further than a limit where that is small or unknown.

    Formula, with ``h`` the running mean of the estimates that :meth:`with_hessian` was given::

        m     <- beta1 m + (1 - beta1) g
        delta  = lr (sign(m) min(|m| / (rho h + eps), 1) + weight_decay theta)      variant "G"
        delta  = lr (clip(m / max(h, eps), -rho, rho) + weight_decay theta)         variant "H"
        h     <- beta2 h + (1 - beta2) estimate                                     with_hessian

    Args:
        lr: learning rate, >= 0. betas: shares of ``m`` and ``h`` that survive, each in [0, 1).
        rho: "G": factor on the curvature; "H": the limit on each element's step (``p`` elsewhere), > 0.
        weight_decay: decoupled, >= 0.
        variant: "G" for Gauss-Newton-Bartlett estimates, "H" for Hutchinson's.
        eps: keeps the quotient finite, >= 0; None is 1e-15 for "G", 1e-12 for "H" (in float16: 6e-5).
        bias_correction: take ``m / (1 - beta1^t)`` for m, as Adam does.
        maximize: climb instead of descend.

    Shapes: any; ``delta``, ``m`` and ``h`` have the shape and dtype of ``param``.
    State: ``m`` and ``h``, 8 bytes per parameter in float32 (16 in float64), and ``step``, one integer.
    Errors: as :class:`SGD`; ``with_hessian`` refuses an estimate of another shape, library or dtype.
        Before the first estimate every element moves by the limit, as in sign descent.

    >>> import numpy as np
    >>> rule, theta = Sophia(lr=0.1, rho=1.0, weight_decay=0.0, betas=(0.0, 0.0)), np.array([1.0, 1.0])
    >>> state = rule.with_hessian(rule.init(theta), np.array([4.0, 0.01]))
    >>> rule.update(np.array([1.0, 1.0]), state, theta)[0]  # 1/4 of lr along the curved axis
    array([0.025, 0.1  ])

    Source: H. Liu et al. (2023), Sophia: A Scalable Stochastic Second-order Optimizer for Language Model
    Pre-training, algorithms 1 to 3.
    Counterpart: torch has none. ``SophiaG`` of sophia-opt is variant "G"; it keeps the mean of g^2 and
    multiplies by the batch size (``bs``) in the step, here the estimate carries it. SophiaH of
    ``pytorch_optimizer`` is variant "H". ``optax.contrib.sophia`` (``variant="H", bias_correction=True``)
    takes ``clip(m_hat / max(gamma h, eps), 1)``, which is this with rho = gamma and lr / gamma, and mixes a
    new estimate in only after the step.
    """

    lr: float = 1e-4
    betas: tuple[float, float] = (0.965, 0.99)
    rho: float = 0.04
    weight_decay: float = 1e-1
    variant: str = "G"
    eps: float | None = None
    bias_correction: bool = False
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m", "h", "step"})

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "weight_decay", "rho"):
            self._require_rate(field)
        if self.eps is not None:
            self._require_rate("eps")
        self._require_betas()
        self._require_one_of("variant", "G", "H")

    def init_leaf(self, param: Array) -> State:
        """Return a zero momentum and a curvature of which nothing is known."""
        return {"m": zeros_like(param), "h": zeros_like(param), "step": 0}

    def with_hessian(self, state: State, estimate: Any) -> State:
        """Return the state with an estimate of the Hessian's diagonal mixed in; changes nothing.

        Args:
            state: what ``init`` or ``update`` returned. estimate: of the parameter's shape, or a mapping.
        """
        if isinstance(estimate, Mapping):
            if not isinstance(state, Mapping) or set(state) != set(estimate):
                raise ValueError(f"{self._name}: state and estimate differ in their names")
            return {name: self.with_hessian(state[name], part) for name, part in estimate.items()}
        self._check_floating("estimate", estimate)
        self._check_state(state, estimate)
        beta2 = self.betas[1]
        return {**state, "h": beta2 * state["h"] + (1 - beta2) * estimate}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g, h = -grad if self.maximize else grad, state["h"]
        formula, usual = (sophia_g, 1e-15) if self.variant == "G" else (sophia_h, 1e-12)
        # float16 would round 1e-15 to 0, and 0 / 0 is no step.
        eps = max(usual, smallest_normal(param)) if self.eps is None else self.eps
        beta1, t = self.betas[0], state["step"] + 1
        correction1 = 1 - beta1**t if self.bias_correction else 1.0
        delta, m = formula(g, state["m"], h, self.lr, beta1, correction1, self.rho, eps)
        return shrinkage(param, self.lr, self.weight_decay) + delta, {"m": m, "h": h, "step": t}
