"""The update rules, one file a family.

Every rule is a frozen dataclass with ``init(param) -> state`` and the pure
``update(grad, state, param) -> (delta, state)``; then ``param = param - delta``.
"""

from __future__ import annotations

from course.rules.base import Rule, State
from course.rules.chain import AddDecay, Scale, chain
from course.rules.sgd import SGD, HeavyBall, Nesterov

__all__ = ["ALL", "SGD", "AddDecay", "HeavyBall", "Nesterov", "Rule", "Scale", "State", "chain"]

# Every rule by name: the tests of all rules find them here.
ALL: dict[str, type[Rule]] = {rule.__name__: rule for rule in (SGD, HeavyBall, Nesterov)}
