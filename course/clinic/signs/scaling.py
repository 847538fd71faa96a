"""Between backward and step: loss scaling and clipping."""

from __future__ import annotations

import math

from course.clinic.facts import Facts
from course.clinic.finding import Finding, Severity, finding
from course.clinic.signs.words import figure, share, stepped

__all__ = ["clip_before_unscale", "clip_too_tight", "skipped_by_scaler"]


def skipped_by_scaler(facts: Facts) -> list[Finding]:
    """Every scaled gradient overflows."""
    scaler = facts.scaler
    if scaler is None or scaler.skipped == 0:
        return []
    all_of_them = scaler.skipped == scaler.updates >= 3
    often = scaler.updates >= 20 and scaler.skipped > 0.25 * scaler.updates
    if not all_of_them and not often:
        return []
    evidence = (
        f"{share(scaler.skipped, scaler.updates)} steps were skipped, because a scaled gradient was not"
        f" finite; the"
        f" scale went from {figure(scaler.scale.first)} to {figure(scaler.scale.last)}."
    )
    fix = "GradScaler(init_scale=2**10), or bfloat16, which needs no scaler"
    return [finding("skipped-by-scaler", "error" if all_of_them else "warning", "GradScaler", evidence, fix)]


def clip_before_unscale(facts: Facts) -> list[Finding]:
    """The threshold was compared with a norm that is tens of thousands times too large."""
    found = []
    for optimizer in facts.optimizers:
        ratio = optimizer.clip_before_unscale
        if ratio.count and ratio.median < 0.99:
            scale = facts.scaler.scale.last if facts.scaler else 1.0
            evidence = (
                f"Before scaler.unscale_ the gradient was cut to {figure(ratio.median)} of its length,"
                f" with a scale of"
                f" {figure(scale)} still in it; the steps use a norm of {figure(optimizer.applied.median)}."
            )
            fix = "scaler.unscale_(optimizer)  # before clip_grad_norm_"
            found.append(finding("clip-before-unscale", "error", stepped(optimizer, facts), evidence, fix))
    return found


def clip_too_tight(facts: Facts) -> list[Finding]:
    """Clipping takes the step away."""
    found = []
    for optimizer in facts.optimizers:
        kept = optimizer.kept
        if kept.count < 2 or not 0 < kept.high < 0.02 or not optimizer.ratio.count:
            continue
        slow = 1e-5 if optimizer.adaptive else 1e-4
        if optimizer.ratio.high > slow:
            continue
        evidence = (
            f"Of a gradient of norm {figure(optimizer.arrived.median)} a norm of"
            f" {figure(optimizer.applied.median)} is"
            f" left in each of {kept.count} steps looked at, and a step changes the weights by"
            f" {figure(optimizer.ratio.high)} of their norm (1e-3 is usual)."
        )
        severity: Severity = "error" if optimizer.ratio.high < 1e-5 else "warning"
        fix = (
            f"max_norm={figure(10 ** round(_decade(optimizer.arrived.median)))}  # near the usual"
            f" gradient norm"
        )
        found.append(finding("clip-too-tight", severity, stepped(optimizer, facts), evidence, fix))
    return found


def _decade(value: float) -> float:
    return math.log10(value) if value > 0 else 0.0
