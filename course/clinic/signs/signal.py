"""The signal on its way: inputs, activations, gradients, infinities."""

from __future__ import annotations

import math

from course.clinic.facts import Facts, ModuleFacts, ParamFacts, UnitFacts
from course.clinic.finding import Finding, Severity, finding
from course.clinic.signs.rates import WILD, diverged
from course.clinic.signs.words import (
    falls,
    fed_losses,
    figure,
    main_loss,
    params_of,
    share,
    where_params,
)

__all__ = [
    "dead_units",
    "exploding_gradient",
    "inputs_not_normalised",
    "non_finite",
    "saturated",
    "vanishing_gradient",
]

LARGE_INPUT = 20.0  # root mean square; standardised inputs have 1


def _first_layer(facts: Facts) -> ModuleFacts | None:
    """Return the layer with the largest data going in."""
    seen = [m for m in facts.modules.values() if m.rms.count and "Norm" not in m.kind]
    return max(seen, key=lambda m: m.rms.high, default=None)


def inputs_not_normalised(facts: Facts) -> list[Finding]:
    """The first layer gets numbers far from unit scale."""
    layer = _first_layer(facts)
    if layer is None or layer.rms.high < LARGE_INPUT:
        return []
    evidence = (
        f"What goes into {layer.name} has a root mean square of {figure(layer.rms.high)} in its largest"
        f" column and"
        f" a mean of {figure(layer.mean.median)}; layers are initialised for about 1 and 0."
    )
    severity: Severity = "note" if falls(facts, 0.3) and not diverged(facts) else "warning"
    fix = "x = (x - x_train.mean(0)) / (x_train.std(0) + 1e-8)"
    return [finding("inputs-not-normalised", severity, layer.name, evidence, fix)]


def dead_units(facts: Facts) -> list[Finding]:
    """Rectified units that never fire."""
    found = []
    for unit in facts.units.values():
        if unit.kind != "relu" or unit.examples < 32:
            continue
        if unit.is_output and unit.silent >= 3 and not falls(facts, 0.5) and not _solved(facts):
            found.append(_dead_output(unit))
        if unit.units < 2 or unit.dead < 0.9 * unit.units or unit.is_output:
            continue
        evidence = (
            f"{share(unit.dead, unit.units)} units were zero for each of the {unit.examples} inputs"
            f" looked at: no"
            " gradient passes."
        )
        severity: Severity = "error" if unit.dead == unit.units else "warning"
        fix = "a smaller lr and the default initialisation; or nn.LeakyReLU() in place of nn.ReLU()"
        found.append(finding("dead-units", severity, unit.where, evidence, fix))
    return found[:3]


def _dead_output(unit: UnitFacts) -> Finding:
    evidence = (
        f"All {unit.units} outputs of the model were zero for each input of the last {unit.silent} looks: no"
        " gradient passes, and no output can be below zero."
        if unit.units > 1
        else f"The output of the model was zero for each input of the last {unit.silent} looks: no gradient"
        " passes, and it cannot be below zero."
    )
    fix = f"leave the last ReLU ({unit.where}) out: the output is a plain linear layer"
    return finding("dead-units", "error", unit.where, evidence, fix)


def _solved(facts: Facts) -> bool:
    """Whether the loss was nothing all along: the model starts at the solution."""
    loss = main_loss(facts)
    return loss is not None and max(abs(loss.trace.high), abs(loss.trace.low)) < 1e-6


def saturated(facts: Facts) -> list[Finding]:
    """Sigmoid or tanh outputs at their limits."""
    found = []
    for unit in facts.units.values():
        if unit.stuck.count < 2 or unit.stuck.median < 0.9 or (unit.is_output and falls(facts, 0.2)):
            continue
        if falls(facts, 0.5):
            continue
        evidence = (
            f"{100 * unit.stuck.median:.0f} % of its outputs lie within 1 % of a limit of {unit.kind},"
            f" where the"
            " slope is almost zero."
        )
        severity: Severity = "warning" if falls(facts, 0.1) else "error"
        fix = "smaller weights before it: nn.init.xavier_uniform_(layer.weight); and normalised inputs"
        found.append(finding("saturated", severity, unit.where, evidence, fix))
    return found[:3]


def vanishing_gradient(facts: Facts) -> list[Finding]:
    """Early layers get next to no gradient."""
    found: list[Finding] = []
    for optimizer in facts.optimizers:
        params = [
            p
            for p in params_of(optimizer, facts)
            if len(p.shape) >= 2 and p.gradient.count and p.weight.high > 0
        ]
        found += _vanished(facts, params, optimizer.adaptive)
    return found


def _vanished(facts: Facts, params: list[ParamFacts], adaptive: bool) -> list[Finding]:
    fix = "nn.init.kaiming_normal_, nn.ReLU() in place of nn.Sigmoid(), normalisation layers or x + layer(x)"
    zero = [p for p in params if p.zero == p.looked >= 2]
    if len(zero) < len(params):
        zero = [p for p in zero if p.moved_without == 0]  # those that move have a sign of their own
    if zero and _solved(facts):
        return []
    if zero:
        evidence = f"The gradient was exactly zero at all {zero[0].looked} steps looked at."
        severity: Severity = "error" if len(zero) == len(params) else "warning"
        return [finding("vanishing-gradient", severity, where_params(zero, facts), evidence, fix)]
    params = [p for p in params if p.weight.median > 0 and p.zero < p.looked]
    pulls = {p.name: p.gradient.median / p.weight.median for p in params}
    if not pulls:
        return []
    weak, strong = min(pulls, key=pulls.__getitem__), max(pulls, key=pulls.__getitem__)
    least, most = pulls[weak], pulls[strong]
    loss = main_loss(facts)
    unsolved = loss is None or not abs(loss.trace.late) < 1e-3
    low = [p for p in params if pulls.get(p.name, math.inf) < 1e-5 * most]
    if most < 1e-7 and unsolved:
        evidence = f"The largest gradient ({strong}) is {figure(most)} of the norm of its weights."
        return [finding("vanishing-gradient", "error", where_params(params, facts), evidence, fix)]
    if not low or least >= (1e-7 if adaptive else 1e-5) * most:
        return []
    evidence = (
        f"The gradient of {weak} is {figure(least)} of the norm of its weights, that of {strong}"
        f" {figure(most)}:"
        f" {figure(most / max(least, 1e-300))} times larger."
    )
    still = max(p.update.high / p.weight.median for p in low) < 1e-5
    return [
        finding(
            "vanishing-gradient", "error" if still else "warning", where_params(low, facts), evidence, fix
        )
    ]


def exploding_gradient(facts: Facts) -> list[Finding]:
    """The gradient is out of proportion before any step has done harm."""
    found = []
    for optimizer in facts.optimizers:
        if not optimizer.pull.count or optimizer.pull.first <= WILD:
            continue
        away = diverged(facts)
        harm = bool(away) or optimizer.ratio.high > 1 or bool(optimizer.bad_gradient)
        if harm and falls(facts, 0.3):
            harm = False
        if not harm or (optimizer.adaptive and not away):
            continue
        grown = [p for p in params_of(optimizer, facts) if p.gradient.count and p.weight.first > 0]
        worst = max(grown, key=lambda p: p.gradient.first / p.weight.first)
        evidence = (
            f"At the first step the gradient was {figure(optimizer.pull.first)} times as long as the"
            f" weights (largest"
            f" in {worst.name}: norm {figure(worst.gradient.first)})" + (f"; {away}." if away else ".")
        )
        fix = (
            "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # before step; or the mean of"
            " the losses instead of their sum, or smaller initial weights"
        )
        found.append(finding("exploding-gradient", "error", worst.name, evidence, fix))
    return found


def non_finite(facts: Facts) -> list[Finding]:
    """The first place at which infinity or NaN appears."""
    events: list[tuple[tuple[int, int, int], str, str, str]] = []
    for module in facts.modules.values():
        if module.bad is not None:
            step, why = module.bad
            text, fix = _module_text(module.name, why)
            events.append(((step, 0 if why != "inputs" else 1, module.order), module.name, text, fix))
    if facts.loss_bad is not None:
        step, where = facts.loss_bad
        text = "what the model gave was finite, the loss was not."
        fix = "torch.log(p.clamp_min(1e-8)), or F.cross_entropy on the raw scores; no division by zero"
        events.append(((step, 2, 0), where, text, fix))
    for optimizer in facts.optimizers:
        if optimizer.bad_gradient is not None and facts.scaler is None:
            step, name = optimizer.bad_gradient
            text = (
                "the loss was finite, its gradient was not (a root or a norm at zero, a division, an"
                " overflow)."
            )
            events.append(((step, 3, 0), name, text, "torch.sqrt(x + 1e-8)  # its slope at zero is infinite"))
    if not events or _ran_away(facts):
        return []
    (step, *_), where, text, fix = min(events)
    return [finding("non-finite", "error", where, f"First at step {step}: {text}", fix)]


def _module_text(name: str, why: str) -> tuple[str, str]:
    if why == "inputs":
        return (
            f"what went into {name} was not finite already.",
            "assert torch.isfinite(x).all()  # clean the data",
        )
    if why == "weights":
        return (
            f"the weights of {name} were not finite: the step before put it there.",
            "a smaller lr, or clipping",
        )
    return (
        f"finite inputs, finite weights, but the output of {name} is not.",
        "torch.autograd.set_detect_anomaly(True)",
    )


def _ran_away(facts: Facts) -> bool:
    """Whether the loss had grown step by step before it left the range: then the steps are the cause."""
    for loss in fed_losses(facts):
        early = abs(loss.trace.early)
        if (
            loss.trace.first_bad is not None
            and loss.trace.high > 100 * max(early, 1e-12)
            and loss.trace.count > 2
        ):
            return True
    first = [loss.trace.first_bad for loss in fed_losses(facts)]
    large = any(o.ratio.high > 1 or (o.pull.count and o.pull.first > WILD) for o in facts.optimizers)
    return large and bool(first) and all(bad is None or bad > 0 for bad in first)
