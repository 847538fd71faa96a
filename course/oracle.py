"""How far a rule parts from its independent reference, measured.

The metric is the smallest ``r`` with ``|difference| <= r (|reference| + rms(reference))`` for every
element. A purely relative tolerance would be wrong here: where a value crosses zero, correct code in
float32 differs from other correct code by any factor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from course import rules
from course.arrays import Array, copy, to_numpy
from course.rules import Rule

if TYPE_CHECKING:
    import torch

__all__ = ["GATES", "Reference", "Report", "beside", "deviation", "gate", "gradients", "torch_reference"]

# What a correct rule stays under after 200 steps, in the metric above.
GATES = {"float64": 1e-14, "float32": 3e-6}
# Where torch itself computes less exactly: its Newton-Schulz iteration runs in bfloat16.
LOOSER: dict[type[Rule], dict[str, float]] = {rules.Muon: {"float64": 1e-2, "float32": 1e-2}}

# Each rule's counterpart: the class in torch.optim, what it is told beside the rule's own hyperparameters,
# and those of the rule that torch does not have, with the only value at which both compute the same.
IN_TORCH: dict[type[Rule], tuple[str, dict[str, Any], dict[str, Any]]] = {
    rules.SGD: ("SGD", {}, {}),
    rules.HeavyBall: ("SGD", {}, {}),
    rules.Nesterov: ("SGD", {"nesterov": True}, {}),
    rules.AdaGrad: ("Adagrad", {}, {"eps_in_sqrt": False}),
    rules.Adadelta: ("Adadelta", {}, {}),
    rules.RMSProp: ("RMSprop", {}, {"eps_in_sqrt": False, "lr_in_buffer": False}),
    rules.Adam: ("Adam", {}, {"eps_root": 0, "eps_hat": False}),
    rules.AdamW: ("AdamW", {}, {"eps_root": 0, "eps_hat": False}),
    rules.AMSGrad: ("Adam", {"amsgrad": True}, {"max_of_corrected": False}),
    rules.Adamax: ("Adamax", {}, {"eps_in_max": True}),
    rules.NAdam: ("NAdam", {}, {}),
    rules.RAdam: ("RAdam", {}, {"threshold": 5, "eps_hat": True}),
    rules.Adafactor: ("Adafactor", {}, {"relative_step": True, "eps_added": False}),
    rules.Muon: ("Muon", {}, {}),
}

Reference = Callable[[list["torch.Tensor"]], "torch.optim.Optimizer"]


def deviation(actual: Array, reference: Array) -> float:
    """Return the smallest ``r`` with ``|actual - reference| <= r (|reference| + rms(reference))``.

    Equal values (infinities and NaNs in the same places included) part by 0; a NaN or infinity on one
    side only parts by infinity. An empty array parts by 0.

    >>> deviation(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    0.0
    >>> deviation(np.array([1.5, 1.0]), np.array([1.0, 1.0]))
    0.25
    """
    a = to_numpy(actual).astype(np.float64)
    b = to_numpy(reference).astype(np.float64)
    if a.shape != b.shape:
        raise ValueError(f"deviation: shapes differ: {a.shape} and {b.shape}")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    a, b = a[~same], b[~same]
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    whole = to_numpy(reference).astype(np.float64)
    whole = whole[np.isfinite(whole)]
    # In units of the largest value: squares of 1e200 overflow, and an infinite rms would excuse anything.
    unit = float(np.max(np.abs(whole)))
    if unit == 0:
        return float("inf")
    rms = float(np.sqrt(np.mean((whole / unit) ** 2)))
    with np.errstate(over="ignore"):
        a, b = a / unit, b / unit
        return float(np.max(np.abs(a - b) / (np.abs(b) + rms)))


def gradients(
    shape: tuple[int, ...], steps: int, dtype: str = "float64", seed: int = 0
) -> Iterator[np.ndarray]:
    """Yield hard gradients: magnitudes over four decades, both signs, one in ten exactly zero.

    Args:
        shape: of each gradient. steps: how many. dtype: ``float32`` or ``float64``. seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        size = 10 ** rng.uniform(-2, 2, shape) * rng.choice([-1.0, 1.0], shape)
        yield np.asarray(np.where(rng.random(shape) < 0.1, 0.0, size), dtype=dtype)


def torch_reference(rule: Rule) -> Reference:
    """Return a factory of the torch optimizer that computes the same as ``rule``.

    Raises:
        KeyError: torch has no counterpart of this rule, or the oracle does not know it.
        ValueError: a hyperparameter has a value that torch's counterpart does not offer.
    """
    import torch

    if type(rule) not in IN_TORCH:
        raise KeyError(f"oracle: no torch reference is known for {type(rule).__name__}")
    name, told, own = IN_TORCH[type(rule)]
    options = rule.hyperparameters()
    for field, value in own.items():
        if options.pop(field) != value:
            raise ValueError(f"oracle: torch.optim.{name} has no {field}: it is {value!r} there")
    return lambda params: getattr(torch.optim, name)(params, **options, **told)


def gate(rule: object, dtype: str) -> float:
    """Return what a correct rule stays under beside its torch reference in this dtype."""
    looser = LOOSER.get(type(rule), {}) if isinstance(rule, Rule) else {}
    return looser.get(dtype, GATES.get(dtype, GATES["float32"]))


@dataclass(frozen=True)
class Report:
    """What :func:`beside` measured.

    Attributes:
        steps: how many steps were taken. worst: the largest deviation of any step, in the metric.
        at: the step (from 1) where it stood. gate: what a correct rule stays under.
        path: the rule's parameters after each step, shape ``(steps + 1, *shape)``.
        reference: the same, of the reference.
    """

    steps: int
    worst: float
    at: int
    gate: float
    path: np.ndarray
    reference: np.ndarray

    @property
    def agrees(self) -> bool:
        """Whether the rule stayed under the gate at every step."""
        return self.worst <= self.gate

    def __str__(self) -> str:
        if self.agrees:
            return f"agrees with the reference over {self.steps} steps (parts by less than {self.gate:g})"
        return f"parts from the reference by {self.worst:.1e} at step {self.at} (allowed: {self.gate:g})"


def beside(
    rule: Rule | Callable[..., tuple[Array, Any]],
    reference: Reference | None = None,
    *,
    param: Array | None = None,
    state: Any = None,
    steps: int = 200,
    seed: int = 0,
) -> Report:
    """Run a rule, or a learner's update function, beside a torch optimizer on the same gradients.

    Args:
        rule: a rule, or any function ``(grad, state, param) -> (delta, state)``.
        reference: a factory ``params -> torch.optim.Optimizer``; for a rule, its counterpart by default.
        param: where to start, a NumPy array or torch tensor; by default 24 float64 normal draws (as a
            matrix where the rule is for matrices only).
        state: the first state; for a rule, ``rule.init(param)`` by default.
        steps: how many steps. seed: of the gradients.
    """
    import torch

    if isinstance(rule, Rule):
        update, reference = rule.update, reference or torch_reference(rule)
    else:
        update = rule
    if reference is None:
        raise ValueError(
            "oracle.beside: a function needs its reference, e.g. lambda p: torch.optim.SGD(p, lr=.1)"
        )
    theta = start(rule, seed) if param is None else copy(param)
    other = torch.nn.Parameter(torch.tensor(to_numpy(theta)))
    optimizer = reference([other])
    if isinstance(rule, Rule) and state is None:
        state = rule.init(theta)
    mine, theirs, parted = [to_numpy(theta).copy()], [to_numpy(other).copy()], [0.0]
    dtype = str(mine[0].dtype)
    for g in gradients(mine[0].shape, steps, dtype, seed):
        # Each side gets its own copy: a rule that clips in place would clip the reference's gradient too.
        grad = torch.tensor(g) if hasattr(theta, "detach") else g.copy()
        delta, state = update(grad, state, theta)
        theta = theta - delta
        other.grad = torch.tensor(g)
        with scalars_as_exact_as(other):
            optimizer.step()
        mine.append(to_numpy(theta).copy())
        theirs.append(to_numpy(other).copy())
        parted.append(deviation(mine[-1], theirs[-1]))
    at = int(np.argmax(parted))
    return Report(steps, parted[at], at, gate(rule, dtype), np.stack(mine), np.stack(theirs))


@contextmanager
def scalars_as_exact_as(param: torch.Tensor) -> Iterator[None]:
    """Let torch keep a float64 parameter's own scalars in float64: NAdam's product, in float32 by default."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if param.dtype == torch.float64 else before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def start(rule: object, seed: int = 0) -> np.ndarray:
    """Return 24 normal draws to begin at, as a matrix for a rule that is for matrices only."""
    draws = np.random.default_rng(seed + 1).normal(size=24)
    return draws.reshape(4, 6) if isinstance(rule, Rule) and rule.only_matrices else draws
