"""Lion: the sign of a running mean, found by a search over programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from course.arrays import Array, sign, zeros_like
from course.rules.base import Rule, State
from course.rules.sgd import shrinkage

__all__ = ["Lion"]


def lion(g: Array, m: Array, lr: float, beta1: float, beta2: float) -> tuple[Array, Array]:
    """Return ``(lr sign(beta1 m + (1 - beta1) g), m')``."""
    direction = sign(beta1 * m + (1 - beta1) * g)
    m = beta2 * m + (1 - beta2) * g
    delta = lr * direction
    return delta, m


@dataclass(frozen=True)
class Lion(Rule):
    """Step by the sign of a mean of the momentum and the gradient: every element moves by lr.

    Formula::

        delta  = lr (sign(beta1 m + (1 - beta1) g) + weight_decay theta)
        m     <- beta2 m + (1 - beta2) g

    Args:
        lr: learning rate, >= 0; a third to a tenth of Adam's is usual.
        betas: the first mixes the step, the second decays the momentum, each in [0, 1).
        weight_decay: decoupled, >= 0; three to ten times Adam's is usual.
        maximize: climb instead of descend.

    Shapes: any; ``delta`` and ``m`` have the shape and dtype of ``param``.
    State: ``m``, 4 bytes per parameter in float32 (8 in float64).
    Errors: as :class:`SGD`.

    >>> import numpy as np
    >>> rule, theta = Lion(lr=0.1), np.array([1.0, 1.0, 1.0])
    >>> rule.update(np.array([1e3, -1e-3, 0.0]), rule.init(theta), theta)[0]
    array([ 0.1, -0.1,  0. ])

    Source: X. Chen et al. (2023), Symbolic Discovery of Optimization Algorithms, program 1.
    Counterpart: torch has none. ``lion_pytorch.Lion`` and ``pytorch_optimizer.Lion`` compute the same;
    ``optax.lion`` too, with decay 1e-3 by default; Keras has lr 1e-3 and its decay apart.
    """

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    maximize: bool = False

    state_names: ClassVar[frozenset[str]] = frozenset({"m"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_rate("lr")
        self._require_rate("weight_decay")
        self._require_betas()

    def init_leaf(self, param: Array) -> State:
        """Return a zero momentum."""
        return {"m": zeros_like(param)}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array."""
        g = -grad if self.maximize else grad
        delta, m = lion(g, state["m"], self.lr, *self.betas)
        return shrinkage(param, self.lr, self.weight_decay) + delta, {"m": m}
