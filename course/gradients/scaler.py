"""Loss scaling: keep small gradients above the least number that float16 holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from course.arrays import all_finite, dtype_name, zeros_like
from course.rules.base import Rule, State, require
from course.rules.sgd import SGD
from course.trees import Tree, floating_leaves, tree_map

__all__ = ["LossScaler", "Scaled"]


@dataclass(frozen=True)
class LossScaler:
    """Scale the loss up before backward and the gradients down after; find the scale by trial.

    Formula, at each step::

        an infinity or a NaN in any gradient:  skip the step; scale <- backoff_factor scale; good <- 0
        else:  good <- good + 1; and at good = growth_interval: scale <- growth_factor scale, good <- 0

    Args:
        init_scale: the first scale, > 0. growth_factor: > 1. backoff_factor: in (0, 1).
        growth_interval: good steps in a row before the scale grows, a whole number >= 1.

    State: ``scale`` and ``good``, two plain numbers. The scale is rounded to float32 as in torch, and does
    not grow beyond what that holds; nothing keeps it from falling to 0 when no gradient is ever finite.

    >>> import numpy as np
    >>> scaler = LossScaler()
    >>> state = scaler.init()
    >>> grads, finite = scaler.unscale(np.array([np.inf], np.float32), state)
    >>> state = scaler.update(finite, state)
    >>> finite, state
    (False, {'scale': 32768.0, 'good': 0})

    Source: P. Micikevicius et al. (2018), Mixed Precision Training, section 3.2.
    Counterpart: ``torch.amp.GradScaler``, whose defaults these are.
    """

    init_scale: float = 65536.0
    growth_factor: float = 2.0
    backoff_factor: float = 0.5
    growth_interval: int = 2000

    def __post_init__(self) -> None:
        def is_number(value: Any) -> bool:
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            return plain and math.isfinite(value)

        for name, what, allowed in (
            ("init_scale", "a finite number > 0", lambda x: x > 0),
            ("growth_factor", "a finite number > 1", lambda x: x > 1),
            ("backoff_factor", "a number > 0 and < 1", lambda x: 0 < x < 1),
            ("growth_interval", "a whole number >= 1", lambda x: x >= 1 and x == int(x)),
        ):
            value = getattr(self, name)
            require(self, name, is_number(value) and allowed(value), what)

    def init(self) -> State:
        """Return the state before the first step."""
        return {"scale": in_float32(self.init_scale), "good": 0}

    def scale(self, loss: Any, state: State) -> Any:
        """Return the loss that ``backward`` is to be called on."""
        return state["scale"] * loss

    def unscale(self, grads: Tree, state: State) -> tuple[Tree, bool]:
        """Return the gradients of the loss itself, and whether all of them are finite.

        Raises:
            TypeError: a leaf is no floating array.
            ValueError: a gradient is in float16, where what the scale saved would be lost again: cast it up
                first (:class:`course.averaging.MasterWeights` does).
        """
        found = floating_leaves("LossScaler", grads)
        if any(dtype_name(g) == "float16" for g in found):
            raise ValueError(
                "LossScaler: float16 gradients would underflow when unscaled; cast them up first"
            )
        # The reciprocal is rounded to float32, as in torch, whatever the gradients are in.
        inverse = in_float32(1 / state["scale"]) if state["scale"] else math.inf
        return tree_map(lambda g: g * inverse, grads), all(all_finite(g) for g in found)

    def update(self, finite: bool, state: State) -> State:
        """Return the state after a step whose gradients were finite, or not."""
        if not finite:
            return {"scale": in_float32(self.backoff_factor * state["scale"]), "good": 0}
        good = state["good"] + 1
        if good < self.growth_interval:
            return {"scale": state["scale"], "good": good}
        grown = in_float32(self.growth_factor * state["scale"])
        return {"scale": grown if math.isfinite(grown) else state["scale"], "good": 0}


def in_float32(x: float) -> float:
    """Return the number rounded to float32."""
    with np.errstate(over="ignore"):
        return float(np.float32(x))


@dataclass(frozen=True)
class Scaled(Rule):
    """A rule for gradients of a scaled loss: unscale, then step, or skip where one is not finite.

    A skipped step returns a delta of zeros and leaves the rule's state alone: Adam does not count it.
    Clipping belongs inside: ``Scaled(chain(ClipByNorm(1.0), AdamW()))`` clips what has been unscaled.

    State: ``scale`` and ``good`` of the scaler, and ``rule``, the state of the rule.

    >>> import numpy as np
    >>> rule, theta = Scaled(SGD(lr=0.5), LossScaler(init_scale=4.0)), np.array([1.0])
    >>> state = rule.init(theta)
    >>> loss_scaled = state["scale"] * theta**2 / 2  # its gradient is 4 theta
    >>> theta, state = rule.step(4.0 * theta, state, theta)
    >>> theta, state = rule.step(np.array([np.nan]), state, theta)
    >>> theta, state["scale"]
    (array([0.5]), 2.0)

    Counterpart: ``GradScaler.step`` and ``GradScaler.update``.
    """

    rule: Rule = field(default_factory=SGD)
    scaler: LossScaler = field(default_factory=LossScaler)

    elementwise: ClassVar[bool] = False

    @property
    def across(self) -> bool:
        """Say yes: one gradient that is not finite stops the step of all."""
        return True

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise TypeError(f"Scaled: rule must be a rule, not {self.rule!r}")
        if not isinstance(self.scaler, LossScaler):
            raise TypeError(f"Scaled: scaler must be a LossScaler, not {self.scaler!r}")

    def init(self, param: Any) -> State:
        """Return the scaler's state and the rule's."""
        return {**self.scaler.init(), "rule": self.rule.init(param)}

    def scale(self, loss: Any, state: State) -> Any:
        """Return the loss that ``backward`` is to be called on."""
        return self.scaler.scale(loss, state)

    def update(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return ``(delta, state)`` for gradients of the scaled loss; zeros where one is not finite."""
        if not isinstance(state, Mapping) or set(state) != {"scale", "good", "rule"}:
            raise ValueError(
                "Scaled: this state is not mine: I keep scale, good, rule; start with init(param)"
            )
        unscaled, finite = self.scaler.unscale(grad, state)
        if finite:
            delta, after = self.rule.update(unscaled, state["rule"], param)
        else:
            delta, after = tree_map(zeros_like, param), state["rule"]
        return delta, {**self.scaler.update(finite, state), "rule": after}

    def hyperparameters(self) -> dict[str, Any]:
        """Return the rule's: a schedule changes its learning rate."""
        return self.rule.hyperparameters()

    def with_hyperparameters(self, **changes: Any) -> Self:
        """Return the same with some of the rule's hyperparameters changed."""
        return type(self)(self.rule.with_hyperparameters(**changes), self.scaler)
