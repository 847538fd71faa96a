"""The lines of the convention table: who does what differently, and how to run it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from course import rules
from course.references import (
    PEERS,
    Grads,
    keras_path,
    load,
    optax_path,
    textbook_path,
    torch_path,
)
from course.rules import Rule

__all__ = ["CONVENTIONS", "LR", "STEPS", "Convention", "estimates"]

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


def _optax(name: str, *args: Any, module: str = "optax", **options: Any) -> Theirs:
    return lambda start, grads: optax_path(getattr(load(module), name)(*args, **options), start, grads)


def _keras(name: str, **options: Any) -> Theirs:
    return lambda start, grads: keras_path(lambda k: getattr(k, name)(**options), start, grads)


def _peer(name: str, halved: bool = False, **options: Any) -> Theirs:
    def make(params: list[Any]) -> Any:
        optimizer = getattr(load("pytorch_optimizer"), name)(params, **options)
        plain, steps = optimizer.step, itertools.count(1)

        def step() -> None:
            plain()
            if halved and next(steps) == STEPS // 2:
                optimizer.param_groups[0]["lr"] /= 2

        optimizer.step = step
        return optimizer

    return lambda start, grads: torch_path(make, start, grads)


def _as_peer(name: str, rule: Rule) -> Theirs:
    (peer,) = [peer for peer in PEERS if peer.name == name]
    return lambda start, grads: peer.run(rule, start, grads, estimates(start, grads))


def estimates(start: np.ndarray, grads: Grads) -> Grads:
    """Return Sophia's estimates of the Hessian's diagonal: none before the first step, then squares."""
    return [0 * start, *(g * g for g in grads[:-1])]


def _halving(step: Any) -> Any:
    """Return the learning rate at a step that may be an array of JAX."""
    return LR * (1 - 0.5 * (step >= STEPS // 2))


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
        rules.RMSProp(LR, momentum=0.9, eps_in_sqrt=True), "optax, Keras",
        "lr inside the momentum, once it is halved",
        {"lr_in_buffer": True}, _optax("rmsprop", _halving, decay=0.99, momentum=0.9), halved=True,
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
        {"lr_in_buffer": False}, _peer("LARS", lr=1.0, foreach=False, halved=True), halved=True,
    ),
    Convention(
        rules.LAMB(LR), "pytorch_optimizer", "no correction of v, trust counts norms to 10 and adds eps",
        {"bias_correction": False, "max_weight_norm": 10.0, "trust_eps": 1e-6},
        _peer("Lamb", lr=LR, adam_debias=True, weight_decouple=False, foreach=False),
    ),
    Convention(
        # timm needs torchvision, so it is no extra. timm 1.0.31, run by hand, was 4e-16 from this option.
        rules.LAMB(LR, weight_decay=0.01), "timm", "clips the gradients of all parameters to norm 1",
        {"max_grad_norm": 1.0}, scale=1.0,
    ),
    Convention(
        rules.Lion(LR), "optax", "decay 1e-3 by default", {"weight_decay": 1e-3}, _optax("lion", LR),
    ),
    Convention(
        rules.Sophia(LR), "pytorch_optimizer", 'divides by h itself and clips at rho (variant "H")',
        {"variant": "H"}, _as_peer("pytorch_optimizer.SophiaH", rules.Sophia(LR)),
    ),
    Convention(
        rules.Sophia(LR), "optax", 'variant "H", and corrects the bias of m',
        {"variant": "H", "bias_correction": True}, _as_peer("optax.contrib.sophia", rules.Sophia(LR)),
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
