"""What was seen: plain facts, from which the signs are read. Nothing here is an opinion."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from course.clinic.trace import LossTrace, Trace

__all__ = [
    "BroadcastFacts",
    "CutFacts",
    "Facts",
    "GroupFacts",
    "LeafFacts",
    "LossFacts",
    "LossInputFacts",
    "ModuleFacts",
    "OptimizerFacts",
    "ParamFacts",
    "ScalerFacts",
    "UnitFacts",
]


@dataclass
class ParamFacts:
    """One parameter; "looked" counts the steps at which its values were read."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    numel: int
    owner: str | None  # the module that holds it; None: it is in no watched model
    listed: list[tuple[int, int]] = field(default_factory=list)  # (optimizer, group), once a listing
    trainable: bool = True
    sought: bool = False  # a backward call reached it that reached no parameter of an optimizer
    gradients: int = 0  # how often autograd accumulated into it
    steps: int = 0
    looked: int = 0
    zero: int = 0  # looks at which its gradient was exactly zero
    residue: int = 0  # looks at which its gradient still held one that a step had used
    moved_without: int = 0  # looks at which it moved though its gradient was zero
    weight: Trace = field(default_factory=Trace)  # Euclidean norms, before the step
    gradient: Trace = field(default_factory=Trace)
    update: Trace = field(default_factory=Trace)
    lost: Trace = field(default_factory=Trace)  # share of elements with a gradient that kept their value
    expected: Trace = field(default_factory=Trace)  # rms of the update that the rule asks for, if known
    spacing: Trace = field(
        default_factory=Trace
    )  # rms distance from a weight to its next representable value


@dataclass
class GroupFacts:
    """The learning rate of one parameter group over the steps."""

    size: int
    weight_decay: float = 0.0
    momentum: float = 0.0
    built_lr: float = math.nan  # when the optimizer was taken in
    lr: Trace = field(default_factory=Trace)
    zero_steps: int = 0
    tiny_steps: int = 0  # steps at less than 1e-5 of the highest rate before
    tiny_from: int | None = None


@dataclass
class OptimizerFacts:
    """One optimizer over the run."""

    name: str
    adaptive: bool = False
    made_at: str = ""  # the line that built it, if it was built meanwhile
    stepped_at: str = ""  # the line of its first step
    remade: int = 0  # how often it was built anew, with the same parameters, after it had stepped
    first_turn: int = 0  # of the steps of all optimizers, the number of its first
    last_turn: int = 0
    groups: list[GroupFacts] = field(default_factory=list)
    steps: int = 0
    closure: bool = False
    looked: int = 0
    empty: int = 0  # steps at which no parameter had a gradient
    wiped: int = 0  # steps at which a gradient had been computed, but was gone or zero
    fed: int = 0  # backward calls that reached its parameters
    residue: int = 0  # looks at which used gradients were still there
    discarded: int = 0  # gradients of a backward that the next found cleared, with no step between
    micro: Trace = field(default_factory=Trace)  # backward calls of one line of code that a step used
    micro_where: str = ""
    factor: Trace = field(default_factory=Trace)  # by which the loss was multiplied before backward
    arrived: Trace = field(default_factory=Trace)  # gradient norm after backward
    applied: Trace = field(default_factory=Trace)  # gradient norm at the step
    kept: Trace = field(default_factory=Trace)  # applied / arrived, scaling removed
    ratio: Trace = field(default_factory=Trace)  # norm of the update / norm of the weights
    pull: Trace = field(default_factory=Trace)  # norm of the gradient / norm of the weights
    speed: Trace = field(default_factory=Trace)  # ratio / learning rate of the same step, where that is not 0
    bad_gradient: tuple[int, str] | None = None  # step and parameter of the first non-finite gradient
    clip_before_unscale: Trace = field(default_factory=Trace)
    early_schedulers: dict[str, int] = field(default_factory=dict)  # scheduler steps before the first step
    scheduled: bool = False
    schedulers: dict[str, str] = field(default_factory=dict)  # class, and its length as it was given
    base_lr: float = 0.0  # the rate that its schedulers start from
    reverted: int = 0  # steps before which something else had set them back, or thrown them far away
    written_what: str = ""
    pairs: int = 0  # consecutive steps compared for that


@dataclass
class ModuleFacts:
    """One module of a watched model."""

    name: str
    kind: str
    leaf: bool = True  # it has no modules in it
    weighted: bool = False  # it has parameters of its own
    order: int = -1  # its place in the first forward pass
    on: int = 0  # calls with gradients on
    off: int = 0  # calls with gradients off
    evals: int = 0  # calls with gradients on in evaluation mode
    last_on: bool = True
    last_eval: bool = False
    bad: tuple[int, str] | None = None  # step of the first non-finite output; "inputs", "weights" or "itself"
    rms: Trace = field(
        default_factory=Trace
    )  # root mean square of float inputs without history, largest column
    mean: Trace = field(default_factory=Trace)
    moody: tuple[str, ...] = ()  # modules below that behave otherwise in evaluation mode


@dataclass
class UnitFacts:
    """One activation function in a model."""

    where: str
    kind: str
    examples: int = 0
    alive: Any = None  # per unit: was it ever above zero
    stuck: Trace = field(default_factory=Trace)  # share of outputs within 1 % of a limit
    is_output: bool = False  # the model gives these values as they are
    silent: int = 0  # looks at which all units were zero, since one was not

    @property
    def units(self) -> int:
        """How many units there are."""
        return 0 if self.alive is None else int(self.alive.numel())

    @property
    def dead(self) -> int:
        """How many units never were above zero."""
        return 0 if self.alive is None else self.units - int(self.alive.sum())


@dataclass
class LeafFacts:
    """A tensor that required a gradient in a backward pass, but is in no watched model."""

    name: str
    shape: tuple[int, ...]
    backwards: int = 0
    fed_in: bool = False  # it was an argument of the model: an input, not a weight
    owner: str = ""  # the class of the unwatched module that owns it


@dataclass
class CutFacts:
    """A place in the code where a tensor lost its history."""

    where: str
    code: str
    op: str
    count: int = 0
    reach: frozenset[str] = frozenset()  # parameters behind it
    in_loss: int = 0  # losses in which its result took part
    escaped: int = 0  # how often it or its result became a number or an array


@dataclass
class LossFacts:
    """The losses of one ``backward`` call in the code."""

    where: str
    trace: LossTrace = field(default_factory=LossTrace)
    shape: tuple[int, ...] = ()
    unhistoried: int = 0  # losses without a graph behind them
    given: bool = False  # backward got a gradient argument


class BroadcastFacts(NamedTuple):
    """A loss whose prediction and target had different shapes; "loss" is "" for a difference."""

    loss: str
    prediction: tuple[int, ...]
    target: tuple[int, ...]


@dataclass
class LossInputFacts:
    """What a loss function got that takes scores or logarithms."""

    loss: str
    looks: int = 0
    probable: int = 0  # looks at which all of it were probabilities
    classes: int = 0
    activation: str = ""  # "softmax" or "sigmoid", if the graph says so
    maker: str = ""  # the module that gave it


@dataclass
class ScalerFacts:
    """A gradient scaler over the run."""

    unscales: int = 0
    updates: int = 0
    skipped: int = 0
    scale: Trace = field(default_factory=Trace)


@dataclass
class Facts:
    """All that was seen in one watch."""

    params: list[ParamFacts] = field(default_factory=list)
    optimizers: list[OptimizerFacts] = field(default_factory=list)
    modules: dict[str, ModuleFacts] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)  # the models, by the names of their outermost modules
    units: dict[str, UnitFacts] = field(default_factory=dict)
    leaves: dict[int, LeafFacts] = field(default_factory=dict)
    cuts: dict[str, CutFacts] = field(default_factory=dict)
    losses: dict[str, LossFacts] = field(default_factory=dict)
    scaler: ScalerFacts | None = None
    broadcasts: dict[str, BroadcastFacts] = field(default_factory=dict)
    loss_inputs: dict[str, LossInputFacts] = field(default_factory=dict)
    grad_off_at: str = ""  # the line that last switched gradients off
    backwards: int = 0
    loss_bad: tuple[int, str] | None = None  # step and line of the first non-finite loss
    error: tuple[str, str, str] | None = None  # type, message and line of the exception that ended the run
    trouble: list[str] = field(default_factory=list)  # errors of the clinic itself

    @property
    def steps(self) -> int:
        """Steps taken, of all optimizers."""
        return sum(o.steps for o in self.optimizers)

    @property
    def blind(self) -> bool:
        """Whether the clinic itself stumbled, and has looked at no parameter."""
        return bool(self.trouble) and not any(p.looked for p in self.params)

    @property
    def listed(self) -> list[ParamFacts]:
        """Parameters that an optimizer holds."""
        return [p for p in self.params if p.listed]
