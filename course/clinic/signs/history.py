"""Is there a path from the loss back to the parameters, and does backward go along it?"""

from __future__ import annotations

import re

from course.clinic.facts import CutFacts, Facts, ParamFacts
from course.clinic.finding import Finding, finding
from course.clinic.signs.words import count, names, params_of, stepped, where_params

__all__ = ["detached", "no_backward", "no_grad_mode", "non_scalar_loss", "unused"]

NO_HISTORY = ("does not require grad", "has no attribute 'backward'")


def non_scalar_loss(facts: Facts) -> list[Finding]:
    """Backward started from more than one value."""
    fix = "loss.mean().backward()"
    if facts.error and "only for scalar outputs" in facts.error[1]:
        shape = next((loss.shape for loss in facts.losses.values() if loss.where == facts.error[2]), ())
        evidence = f"The loss has shape {shape}; backward() needs one number."
        return [finding("non-scalar-loss", "error", facts.error[2], evidence, fix)]
    many = [loss for loss in facts.losses.values() if loss.given and loss.shape and max(loss.shape) > 1]
    return [
        finding(
            "non-scalar-loss",
            "note",
            loss.where,
            f"The loss has shape {loss.shape} and backward() got a gradient: it sums, it does not average.",
            fix,
        )
        for loss in many
    ]


def _untouched(facts: Facts) -> list[ParamFacts]:
    """Return parameters that should have had a gradient, and never had one."""
    return [
        p
        for p in facts.params
        if p.trainable and p.owner is not None and p.gradients == 0 and not p.gradient.high > 0
        if p.listed or not facts.listed
    ]


def _failed(facts: Facts) -> bool:
    return facts.error is not None and any(text in facts.error[1] for text in NO_HISTORY)


def no_grad_mode(facts: Facts) -> list[Finding]:
    """The forward pass recorded no graph, because gradients were off."""
    tried = facts.backwards or facts.steps or _failed(facts)
    untouched = _untouched(facts)
    if not tried:
        return []
    roots = [facts.modules[name] for name in facts.roots]
    lost = any(loss.unhistoried for loss in facts.losses.values())
    blind = [m for m in roots if m.off and (m.on == 0 or (not m.last_on and lost and _failed(facts)))]
    hidden = [p for p in untouched if _ran_blind(p, facts)]
    if not (blind and (lost or untouched)) and not hidden:
        if not (lost and untouched and facts.grad_off_at and not facts.cuts):
            return []
        hidden = untouched
    fix = "with torch.enable_grad():  # or leave torch.no_grad() out: it belongs around validation only"
    if blind:
        module = blind[0]
        evidence = (
            f"{count(module.off, 'forward pass')} of {module.name} ran with gradients off, {module.on} with"
            " them on; the loss has no graph."
        )
        where = facts.grad_off_at or module.name
    else:
        evidence = (
            f"{count(len(hidden), 'parameter')} ran only with gradients off, and got no gradient in"
            f" {count(facts.backwards, 'backward call')}."
        )
        where = where_params(hidden, facts) + (f", {facts.grad_off_at}" if facts.grad_off_at else "")
    return [finding("no-grad-mode", "error", where, evidence, fix)]


def _ran_blind(param: ParamFacts, facts: Facts) -> bool:
    module = facts.modules.get(param.owner or "")
    return module is not None and module.on == 0 and module.off > 0


def detached(facts: Facts) -> list[Finding]:
    """Something between a parameter and the loss has thrown the history away."""
    untouched = [p for p in _untouched(facts) if _ran(p, facts) and not _ran_blind(p, facts)]
    if not untouched or not (facts.backwards or _failed(facts)) or _never_asked(untouched, facts):
        return []
    missing = {p.name for p in untouched}
    cuts = _culprits(facts, missing)
    cut = cuts[0] if cuts else None
    evidence = (
        f"{count(len(untouched), 'parameter')} took part in the forward pass, but no gradient came back in"
        f" {count(facts.backwards, 'backward call')}."
    )
    where = where_params(untouched, facts)
    if cut is not None:
        where = f"{where}, cut at {' or '.join(dict.fromkeys(c.where for c in cuts))}"
        ends = (c.op + (f": `{c.code}`" if c.code else "") for c in cuts)
        evidence += f" The history ends in {', or in '.join(ends)}."
    elif facts.error and _failed(facts):
        where = f"{where}, {facts.error[2]}"
    fix = _cure(cut if len(cuts) == 1 else None, untouched, facts)
    return [finding("detached", "error", where, evidence, fix)]


def _ran(param: ParamFacts, facts: Facts) -> bool:
    """Whether the forward pass has been in the module of a parameter."""
    module = facts.modules.get(param.owner or "")
    if module is None or module.on == 0:
        return any(cut.reach & {param.name} for cut in facts.cuts.values())
    return True


def _never_asked(untouched: list[ParamFacts], facts: Facts) -> bool:
    """Whether these belong to an optimizer of their own, for which nobody called backward."""
    idle = [o for o in facts.optimizers if o.steps and o.fed == 0]
    fed = sum(o.fed > 0 for o in facts.optimizers)
    own = {id(p) for o in idle for p in params_of(o, facts)}
    return bool(idle) and 0 < fed >= len(facts.losses) and all(id(p) in own for p in untouched)


def _culprits(facts: Facts, missing: set[str]) -> list[CutFacts]:
    """Return the cut behind which the parameters lie, or two if it cannot be told which of them it is.

    A cut that leads to a loss comes before all others. What became a number or an array cannot be followed,
    so such cuts come next; a tensor without history can be, and one that led to no loss is the last to blame.
    """
    cuts = [cut for cut in facts.cuts.values() if cut.reach & missing]
    leading = [cut for cut in cuts if cut.in_loss]
    likely = leading or [cut for cut in cuts if cut.escaped] or cuts
    if not likely:
        return []
    first = max(likely, key=lambda c: (len(c.reach & missing), c.in_loss))
    alike = [
        cut
        for cut in likely
        if cut.where != first.where
        and cut.reach & missing == first.reach & missing
        and 2 * cut.in_loss >= first.in_loss
        and 2 * cut.count >= first.count
    ]
    return [first, *alike[:1]]


def _shared(cut: CutFacts, missing: list[ParamFacts], facts: Facts) -> str:
    """Return how to detach for one of two losses only; "" where there are no two models."""
    roots = [root for root in facts.roots if all(p.name.startswith(f"{root}.") for p in missing)]
    others = [root for root in facts.roots if root not in roots]
    if not roots or not others or len(facts.losses) < 2:
        return ""
    written = re.fullmatch(r"(\w+)\s*=\s*(.+)\.(?:detach\(\)|data)\s*;?(?:\s*#.*)?", cut.code)
    name, made = written.groups() if written else ("made", "")
    keep = f"{name} = {made}" if made else f"keep what {roots[0]} made"
    return f"{keep}; and {others[0]}({name}.detach()) only in the loss of {others[0]}"


def _cure(cut: CutFacts | None, missing: list[ParamFacts], facts: Facts) -> str:
    op = "" if cut is None else cut.op
    if (facts.error and "'backward'" in facts.error[1]) or op in ("item()", "float()"):
        return "loss.backward()  # on the tensor; loss.item() only for printing"
    if op == "torch.tensor()":
        return "loss.backward()  # on the loss itself: torch.tensor(loss) is a new tensor without history"
    if "arg" in op or op in ("gt()", "lt()", "ge()", "le()", "eq()", "long()", "int()", "bool()"):
        return "loss = F.cross_entropy(scores, target)  # from the scores: a decision has no gradient"
    if cut is not None and cut.escaped and re.search(r"tensor\(|from_numpy", cut.code):
        return "keep the tensor itself: what goes through NumPy or a number comes back without its history"
    if op in ("numpy()", "a NumPy array", "tolist()"):
        return "compute it with torch instead of NumPy: loss = ((prediction - target) ** 2).mean()"
    if cut is not None and op in ("detach()", ".data"):
        if shared := _shared(cut, missing, facts):
            return shared
        return f"leave {op if op.startswith('.') else '.' + op} out"
    return "keep tensors in the graph: no .detach(), .data, .item(), .numpy(), torch.tensor(...) on the way"


def no_backward(facts: Facts) -> list[Finding]:
    """Nobody computed gradients."""
    fix = "loss.backward()  # before optimizer.step(), with the parentheses"
    ran = any(facts.modules[root].on for root in facts.roots)
    touched = any(p.gradients or p.gradient.high > 0 for p in facts.params)
    if facts.backwards == 0 and not touched and facts.error is None and (ran or facts.steps):
        evidence = (
            f"In {count(facts.steps, 'step')} no backward pass ran: every .grad is None, and step() skips"
            f" such"
            " parameters."
        )
        return [finding("no-backward", "error", "the training loop", evidence, fix)]
    found = []
    for optimizer in facts.optimizers:
        params = params_of(optimizer, facts)
        if optimizer.steps and optimizer.fed == 0 and _never_asked(params, facts):
            evidence = (
                f"None of the {count(facts.backwards, 'backward call')} reached its"
                f" {count(len(params), 'parameter')};"
                f" it stepped {count(optimizer.steps, 'time')} without a gradient."
            )
            found.append(finding("no-backward", "error", stepped(optimizer, facts), evidence, fix))
    return found


def unused(facts: Facts) -> list[Finding]:
    """Parameters of modules that were never called."""
    idle = [p for p in _untouched(facts) if p.listed and not _ran(p, facts) and not _ran_blind(p, facts)]
    if not idle or not facts.backwards or len(idle) == len(_untouched(facts)) == len(facts.params):
        return []
    modules = sorted({p.owner or "" for p in idle})
    evidence = (
        f"{count(len(idle), 'parameter')} got no gradient, because nothing calls {names(modules) or 'it'}."
    )
    return [
        finding("unused", "note", where_params(idle, facts), evidence, "call it in forward(), or remove it")
    ]
