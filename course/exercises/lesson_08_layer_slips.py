"""Slips of lars and lamb in the guards of their ratio, and in what the ratio is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_08_lamb_slips import Array, Layers, _each, _ratio, _scaled
from course.exercises.lesson_08_lars_slips import _each as _each_of_lars
from course.exercises.lesson_08_right import adam_step

__all__ = ["lamb_layer_slips", "lars_layer_slips"]

lars_layer_slips, lamb_layer_slips = Slips(), Slips()


@lars_layer_slips(
    "guarded below only",
    "You guard the denominator alone. A layer of zeros gets the ratio 0, and stays at zero for ever.",
    "Where the norm of the weights is 0, let the ratio be 1 as well.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights = np.linalg.norm(w)
        below = np.linalg.norm(x) + weight_decay * weights
        ratio = trust * weights / below if below != 0 else 1.0
        return lr * ratio * (x + weight_decay * w)

    return _each_of_lars(g, s, p, momentum, fresh)


@lars_layer_slips(
    "guarded above only",
    "You ask whether the weights are 0, and not whether the denominator is: 0 / 0 makes NaN.",
    "Without a gradient and without decay nothing stands below. Let the ratio be 1 there too.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights = np.linalg.norm(w)
        below = np.linalg.norm(x) + weight_decay * weights
        ratio = trust * weights / below if weights != 0 else 1.0
        return lr * ratio * (x + weight_decay * w)

    return _each_of_lars(g, s, p, momentum, fresh)


@lars_layer_slips(
    "the coefficient where the ratio is 1",
    "Where a norm is 0 your ratio is trust_coefficient. It should be 1 there: the coefficient is part of the "
    "quotient, and there is none.",
    "Guard the whole ratio, with trust_coefficient in it.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, momentum: float, weight_decay: float, trust: float) -> Any:
    def fresh(x: Array, w: Array) -> Any:
        weights = np.linalg.norm(w)
        below = np.linalg.norm(x) + weight_decay * weights
        return lr * trust * _ratio(weights, below) * (x + weight_decay * w)

    return _each_of_lars(g, s, p, momentum, fresh)


@lamb_layer_slips(
    "guarded below only",
    "You guard the norm of the step alone. A layer of zeros gets the ratio 0, and stays at zero for ever.",
    "Where the norm of the weights is 0, let the ratio be 1 as well.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u = adam_step(n, b1, b2, eps) + decay * w
        length = np.linalg.norm(u)
        return lr * (np.linalg.norm(w) / length if length != 0 else 1.0) * u

    return _each(g, s, p, b1, b2, delta)


@lamb_layer_slips(
    "guarded above only",
    "You ask whether the weights are 0, and not whether the step is: 0 / 0 makes NaN.",
    "Where the norm of the step is 0, let the ratio be 1 as well.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u, weights = adam_step(n, b1, b2, eps) + decay * w, np.linalg.norm(w)
        return lr * (weights / np.linalg.norm(u) if weights != 0 else 1.0) * u

    return _each(g, s, p, b1, b2, delta)


@lamb_layer_slips(
    "a ratio for each element",
    "You compare each weight with its own element of the step. Its size then drops out, and every element "
    "moves by lr times its weight.",
    "A norm makes one number of a whole layer.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    def delta(n: dict[str, Any], w: Array) -> Any:
        u = adam_step(n, b1, b2, eps) + decay * w
        usable = (w != 0) & (u != 0)
        return lr * np.where(usable, np.abs(w) / np.where(usable, np.abs(u), 1.0), 1.0) * u

    return _each(g, s, p, b1, b2, delta)


@lamb_layer_slips(
    "decay counted twice",
    "You add the decay to the gradient, and to Adam's step once more.",
    "The averages see the gradient alone.",
)
def _(g: Layers, s: dict, p: Layers, lr: float, b1: float, b2: float, eps: float, decay: float) -> Any:
    mixed = {k: x + decay * p[k] for k, x in g.items()}
    return _each(mixed, s, p, b1, b2, lambda n, w: _scaled(lr, w, adam_step(n, b1, b2, eps) + decay * w))
