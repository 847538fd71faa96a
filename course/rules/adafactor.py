"""Adafactor: a second moment of a matrix kept as one number a row and one a column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, machine_epsilon, maximum, mean, norm, sqrt, zeros_like
from course.rules.base import Rule, State, require
from course.rules.sgd import shrinkage

__all__ = ["Adafactor"]


def rms(x: Array) -> Array:
    """Return the root mean square of all elements, a 0-d array; 0 for an empty array."""
    return norm(x) / max(math.prod(x.shape), 1) ** 0.5


def factored(row: Array, col: Array, floor: float) -> Array:
    """Return the rank-one estimate ``row col / mean(row)`` of the second moment of a matrix.

    Args:
        row: mean squares of the rows, shape ``(..., R, 1)``. col: of the columns, ``(..., 1, C)``.
        floor: the mean is taken no smaller than this.
    """
    return row * col / maximum(mean(row, -2), floor)


@dataclass(frozen=True)
class Adafactor(Rule):
    """Adam without a first moment, with a factored second one, and steps relative to the parameter's size.

    Formula, with ``t`` the step, counted from 1, and ``b = t^beta2_decay``::

        v      <- (1 - b) v + b g^2                 a matrix keeps its means over rows and over columns
        u       = g / sqrt(max(v, eps1^2))
        u       = u / max(1, rms(u) / d)
        delta   = lr weight_decay theta + max(eps2, rms(theta)) min(lr, 1 / sqrt(t)) u

    Args:
        lr: upper limit of the relative step, >= 0.
        beta2_decay: exponent of the running mean's decay, <= 0.
        eps: ``(eps1, eps2)``, each >= 0; None for eps1 is the spacing of the dtype's numbers at 1.
        d: the largest root mean square of ``u``, >= 1.
        weight_decay: decoupled, >= 0.
        relative_step: limit the step by ``1 / sqrt(t)``; False takes lr as it is.
        eps_added: add eps1 to ``g^2``, as the paper, instead of clamping ``v`` at its square.
        maximize: climb instead of descend.

    Shapes: any; an array of two or more axes keeps ``row_var`` of shape (..., R, 1) and ``col_var`` of shape
        (..., 1, C), factored along its last two; one of fewer axes keeps ``variance`` of its own shape.
    State: ``variance``, 4 bytes per parameter in float32 (8 in float64) of a vector; ``row_var`` and
        ``col_var``, 4 (R + C) bytes for an R x C matrix; and ``step``, one integer.
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = Adafactor(lr=0.1), np.ones((2, 3))
    >>> delta, state = rule.update(np.full((2, 3), 5.0), rule.init(theta), theta)
    >>> float(delta[0, 0].round(6)), state["row_var"].shape, state["col_var"].shape
    (0.1, (2, 1), (1, 3))

    Source: N. Shazeer and M. Stern (2018), Adafactor: Adaptive Learning Rates with Sublinear Memory Cost,
    algorithms 4 and 5.
    Counterpart: ``torch.optim.Adafactor``. The paper and ``optax.adafactor`` add eps1 = 1e-30 to g^2
    (``eps_added=True, eps=(1e-30, 1e-3)``); optax takes lr as it is (``relative_step=False``), factors only
    where both sides are 128 or more, and does not multiply the decay by lr.
    """

    lr: float = 1e-2
    beta2_decay: float = -0.8
    eps: tuple[float | None, float] = (None, 1e-3)
    d: float = 1.0
    weight_decay: float = 0.0
    relative_step: bool = True
    eps_added: bool = False
    maximize: bool = False

    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_rate("lr")
        self._require_rate("weight_decay")
        self._require_rate("beta2_decay", least=-math.inf, most=0.0)
        self._require_rate("d", least=1.0)
        pair = isinstance(self.eps, tuple | list) and len(self.eps) == 2
        numbers = [isinstance(x, int | float) and 0 <= x < math.inf for x in self.eps] if pair else []
        right = pair and numbers[1] and (numbers[0] or self.eps[0] is None)
        require(self, "eps", right, "(None or a finite number >= 0, a finite number >= 0)")
        object.__setattr__(self, "eps", tuple(self.eps))

    def state_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        """Return the shapes of the two factors, or of the variance of a scalar or vector."""
        if len(shape) < 2:
            return {"variance": shape, "step": None}
        return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1]), "step": None}

    def init_leaf(self, param: Array) -> State:
        """Return zero means of squares."""
        if len(param.shape) < 2:
            return {"variance": zeros_like(param), "step": 0}
        zero = zeros_like(param)
        return {"row_var": mean(zero, -1), "col_var": mean(zero, -2), "step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g, t = -grad if self.maximize else grad, state["step"] + 1
        eps1, eps2 = self.eps
        eps1 = machine_epsilon(param) if eps1 is None else eps1
        added, floor = (eps1, 0.0) if self.eps_added else (0.0, eps1)
        fresh, b = g * g + added, t**self.beta2_decay
        if len(param.shape) < 2:
            v = (1 - b) * state["variance"] + b * fresh
            after = {"variance": v, "step": t}
        else:
            row = (1 - b) * state["row_var"] + b * mean(fresh, -1)
            col = (1 - b) * state["col_var"] + b * mean(fresh, -2)
            v, after = factored(row, col, floor), {"row_var": row, "col_var": col, "step": t}
        u = g / sqrt(maximum(v, floor * floor))
        u = u / maximum(rms(u) / self.d, 1.0)
        rate = min(self.lr, t**-0.5) if self.relative_step else self.lr
        delta = maximum(rms(param), eps2) * rate * u
        return shrinkage(param, self.lr, self.weight_decay) + delta, after
