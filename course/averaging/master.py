"""Weights in 16 bits that still take small steps: a master copy, or rounding at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from course.arrays import Array, astype, at_least_float32, dtype_name
from course.averaging.rounding import stochastic_round
from course.rules.base import Rule, State
from course.rules.sgd import SGD
from course.trees import floating_leaves, tree_map

__all__ = ["MasterWeights", "StochasticRounding"]


@dataclass(frozen=True)
class _Narrow(Rule):
    """What both have in common: a rule that runs in a wider dtype than its parameter."""

    rule: Rule = field(default_factory=SGD)

    # What the state holds beside the inner rule's.
    holds: ClassVar[str] = ""
    own_precision: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise TypeError(f"{self._name}: rule must be a rule, not {self.rule!r}")

    def update(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Refuse: no delta in the parameter's dtype says where the parameter is to go."""
        raise TypeError(f"{self._name}: has no delta; use param, state = rule.step(grad, state, param)")

    def hyperparameters(self) -> dict[str, Any]:
        """Return the inner rule's: a schedule changes its learning rate."""
        return self.rule.hyperparameters()

    def _check_step(self, grad: Any, state: State, param: Any) -> None:
        names = {self.holds, "inner"}
        if not isinstance(state, Mapping) or set(state) != names:
            keeps = ", ".join(sorted(names))
            raise ValueError(f"{self._name}: this state is not mine: I keep {keeps}; start with init(param)")
        floating_leaves(self._name, param)
        floating_leaves(self._name, grad)


@dataclass(frozen=True)
class MasterWeights(_Narrow):
    """Any rule for weights of 16 bits: it steps a float32 copy, and the weights are that copy rounded.

    Formula, with ``T`` the dtype of the parameter::

        master <- master - delta(wide(g), master)
        theta  <- T(master)

    The gradient may be in ``T`` or in the master's dtype; the rule's state is in the master's. The parameter
    itself is not read: the copy is the truth, and a change made to the parameter alone is lost.

    **Why it has** ``step`` **and no** ``update``. A delta in ``T`` would have to satisfy ``theta - delta ==
    T(master)`` exactly. While both sides are within a factor 2 of each other it can: their difference is then
    a number of ``T`` (Sterbenz's lemma). A weight that changes sign or falls from 1 to 2^-20 breaks that:
    the difference 1 - 2^-20 is no number of bfloat16, is rounded to 1, and the weight lands on 0. A delta in
    float32 fails in the same way farther out, at 1 and 2^-30. From then on weights and master would differ.

    Args:
        rule: the rule, or a chain. dtype: of the copy and of the rule's state, ``float32`` or ``float64``.

    State: ``master``, 4 bytes per parameter in float32, and ``inner``, the state of the rule on the copy.

    >>> import numpy as np
    >>> one, g = np.ones(1, np.float16), np.ones(1, np.float16)
    >>> alone, rule = SGD(lr=1e-4), MasterWeights(SGD(lr=1e-4))
    >>> theta, state = one, rule.init(one)
    >>> for _ in range(1000):
    ...     one = one - alone.update(g, {}, one)[0]  # 1e-4 is less than half the spacing below 1
    ...     theta, state = rule.step(g, state, theta)
    >>> one, theta
    (array([1.], dtype=float16), array([0.9], dtype=float16))

    Source: P. Micikevicius et al. (2018), Mixed Precision Training, section 3.1.
    Counterpart: torch's optimizers have none: there one keeps float32 parameters and casts in the forward
    (autocast). DeepSpeed, Megatron-LM and pytorch_optimizer keep such copies.
    """

    dtype: str = "float32"

    holds: ClassVar[str] = "master"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_one_of("dtype", "float32", "float64")

    @property
    def across(self) -> bool:
        """Whether the inner rule looks at all arrays together."""
        return self.rule.across

    def init(self, param: Any) -> State:
        """Return the copy and the rule's state on it."""
        floating_leaves(self._name, param)
        master = tree_map(self._wide, param)
        return {"master": master, "inner": self.rule.init(master)}

    def step(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return the new parameter, which is the rounded copy, and the state.

        Raises:
            TypeError: an input is no floating array. ValueError: shapes differ, or the state is foreign.
        """
        self._check_step(grad, state, param)
        master, inner = self.rule.step(tree_map(self._wide, grad), state["inner"], state["master"])
        return tree_map(lambda m, p: self._narrow(m, p), master, param), {"master": master, "inner": inner}

    def with_hyperparameters(self, **changes: Any) -> Self:
        """Return the same with some of the rule's hyperparameters changed."""
        return type(self)(self.rule.with_hyperparameters(**changes), self.dtype)

    def _wide(self, x: Array) -> Array:
        return astype(x, self.dtype)

    def _narrow(self, master: Array, param: Array) -> Array:
        if tuple(master.shape) != tuple(param.shape):
            raise ValueError(
                f"{self._name}: param has shape {tuple(param.shape)}, its master copy {tuple(master.shape)}"
            )
        with np.errstate(over="ignore"):
            return astype(master, param.dtype)


@dataclass(frozen=True)
class StochasticRounding(_Narrow):
    """Any rule for weights of 16 bits without a copy: what a step leaves over is rounded at random.

    Formula, with ``T`` the dtype of the parameter::

        theta <- random_T(wide(theta) - delta(wide(g), wide(theta)))

    A step of a tenth of the spacing moves one weight in ten by the whole spacing: on the mean the weights go
    where they should, and each one carries noise of the size of its spacing.

    Args:
        rule: the rule, or a chain; it runs and keeps its state in float32.
        seed: of the random numbers; those of a step depend on the seed and the step alone.

    State: ``draws``, the number of steps, and ``inner``, the state of the rule.

    >>> import numpy as np
    >>> rule, theta = StochasticRounding(SGD(lr=1e-4)), np.ones(1000, np.float16)
    >>> state = rule.init(theta)
    >>> for _ in range(100):
    ...     theta, state = rule.step(np.ones(1000, np.float16), state, theta)
    >>> round(float(theta.mean(dtype=np.float32)), 3)  # 1 - 100 * 1e-4; to nearest it would stay at 1
    0.99

    Source: S. Gupta et al. (2015), Deep Learning with Limited Numerical Precision, section 3.
    Counterpart: torch has none.
    """

    seed: int = 0

    holds: ClassVar[str] = "draws"

    @property
    def across(self) -> bool:
        """Say yes: the random numbers of a step are drawn for one array after the other."""
        return True

    def init(self, param: Any) -> State:
        """Return the count of draws and the rule's state.

        Raises:
            TypeError: the parameter is not of float16 or bfloat16.
        """
        for leaf in floating_leaves(self._name, param):
            if dtype_name(leaf) not in ("float16", "bfloat16"):
                raise TypeError(f"{self._name}: param has dtype {leaf.dtype}, not float16 or bfloat16")
        return {"draws": 0, "inner": self.rule.init(tree_map(at_least_float32, param))}

    def step(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return the new parameter and the state.

        Raises:
            TypeError: an input is no floating array. ValueError: shapes differ, or the state is foreign.
        """
        self._check_step(grad, state, param)
        wide = tree_map(lambda p: astype(p, "float32"), param)
        exact, inner = self.rule.step(tree_map(lambda g: astype(g, "float32"), grad), state["inner"], wide)
        rng = np.random.default_rng([self.seed, state["draws"]])
        after = tree_map(lambda x, p: stochastic_round(x, dtype_name(p), rng), exact, param)
        return after, {"draws": state["draws"] + 1, "inner": inner}

    def with_hyperparameters(self, **changes: Any) -> Self:
        """Return the same with some of the rule's hyperparameters changed."""
        return type(self)(self.rule.with_hyperparameters(**changes), self.seed)
