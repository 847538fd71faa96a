"""The slips of master_weight_step: unscale, clip, step, round, in the wrong order or with one left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["master_slips"]

Array = np.ndarray
master_slips = Slips()
HALF, SINGLE = np.float16, np.float32


def norm_of(g: Array) -> Any:
    """Return the length, in the dtype of ``g``."""
    return np.sqrt(np.sum(g**2))


def clipped(g: Array, max_norm: float) -> Any:
    """Return ``g``, shortened to the limit, in its own dtype."""
    return min(1.0, max_norm / (norm_of(g) + 1e-6)) * g


def prepared(grad: Array, scale: float, max_norm: float) -> Any:
    """Return the gradient as the step wants it: widened, unscaled, clipped."""
    return clipped(grad.astype(SINGLE) / scale, max_norm)


def stepped(master: Array, update: Any) -> tuple[Any, Any]:
    """Return the rounded weight and the copy after an update."""
    after = master - update
    return after.astype(HALF), after


@master_slips(
    "clip before unscale",
    "You clip first and unscale then. The limit meets a gradient that is scale times too long, cuts it, "
    "and the division makes it short a second time: hardly a step is left.",
    "max_norm is meant for the gradient of the loss itself. Divide by scale first.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    g = clipped(grad.astype(SINGLE), max_norm) / scale
    return stepped(master, lr * g)


@master_slips(
    "unscale forgotten",
    "You never divide by scale. The step is scale times too long, or as long as the limit lets it be.",
    "The loss was multiplied by scale, so its gradient was too.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, lr * clipped(grad.astype(SINGLE), max_norm))


@master_slips(
    "multiplied by the scale",
    "You multiply by scale. The gradient holds it already, once.",
    "Undo what the scaling of the loss did.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, lr * clipped(grad.astype(SINGLE) * scale, max_norm))


@master_slips(
    "unscaled in float16",
    "You divide first and widen then. The quotient is float16: what the scale saved is rounded, or lost, "
    "and a scale above 65504 is itself an infinity.",
    "grad.astype(np.float32) comes first, then the division.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, lr * clipped((grad / HALF(scale)).astype(SINGLE), max_norm))


@master_slips(
    "the update rounded to float16",
    "Nothing is widened, so all is float16: the quotient, the norm, and lr times it. Small products are "
    "rounded, or become zero, before the copy ever sees them.",
    "Widen the gradient at once, before anything else is computed.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, np.asarray(HALF(lr) * clipped(grad / HALF(scale), max_norm)))


@master_slips(
    "the norm in float16",
    "You measure the norm on grad as it is. Its squares overflow float16 where grad is a few hundred, and "
    "are rounded elsewhere.",
    "Measure the norm of what you clip: of the widened, unscaled gradient.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    norm = norm_of(grad).astype(SINGLE) / scale
    g = grad.astype(SINGLE) / scale
    return stepped(master, lr * (min(1.0, max_norm / (norm + 1e-6)) * g))


@master_slips(
    "clip forgotten",
    "You unscale and step, and look at max_norm nowhere.",
    "Between unscaling and the step: shorten the gradient if its norm is above max_norm.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, lr * (grad.astype(SINGLE) / scale))


@master_slips(
    "the update clipped instead of the gradient",
    "You clip lr times the gradient. Then the limit means something else at each learning rate: with a "
    "small one it is never met.",
    "Clip the gradient; multiply by lr afterwards.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, clipped(lr * (grad.astype(SINGLE) / scale), max_norm))


@master_slips(
    "max instead of min",
    "The factor is the larger one of 1 and max_norm over the norm: long gradients stay, and short ones grow.",
    "Clipping only shortens. The factor is never above 1.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    g = grad.astype(SINGLE) / scale
    return stepped(master, lr * (max(1.0, max_norm / (norm_of(g) + 1e-6)) * g))


@master_slips(
    "short gradients scaled up",
    "Every gradient gets the norm max_norm, the short ones too. That is a normalized step, not clipping.",
    "A gradient that is short enough stays as it is.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    g = grad.astype(SINGLE) / scale
    return stepped(master, lr * (max_norm / (norm_of(g) + 1e-6) * g))


@master_slips(
    "clipped by value",
    "You cut each element at max_norm. That turns the gradient; clipping by norm keeps its direction.",
    "Multiply the whole gradient by one factor.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, lr * np.clip(grad.astype(SINGLE) / scale, -max_norm, max_norm))


@master_slips(
    "without the 1e-6",
    "You divide max_norm by the norm alone, as Optax does. This exercise holds you to torch's form.",
    "torch divides by the norm plus 1e-6.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    g = grad.astype(SINGLE) / scale
    norm = norm_of(g)
    return stepped(master, lr * (max_norm / norm * g if norm > max_norm else g))


@master_slips(
    "the copy starts from the rounded weight",
    "You step from the float16 weight. What the copy had kept beyond float16 is lost at every step.",
    "The copy takes the step. The old weight is not needed at all.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(weight.astype(SINGLE), lr * prepared(grad, scale, max_norm))


@master_slips(
    "the copy replaced by the rounded weight",
    "You step on the copy, but give back the float16 weight as the new copy: the small steps are gone.",
    "Return the copy as it is, before rounding.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    rounded, _ = stepped(master, lr * prepared(grad, scale, max_norm))
    return rounded, rounded.astype(SINGLE)


@master_slips(
    "everything in float16",
    "You step on the float16 weight itself and leave the copy out. Steps below half its spacing do nothing.",
    "Step on the float32 copy, and round that.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    after = np.asarray(weight - HALF(lr) * clipped(grad / HALF(scale), max_norm))
    return after, after.astype(SINGLE)


@master_slips(
    "the copy left where it was",
    "The weight moves, but the copy that you return is the old one: every step begins at the start.",
    "Return the copy after the step.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, lr * prepared(grad, scale, max_norm))[0], master


@master_slips(
    "the weight left where it was",
    "The copy moves, but the weight that you return is the old one: the network never sees the step.",
    "The new weight is the new copy, rounded to float16.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return weight, master - lr * prepared(grad, scale, max_norm)


@master_slips(
    "uphill",
    "The step goes uphill: you add lr times the gradient.",
    "Subtract.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, -lr * prepared(grad, scale, max_norm))


@master_slips(
    "the weight still in float32",
    "The numbers are those of the copy: you return the weight in float32. The network computes in float16.",
    "Round the weight: astype(np.float16).",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    after = master - lr * prepared(grad, scale, max_norm)
    return after, after


@master_slips(
    "weight and copy exchanged",
    "You return the copy first and the weight second.",
    "The order is (weight, master).",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    return stepped(master, lr * prepared(grad, scale, max_norm))[::-1]


@master_slips(
    "changed in place",
    "The numbers are right, but you wrote them into the caller's own copy.",
    "master - ... makes a new array; master -= ... changes the one that you were given.",
)
def _(grad: Array, weight: Array, master: Array, lr: float, scale: float, max_norm: float) -> Any:
    np.subtract(master, lr * prepared(grad, scale, max_norm), out=master)
    return master.astype(HALF), master
