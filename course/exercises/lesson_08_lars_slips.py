"""The slips of lars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["lars_slips"]

Array = np.ndarray
Layers = dict[str, Array]
lars_slips = Slips()


def _guarded(top: Any, bottom: Any, coefficient: float) -> Any:
    """Return the right ratio of two norms: 1 where either is 0."""
    return coefficient * top / bottom if top != 0 and bottom != 0 else 1.0


def _right(g: Array, w: Array, weight_decay: float, coefficient: float) -> Any:
    weights = np.linalg.norm(w)
    return _guarded(weights, np.linalg.norm(g) + weight_decay * weights, coefficient)


def _each(
    grads: Layers, state: dict, params: Layers, momentum: float, fresh: Callable[[Array, Array], Any]
) -> Any:
    """Return the deltas and the state when ``fresh(g, w)`` is what comes into the buffer of a layer."""
    buffers = {k: momentum * state[k]["buffer"] + fresh(grads[k], w) for k, w in params.items()}
    return {k: b + 0.0 for k, b in buffers.items()}, {k: {"buffer": b} for k, b in buffers.items()}


@lars_slips(
    "one ratio for all layers",
    "You take the norms over all layers together. A layer with small weights and a large gradient then gets "
    "the ratio of its neighbours.",
    "L in LARS stands for layer-wise: take both norms inside the loop over the layers.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    weights = np.sqrt(sum(np.sum(x * x) for x in p.values()))
    below = np.sqrt(sum(np.sum(x * x) for x in g.values())) + weight_decay * weights
    ratio = _guarded(weights, below, trust)
    return _each(g, s, p, momentum, lambda x, w: lr * ratio * (x + weight_decay * w))


@lars_slips(
    "ratio upside down",
    "The ratio is inverted: the norm of the gradient stands above that of the weights.",
    "A large gradient must make the ratio small, so that the step does not grow with it.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights, below = np.linalg.norm(w), np.linalg.norm(x) + weight_decay * np.linalg.norm(w)
        return lr * _guarded(below, weights, trust) * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "ratio of the gradient alone",
    "You divide by the gradient's norm, but the norm of the weights is missing above it: every layer moves "
    "equally far, however large it is.",
    "The ratio says: how large are the weights, measured by the size of the gradient?",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights = np.linalg.norm(w)
        below = np.linalg.norm(x) + weight_decay * weights
        ratio = trust / below if weights != 0 and below != 0 else 1.0
        return lr * ratio * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "decay left out of the ratio",
    "Right without weight decay. With it, the denominator lacks the decay's part, weight_decay |w|.",
    "The ratio is taken against all that moves the layer: gradient and decay.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        return lr * _right(x, w, 0.0, trust) * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "one norm of gradient and decay",
    "You divide by |g + weight_decay w|, as Optax does. Here the norms are added: |g| + weight_decay |w|.",
    "Where g and w point apart, the norm of the sum is smaller than the sum of the norms.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        whole = x + weight_decay * w
        return lr * _guarded(np.linalg.norm(w), np.linalg.norm(whole), trust) * whole

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "decay only in the ratio",
    "The decay stands in the ratio, but not in the step: the weights never shrink.",
    "What is scaled by the ratio is the gradient plus weight_decay times the weights.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    return _each(g, s, p, momentum, lambda x, w: lr * _right(x, w, weight_decay, trust) * x)


@lars_slips(
    "decay outside the ratio",
    "You scale the gradient by the ratio and add the decay unscaled.",
    "Add the decay to the gradient first; the ratio multiplies both.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        return lr * (_right(x, w, weight_decay, trust) * x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "no guard for zero norms",
    "Right, until a norm is 0. A layer of zeros gets the ratio 0 and can never move; 0 / 0 makes NaN.",
    "Where either norm is 0, the ratio says nothing: let it be 1.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights = np.linalg.norm(w)
        ratio = trust * weights / (np.linalg.norm(x) + weight_decay * weights)
        return lr * ratio * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "guarded by the gradient's norm",
    "You set the ratio to 1 wherever the gradient is 0, as timm does. Here it is the whole denominator that "
    "must not be 0: under decay alone the ratio still holds.",
    "With a gradient of 0 and weight_decay > 0, nothing is divided by 0.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        ratio = _right(x, w, weight_decay, trust) if np.linalg.norm(x) != 0 else 1.0
        return lr * ratio * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "a ratio for each element",
    "You compare each weight with its own gradient. That throws the gradient's size away element by element: "
    "a sign step, not LARS.",
    "A norm makes one number of a whole layer.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        below = np.abs(x) + weight_decay * np.abs(w)
        usable = (w != 0) & (below != 0)
        ratio = np.where(usable, trust * np.abs(w) / np.where(usable, below, 1.0), 1.0)
        return lr * ratio * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "squares without the root",
    "The norms lack their roots: you divide sums of squares.",
    "A norm is the root of the sum of squares.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights = np.sum(w * w)
        ratio = _guarded(weights, np.sum(x * x) + weight_decay * weights, trust)
        return lr * ratio * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "spectral norm of a matrix",
    "Right for vectors. Of a matrix you take the largest singular value; the norm of a layer is the root of "
    "the sum of all its squares.",
    "np.linalg.norm without further arguments is the right one; with 2 it is another.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def size(x: Array) -> Any:
        return np.linalg.norm(x, 2 if x.ndim == 2 and x.size else None)

    def fresh(x: Array, w: Array) -> Any:
        ratio = _guarded(size(w), size(x) + weight_decay * size(w), trust)
        return lr * ratio * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "lr and ratio outside the buffer",
    "You collect plain gradients and scale the step by today's lr and ratio. In LARS each gradient enters "
    "the buffer with the lr and the ratio of its own day.",
    "buffer <- momentum buffer + (lr times ratio times all that moves the layer). delta is the buffer.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    deltas, state = _each(g, s, p, momentum, lambda x, w: x + weight_decay * w)
    return {k: lr * _right(g[k], p[k], weight_decay, trust) * b for k, b in deltas.items()}, state


@lars_slips(
    "lr outside the buffer",
    "The ratio is inside the buffer, the learning rate outside: the path is the same until lr changes. The "
    "paper's algorithm has both inside.",
    "What comes into the buffer is already multiplied by lr.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        return _right(x, w, weight_decay, trust) * (x + weight_decay * w)

    deltas, state = _each(g, s, p, momentum, fresh)
    return {k: lr * b for k, b in deltas.items()}, state


@lars_slips(
    "trust_coefficient missing",
    "The ratio is right but for trust_coefficient, which is not used.",
    "By what is |w| / (...) multiplied?",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        return lr * _right(x, w, weight_decay, 1.0) * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)


@lars_slips(
    "no ratio at all",
    "This is momentum with weight decay: no layer's norm is used.",
    "Multiply what comes into the buffer by the layer's trust ratio.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    return _each(g, s, p, momentum, lambda x, w: lr * (x + weight_decay * w))


@lars_slips(
    "no memory",
    "The old buffer is not used.",
    "What does momentum multiply?",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        return lr * _right(x, w, weight_decay, trust) * (x + weight_decay * w)

    return _each(g, s, p, 0.0, fresh)


@lars_slips(
    "uphill",
    "The deltas have the wrong sign: the caller subtracts them.",
    "param - delta must go downhill.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        return lr * _right(x, w, weight_decay, trust) * (x + weight_decay * w)

    deltas, state = _each(g, s, p, momentum, fresh)
    return {k: -b for k, b in deltas.items()}, state


@lars_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict for the state, and a new one for each layer in it.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    for k, w in p.items():
        fresh = lr * _right(g[k], w, weight_decay, trust) * (g[k] + weight_decay * w)
        s[k]["buffer"] = momentum * s[k]["buffer"] + fresh
    return {k: s[k]["buffer"].copy() for k in p}, s


@lars_slips(
    "eps instead of a guard",
    "You add a small number to the denominator. That keeps off the 0 / 0, but a layer of zeros gets the "
    "ratio 0, and stays at zero for ever.",
    "Ask whether either norm is 0, and take the ratio 1 there.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights = np.linalg.norm(w)
        ratio = trust * weights / (np.linalg.norm(x) + weight_decay * weights + 1e-8)
        return lr * ratio * (x + weight_decay * w)

    return _each(g, s, p, momentum, fresh)
