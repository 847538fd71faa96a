"""Where torch, optax, Keras and the papers differ, rule by rule, each with a computed figure.

The course's rules are torch's, or the paper's where torch has none. A :class:`Convention` names what another
implementation does differently, and which of the rule's options does the same. Both are run for 200 steps
from the same start, on the same gradients, in float64; the figure is how far apart they end up.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course import oracle, rules
from course.references import (
    Grads,
    Missing,
    keras_path,
    load,
    optax_path,
    rule_path,
    textbook_path,
    torch_path,
)
from course.rules import Rule

__all__ = ["CONVENTIONS", "Convention", "Measured", "measure", "missing", "page", "table"]

STEPS = 200
LR = 2.0**-6  # the same number in float32, which Keras keeps its learning rate in

Theirs = Callable[[np.ndarray, Grads], np.ndarray]


@dataclass(frozen=True)
class Convention:
    """One place where implementations differ.

    Attributes:
        rule: the course's rule as it stands by default. where: who does otherwise. what: what they do.
        switched: what the rule must be told to do the same; None where no option does.
        theirs: ``(start, gradients) -> path`` of the other implementation; None takes the switched rule's.
        scale: of the gradients, whose magnitudes go from 0.01 to 100 times this.
        halved: halve the learning rate at half time, for conventions that show only then.
        gate: how far the switched rule may be from them, in the oracle's metric.
    """

    rule: Rule
    where: str
    what: str
    switched: dict[str, Any] | None = field(default_factory=dict)
    theirs: Theirs | None = None
    scale: float = 1e-3
    halved: bool = False
    gate: float = 1e-13


@dataclass(frozen=True)
class Measured:
    """A convention with its figures: how far apart both end up, and what is left with the option switched."""

    convention: Convention
    apart: float
    left: float | None


def _optax(name: str, *args: Any, module: str = "optax", **options: Any) -> Theirs:
    return lambda start, grads: optax_path(getattr(load(module), name)(*args, **options), start, grads)


def _keras(name: str, **options: Any) -> Theirs:
    return lambda start, grads: keras_path(lambda k: getattr(k, name)(**options), start, grads)


def _peer(name: str, **options: Any) -> Theirs:
    package = "pytorch_optimizer"
    return lambda start, grads: torch_path(lambda p: getattr(load(package), name)(p, **options), start, grads)


def _torch(name: str, **options: Any) -> Theirs:
    return lambda start, grads: torch_path(
        lambda p: getattr(load("torch.optim"), name)(p, **options), start, grads
    )


_PAPERS_ADAFACTOR = {"eps_added": True, "eps": (1e-30, 1e-3)}

CONVENTIONS: tuple[Convention, ...] = (
    Convention(
        rules.SGD(LR, weight_decay=0.1), "MLX until January 2024", "no decay without momentum (issue 440)",
        {"weight_decay": 0.0},
    ),
    Convention(
        rules.HeavyBall(LR), "Sutskever et al., Keras", "lr inside the buffer, once it is halved",
        None, textbook_path(LR, lr_inside=True), halved=True,
    ),
    Convention(
        rules.HeavyBall(LR, dampening=0.5), "MLX until January 2024", "the first buffer is dampened too",
        None, textbook_path(LR, dampened=0.5),
    ),
    Convention(
        rules.Nesterov(LR), "the textbook", "stores theta; torch stores the look-ahead point",
        None, textbook_path(LR),
    ),
    Convention(
        rules.AdaGrad(LR), "optax", "eps (1e-7) inside the root, the sum starts at 0.1",
        {"eps_in_sqrt": True, "eps": 1e-7, "initial_accumulator_value": 0.1}, _optax("adagrad", LR),
    ),
    Convention(
        rules.AdaGrad(LR), "Keras", "eps (1e-7) inside the root, the sum starts at 0.1",
        {"eps_in_sqrt": True, "eps": 1e-7, "initial_accumulator_value": 0.1},
        _keras("Adagrad", learning_rate=LR),
    ),
    Convention(
        rules.AdaGrad(LR, eps=1e-7), "optax, the sum at 0", "eps (1e-7) inside the root",
        {"eps_in_sqrt": True}, _optax("adagrad", LR, initial_accumulator_value=0.0, eps=1e-7),
    ),
    Convention(
        rules.Adadelta(LR), "Keras", "rho 0.95 and eps 1e-7 by default",
        {"rho": 0.95, "eps": 1e-7}, _keras("Adadelta", learning_rate=LR),
    ),
    Convention(
        rules.RMSProp(LR), "optax", "eps inside the root",
        {"eps_in_sqrt": True}, _optax("rmsprop", LR, decay=0.99),
    ),
    Convention(
        rules.RMSProp(LR, eps=1e-7), "Keras", "eps (1e-7) inside the root",
        {"eps_in_sqrt": True}, _keras("RMSprop", learning_rate=LR, rho=0.99),
    ),
    Convention(
        rules.RMSProp(LR), "optax, Keras", "share of 0.9 instead of 0.99, eps inside the root",
        {"eps_in_sqrt": True, "alpha": 0.9}, _optax("rmsprop", LR),
    ),
    Convention(
        rules.RMSProp(LR, centered=True, momentum=0.9), "optax", "eps inside the root, centered, momentum",
        {"eps_in_sqrt": True, "lr_in_buffer": True},
        _optax("rmsprop", LR, decay=0.99, centered=True, momentum=0.9),
    ),
    Convention(
        rules.RMSProp(LR, momentum=0.9), "optax, Keras", "lr inside the momentum, once it is halved",
        {"lr_in_buffer": True}, halved=True,
    ),
    Convention(
        rules.Adam(LR, eps=1e-7), "Keras", "eps before the bias correction",
        {"eps_hat": True}, _keras("Adam", learning_rate=LR),
    ),
    Convention(
        rules.AdamW(LR), "optax", "decay 1e-4 by default",
        {"weight_decay": 1e-4}, _optax("adamw", LR),
    ),
    Convention(
        rules.AdamW(LR, eps=1e-7), "Keras", "decay 0.004 by default, eps before the bias correction",
        {"weight_decay": 0.004, "eps_hat": True}, _keras("AdamW", learning_rate=LR),
    ),
    Convention(rules.AdamW(LR), "the paper", "decay not multiplied by lr", {"weight_decay": 1e-2 / LR}),
    Convention(
        rules.AMSGrad(LR), "optax", "the maximum of the bias-corrected v",
        {"max_of_corrected": True}, _optax("amsgrad", LR),
    ),
    Convention(
        rules.Adamax(LR, eps=1e-7), "Keras", "eps added after the maximum",
        {"eps_in_max": False}, _keras("Adamax", learning_rate=LR),
    ),
    Convention(
        rules.NAdam(LR), "optax", "mu is beta1 from the first step on",
        {"momentum_decay": math.inf}, _optax("nadam", LR),
    ),
    Convention(
        rules.NAdam(LR, eps=1e-7), "Keras", "mu rises by 0.96^t, not 0.96^(0.004 t)",
        {"momentum_decay": 1.0}, _keras("Nadam", learning_rate=LR),
    ),
    Convention(
        rules.RAdam(LR), "optax", "eps after the bias correction",
        {"eps_hat": False}, _optax("radam", LR),
    ),
    Convention(rules.RAdam(LR), "the paper", "rectifies from rho > 4 on, not 5", {"threshold": 4.0}),
    Convention(
        rules.Adafactor(LR), "the paper", "eps1 = 1e-30 added to g^2, no clamp", dict(_PAPERS_ADAFACTOR),
    ),
    Convention(
        # optax takes t^-0.8 in float32 even where all else is float64.
        rules.Adafactor(0.25), "optax", "the same; lr taken as it is, not limited by 1/sqrt(t)",
        {**_PAPERS_ADAFACTOR, "relative_step": False},
        _optax("adafactor", 0.25, min_dim_size_to_factor=1), gate=1e-6,
    ),
    Convention(
        rules.LARS(1.0, weight_decay=0.1), "optax", "trust divides by |g + wd theta|, not |g| + wd |theta|",
        {"joint_norm": True}, _optax("lars", 1.0, weight_decay=0.1),
    ),
    Convention(
        rules.LARS(1.0), "pytorch_optimizer", "lr outside the buffer, once it is halved",
        {"lr_in_buffer": False}, halved=True,
    ),
    Convention(
        rules.LAMB(LR), "pytorch_optimizer", "no correction of v, trust counts norms to 10 and adds eps",
        {"bias_correction": False, "max_weight_norm": 10.0, "trust_eps": 1e-6},
        _peer("Lamb", lr=LR, adam_debias=True, weight_decouple=False, foreach=False),
    ),
    Convention(
        rules.LAMB(LR), "timm", "clips the gradients of all parameters to norm 1",
        {"max_grad_norm": 1.0}, scale=1.0,
    ),
    Convention(
        rules.Lion(LR), "optax", "decay 1e-3 by default", {"weight_decay": 1e-3}, _optax("lion", LR),
    ),
    Convention(rules.Sophia(LR), "optax", "corrects the bias of m", {"bias_correction": True}),
    Convention(
        rules.Sophia(LR), "pytorch_optimizer, optax", 'divides by h itself and clips at rho (variant "H")',
        {"variant": "H"},
    ),
    Convention(
        rules.Muon(LR), "torch", "iterates in bfloat16", {}, _torch("Muon", lr=LR), gate=1e-2,
    ),
    Convention(
        # Keras adds eps to the norm where torch takes the larger of both.
        rules.Muon(LR, weight_decay=0.0), "Keras", "scales by 0.2 sqrt(max(R, C))",
        {"adjust_lr_fn": "match_rms_adamw"}, _keras("Muon", learning_rate=LR, weight_decay=None), gate=1e-5,
    ),
    Convention(
        rules.Muon(LR, weight_decay=0.0), "optax", "scales by sqrt(max(1, C / R)), corrects the look-ahead",
        None, _optax("muon", LR, module="optax.contrib"),
    ),
)  # fmt: skip


def measure(convention: Convention) -> Measured:
    """Run both and return the figures.

    Raises:
        Missing: the other implementation is not installed.
    """
    rule, other = convention.rule, None
    start = np.random.default_rng(0).normal(size=(6, 4))
    grads = [convention.scale * g for g in oracle.gradients(start.shape, STEPS)]
    hessians: Sequence[np.ndarray] = []
    if isinstance(rule, rules.Sophia):
        hessians = [0 * start, *(g * g for g in grads[:-1])]
    if convention.switched is not None:
        other = _walk(
            rule.with_hyperparameters(**convention.switched), start, grads, hessians, convention.halved
        )
    theirs = convention.theirs(start, grads) if convention.theirs is not None else other
    mine = _walk(rule, start, grads, hessians, convention.halved)
    if theirs is None:
        raise ValueError(f"a convention of {convention.where} has neither an option nor an implementation")
    left = None if other is None else oracle.deviation(other, theirs)
    return Measured(convention, oracle.deviation(mine[-1], theirs[-1]), left)


def _walk(rule: Rule, start: np.ndarray, grads: Grads, hessians: Grads, halved: bool) -> np.ndarray:
    if not halved:
        return rule_path(rule, start, grads, hessians)
    theta, state, points = start, rule.init(start), [start]
    for t, g in enumerate(grads):
        now = rule if t < len(grads) // 2 else rule.with_hyperparameters(lr=rule.hyperparameters()["lr"] / 2)
        delta, state = now.update(g, state, theta)
        theta = theta - delta
        points.append(theta)
    return np.stack(points)


def missing() -> list[str]:
    """Return the packages that a figure needs and that are not installed."""
    needed = ("optax", "jax", "keras", "pytorch_optimizer")
    return [name for name in needed if importlib.util.find_spec(name) is None]


def table() -> list[tuple[str, ...]]:
    """Measure every convention and return rows: rule, where, what, apart, the option that does the same.

    A figure whose package is missing is a dash.
    """
    rows: list[tuple[str, ...]] = []
    for convention in CONVENTIONS:
        try:
            apart = f"{measure(convention).apart:.1e}"
        except Missing:
            apart = "-"
        told = convention.switched
        option = (
            "none" if told is None else ", ".join(f"{n}={_short(v)}" for n, v in told.items()) or "by default"
        )
        rows.append((type(convention.rule).__name__, convention.where, convention.what, apart, option))
    return rows


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def page() -> str:
    """Return the page course/rules/CONVENTIONS.md, its figures measured now."""
    lines = ["| " + " | ".join(_cell(x) for x in row) + " |" for row in table()]
    return "\n".join([*_HEAD, *lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_HEAD = f"""\
# Where libraries and papers differ

Made by `course conventions --write`; `tests/test_conventions.py` measures the figures anew.

The course's rules compute what torch computes, or the paper's own code where torch has no such rule. Others
do otherwise, often under the same name. Each line was run: {STEPS} steps from the same start on the same
gradients (magnitudes 1e-5 to 0.1), in float64, with the same hyperparameters. *Apart* is how far both ended
up from each other, as a share of the parameter (the metric of `course.oracle.deviation`). With the option in
the last column the rule takes the other's path, to rounding; where a package computes it, a test holds it to
that.

| rule | who | does what | apart | the same here |
|---|---|---|---|---|""".split("\n")
