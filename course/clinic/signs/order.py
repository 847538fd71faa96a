"""The order of the operations of a training loop."""

from __future__ import annotations

from course.clinic.facts import Facts
from course.clinic.finding import Finding, Severity, finding
from course.clinic.signs.words import count, figure, made, names, params_of, share, stepped

__all__ = [
    "accumulation_not_divided",
    "eval_mode",
    "no_step",
    "no_zero_grad",
    "optimizer_in_loop",
    "overwritten",
    "scheduler_order",
    "zero_grad_before_step",
]


OFTEN = 0.2  # of the looks: cleared at every second step only, a third of them or more would show it


def no_step(facts: Facts) -> list[Finding]:
    """Gradients came, but nobody stepped."""
    found = []
    for optimizer in facts.optimizers:
        params = params_of(optimizer, facts)
        fed = [p for p in params if p.gradients]
        if optimizer.steps or not fed or any(p.steps for p in params):
            continue
        if facts.error is not None and facts.backwards < 3:
            continue
        evidence = (
            f"{count(max(p.gradients for p in fed), 'backward call')} reached its parameters, and step()"
            f" ran 0"
            " times."
        )
        fix = "optimizer.step()  # after loss.backward(), with the parentheses"
        found.append(finding("no-step", "error", stepped(optimizer, facts), evidence, fix))
    return found


def zero_grad_before_step(facts: Facts) -> list[Finding]:
    """Gradients are thrown away before they are used."""
    fix = "optimizer.zero_grad(); loss.backward(); optimizer.step()  # in this order"
    found = []
    for optimizer in facts.optimizers:
        looks = max(optimizer.looked, optimizer.empty)
        if optimizer.wiped and optimizer.wiped >= 0.5 * min(optimizer.steps, looks):
            evidence = (
                f"backward() reached its parameters before {count(optimizer.fed, 'step')}, and at"
                f" {optimizer.wiped} of them .grad was None or zero."
            )
            found.append(finding("zero-grad-before-step", "error", stepped(optimizer, facts), evidence, fix))
        elif optimizer.looked and optimizer.discarded >= max(2, 0.5 * optimizer.looked):
            evidence = (
                f"Several backward calls ({optimizer.micro_where}) come before each step, and at"
                f" {share(optimizer.discarded, optimizer.looked)} steps looked at, the gradients of the"
                f" earlier ones"
                " were cleared: only the last counts."
            )
            after = "optimizer.zero_grad()  # only after optimizer.step(), not at every backward"
            found.append(
                finding("zero-grad-before-step", "warning", stepped(optimizer, facts), evidence, after)
            )
    return found


def no_zero_grad(facts: Facts) -> list[Finding]:
    """Each gradient is added to those of all steps before."""
    found = []
    for optimizer in facts.optimizers:
        later = optimizer.looked - 1
        if optimizer.closure:
            continue
        often = optimizer.residue >= max(1, 0.5 * later) or optimizer.residue >= max(2, OFTEN * later)
        if later >= 1 and often:
            growth = optimizer.applied.high / max(optimizer.applied.first, 1e-30)
            evidence = (
                f"At {share(optimizer.residue, later)} later steps looked at, .grad still held the"
                f" gradient of a step before"
            )
            if growth >= 1.1:
                evidence += (
                    f"; its norm went from {figure(optimizer.applied.first)} up to"
                    f" {figure(optimizer.applied.high)} ({figure(growth)} times)"
                )
            evidence += ". Gradients add up, as with momentum 1."
            fix = "optimizer.zero_grad()  # before every loss.backward()"
            found.append(finding("no-zero-grad", "error", stepped(optimizer, facts), evidence, fix))
    return found + _closures(facts)


def _closures(facts: Facts) -> list[Finding]:
    found = []
    for optimizer in facts.optimizers:
        stale = [p for p in params_of(optimizer, facts) if p.residue and p.residue >= 0.5 * p.looked]
        if optimizer.closure and stale:
            evidence = (
                f"The closure adds to the gradient of the call before:"
                f" {share(stale[0].residue, stale[0].looked)} looks."
            )
            fix = "def closure(): optimizer.zero_grad(); loss = ...; loss.backward(); return loss"
            found.append(finding("no-zero-grad", "error", stepped(optimizer, facts), evidence, fix))
    return found


def overwritten(facts: Facts) -> list[Finding]:
    """Something else writes to the parameters."""
    found = []
    for optimizer in facts.optimizers:
        if optimizer.reverted >= 2:
            evidence = (
                f"Between {share(optimizer.reverted, optimizer.pairs)} pairs of steps something else"
                f" wrote to it:"
                " it went back to an earlier value (to within a tenth of the step), or jumped ten steps away."
            )
            fix = (
                "move what sets the weights (load_state_dict, copy_, reset_parameters, init) out of the loop"
            )
            found.append(finding("overwritten", "error", optimizer.written_what, evidence, fix))
    return found


def accumulation_not_divided(facts: Facts) -> list[Finding]:
    """Micro-batches are summed."""
    found = []
    calls = sum(facts.modules[root].on for root in facts.roots)
    for optimizer in facts.optimizers:
        parts = optimizer.micro.low
        if optimizer.closure or optimizer.micro.count == 0 or parts < 2 or optimizer.discarded:
            continue
        if optimizer.residue > 0.5 * optimizer.looked or calls < 0.9 * facts.backwards:
            continue
        parts = optimizer.micro.median
        factor = optimizer.factor.median if optimizer.factor.count else 1.0
        kept = optimizer.kept.median if optimizer.kept.count else 1.0
        if factor * parts > 1.5 and kept * parts > 1.5:
            evidence = (
                f"{parts:.0f} backward calls ({optimizer.micro_where}) come before each step, and the loss is"
                f" multiplied by {figure(factor)}: the gradient is {figure(factor * parts)} times the mean."
            )
            fix = f"(loss / {parts:.0f}).backward()  # the number of micro-batches"
            found.append(
                finding("accumulation-not-divided", "warning", stepped(optimizer, facts), evidence, fix)
            )
    return found


def optimizer_in_loop(facts: Facts) -> list[Finding]:
    """An optimizer that is made anew forgets what its rule is to remember."""
    found = []
    for optimizer in facts.optimizers:
        if optimizer.remade < 3 or optimizer.steps > 1.5 * (optimizer.remade + 1):
            continue
        keeps = optimizer.adaptive or any(group.momentum for group in optimizer.groups)
        evidence = (
            f"It was made {count(optimizer.remade + 1, 'time')} in {count(optimizer.steps, 'step')}, with the"
            f" same parameters: "
            + ("every step is a first step." if keeps else "harmless here, as plain SGD has no state.")
        )
        fix = f"optimizer = {optimizer.name}(...)  # once, before the loop"
        severity: Severity = "warning" if keeps else "note"
        found.append(finding("optimizer-in-loop", severity, made(optimizer, facts), evidence, fix))
    return found


def eval_mode(facts: Facts) -> list[Finding]:
    """Training runs with dropout off and batch statistics frozen."""
    found = []
    for root in (facts.modules[name] for name in facts.roots):
        if root.moody and facts.steps and root.evals >= 0.3 * max(1, facts.backwards):
            evidence = (
                f"At {share(root.evals, facts.backwards)} backward calls it was in evaluation mode, in which"
                f" {names(list(root.moody))} {'behaves' if len(root.moody) == 1 else 'behave'} otherwise."
            )
            fix = "model.train()  # at the start of every epoch, after each validation"
            found.append(finding("eval-mode", "warning", root.name, evidence, fix))
    return found


def scheduler_order(facts: Facts) -> list[Finding]:
    """The first value of the schedule is never used."""
    return [
        finding(
            "scheduler-order",
            "warning",
            name,
            f"It stepped {count(times, 'time')} before the first step of {optimizer.name}:"
            f" the first {'value is' if times == 1 else 'values are'} skipped.",
            "optimizer.step(); scheduler.step()  # in this order",
        )
        for optimizer in facts.optimizers
        for name, times in optimizer.early_schedulers.items()
    ]
