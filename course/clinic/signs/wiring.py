"""Who holds which parameter: model, optimizer, or nobody."""

from __future__ import annotations

from itertools import pairwise

from course.clinic.facts import Facts, OptimizerFacts, ParamFacts
from course.clinic.finding import Finding, finding
from course.clinic.signs.words import count, made, names, where_params

__all__ = ["frozen", "not_in_optimizer", "not_registered", "stale_optimizer", "tied_twice"]


def _missing(facts: Facts) -> list[ParamFacts]:
    """Return parameters of models that should be trained, but that no optimizer holds."""
    return [p for p in facts.params if p.owner is not None and p.trainable and not p.listed]


def _orphans(facts: Facts) -> list[ParamFacts]:
    """Return parameters that an optimizer holds, but that no model has, and that no loss has reached."""
    return [
        p
        for p in facts.params
        if p.owner is None and p.listed and p.gradients == 0 and not p.gradient.high > 0
    ]


def stale_optimizer(facts: Facts) -> list[Finding]:
    """The model, or a part of it, was replaced after the optimizer was made."""
    orphans, missing = _orphans(facts), _missing(facts)
    fix = "optimizer = Optimizer(model.parameters(), ...)  # again, after the last change to the model"
    strangers = sorted({leaf.owner for leaf in facts.leaves.values() if leaf.owner})
    idle = all(facts.modules[root].on == 0 for root in facts.roots)
    kinds = {facts.modules[root].kind for root in facts.roots}
    if strangers and idle and (facts.backwards or facts.steps):
        evidence = (
            f"The watched {names(sorted(kinds))} never ran; another {names(strangers)} did, and its gradients"
            f" reach no parameter of the optimizer in {count(facts.steps, 'step')}."
        )
        return [finding("stale-optimizer", "error", names(strangers), evidence, fix)]
    if not orphans or not missing or not (facts.backwards or facts.steps):
        return []
    evidence = (
        f"The optimizer holds {count(len(orphans), 'parameter')} ({_shapes(orphans)}) that the model does not"
        f" have and that got no gradient in {count(facts.backwards, 'backward call')}; {len(missing)} of the"
        f" model's ({_shapes(missing)}) are in no optimizer."
    )
    return [finding("stale-optimizer", "error", where_params(missing, facts), evidence, fix)]


def _shapes(params: list[ParamFacts]) -> str:
    return names([str(tuple(p.shape)) for p in params])


def not_registered(facts: Facts) -> list[Finding]:
    """A weight took part in the loss, but the model does not know of it."""
    if facts.error and "empty parameter list" in facts.error[1]:
        return [_no_parameters(facts)]
    enough = min(2, facts.backwards)
    found = [
        leaf for leaf in facts.leaves.values() if not (leaf.fed_in or leaf.owner) and leaf.backwards >= enough
    ]
    if not found:
        return []
    if all(p.owner is None for p in facts.params):
        fix = "optimizer.add_param_group({'params': [tensor]})  # or give it to the optimizer from the start"
    else:
        fix = "self.name = nn.Parameter(tensor); for layers nn.ModuleList([...]) or nn.ModuleDict({...})"
    shapes = names([str(leaf.shape) for leaf in found])
    evidence = (
        f"{count(len(found), 'tensor')} of shape {shapes} got a gradient in up to"
        f" {max(leaf.backwards for leaf in found)} of the backward calls looked at, but"
        f" model.parameters() does"
        " not list them and no optimizer holds them."
    )
    return [finding("not-registered", "error", names([leaf.name for leaf in found]), evidence, fix)]


def _no_parameters(facts: Facts) -> Finding:
    assert facts.error is not None
    return finding(
        "not-registered",
        "error",
        facts.error[2],
        "model.parameters() is empty: its tensors and layers stand in plain attributes, lists or dicts.",
        "self.layers = nn.ModuleList(layers)  # for a tensor: self.w = nn.Parameter(tensor)",
    )


def not_in_optimizer(facts: Facts) -> list[Finding]:
    """Parameters get gradients, but no optimizer was given them."""
    missing = [p for p in _missing(facts) if p.gradients]
    held = {p.owner for p in facts.listed}
    if not missing or held == {None}:
        return []
    total = sum(1 for p in facts.params if p.owner is not None and p.trainable)
    evidence = (
        f"{len(missing)} of {count(total, 'parameter')} got up to"
        f" {count(max(p.gradients for p in missing), 'gradient')},"
        f" and no optimizer holds them: they did not move in {count(facts.steps, 'step')}."
    )
    kinds = {o.name for o in facts.optimizers}
    kind = kinds.pop() if len(kinds) == 1 else "Optimizer"
    whole = _root(missing, facts)
    if whole and all(p in missing for p in facts.params if p.trainable and p.name.startswith(f"{whole}.")):
        fix = f"optimizer = {kind}({whole}.parameters(), ...)  # the optimizer that was meant for {whole}"
    else:
        fix = f"optimizer = {kind}({whole or 'model'}.parameters(), ...)  # not only a part of them"
    return [finding("not-in-optimizer", "error", where_params(missing, facts), evidence, fix)]


def _root(params: list[ParamFacts], facts: Facts) -> str:
    """Return the model in which all of these stand; "" where they stand in several, or it has no name."""
    found = [r for r in facts.roots if all(p.name.startswith(f"{r}.") for p in params)]
    return found[0] if found else ""


def frozen(facts: Facts) -> list[Finding]:
    """Parameters do not require a gradient."""
    still = [p for p in facts.params if not p.trainable and (p.owner is not None or p.listed)]
    if not still:
        return []
    mine = [p for p in facts.params if p.owner is not None or p.listed]
    fix = f"for p in {_holder(still, facts)}.parameters(): p.requires_grad_(True)"
    evidence = f"requires_grad is False for {len(still)} of {count(len(mine), 'parameter')}"
    listed = [p for p in still if p.listed]
    if len(still) == len(mine):
        return [
            finding("frozen", "error", where_params(still, facts), f"{evidence}: nothing can train.", fix)
        ]
    if listed:
        evidence += f"; {len(listed)} of them were given to the optimizer, which cannot move them."
        return [finding("frozen", "warning", where_params(listed, facts), evidence, fix)]
    evidence += "; no optimizer holds them, so this looks meant."
    meant = "nothing, if it is meant; else requires_grad_(True), and give them to the optimizer"
    return [finding("frozen", "note", where_params(still, facts), evidence, meant)]


def _holder(params: list[ParamFacts], facts: Facts) -> str:
    """Return the module in which all of these stand, as one writes it."""
    tops = {(p.owner or "").split(".")[0] for p in params}
    if len(facts.roots) == 1 and len(tops) == 1:
        top = tops.pop()
        return (
            top
            if top in facts.roots and any(p.name.startswith(top + ".") for p in params)
            else f"model.{top}"
            if top not in ("", *facts.roots)
            else "model"
        )
    return "model"


def _in_turn(optimizers: list[OptimizerFacts]) -> bool:
    """Whether two of these step in turn, and not the one after the other is done."""
    spans = sorted((o.first_turn, o.last_turn) for o in optimizers if o.steps)
    return any(begin < end for (_, end), (begin, _) in pairwise(spans))


def tied_twice(facts: Facts) -> list[Finding]:
    """One parameter is stepped twice."""
    fix = "optimizer = Optimizer(model.parameters(), ...)  # each parameter once: tied weights come only once"
    if facts.error and "appear in more than one parameter group" in facts.error[1]:
        return [finding("tied-twice", "error", facts.error[2], f"torch says: {facts.error[1]}.", fix)]
    found = []
    same = [p for p in facts.params if any(p.listed.count(pair) > 1 for pair in p.listed)]
    if same:
        most = max(p.listed.count(pair) for p in same for pair in p.listed)
        evidence = (
            f"The optimizer lists {'it' if len(same) == 1 else 'them'} {most} times, so every step is taken"
            f" {most} times, and its state advances {most} times."
        )
        found.append(finding("tied-twice", "error", where_params(same, facts), evidence, fix))
    across = [p for p in facts.params if _in_turn([facts.optimizers[o] for o in {o for o, _ in p.listed}])]
    if across:
        who = [made(facts.optimizers[o], facts) for o in sorted({o for p in across for o, _ in p.listed})]
        held = count(len(across), "parameter")
        evidence = f"More than one optimizer ({'; '.join(who[:3])}) holds {held} and steps them."
        found.append(finding("tied-twice", "warning", where_params(across, facts), evidence, fix))
    return found
