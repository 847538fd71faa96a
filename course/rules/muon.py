"""Muon: momentum made orthogonal, for the matrices of hidden layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, maximum, norm, zeros_like
from course.rules.base import Rule, State, require
from course.rules.sgd import shrinkage

__all__ = ["Muon", "newton_schulz"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def newton_schulz(
    matrix: Array,
    coefficients: tuple[float, float, float] = COEFFICIENTS,
    steps: int = 5,
    eps: float = 1e-7,
) -> Array:
    """Return a matrix of the same singular vectors, with singular values brought near 1.

    Each step takes every singular value s to ``a s + b s^3 + c s^5``, without ever finding one. With the
    usual coefficients five steps bring [0.01, 1] into [0.68, 1.13]: near 1, not onto it.

    Args:
        matrix: shape (R, C). coefficients: (a, b, c). steps: how often, >= 0.
        eps: the least norm that the matrix is divided by.

    >>> import numpy as np
    >>> values = np.linalg.svd(newton_schulz(np.diag([1.0, 0.5, 0.05])), compute_uv=False)
    >>> bool(values.min() > 0.68), bool(values.max() < 1.13)
    (True, True)
    """
    a, b, c = coefficients
    rows, columns = matrix.shape
    x = matrix.T if rows > columns else matrix
    x = x / maximum(norm(x), eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if rows > columns else x


@dataclass(frozen=True)
class Muon(Rule):
    """Step along the momentum with all its singular values brought near 1: every direction counts the same.

    Formula, with R x C the shape of theta::

        b     <- momentum b + (1 - momentum) g
        u      = (1 - momentum) g + momentum b             (without nesterov: u = b)
        delta  = lr weight_decay theta + lr sqrt(max(1, R / C)) newton_schulz(u)

    Args:
        lr: learning rate, >= 0. weight_decay: decoupled, >= 0.
        momentum: share of the buffer that survives a step, in [0, 1].
        nesterov: look one step ahead.
        ns_coefficients, ns_steps, eps: of :func:`newton_schulz`; at most 99 steps.
        adjust_lr_fn: "original" (also None) as above; "match_rms_adamw": ``0.2 sqrt(max(R, C))``.

    Shapes: matrices only; ``delta`` and ``buffer`` have the shape and dtype of ``param``. Embeddings, the
        last layer, biases and norms go to another rule, usually AdamW.
    State: ``buffer``, 4 bytes per parameter in float32 (8 in float64).
    Errors: as :class:`SGD`; ``ValueError`` for a parameter that is no matrix.

    >>> import numpy as np
    >>> rule, theta = Muon(lr=0.1, weight_decay=0.0), np.zeros((2, 2))
    >>> delta, state = rule.update(np.diag([4.0, 1.0]), rule.init(theta), theta)
    >>> delta.round(3)  # 4 and 1 have become the same
    array([[0.074, 0.   ],
           [0.   , 0.074]])

    Source: K. Jordan et al. (2024), Muon: An optimizer for hidden layers in neural networks;
    match_rms_adamw: J. Liu et al. (2025), Muon is Scalable for LLM Training, eq. 4.
    Counterpart: ``torch.optim.Muon`` iterates in bfloat16 (parts by 1e-2), here in the parameter's dtype.
    ``optax.contrib.muon`` takes ``sqrt(max(1, C / R))``, since its layers multiply from the right, no decay,
    and a bias-corrected look-ahead; Keras scales by ``0.2 sqrt(max(R, C))``.
    """

    lr: float = 1e-3
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    ns_coefficients: tuple[float, float, float] = COEFFICIENTS
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: str | None = None

    state_names: ClassVar[frozenset[str]] = frozenset({"buffer"})
    elementwise: ClassVar[bool] = False
    only_matrices: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lr", "weight_decay", "eps"):
            self._require_rate(field)
        self._require_rate("momentum", most=1.0)
        self._require_one_of("adjust_lr_fn", None, "original", "match_rms_adamw")
        whole = isinstance(self.ns_steps, int) and not isinstance(self.ns_steps, bool)
        require(self, "ns_steps", whole and 0 <= self.ns_steps < 100, "an integer >= 0 and < 100")
        three = isinstance(self.ns_coefficients, tuple | list) and len(self.ns_coefficients) == 3
        finite = three and all(isinstance(x, int | float) and math.isfinite(x) for x in self.ns_coefficients)
        require(self, "ns_coefficients", finite, "three finite numbers")

    def init_leaf(self, param: Array) -> State:
        """Return a zero buffer."""
        return {"buffer": zeros_like(param)}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one matrix."""
        b = self.momentum * state["buffer"] + (1 - self.momentum) * grad
        u = (1 - self.momentum) * grad + self.momentum * b if self.nesterov else b
        step = newton_schulz(u, self.ns_coefficients, self.ns_steps, self.eps)
        delta = self.lr * self._factor(param.shape) * step
        return shrinkage(param, self.lr, self.weight_decay) + delta, {"buffer": b}

    def _factor(self, shape: tuple[int, int]) -> float:
        rows, columns = shape
        if self.adjust_lr_fn == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1.0, rows / max(columns, 1)))
