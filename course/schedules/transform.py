"""A schedule as a transform, for ``chain``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from course.arrays import Array
from course.rules.base import Rule, State, require
from course.schedules.curves import Constant

__all__ = ["Schedule"]


@dataclass(frozen=True)
class Schedule(Rule):
    """Multiply what passes by a schedule at the step that the state counts.

    After a rule of learning rate 1 it sets the learning rate. That is the same as a rule whose ``lr`` follows
    the schedule, where that rule multiplies ``lr`` in last and over everything: in AdamW over the decay too.

    Args:
        schedule: any function of the step, counted from 0, that returns a number.

    Shapes: any. State: ``step``, one integer.

    >>> import numpy as np
    >>> from course.rules import SGD, chain
    >>> from course.schedules import StepDecay
    >>> rule, theta = chain(SGD(lr=1.0), Schedule(StepDecay(lr=0.5, every=1, factor=0.1))), np.array([0.0])
    >>> state = rule.init(theta)
    >>> for _ in range(2):
    ...     delta, state = rule.update(np.array([1.0]), state, theta)
    >>> delta
    array([0.05])

    Counterpart: ``optax.scale_by_schedule``.
    """

    schedule: Callable[[int], float] = field(default=Constant(1.0))

    state_names: ClassVar[frozenset[str]] = frozenset({"step"})

    def __post_init__(self) -> None:
        require(self, "schedule", callable(self.schedule), "a function of the step")

    def init_leaf(self, param: Array) -> State:
        """Return step 0."""
        return {"step": 0}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(schedule(step) * grad, state)``."""
        return float(self.schedule(state["step"])) * grad, {"step": state["step"] + 1}
