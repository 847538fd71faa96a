"""What a model takes in memory while it is trained, and how many tokens a step reads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from course.averaging import MasterWeights, StochasticRounding
from course.gradients import Scaled
from course.rules import ALL, Rule
from course.rules.chain import Chain

__all__ = [
    "PRECISIONS",
    "Memory",
    "Precision",
    "accumulation_for",
    "gibibytes",
    "gigabytes",
    "memory",
    "state_numbers",
    "tokens_per_step",
]

_BILLION = 10**9
_GIB = 2**30


@dataclass(frozen=True)
class Precision:
    """Bytes for each number: of a weight, its gradient, its master copy (0: none), and an optimizer state."""

    weight: int
    gradient: int
    master: int
    state: int


PRECISIONS: dict[str, Precision] = {
    "float32": Precision(weight=4, gradient=4, master=0, state=4),
    # 16-bit weights and gradients (float16 or bfloat16), a float32 copy and float32 states.
    "mixed": Precision(weight=2, gradient=2, master=4, state=4),
    # The same with gradients that are summed in float32.
    "mixed, float32 gradients": Precision(weight=2, gradient=4, master=4, state=4),
    "bfloat16": Precision(weight=2, gradient=2, master=0, state=2),
    # DeepSeek-V3 (2024), section 3.3.3: FP8 weights, FP32 gradients and master copy, BF16 moments.
    "float8, bfloat16 states": Precision(weight=1, gradient=4, master=4, state=2),
}


@dataclass(frozen=True)
class Memory:
    """Bytes of each part, for the whole model; without activations, buffers and fragmentation.

    >>> print(memory(1.5e9, "AdamW", precision="mixed"))
    weights         3.0 GB     2.8 GiB
    gradients       3.0 GB     2.8 GiB
    master copy     6.0 GB     5.6 GiB
    states         12.0 GB    11.2 GiB
    total          24.0 GB    22.4 GiB
    """

    weights: float
    gradients: float
    master: float
    states: float

    @property
    def total(self) -> float:
        """All parts together, in bytes."""
        return self.weights + self.gradients + self.master + self.states

    def __str__(self) -> str:
        rows = {
            "weights": self.weights,
            "gradients": self.gradients,
            "master copy": self.master,
            "states": self.states,
            "total": self.total,
        }
        return "\n".join(f"{n:<12}{gigabytes(x):>11}{gibibytes(x):>12}" for n, x in rows.items())


def memory(
    parameters: float,
    rule: Rule | type[Rule] | str,
    precision: str | Precision = "mixed",
    shape: tuple[int, ...] = (4096, 4096),
) -> Memory:
    """Return the bytes of weights, gradients, master copy and optimizer states of a model.

    Args:
        parameters: how many the model has.
        rule: a rule, its class or its name. Of a chain all states count; a wrapper such as
            :class:`course.averaging.MasterWeights` counts as the rule inside: the copy is in ``precision``.
        precision: one of :data:`PRECISIONS` by name, or bytes of one's own.
        shape: of a typical parameter, for rules like Adafactor whose state depends on it.

    >>> gpt2 = memory(1.5e9, "AdamW", precision="mixed")
    >>> gigabytes(gpt2.master + gpt2.states), gigabytes(gpt2.total)
    ('18.0 GB', '24.0 GB')

    Raises:
        ValueError: an argument is out of range or unknown.
    """
    _require(parameters, "parameters", _is_positive(parameters), "a finite number > 0")
    if isinstance(precision, str):
        _require(precision, "precision", precision in PRECISIONS, "one of " + ", ".join(PRECISIONS))
        precision = PRECISIONS[precision]
    _require(precision, "precision", isinstance(precision, Precision), "a name or a Precision")
    states = parameters * state_numbers(rule, shape) * precision.state
    return Memory(
        parameters * precision.weight, parameters * precision.gradient, parameters * precision.master, states
    )


def state_numbers(rule: Rule | type[Rule] | str, shape: tuple[int, ...] = (4096, 4096)) -> float:
    """Return how many numbers a rule keeps for each parameter of an array of this shape.

    >>> state_numbers("AdamW"), state_numbers("SGD"), state_numbers("HeavyBall")
    (2.0, 0.0, 1.0)
    >>> round(state_numbers("Adafactor"), 5)  # a row and a column of 4096
    0.00049
    """
    return _counted(_as_rule(rule), shape) / math.prod(shape)


def _counted(rule: Rule, shape: tuple[int, ...]) -> int:
    if isinstance(rule, Chain):
        return sum(_counted(stage, shape) for stage in rule.stages)
    if isinstance(rule, MasterWeights | StochasticRounding | Scaled):
        return _counted(rule.rule, shape)
    return sum(math.prod(held) for held in rule.state_shapes(shape).values() if held is not None)


def _as_rule(rule: Any) -> Rule:
    if isinstance(rule, str):
        _require(rule, "rule", rule in ALL, "one of " + ", ".join(ALL))
        rule = ALL[rule]
    if isinstance(rule, type) and issubclass(rule, Rule):
        rule = rule()
    _require(rule, "rule", isinstance(rule, Rule), "a rule, its class or its name")
    return rule


def gigabytes(count: float) -> str:
    """Return bytes in GB, powers of ten: what papers and disks count in.

    >>> gigabytes(24e9)
    '24.0 GB'
    """
    return f"{count / _BILLION:,.1f} GB"


def gibibytes(count: float) -> str:
    """Return bytes in GiB, powers of two: what tools report of a graphics card, often under the name GB.

    >>> gibibytes(24e9)
    '22.4 GiB'
    """
    return f"{count / _GIB:,.1f} GiB"


def tokens_per_step(micro_batch: int, sequence: int, accumulation: int = 1, ranks: int = 1) -> int:
    """Return how many tokens one update has seen.

    Args:
        micro_batch: sequences that one rank takes at once. sequence: tokens in each.
        accumulation: micro-batches before an update. ranks: data-parallel copies of the model, not devices:
            those that share one copy count once.

    >>> tokens_per_step(micro_batch=2, sequence=4096, accumulation=8, ranks=64)
    4194304

    Raises:
        ValueError: an argument is no whole number > 0.
    """
    _counts(micro_batch=micro_batch, sequence=sequence, accumulation=accumulation, ranks=ranks)
    return int(micro_batch * sequence * accumulation * ranks)


def accumulation_for(tokens: int, micro_batch: int, sequence: int, ranks: int = 1) -> int:
    """Return how many micro-batches a step of at least so many tokens takes.

    >>> accumulation_for(4_000_000, micro_batch=2, sequence=4096, ranks=64)
    8
    """
    _counts(tokens=tokens, micro_batch=micro_batch, sequence=sequence, ranks=ranks)
    return -(-int(tokens) // tokens_per_step(micro_batch, sequence, 1, ranks))


def _counts(**values: Any) -> None:
    for name, value in values.items():
        whole = _is_positive(value) and value == int(value)
        _require(value, name, whole, "a whole number > 0")


def _is_positive(value: Any) -> bool:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return False
    return math.isfinite(value) and value > 0


def _require(value: Any, name: str, allowed: bool, what: str) -> None:
    if not allowed:
        raise ValueError(f"{name} must be {what}, not {value!r}")
