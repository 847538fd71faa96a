"""Transforms, and ``chain``, which composes them with rules in reading order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from course.arrays import Array
from course.rules.base import Rule, State

__all__ = ["AddDecay", "Chain", "Scale", "chain"]


@dataclass(frozen=True)
class Scale(Rule):
    """Multiply what passes by a constant: a gradient before the rule, a delta after it.

    Shapes: any. State: none.

    >>> import numpy as np
    >>> Scale(0.5).update(np.array([2.0]), {}, np.array([0.0]))[0]
    array([1.])

    Counterpart: ``optax.scale``.
    """

    factor: float = 1.0

    def __post_init__(self) -> None:
        self._require_rate("factor", least=-math.inf)

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(factor * grad, {})``."""
        return self.factor * grad, {}


@dataclass(frozen=True)
class AddDecay(Rule):
    """Add ``weight_decay * theta`` to what passes.

    Before the rule this is the gradient of an L2 penalty; after it, decoupled weight decay, which then
    has to carry the learning rate itself.

    Shapes: any. State: none.

    >>> import numpy as np
    >>> AddDecay(0.1).update(np.array([2.0]), {}, np.array([10.0]))[0]
    array([3.])

    Counterpart: ``optax.add_decayed_weights``.
    """

    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self._require_rate("weight_decay")

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(grad + weight_decay * param, {})``."""
        return grad + self.weight_decay * param, {}


@dataclass(frozen=True)
class Chain(Rule):
    """Rules and transforms, each given what the one before it returned; made by :func:`chain`."""

    stages: tuple[Rule, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("chain: needs at least one rule or transform")
        for stage in self.stages:
            if not isinstance(stage, Rule):
                raise TypeError(f"chain: {stage!r} is not a rule or transform (no init/update pair)")

    @property
    def across(self) -> bool:
        """Whether one of the stages looks at all arrays of a tree together."""
        return any(stage.across for stage in self.stages)

    def init(self, param: Any) -> State:
        """Return the states of all stages, by their place in the chain."""
        return {self._key(i): stage.init(param) for i, stage in enumerate(self.stages)}

    def update(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return ``(delta, state)`` after passing the gradient through every stage, left to right."""
        keys = [self._key(i) for i in range(len(self.stages))]
        if not isinstance(state, Mapping) or set(state) != set(keys):
            raise ValueError(
                f"chain: this state is not mine: I keep {', '.join(keys)}; start with init(param)"
            )
        passing, after = grad, {}
        for key, stage in zip(keys, self.stages, strict=True):
            passing, after[key] = stage.update(passing, state[key], param)
        return passing, after

    def hyperparameters(self) -> dict[str, Any]:
        """Return the stages' hyperparameters; a name that two stages share gets its place: ``0.lr``."""
        return {name: value for name, (_, _, value) in self._fields().items()}

    def with_hyperparameters(self, **changes: Any) -> Self:
        """Return the same chain with some hyperparameters changed."""
        known, stages = self._fields(), list(self.stages)
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"chain: no hyperparameter {name!r}; there are {', '.join(known)}")
            place, plain, _ = known[name]
            stages[place] = stages[place].with_hyperparameters(**{plain: value})
        return replace(self, stages=tuple(stages))

    def _key(self, i: int) -> str:
        return f"{i}.{type(self.stages[i]).__name__}"

    def _fields(self) -> dict[str, tuple[int, str, Any]]:
        """Map each outward name to (place, the stage's own name, value).

        A name with a place in it comes from a chain within this one, and gets its place here before it.
        """
        found = [(i, n, v) for i, s in enumerate(self.stages) for n, v in s.hyperparameters().items()]
        times = Counter(name for _, name, _ in found)
        return {n if times[n] == 1 and "." not in n else f"{i}.{n}": (i, n, v) for i, n, v in found}


def chain(*stages: Rule) -> Chain:
    """Compose rules and transforms, in reading order, into one rule.

    L2 decay written out, and the same thing in one piece:

    >>> import numpy as np
    >>> theta, g = np.array([1.0, -2.0]), np.array([0.5, 0.5])
    >>> from course.rules import SGD
    >>> in_two = chain(AddDecay(0.1), SGD(lr=0.2))
    >>> in_one = SGD(lr=0.2, weight_decay=0.1)
    >>> delta, _ = in_two.update(g, in_two.init(theta), theta)
    >>> delta == in_one.update(g, in_one.init(theta), theta)[0]
    array([ True,  True])

    Raises:
        ValueError: no stages. TypeError: a stage is no rule.

    Counterpart: ``optax.chain``.
    """
    return Chain(stages)
