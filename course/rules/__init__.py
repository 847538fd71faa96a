"""The update rules, one file a family.

Every rule is a frozen dataclass with ``init(param) -> state`` and the pure
``update(grad, state, param) -> (delta, state)``; then ``param = param - delta``.
"""

from __future__ import annotations

from course.rules.adafactor import Adafactor
from course.rules.adagrad import Adadelta, AdaGrad
from course.rules.adam import Adam, AdamW
from course.rules.amsgrad import Adamax, AMSGrad
from course.rules.base import Rule, State
from course.rules.chain import AddDecay, Scale, chain
from course.rules.lamb import LAMB
from course.rules.lars import LARS
from course.rules.lion import Lion
from course.rules.muon import Muon, newton_schulz
from course.rules.nadam import NAdam, RAdam
from course.rules.rmsprop import RMSProp
from course.rules.sgd import SGD, HeavyBall, Nesterov
from course.rules.sophia import Sophia, gauss_newton_bartlett, hutchinson

_RULES: tuple[type[Rule], ...] = (
    SGD,
    HeavyBall,
    Nesterov,
    AdaGrad,
    Adadelta,
    RMSProp,
    Adam,
    AdamW,
    AMSGrad,
    Adamax,
    NAdam,
    RAdam,
    Adafactor,
    LARS,
    LAMB,
    Lion,
    Sophia,
    Muon,
)

# Every rule by name: the tests of all rules find them here.
ALL: dict[str, type[Rule]] = {rule.__name__: rule for rule in _RULES}

__all__ = [
    "ALL",
    "LAMB",
    "LARS",
    "SGD",
    "AMSGrad",
    "AdaGrad",
    "Adadelta",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adamax",
    "AddDecay",
    "HeavyBall",
    "Lion",
    "Muon",
    "NAdam",
    "Nesterov",
    "RAdam",
    "RMSProp",
    "Rule",
    "Scale",
    "Sophia",
    "State",
    "chain",
    "gauss_newton_bartlett",
    "hutchinson",
    "newton_schulz",
]
