"""How fast weight decay shrinks a weight whose gradients are noise: Adam with L2 beside AdamW."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from course.rules import Adam, AdamW

__all__ = ["RULES", "decay_per_step", "noisy_histories"]

Floats = npt.NDArray[np.float64]
RULES: dict[str, type[Adam]] = {"Adam + L2": Adam, "AdamW": AdamW}


def decay_per_step(
    name: str, scale: npt.ArrayLike, lr: float, weight_decay: float, eps: float = 1e-8
) -> Floats:
    """Return the share of a weight of size 1 that goes per step.

    Args:
        name: one of :data:`RULES`.
        scale: the size of the gradients, which have no direction.
        lr, weight_decay, eps: of the rule.
    """
    size = np.asarray(scale, dtype=float)
    if name == "AdamW":
        return np.full_like(size, lr * weight_decay)
    # The decay is part of what the root measures; without it there is nothing to divide.
    root = np.hypot(size, weight_decay) + eps
    return lr * weight_decay / np.maximum(root, 1e-300)


def noisy_histories(
    scale: float, lr: float, weight_decay: float, eps: float = 1e-8, steps: int = 200, pairs: int = 32
) -> dict[str, Floats]:
    """Return for each rule a weight's mean after each step, from 1 on; shape (steps + 1,).

    Each run has a mirror image whose gradients have the opposite sign, so that the noise cancels in the
    mean and what is left is the decay.
    """
    noise = scale * np.random.default_rng(0).choice([-1.0, 1.0], size=(steps, pairs))
    histories = {}
    for name, rule_of_name in RULES.items():
        rule = rule_of_name(lr=lr, eps=eps, weight_decay=weight_decay)
        theta = np.ones((2, pairs))
        state, means = rule.init(theta), [1.0]
        for row in noise:
            delta, state = rule.update(np.stack([row, -row]), state, theta)
            theta = theta - delta
            means.append(float(theta.mean()))
        histories[name] = np.array(means)
    return histories
