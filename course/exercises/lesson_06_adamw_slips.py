"""The slips of adamw: the decay in the wrong place, of the wrong size, or of the wrong parameter."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.lesson_06_adam_slips import AdamSlips, Hyper, adam_step, share_slips

__all__ = ["adamw_slips"]

Array = np.ndarray
adamw_slips = AdamSlips()

share_slips(
    adamw_slips,
    gradient=lambda grad, param, h: grad,
    decay=lambda param, h: h.lr * h.weight_decay * param,
)


@adamw_slips(
    "L2 instead of decoupled decay",
    "You add the decay to the gradient: that is adam_l2. It then passes through m and v, and is divided by "
    "the root.",
    "m and v take the bare gradient. The decay acts on the parameter alone.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + h.weight_decay * param, state, h)


@adamw_slips(
    "decay without lr",
    "The decay lacks the learning rate: each step takes the whole share weight_decay away.",
    "The parameter shrinks by the factor 1 - lr * weight_decay.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    return delta + h.weight_decay * param, after


@adamw_slips(
    "decay with the wrong sign",
    "The decay pushes the parameter away from zero: weights grow where they should shrink.",
    "delta is subtracted. With a zero gradient the parameter must come closer to zero.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    return delta - h.lr * h.weight_decay * param, after


@adamw_slips(
    "decay of the new parameter",
    "You take Adam's step first and then shrink where it arrived. The decay acts on the parameter that "
    "came in.",
    "Both parts of delta are made from the same param: the one you were given.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    return delta + h.lr * h.weight_decay * (param - delta), after


@adamw_slips(
    "decay counted twice",
    "The decay is subtracted from the parameter, and is in the gradient too.",
    "m and v take the bare gradient.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad + h.weight_decay * param, state, h)
    return delta + h.lr * h.weight_decay * param, after


@adamw_slips(
    "decay divided by the root",
    "You add the decay to m_hat before you divide by the root: large gradients then shrink the decay.",
    "The decay stands beside the quotient, not in its numerator.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    root = np.sqrt(after["v"] / (1 - h.beta2 ** after["step"])) + h.eps
    return delta + h.lr * h.weight_decay * param / root, after


@adamw_slips(
    "decay in the first moment",
    "m takes the decay in, v does not. Decoupled means that neither of them sees it.",
    "m and v take the bare gradient.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + h.weight_decay * param, state, h, for_v=grad)


@adamw_slips(
    "decay in the second moment",
    "v takes the decay in, m does not. Decoupled means that neither of them sees it.",
    "m and v take the bare gradient.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h, for_v=grad + h.weight_decay * param)
    return delta + h.lr * h.weight_decay * param, after


@adamw_slips(
    "decay corrected for bias",
    "The decay is divided by 1 - beta1**t, like m. It is no running mean: there is nothing to correct.",
    "The same share of the parameter goes at every step.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    return delta + h.lr * h.weight_decay * param / (1 - h.beta1 ** after["step"]), after


@adamw_slips(
    "lr twice in the decay",
    "The decay carries the learning rate twice.",
    "The parameter shrinks by the factor 1 - lr * weight_decay.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    return delta + h.lr * h.lr * h.weight_decay * param, after


@adamw_slips(
    "no learning rate in Adam's step",
    "The decay is right, but Adam's own step lacks the learning rate.",
    "lr stands before both: delta = lr * (Adam's direction + weight_decay * param).",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    direction, after = adam_step(grad, state, h._replace(lr=1.0))
    return direction + h.lr * h.weight_decay * param, after


@adamw_slips(
    "no weight decay",
    "Right without weight decay, but weight_decay is not used.",
    "What is subtracted when the gradient is zero?",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad, state, h)


@adamw_slips(
    "the step shrunk, not the parameter",
    "You multiply Adam's step by 1 - lr * weight_decay. It is the parameter that shrinks.",
    "Without any gradient the parameter must still come closer to zero.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    return (1 - h.lr * h.weight_decay) * delta, after


@adamw_slips(
    "parameter shrunk in place",
    "You shrink the caller's param in place, as torch does inside, and leave the decay out of delta.",
    "A rule changes none of its inputs: what is to be subtracted belongs in delta.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    np.multiply(param, 1 - h.lr * h.weight_decay, out=param)
    return adam_step(grad, state, h)
