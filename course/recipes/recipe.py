"""A recipe: what a training run was told, each figure with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from course.gradients import ClipByNorm
from course.rules import LAMB, LARS, AdamW, Rule, chain
from course.rules.base import require
from course.schedules import Constant, Cosine, Curve, LinearWarmup, Polynomial, Schedule, Sequence

__all__ = ["Piece", "Recipe", "Source"]


@dataclass(frozen=True)
class Source:
    """Where a figure stands, and whether it was read there.

    Attributes:
        where: a section, table or file of the recipe's document, or how the figure was computed.
        checked: whether the figure was compared with a copy of that text. False also where the document is
            silent and the value is a stand-in; ``where`` says so then.
    """

    where: str
    checked: bool

    def __str__(self) -> str:
        return self.where if self.checked else f"{self.where} (not checked)"


@dataclass(frozen=True)
class Piece:
    """A stretch of a schedule after the warmup.

    Attributes:
        kind: ``constant`` at ``to`` from its first step on; ``cosine`` from the rate before it down to
            ``to``; ``polynomial`` down to ``to`` over all the steps, alone.
        until: where it ends, as a share of all steps. to: its learning rate, as a share of the peak.
        power: of the polynomial. from_start: see :class:`course.schedules.Polynomial`.
    """

    kind: str
    until: float = 1.0
    to: float = 0.1
    power: float = 1.0
    from_start: bool = False


@dataclass(frozen=True)
class Recipe:
    """A published recipe.

    Attributes:
        name, year, document: what it is and where it was published.
        parameters: of the model. tokens: of the whole run (None where examples are counted).
        optimizer: ``AdamW``, ``LAMB`` or ``LARS``.
        lr: the peak. betas: None with momentum. momentum: None with betas. eps, weight_decay.
        clip: the largest global norm of the gradients, or None.
        warmup: steps of linear warmup. steps: of the whole run. pieces: the schedule after the warmup.
        batch: tokens a step at its largest, or examples where ``batch_unit`` says so.
        precision: in words.
        sources: where each figure stands, by the name of its field.
        note: what the figures alone do not say.
    """

    name: str
    year: int
    document: str
    parameters: float
    tokens: float | None
    optimizer: str
    lr: float
    betas: tuple[float, float] | None
    eps: float
    weight_decay: float
    clip: float | None
    warmup: int
    steps: int
    pieces: tuple[Piece, ...]
    batch: float
    precision: str
    batch_unit: str = "tokens"
    momentum: float | None = None
    sources: Mapping[str, Source] = field(default_factory=dict, compare=False)
    note: str = ""

    def rule(self, total_steps: int | None = None) -> Rule:
        """Return the course's rule: clipping, where there is any, and the optimizer at the peak rate.

        Args:
            total_steps: put the schedule in too, stretched over so many steps.
        """
        lr = self.lr if total_steps is None else 1.0
        stages: list[Rule] = [self._optimizer(lr)]
        if self.clip is not None:
            stages.insert(0, ClipByNorm(self.clip))
        if total_steps is not None:
            stages.append(Schedule(self.schedule(total_steps)))
        return stages[0] if len(stages) == 1 else chain(*stages)

    def schedule(self, total_steps: int | None = None) -> Curve | Sequence:
        """Return the learning rate over the steps.

        Args:
            total_steps: stretch warmup and decay over so many steps; by default the recipe's own number.

        Raises:
            ValueError: ``total_steps`` is no whole number > 0.
        """
        total = self.steps if total_steps is None else total_steps
        if isinstance(total, bool) or not isinstance(total, int) or total < 1:
            raise ValueError(f"Recipe: total_steps must be a whole number > 0, not {total!r}")
        warmup = round(self.warmup * total / self.steps)
        first = self.pieces[0]
        if first.kind == "polynomial":
            floor = first.to * self.lr
            return Polynomial(self.lr, total, warmup, floor, first.power, first.from_start)
        curves: list[Curve] = [LinearWarmup(self.lr, warmup)] if warmup else []
        milestones, begin, now = [], warmup, self.lr
        for piece in self.pieces:
            end, to = round(piece.until * total), piece.to * self.lr
            if end <= begin:  # stretched over so few steps that nothing is left of this piece
                now = to
                continue
            if curves:
                milestones.append(begin)
            curves.append(Constant(to) if piece.kind == "constant" else Cosine(now, end - begin, floor=to))
            begin, now = end, to
        # Past the end: the last rate, also where that piece got no step.
        return Sequence((*curves, Constant(now)), (*milestones, total))

    def figures(self) -> dict[str, Any]:
        """Return the figures by name: every field that has a value and says something of the training."""
        told = ("name", "year", "document", "sources", "note", "batch_unit")
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in told and getattr(self, f.name) is not None
        }

    def unchecked(self) -> tuple[str, ...]:
        """Return the names of the figures that were not read in their source."""
        return tuple(name for name in self.figures() if not self.sources[name].checked)

    def __post_init__(self) -> None:
        require(self, "optimizer", self.optimizer in ("AdamW", "LAMB", "LARS"), "'AdamW', 'LAMB' or 'LARS'")
        missing = sorted(set(self.figures()) - set(self.sources))
        if missing:
            raise ValueError(f"Recipe: {self.name} has no source for {', '.join(missing)}")

    def _optimizer(self, lr: float) -> Rule:
        if self.optimizer == "LARS":
            return LARS(
                lr, self.momentum or 0.0, self.weight_decay, trust_coefficient=1e-3, eps=self.eps,
                adapt_vectors=False,
            )  # fmt: skip
        make = AdamW if self.optimizer == "AdamW" else LAMB
        return make(lr=lr, betas=self.betas or (0.9, 0.999), eps=self.eps, weight_decay=self.weight_decay)

    def __str__(self) -> str:
        lines = [f"{self.name} ({self.document}, {self.year})"]
        for name, value in self.figures().items():
            shown = f"{value:g}" if isinstance(value, int | float) else _shown(value)
            unit = f" {self.batch_unit}" if name == "batch" else ""
            lines.append(f"  {name:<13}{shown}{unit}  [{self.sources[name]}]")
        return "\n".join([*lines, *([f"  note: {self.note}"] if self.note else [])])


def _shown(value: Any) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], Piece):
        return ", ".join(f"{p.kind} to {p.to:.3g} of the peak until {p.until:.3g}" for p in value)
    return str(value)
