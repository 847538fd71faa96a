"""The right parts of lamb, sophia and muon, which their slips spoil."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "EPS",
    "adam_step",
    "after",
    "ahead",
    "bounded",
    "buffer",
    "curvature",
    "factor",
    "mean",
    "moments",
]

Array = np.ndarray

EPS = 1e-12  # the least curvature that sophia divides by


def mean(m: Array, g: Array, beta: float) -> Array:
    """Return the running mean with ``g`` taken in."""
    return beta * m + (1 - beta) * g


def curvature(state: dict, hv: Callable[[Array], Array], z: Array, beta2: float, every: int) -> Array:
    """Return the mean of the estimates, with a new one taken in where it is time."""
    return state["h"] + 0.0 if state["step"] % every else mean(state["h"], z * hv(z), beta2)


def bounded(m: Array, h: Array, rho: float) -> Array:
    """Return the momentum over the curvature, no larger than ``rho``."""
    return np.clip(m / np.maximum(h, EPS), -rho, rho)


def after(state: dict, m: Array, h: Array) -> dict[str, Any]:
    """Return sophia's state after the step."""
    return {"m": m, "h": h, "step": state["step"] + 1}


def buffer(state: dict, grad: Array, momentum: float) -> Array:
    """Return muon's buffer after the step."""
    return mean(state["buffer"], grad, momentum)


def ahead(b: Array, grad: Array, momentum: float) -> Array:
    """Return what muon orthogonalizes: the buffer one step ahead."""
    return mean(b, grad, momentum)


def factor(param: Array) -> float:
    """Return muon's factor for the shape."""
    return float(np.sqrt(max(1.0, param.shape[0] / param.shape[1])))


def moments(g: dict[str, Array], s: dict, b1: float, b2: float) -> dict[str, dict[str, Any]]:
    """Return the right state of every layer."""
    return {
        k: {
            "m": b1 * s[k]["m"] + (1 - b1) * x,
            "v": b2 * s[k]["v"] + (1 - b2) * x * x,
            "step": s[k]["step"] + 1,
        }
        for k, x in g.items()
    }


def adam_step(new: dict[str, Any], b1: float, b2: float, eps: float) -> Array:
    """Return the right Adam step of a layer's state, without lr."""
    m_hat = new["m"] / (1 - b1 ** new["step"])
    return m_hat / (np.sqrt(new["v"] / (1 - b2 ** new["step"])) + eps)
