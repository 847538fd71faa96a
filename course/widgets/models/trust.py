"""Norms, trust ratios and relative steps of a real network, by batch size and by the scale of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from course.rules import LARS, SGD, HeavyBall
from course.rules.lars import ratio
from course.widgets.models.digits_net import TRAINING, digits, init, loss_and_gradients, train

__all__ = ["BATCHES", "LAYERS", "LR", "SCALES", "TRUST", "Setting", "measure"]

Floats = npt.NDArray[np.float64]

LAYERS = tuple(init())
BATCHES = (*(2**power for power in range(10)), TRAINING)
SCALES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
LR, TRUST = 0.05, 0.01  # of SGD; of LARS, whose lr is 1
DRAWS = 800  # examples seen at each batch size, in at least 12 and at most 101 batches


@dataclass(frozen=True)
class Setting:
    """What one batch size and one scale give, an entry for each layer: medians over random batches.

    Medians, because a mean of trust ratios is ruled by the few examples that have next to no gradient.

    Attributes:
        gradients: norms. trust: LARS's ratio, without its coefficient.
        sgd, lars: the length of the step as a share of the weights' norm.
    """

    gradients: Floats
    trust: Floats
    sgd: Floats
    lars: Floats


@lru_cache(maxsize=1)
def _network() -> dict[str, Floats]:
    """Return the weights after an epoch of training, in float64."""
    data, _ = digits()
    params = next(train(HeavyBall(lr=0.05), data, 32, 10))
    return {name: w.astype(np.float64) for name, w in params.items()}


def weights() -> Floats:
    """Return the norm of each layer's weights."""
    return np.array([np.linalg.norm(w) for w in _network().values()])


@lru_cache(maxsize=len(BATCHES))
def _gradients(batch: int) -> list[dict[str, Floats]]:
    """Return the gradients of random batches; of the full batch there is only one."""
    (x, y), _ = digits()
    params = {name: w.astype(np.float32) for name, w in _network().items()}
    found, rng = [], np.random.default_rng(batch)
    for _ in range(min(101, max(12, DRAWS // batch)) if batch < TRAINING else 1):
        chosen = rng.permutation(TRAINING)[:batch]
        grads = loss_and_gradients(params, x[chosen], y[chosen])[1]
        found.append({name: g.astype(np.float64) for name, g in grads.items()})
    return found


def measure(batch: int, scale: float) -> Setting:
    """Return norms, ratios and steps at this batch size when the loss is multiplied by ``scale``."""
    params, norms = _network(), weights()
    rows = []
    for grads in _gradients(batch):
        scaled = {name: scale * g for name, g in grads.items()}
        lengths = np.array([np.linalg.norm(g) for g in scaled.values()])
        trust = np.array([float(ratio(w, g)) for w, g in zip(norms, lengths, strict=True)])
        steps = []
        for rule in (SGD(lr=LR), LARS(lr=1.0, momentum=0.0, trust_coefficient=TRUST)):
            deltas, _ = rule.update(scaled, rule.init(params), params)
            steps.append(np.array([np.linalg.norm(d) for d in deltas.values()]) / norms)
        rows.append((lengths, trust, *steps))
    return Setting(*np.median(rows, axis=0))
