"""Words and comparisons that the signs share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from course.clinic.facts import Facts, LossFacts, OptimizerFacts, ParamFacts

__all__ = [
    "count",
    "falls",
    "fed_losses",
    "figure",
    "flat",
    "made",
    "main_loss",
    "names",
    "params_of",
    "share",
    "stepped",
    "where_params",
]


def figure(value: float) -> str:
    """Write a number with three significant digits."""
    return f"{value:.3g}"


def share(part: float, whole: float) -> str:
    """Write a part of a whole as '3 of 7'."""
    return f"{part:.0f} of {whole:.0f}"


def count(number: int, noun: str) -> str:
    """Write a number of things.

    >>> count(1, "step"), count(2, "step"), count(0, "pass")
    ('1 step', '2 steps', '0 passes')
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def names(items: Sequence[str], most: int = 3) -> str:
    """List names, the first few."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def where_params(params: Sequence[ParamFacts], facts: Facts) -> str:
    """Name parameters, or the modules that hold nothing else."""
    wanted = {id(p) for p in params}
    if len(params) > 1 and all(id(p) in wanted for p in facts.params):
        return f"all {len(params)} parameters"
    found: list[str] = []
    for param in params:
        owner = param.owner
        whole = [p for p in facts.params if p.owner == owner]
        inside = bool(owner) and len(whole) > 1 and owner not in facts.roots
        name = owner if inside and all(id(p) in wanted for p in whole) else param.name
        if name is not None and name not in found:
            found.append(name)
    return names(found)


def _who(optimizer: OptimizerFacts, facts: Facts) -> str:
    """Name an optimizer: by its class, and by what it holds where there is another of that class."""
    if sum(one.name == optimizer.name for one in facts.optimizers) == 1:
        return optimizer.name
    params = params_of(optimizer, facts)
    roots = {root for p in params for root in facts.roots if p.name.startswith(root + ".")}
    return f"{optimizer.name} of {names(sorted(roots)) or where_params(params, facts)}"


def made(optimizer: OptimizerFacts, facts: Facts) -> str:
    """Name an optimizer, and the line that made it; the line that steps it, if it was made before."""
    return ", ".join(filter(None, (_who(optimizer, facts), optimizer.made_at or optimizer.stepped_at)))


def stepped(optimizer: OptimizerFacts, facts: Facts) -> str:
    """Name an optimizer, and the line that steps it."""
    return ", ".join(filter(None, (_who(optimizer, facts), optimizer.stepped_at or optimizer.made_at)))


def params_of(optimizer: OptimizerFacts, facts: Facts) -> list[ParamFacts]:
    """Return the parameters that an optimizer holds."""
    index = next(i for i, one in enumerate(facts.optimizers) if one is optimizer)
    return [p for p in facts.params if any(number == index for number, _ in p.listed)]


def fed_losses(facts: Facts) -> list[LossFacts]:
    """Return the losses that were numbers."""
    return [loss for loss in facts.losses.values() if loss.trace.count]


def main_loss(facts: Facts) -> LossFacts | None:
    """Return the loss that was called most."""
    return max(fed_losses(facts), key=lambda loss: loss.trace.count, default=None)


def falls(facts: Facts, by: float) -> bool:
    """Whether some loss has fallen by this fraction, without having been thrown up in between."""
    traces = [loss.trace for loss in fed_losses(facts)]
    return any(t.change < -by and t.high <= 10 * abs(t.early) for t in traces)


def flat(facts: Facts, within: float) -> bool:
    """Whether no loss has changed by more than this fraction (a loss seen too briefly counts as flat)."""
    changes: Iterable[float] = (loss.trace.change for loss in fed_losses(facts))
    return all(math.isnan(change) or abs(change) < within for change in changes)
