"""The signs: each reads the facts and returns findings. The order of ``CODES`` is that of causes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatch

from course.clinic.facts import Facts
from course.clinic.finding import CODES, SEVERITIES, Finding
from course.clinic.signs import history, losses, order, rates, scaling, schedules, signal, wiring

__all__ = ["diagnose"]

SIGNS: tuple[Callable[[Facts], list[Finding]], ...] = (
    history.non_scalar_loss,
    wiring.stale_optimizer,
    wiring.not_registered,
    wiring.frozen,
    history.no_grad_mode,
    history.detached,
    history.no_backward,
    order.zero_grad_before_step,
    signal.non_finite,
    scaling.skipped_by_scaler,
    order.no_step,
    wiring.not_in_optimizer,
    schedules.zero_lr,
    schedules.schedule,
    order.overwritten,
    order.no_zero_grad,
    order.optimizer_in_loop,
    wiring.tied_twice,
    losses.broadcast_loss,
    losses.probabilities_in_loss,
    signal.inputs_not_normalised,
    order.accumulation_not_divided,
    scaling.clip_before_unscale,
    scaling.clip_too_tight,
    signal.exploding_gradient,
    rates.lr_too_large,
    signal.saturated,
    signal.dead_units,
    signal.vanishing_gradient,
    rates.lost_to_rounding,
    rates.lr_too_small,
    order.scheduler_order,
    order.eval_mode,
    rates.decay_only,
    history.unused,
)

_STILL = frozenset({"lost-to-rounding", "lr-too-small", "vanishing-gradient", "decay-only", "clip-too-tight"})
_WILD = frozenset({"exploding-gradient", "lr-too-large", "non-finite"})
_SICK = frozenset({"saturated", "dead-units", "vanishing-gradient", "decay-only"})

# What each cause explains: its consequences are no findings of their own.
EXPLAINS: dict[str, frozenset[str]] = {
    "non-scalar-loss": frozenset({"no-backward", "no-step", "detached"}),
    "stale-optimizer": _STILL
    | {"not-in-optimizer", "no-backward", "no-step", "detached", "unused", "not-registered"},
    "frozen": frozenset({"no-grad-mode", "detached", "no-backward", "no-step"}),
    "no-grad-mode": _STILL | {"detached", "no-backward", "no-step", "unused"},
    "detached": frozenset({"no-backward", "no-step"}),
    "no-backward": _STILL | {"no-step", "unused", "detached"},
    "zero-grad-before-step": _STILL,
    "non-finite": _WILD | _SICK | {"skipped-by-scaler", "no-step", "lr-too-small", "lost-to-rounding"},
    "skipped-by-scaler": frozenset({"no-step", "no-zero-grad"}),
    "not-in-optimizer": frozenset({"vanishing-gradient", "decay-only"}),
    "zero-lr": _STILL,
    "schedule-reached-zero": frozenset({"lr-too-small", "lost-to-rounding"}),
    "overwritten": _STILL | {"lr-too-large", "saturated", "dead-units"},
    "no-zero-grad": _WILD | _SICK,
    "tied-twice": _WILD,
    "broadcast-loss": frozenset({"lr-too-large"}),
    "probabilities-in-loss": frozenset({"lr-too-small", "lr-too-large", "vanishing-gradient", "saturated"}),
    "inputs-not-normalised": _WILD | _SICK,
    "accumulation-not-divided": _WILD,
    "clip-before-unscale": _STILL,
    "clip-too-tight": _STILL,
    "exploding-gradient": _WILD | _SICK,
    "lr-too-large": _WILD | _SICK,
    "saturated": frozenset({"vanishing-gradient", "decay-only", "lr-too-small", "lost-to-rounding"}),
    "dead-units": frozenset({"vanishing-gradient", "decay-only", "lr-too-small", "lost-to-rounding"}),
    "vanishing-gradient": frozenset({"lost-to-rounding", "lr-too-small", "decay-only"}),
    "lost-to-rounding": frozenset({"lr-too-small"}),
}


def diagnose(facts: Facts, ignore: Sequence[str] = ()) -> list[Finding]:
    """Return the findings: errors first, and among equals the cause before the consequence.

    Args:
        facts: what was seen.
        ignore: codes, and patterns of the names of parameters, modules or places that are meant so.
    """
    facts = _without(facts, [pattern for pattern in ignore if pattern not in CODES])
    found = [one for sign in SIGNS for one in sign(facts) if one.code not in ignore]
    kept: list[Finding] = []
    explained: dict[str, Finding] = {}
    for one in sorted(found, key=lambda f: list(CODES).index(f.code)):
        cause = explained.get(one.code)
        if cause is not None and cause.code != one.code:
            if _rank(one) < _rank(cause):
                worse = replace(cause, severity=one.severity)
                kept[kept.index(cause)] = worse
                explained = {code: worse if c is cause else c for code, c in explained.items()}
            continue
        kept.append(one)
        if one.severity != "note" or one.code == "inputs-not-normalised":
            for code in EXPLAINS.get(one.code, frozenset()) - explained.keys():
                explained[code] = one
    return sorted(kept, key=_rank)


def _rank(one: Finding) -> int:
    return SEVERITIES.index(one.severity)


def _without(facts: Facts, patterns: Sequence[str]) -> Facts:
    """Return the facts without what is meant to be so."""
    if not patterns:
        return facts

    def meant(name: str) -> bool:
        return any(name == p or name.startswith(p + ".") or fnmatch(name, p) for p in patterns)

    return replace(
        facts,
        params=[p for p in facts.params if not meant(p.name)],
        units={key: u for key, u in facts.units.items() if not meant(key.split(",")[0])},
        leaves={key: leaf for key, leaf in facts.leaves.items() if not meant(leaf.name)},
        loss_inputs={key: x for key, x in facts.loss_inputs.items() if not meant(key) and not meant(x.maker)},
        broadcasts={key: b for key, b in facts.broadcasts.items() if not meant(key)},
    )
