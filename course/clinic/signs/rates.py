"""The size of the steps: learning rate, schedule, rounding, decay."""

from __future__ import annotations

import math

from course.clinic.facts import Facts, OptimizerFacts, ParamFacts
from course.clinic.finding import Finding, Severity, finding
from course.clinic.signs.schedules import squared, warming_up
from course.clinic.signs.words import (
    count,
    falls,
    fed_losses,
    figure,
    flat,
    made,
    params_of,
    share,
    where_params,
)

__all__ = [
    "decay_only",
    "diverged",
    "lost_to_rounding",
    "lr_too_large",
    "lr_too_small",
]

SMALL, TINY, NOTHING = 1e-5, 1e-6, 1e-7  # update / weight a step; about 1e-3 is usual
WILD = 100.0  # gradient / weight before any harm is done


def lost_to_rounding(facts: Facts) -> list[Finding]:
    """Weight plus update rounds to the weight."""
    found = []
    for optimizer in facts.optimizers:
        params = [p for p in params_of(optimizer, facts) if p.lost.count]
        stuck = [p for p in params if p.lost.median >= 0.5 and _asks_enough(p)]
        if not stuck:
            continue
        size, whole = sum(p.numel for p in stuck), sum(p.numel for p in params)
        worst = max(stuck, key=lambda p: p.lost.median * p.numel)
        severity: Severity = "error" if size > 0.5 * whole and worst.lost.median > 0.9 else "warning"
        evidence = (
            f"In {worst.name} ({worst.dtype}) {100 * worst.lost.median:.0f} % of the elements with a"
            f" gradient kept"
            f" their value: the step is about {figure(worst.expected.median)}, half the distance to the next"
            f" {worst.dtype} number about {figure(worst.spacing.median / 2)}."
        )
        if worst.dtype in ("bfloat16", "float16"):
            fix = (
                "keep float32 weights: model.float(), and with torch.autocast('cpu', torch.bfloat16): forward"
            )
        else:
            fix = "rescale the parameter: keep it near 1, and multiply by its size in forward()"
        found.append(finding("lost-to-rounding", severity, where_params(stuck, facts), evidence, fix))
    return found


def _asks_enough(param: ParamFacts) -> bool:
    """Whether the step would be worth taking, if the weight could hold it."""
    rms = param.weight.median / math.sqrt(max(1, param.numel))
    if param.dtype in ("bfloat16", "float16"):
        return param.expected.median > 1e-7 * rms
    return param.expected.median > 1e-7 and rms > 10


def diverged(facts: Facts) -> str:
    """Say how the loss ran away, or return ''."""
    for loss in fed_losses(facts):
        trace = loss.trace
        early = abs(trace.early)
        if math.isnan(early) and trace.first_bad is None:
            continue
        if trace.first_bad is not None and (math.isnan(early) or trace.high > 10 * early):
            return (
                f"the loss went from {figure(trace.first)} up to {figure(trace.high)} and then out of range"
            )
        if trace.first_bad is None and trace.count >= 4 and trace.late > trace.early + 1.0 * early:
            return f"the loss went from {figure(trace.early)} up to {figure(trace.late)}"
    return ""


def lr_too_large(facts: Facts) -> list[Finding]:
    """The steps are as large as the weights."""
    found = []
    for optimizer in facts.optimizers:
        if optimizer.ratio.count == 0 or optimizer.closure:
            continue
        away = diverged(facts)
        highest = optimizer.ratio.high
        severity: Severity | None = None
        judged = any(not math.isnan(loss.trace.change) for loss in fed_losses(facts))
        if (away and highest > 0.03) or (judged and highest > 1 and not falls(facts, 0.1)):
            severity = "error"
        elif judged and optimizer.ratio.median > 0.3 and not falls(facts, 0.3):
            severity = "warning"
        if severity is None:
            continue
        if optimizer.pull.count and optimizer.pull.first > WILD and not optimizer.adaptive:
            continue  # the gradient itself is out of proportion
        rate = max(group.lr.high for group in optimizer.groups)
        evidence = (
            f"A step changed the weights by up to {100 * highest:.3g} % of their norm (0.1 % is usual) at"
            f" lr ="
            f" {figure(rate)}; {away or 'the loss did not fall'}."
        )
        fix = f"lr={_suggest(optimizer.speed.first)}  # instead of {figure(rate)}"
        found.append(finding("lr-too-large", severity, made(optimizer, facts), evidence, fix))
    return found


def _suggest(speed: float) -> str:
    """Suggest a rate at which a step would have been 1e-3 of the weights, as a power of ten.

    Args:
        speed: what a step changed, as a part of the weights, for each unit of the learning rate it had.
    """
    if not speed > 0:
        return "1e-3"
    return f"{10.0 ** round(math.log10(1e-3 / speed)):.0e}".replace("e-0", "e-").replace("e+0", "e+")


def lr_too_small(facts: Facts) -> list[Finding]:
    """The steps are far below what the weights would need."""
    found = []
    for optimizer in facts.optimizers:
        one = squared(optimizer, facts)
        if one is None and optimizer.ratio.count >= 3 and not optimizer.closure:
            one = _too_small(optimizer, facts)
        found += [] if one is None else [one]
    return found


def _too_small(optimizer: OptimizerFacts, facts: Facts) -> Finding | None:
    ratio = optimizer.ratio
    if not optimizer.pull.count or optimizer.pull.median < 1e-7:
        return None
    nothing = ratio.high < NOTHING or (ratio.high < TINY and not falls(facts, 0.1))
    little = ratio.high < SMALL and optimizer.steps >= 8 and flat(facts, 0.01)
    rate = max((group.lr.high for group in optimizer.groups if group.lr.count), default=0.0)
    if not (nothing or little) or rate == 0:
        return None
    evidence = (
        f"A step changed the weights by at most {figure(ratio.high)} of their norm (1e-3 is usual) at"
        f" lr = {figure(rate)}, and the loss went nowhere in {count(optimizer.steps, 'step')}."
    )
    fix = f"lr={_suggest(optimizer.speed.high)}  # instead of {figure(rate)}"
    warmup = warming_up(optimizer)
    if warmup is not None:
        evidence, fix = f"{evidence} {warmup[0]}", warmup[1]
    severity: Severity = "error" if nothing else "warning"
    return finding("lr-too-small", severity, made(optimizer, facts), evidence, fix)


def decay_only(facts: Facts) -> list[Finding]:
    """Weight decay or momentum moves parameters that the loss does not."""
    moved = [p for p in facts.listed if p.looked >= 2 and p.moved_without >= max(2, 0.5 * p.looked)]
    if not moved:
        return []
    worst = moved[0]
    optimizer = facts.optimizers[worst.listed[0][0]]
    decay = max((g.weight_decay for g in optimizer.groups), default=0.0)
    why = f"weight_decay = {figure(decay)}" if decay else "momentum of earlier gradients"
    evidence = (
        f"The gradient of {worst.name} was exactly zero at {share(worst.zero, worst.looked)} looks, and"
        f" it moved at"
        f" {worst.moved_without} of them: its norm went from {figure(worst.weight.first)} to"
        f" {figure(worst.weight.last)}, by {why}."
    )
    fix = "find out why the gradient is zero, or freeze it: param.requires_grad_(False)"
    return [finding("decay-only", "warning", where_params(moved, facts), evidence, fix)]
