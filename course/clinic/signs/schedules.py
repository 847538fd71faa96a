"""What sets the learning rate: the optimizer itself, a scheduler, or a line of the loop."""

from __future__ import annotations

import math

from course.clinic.facts import Facts, OptimizerFacts
from course.clinic.finding import Finding, Severity, finding
from course.clinic.signs.words import count, figure, made, share

__all__ = ["schedule", "squared", "warming_up", "zero_lr"]

COUNTED = ("total_iters", "T_max", "total_steps")  # lengths that should be those of the whole run


def zero_lr(facts: Facts) -> list[Finding]:
    """Every step is multiplied by zero."""
    found = []
    for optimizer in facts.optimizers:
        groups = [g for g in optimizer.groups if g.lr.count and g.zero_steps == g.lr.count]
        if not groups or (optimizer.scheduled and optimizer.steps < 2):
            continue
        every = len(groups) == len(optimizer.groups)
        where = made(optimizer, facts)
        where = where if every else f"{where}, {count(len(groups), 'parameter group')}"
        evidence = f"lr was 0 in {share(groups[0].zero_steps, optimizer.steps)} steps."
        built = groups[0].built_lr
        if optimizer.scheduled:
            name, _ = _scheduler(optimizer)
            evidence += f" {name} sets it: look at the factor that it computes."
            fix = f"let the factor of {name} be above 0: it multiplies lr (and // drops what / keeps)"
        elif built > 0:
            evidence += (
                f" It was {figure(built)} when the optimizer was made: something has set it to 0 since."
            )
            fix = "mend the line that sets group['lr'] (with / in place of //): it is 0 at every step"
        else:
            fix = f"{optimizer.name}(..., lr=1e-3)  # where the optimizer is made"
        found.append(finding("zero-lr", "error" if every else "warning", where, evidence, fix))
    return found


def schedule(facts: Facts) -> list[Finding]:
    """The schedule ends before the training does."""
    found = []
    for optimizer in facts.optimizers:
        for group in optimizer.groups:
            if group.tiny_steps >= 3 and group.tiny_steps >= 0.25 * optimizer.steps:
                evidence = (
                    f"lr fell from {figure(group.lr.high)} to {figure(group.lr.last)}: below 1e-5 of its"
                    f" highest"
                    f" value from step {group.tiny_from} of {optimizer.steps} on."
                )
                severity: Severity = "error" if group.tiny_steps >= 0.5 * optimizer.steps else "warning"
                where, fix = made(optimizer, facts), _longer(optimizer)
                found.append(finding("schedule-reached-zero", severity, where, evidence, fix))
                break
    return found


def _scheduler(optimizer: OptimizerFacts) -> tuple[str, str]:
    """Return the class of the scheduler, and its length as it was given."""
    return next(iter(optimizer.schedulers.items()), ("the scheduler", ""))


def _longer(optimizer: OptimizerFacts) -> str:
    """Say how the schedule can last as long as the training."""
    name, length = _scheduler(optimizer)
    option, _, given = length.partition("=")
    if not optimizer.scheduled:
        return "mend the line that sets group['lr']: let it end above 0, or the training end with it"
    if option in COUNTED:
        return (
            f"{name}(optimizer, {option}={optimizer.steps})  # not {given}: scheduler.step() is what counts"
        )
    if length:
        return f"scheduler.step()  # once an epoch, not once a batch: {length} of {name} counts its calls"
    return f"scheduler.step()  # once an epoch; or let {name} last {optimizer.steps} of its calls"


def warming_up(optimizer: OptimizerFacts) -> tuple[str, str] | None:
    """Return what to say and to do where the warmup has hardly begun; None where there is none."""
    traces = [group.lr for group in optimizer.groups if group.lr.count]
    rate = max((trace.high for trace in traces), default=0.0)
    rising = any(trace.last >= trace.high > trace.low for trace in traces)
    if not (optimizer.scheduled and rising and optimizer.base_lr > 3 * rate):
        return None
    name, length = _scheduler(optimizer)
    option, _, given = length.partition("=")
    evidence = f"{name} is still warming up: it has come to {figure(rate)} of {figure(optimizer.base_lr)}."
    if option in COUNTED:
        tenth = max(1, optimizer.steps // 10)
        return evidence, f"{option}={tenth}  # in {name}: {given} outlasts the {optimizer.steps} steps"
    return (
        evidence,
        f"shorten the warmup of {name}, or call scheduler.step() after every step: it counts calls",
    )


def squared(optimizer: OptimizerFacts, facts: Facts) -> Finding | None:
    """Say so where the function of a LambdaLR returns the rate, by which the rate is then multiplied."""
    base = optimizer.base_lr
    if "LambdaLR" not in optimizer.schedulers or optimizer.steps < 5 or not 0 < base < 0.5:
        return None
    trace = max((group.lr for group in optimizer.groups), key=lambda lr: lr.high)
    if trace.first != trace.high or not math.isclose(trace.high, base * base, rel_tol=0.02):
        return None
    evidence = (
        f"LambdaLR multiplies lr = {figure(base)} by what its function returns, which was"
        f" {figure(trace.first / base)} at first, lr itself: so lr was {figure(trace.high)}, its square."
    )
    fix = f"return the factor in the function of LambdaLR, not the rate: its value / {figure(base)}"
    return finding("lr-too-small", "error", made(optimizer, facts), evidence, fix)
