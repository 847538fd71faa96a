"""The slips of adam_l2 and adamw: those that both share, and those of each with its decay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from course.exercises.base import Case, Slips

__all__ = ["AdamSlips", "Hyper", "adam_l2_slips", "adam_step", "share_slips"]

Array = np.ndarray


class Hyper(NamedTuple):
    """The hyperparameters, in the order in which an answer takes them."""

    lr: float
    beta1: float
    beta2: float
    eps: float
    weight_decay: float


class AdamSlips(Slips):
    """A catalogue whose answers are written with the hyperparameters as one :class:`Hyper`."""

    def __call__(
        self, name: str, sentence: str, nudge: str, shows: Callable[[Case], bool] = lambda case: True
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Add the decorated function under ``name``, with the parameters that an answer has."""
        add = super().__call__(name, sentence, nudge, shows)

        def add_unfolded(answer: Callable[..., Any]) -> Callable[..., Any]:
            def unfolded(
                grad: Array, state: dict, param: Array,
                lr: float, beta1: float, beta2: float, eps: float, weight_decay: float,
            ) -> Any:  # fmt: skip
                return answer(grad, state, param, Hyper(lr, beta1, beta2, eps, weight_decay))

            return add(unfolded)

        return add_unfolded


adam_l2_slips = AdamSlips()


def adam_step(for_m: Array, state: dict, h: Hyper, for_v: Array | None = None) -> tuple[Array, dict]:
    """Return Adam's ``(delta, state)``; ``for_v`` is squared into ``v`` in the place of ``for_m``."""
    step = state["step"] + 1
    m, v = moments(for_m, for_m if for_v is None else for_v, state, h)
    delta = h.lr * (m / (1 - h.beta1**step)) / (np.sqrt(v / (1 - h.beta2**step)) + h.eps)
    return delta, {"m": m, "v": v, "step": step}


def moments(for_m: Array, for_v: Array, state: dict, h: Hyper) -> tuple[Array, Array]:
    """Return both running means after this step."""
    return (
        h.beta1 * state["m"] + (1 - h.beta1) * for_m,
        h.beta2 * state["v"] + (1 - h.beta2) * for_v**2,
    )


def share_slips(slips: Slips, gradient: Callable[..., Array], decay: Callable[..., Any]) -> None:
    """Add the slips that have nothing to do with where the decay goes.

    Args:
        slips: the catalogue. gradient: ``(grad, param, h)`` to the gradient that the moments take in.
        decay: ``(param, h)`` to what is subtracted beside Adam's step.
    """

    @slips(
        "the new parameter instead of the update",
        "You return the parameter after the step. A rule returns the amount to subtract.",
        "The caller does the subtraction: param = param - delta. What should delta be?",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        delta, after = adam_step(gradient(grad, param, h), state, h)
        return param - delta - decay(param, h), after

    @slips(
        "uphill",
        "delta has the wrong sign: the caller subtracts it.",
        "param - delta must go downhill.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        delta, after = adam_step(gradient(grad, param, h), state, h)
        return -delta - decay(param, h), after

    @slips(
        "no bias correction",
        "The decay is right, but m and v are used as they are. Both start at zero, so the first steps come "
        "out wrong.",
        "Divide m by 1 - beta1**t and v by 1 - beta2**t, with t = 1 at the first step.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        g = gradient(grad, param, h)
        m, v = moments(g, g, state, h)
        delta = h.lr * m / (np.sqrt(v) + h.eps) + decay(param, h)
        return delta, {"m": m, "v": v, "step": state["step"] + 1}

    @slips(
        "correction one step late",
        "The bias correction counts with the old state['step']; at the first step it divides by zero.",
        "t is 1 at the first step: one more than the count that came in.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        g, t = gradient(grad, param, h), state["step"]
        m, v = moments(g, g, state, h)
        low, high = np.float64(1 - h.beta1**t), np.float64(1 - h.beta2**t)
        delta = h.lr * (m / low) / (np.sqrt(v / high) + h.eps) + decay(param, h)
        return delta, {"m": m, "v": v, "step": t + 1}

    @slips(
        "eps inside the root",
        "The decay is right, but eps stands inside the root.",
        "Take the root of v_hat first, then add eps.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        g, t = gradient(grad, param, h), state["step"] + 1
        m, v = moments(g, g, state, h)
        delta = h.lr * (m / (1 - h.beta1**t)) / np.sqrt(v / (1 - h.beta2**t) + h.eps) + decay(param, h)
        return delta, {"m": m, "v": v, "step": t}

    @slips(
        "root missing",
        "The decay is right, but you divide by v itself, not by its root.",
        "v is a mean of squares; its root has the unit of a gradient.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        g, t = gradient(grad, param, h), state["step"] + 1
        m, v = moments(g, g, state, h)
        delta = h.lr * (m / (1 - h.beta1**t)) / (v / (1 - h.beta2**t) + h.eps) + decay(param, h)
        return delta, {"m": m, "v": v, "step": t}

    @slips(
        "betas swapped",
        "The decay is right, but beta1 and beta2 have changed places.",
        "beta1 belongs to m, the mean of gradients; beta2 to v, the mean of squares.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        delta, after = adam_step(gradient(grad, param, h), state, h._replace(beta1=h.beta2, beta2=h.beta1))
        return delta + decay(param, h), after

    @slips(
        "steps not counted",
        "The count state['step'] stays where it was, so every step is corrected like the first.",
        "Return the count one higher than it came.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        delta, after = adam_step(gradient(grad, param, h), state, h)
        return delta + decay(param, h), after | {"step": state["step"]}

    @slips(
        "nothing on a zero gradient",
        "You leave early where the gradient is zero. m still rolls on, v still fades, and the decay still "
        "pulls.",
        "A zero gradient is a gradient like any other.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        if not np.any(grad):
            return np.zeros_like(param), dict(state)
        delta, after = adam_step(gradient(grad, param, h), state, h)
        return delta + decay(param, h), after

    @slips(
        "state changed in place",
        "The numbers are right, but you wrote them into the caller's own state.",
        "Build a new dict and new arrays: *= and += change the array that you were given.",
    )
    def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
        delta, after = adam_step(gradient(grad, param, h), state, h)
        state.update(after)
        return delta + decay(param, h), state


share_slips(
    adam_l2_slips,
    gradient=lambda grad, param, h: grad + h.weight_decay * param,
    decay=lambda param, h: 0.0,
)


@adam_l2_slips(
    "decoupled instead of L2",
    "The decay goes straight to the parameter: that is adamw. An L2 penalty is part of the loss, and so of "
    "its gradient.",
    "Add the gradient of the penalty to grad before m and v see it.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad, state, h)
    return delta + h.lr * h.weight_decay * param, after


@adam_l2_slips(
    "decay with the wrong sign",
    "The decay pushes the parameter away from zero: weights grow where they should shrink.",
    "The gradient of weight_decay / 2 * param**2 is added, not subtracted.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad - h.weight_decay * param, state, h)


@adam_l2_slips(
    "no weight decay",
    "Right without weight decay, but weight_decay is not used.",
    "The penalty weight_decay / 2 * ||param||^2 has a gradient too. Add it to grad.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad, state, h)


@adam_l2_slips(
    "decay in the first moment only",
    "m takes the decayed gradient, v the bare one. With an L2 penalty both see the same gradient.",
    "Name the sum once, then use that name in both lines.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + h.weight_decay * param, state, h, for_v=grad)


@adam_l2_slips(
    "decay in the second moment only",
    "v takes the decayed gradient, m the bare one. With an L2 penalty both see the same gradient.",
    "Name the sum once, then use that name in both lines.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad, state, h, for_v=grad + h.weight_decay * param)


@adam_l2_slips(
    "decay past the moments",
    "You add the decay to m_hat and divide the sum by the root: the moments never see it.",
    "An L2 penalty changes the gradient itself, before the two means take it in.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    t = state["step"] + 1
    m, v = moments(grad, grad, state, h)
    direction = m / (1 - h.beta1**t) + h.weight_decay * param
    return h.lr * direction / (np.sqrt(v / (1 - h.beta2**t)) + h.eps), {"m": m, "v": v, "step": t}


@adam_l2_slips(
    "decay counted twice",
    "The decay is in the gradient, and subtracted from the parameter once more.",
    "One of the two is adam_l2, the other adamw.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    delta, after = adam_step(grad + h.weight_decay * param, state, h)
    return delta + h.lr * h.weight_decay * param, after


@adam_l2_slips(
    "lr inside the gradient",
    "You add lr * weight_decay * param to the gradient. The learning rate comes in later, once for both.",
    "What is the derivative of weight_decay / 2 * param**2?",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + h.lr * h.weight_decay * param, state, h)


@adam_l2_slips(
    "twice the penalty",
    "You add 2 * weight_decay * param. The penalty is weight_decay / 2 * param**2, and its half takes the 2.",
    "What is the derivative of weight_decay / 2 * param**2?",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + 2 * h.weight_decay * param, state, h)


@adam_l2_slips(
    "half the penalty",
    "You add weight_decay / 2 * param. The derivative of param**2 brings a 2, and that takes the half away.",
    "What is the derivative of weight_decay / 2 * param**2?",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + h.weight_decay / 2 * param, state, h)


@adam_l2_slips(
    "the penalty, entry by entry",
    "You add weight_decay / 2 * param**2, the penalty itself. A rule takes in the gradient of the penalty.",
    "What is the derivative of weight_decay / 2 * param**2?",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + h.weight_decay / 2 * param**2, state, h)


@adam_l2_slips(
    "the penalty instead of its gradient",
    "You add the value of the penalty, one number, to every entry of the gradient.",
    "Add its derivative: for each entry of param its own.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    return adam_step(grad + h.weight_decay / 2 * np.sum(param**2), state, h)


@adam_l2_slips(
    "gradient changed in place",
    "The numbers are right, but you added the decay into the caller's own gradient.",
    "grad += ... changes the array that you were given; grad = grad + ... makes a new one.",
)
def _(grad: Array, state: dict, param: Array, h: Hyper) -> Any:
    np.add(grad, h.weight_decay * param, out=grad)
    return adam_step(grad, state, h)
