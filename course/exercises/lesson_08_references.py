"""The references of lesson 08: the library's own rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from course import rules

__all__ = [
    "lamb_reference",
    "lars_reference",
    "lion_reference",
    "muon_reference",
    "newton_schulz_reference",
    "sophia_reference",
]

Array = np.ndarray
Layers = dict[str, Array]


def lars_reference(
    grads: Layers, state: dict, params: Layers, lr: float, momentum: float, weight_decay: float,
    trust_coefficient: float,
) -> Any:  # fmt: skip
    """Step by the library's rule."""
    rule = rules.LARS(
        lr=lr, momentum=momentum, weight_decay=weight_decay, trust_coefficient=trust_coefficient
    )
    return rule.update(grads, state, params)


def lamb_reference(
    grads: Layers, state: dict, params: Layers, lr: float, beta1: float, beta2: float, eps: float,
    weight_decay: float,
) -> Any:  # fmt: skip
    """Step by the library's rule."""
    rule = rules.LAMB(lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)
    return rule.update(grads, state, params)


def lion_reference(
    grad: Array, state: dict, param: Array, lr: float, beta1: float, beta2: float, weight_decay: float
) -> Any:
    """Step by the library's rule."""
    return rules.Lion(lr=lr, betas=(beta1, beta2), weight_decay=weight_decay).update(grad, state, param)


def sophia_reference(
    grad: Array, state: dict, param: Array, hessian_vector: Any, probe: Array, lr: float, beta1: float,
    beta2: float, rho: float, weight_decay: float, every: int,
) -> Any:  # fmt: skip
    """Step by the library's rule, which is handed its estimates."""
    rule = rules.Sophia(lr=lr, betas=(beta1, beta2), rho=rho, weight_decay=weight_decay, variant="H")
    if state["step"] % every == 0:
        state = rule.with_hessian(state, rules.hutchinson(hessian_vector, probe))
    return rule.update(grad, state, param)


def newton_schulz_reference(matrix: Array, steps: int) -> Array:
    """Iterate as the library does."""
    return rules.newton_schulz(matrix, steps=steps)


def muon_reference(
    grad: Array,
    state: dict,
    param: Array,
    orthogonalize: Any,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> Any:
    """Step by the library's rule, which orthogonalizes by itself."""
    return rules.Muon(lr=lr, momentum=momentum, weight_decay=weight_decay).update(grad, state, param)
