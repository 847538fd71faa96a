"""The slips of lamb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_08_right import adam_step, moments

__all__ = ["lamb_slips"]

Array = np.ndarray
Layers = dict[str, Array]
lamb_slips = Slips()


def _ratio(top: Any, bottom: Any) -> Any:
    return top / bottom if top != 0 and bottom != 0 else 1.0


def _scaled(lr: float, w: Array, u: Array) -> Array:
    """Return the right delta of a layer with the step u."""
    return lr * _ratio(np.linalg.norm(w), np.linalg.norm(u)) * u


def _each(
    g: Layers, s: dict, p: Layers, b1: float, b2: float, delta: Callable[[dict[str, Any], Array], Any]
) -> Any:
    """Return the deltas and the right state, where ``delta(new, w)`` is what a layer moves by."""
    new = moments(g, s, b1, b2)
    return {k: delta(new[k], w) for k, w in p.items()}, new


@lamb_slips(
    "one ratio for all layers",
    "You take the norms over all layers together. LAMB takes them layer by layer.",
    "Take both norms inside the loop over the layers.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def total(layers: Layers) -> Any:
        return np.sqrt(sum(np.sum(x * x) for x in layers.values()))

    new = moments(g, s, b1, b2)
    u = {k: adam_step(new[k], b1, b2, eps) + decay * w for k, w in p.items()}
    ratio = _ratio(total(p), total(u))
    return {k: lr * ratio * x for k, x in u.items()}, new


@lamb_slips(
    "ratio upside down",
    "The ratio is inverted: the norm of the step stands above that of the weights.",
    "The step is made as long as the weights are large: by what must it be divided?",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u = adam_step(n, b1, b2, eps) + decay * w
        return lr * _ratio(np.linalg.norm(u), np.linalg.norm(w)) * u

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "ratio of the raw gradient",
    "You divide by the norm of the gradient, as LARS does. LAMB divides by the norm of Adam's step.",
    "What is scaled is u. So its own norm must stand below.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    new = moments(g, s, b1, b2)
    u = {k: adam_step(new[k], b1, b2, eps) + decay * w for k, w in p.items()}
    return {k: lr * _ratio(np.linalg.norm(p[k]), np.linalg.norm(g[k])) * x for k, x in u.items()}, new


@lamb_slips(
    "no ratio at all",
    "This is AdamW: no layer's norm is used.",
    "Multiply the step by the layer's trust ratio.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    return _each(g, s, p, b1, b2, lambda n, w: lr * (adam_step(n, b1, b2, eps) + decay * w))


@lamb_slips(
    "no bias correction",
    "m and v are used as they are. In the first steps they are still close to their start at zero.",
    "Divide each by 1 minus its beta to the power of the steps taken.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    return _each(g, s, p, b1, b2, lambda n, w: _scaled(lr, w, n["m"] / (np.sqrt(n["v"]) + eps) + decay * w))


@lamb_slips(
    "v not corrected",
    "m is corrected and v is not, as in pytorch_optimizer. The ratio hides most of it, since it takes out a"
    " common factor; eps and the decay still see it.",
    "Both averages start at zero, and both need the correction.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        m_hat = n["m"] / (1 - b1 ** n["step"])
        return _scaled(lr, w, m_hat / (np.sqrt(n["v"]) + eps) + decay * w)

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "correction with the old count",
    "You correct with the count from before this step: at the first step that divides by zero.",
    "The step that is being taken counts too.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        t = n["step"] - 1
        m_hat, v_hat = n["m"] / np.float64(1 - b1**t), n["v"] / np.float64(1 - b2**t)
        return _scaled(lr, w, m_hat / (np.sqrt(v_hat) + eps) + decay * w)

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "eps inside the root",
    "eps stands under the root. A gradient of 1e-6 then makes a far smaller step than it should.",
    "Take the root first, then add eps.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        m_hat, v_hat = n["m"] / (1 - b1 ** n["step"]), n["v"] / (1 - b2 ** n["step"])
        return _scaled(lr, w, m_hat / np.sqrt(v_hat + eps) + decay * w)

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "eps before the correction",
    "eps is added to the root of the uncorrected v, so the correction scales it too.",
    "Correct v first, then take its root, then add eps.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        root = (np.sqrt(n["v"]) + eps) / np.sqrt(1 - b2 ** n["step"])
        return _scaled(lr, w, n["m"] / (1 - b1 ** n["step"]) / root + decay * w)

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "decay outside the ratio",
    "You scale Adam's step by the ratio and add the decay afterwards, as AdamW would. In LAMB the decay is "
    "part of the step whose norm is taken.",
    "u is Adam's step plus the decay. The ratio is taken of u and multiplies u.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    return _each(g, s, p, b1, b2, lambda n, w: _scaled(lr, w, adam_step(n, b1, b2, eps)) + lr * decay * w)


@lamb_slips(
    "decay left out of the norm",
    "The decay is in the step, but the norm below is that of Adam's step alone.",
    "Which vector is it that you scale? Take the norm of that.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u = adam_step(n, b1, b2, eps)
        return lr * _ratio(np.linalg.norm(w), np.linalg.norm(u)) * (u + decay * w)

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "ratio on the decay alone",
    "The ratio multiplies only the decay; Adam's step comes unscaled.",
    "The ratio multiplies the whole step.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u = adam_step(n, b1, b2, eps)
        ratio = _ratio(np.linalg.norm(w), np.linalg.norm(u + decay * w))
        return lr * (u + ratio * decay * w)

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "L2 decay in the gradient",
    "You add the decay to the gradient, so it passes through the averages. LAMB adds it to Adam's step.",
    "The averages see the gradient alone.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    mixed = {k: x + decay * p[k] for k, x in g.items()}
    return _each(mixed, s, p, b1, b2, lambda n, w: _scaled(lr, w, adam_step(n, b1, b2, eps)))


@lamb_slips(
    "no decay",
    "Right without weight decay, which you do not use.",
    "u is Adam's step plus weight_decay times the weights.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    return _each(g, s, p, b1, b2, lambda n, w: _scaled(lr, w, adam_step(n, b1, b2, eps)))


@lamb_slips(
    "no guard for zero norms",
    "Right, until a norm is 0: a layer of zeros gets the ratio 0 and can never move, and 0 / 0 makes NaN.",
    "Where either norm is 0, let the ratio be 1.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u = adam_step(n, b1, b2, eps) + decay * w
        return lr * np.linalg.norm(w) / np.linalg.norm(u) * u

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "weights' norm clamped at 10",
    "You count the weights' norm to 10 and no further, as some libraries do. Large layers then move less "
    "than they should.",
    "Here the ratio takes the norm as it is.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u = adam_step(n, b1, b2, eps) + decay * w
        return lr * _ratio(min(np.linalg.norm(w), np.float64(10.0)), np.linalg.norm(u)) * u

    return _each(g, s, p, b1, b2, delta)


@lamb_slips(
    "gradients clipped to norm 1",
    "You clip the gradients of all layers together to norm 1, as timm does by default. That is a choice of "
    "its own, and no part of LAMB.",
    "Let the gradients enter the averages as they come.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    total = np.sqrt(sum(np.sum(x * x) for x in g.values()))
    clipped = {k: x / max(1.0, total) for k, x in g.items()}
    return _each(clipped, s, p, b1, b2, lambda n, w: _scaled(lr, w, adam_step(n, b1, b2, eps) + decay * w))


@lamb_slips(
    "betas swapped",
    "beta1 and beta2 have changed places.",
    "beta1 belongs to m, beta2 to v.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    return _each(g, s, p, b2, b1, lambda n, w: _scaled(lr, w, adam_step(n, b2, b1, eps) + decay * w))


@lamb_slips(
    "no learning rate",
    "The deltas lack the learning rate.",
    "How far does a layer go, as a share of its norm?",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    return _each(g, s, p, b1, b2, lambda n, w: _scaled(1.0, w, adam_step(n, b1, b2, eps) + decay * w))


@lamb_slips(
    "uphill",
    "The deltas have the wrong sign: the caller subtracts them.",
    "param - delta must go downhill.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    return _each(g, s, p, b1, b2, lambda n, w: -_scaled(lr, w, adam_step(n, b1, b2, eps) + decay * w))


@lamb_slips(
    "steps not counted",
    "The count of steps stays where it was, so every step is corrected like the first.",
    "Return each layer's count one higher than it came.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    deltas, new = _each(g, s, p, b1, b2, lambda n, w: _scaled(lr, w, adam_step(n, b1, b2, eps) + decay * w))
    return deltas, {k: {**n, "step": s[k]["step"]} for k, n in new.items()}


@lamb_slips(
    "state changed in place",
    "The numbers are right, but you wrote them into the caller's own state.",
    "Build a new dict for the state, and a new one for each layer in it.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    deltas, new = _each(g, s, p, b1, b2, lambda n, w: _scaled(lr, w, adam_step(n, b1, b2, eps) + decay * w))
    for k, n in new.items():
        s[k].update(n)
    return deltas, s
