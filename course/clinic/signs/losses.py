"""What the loss functions were given."""

from __future__ import annotations

import math

from course.clinic.facts import BroadcastFacts, Facts, LossInputFacts
from course.clinic.finding import Finding, finding
from course.clinic.signs.words import figure, share

__all__ = ["broadcast_loss", "probabilities_in_loss"]


def broadcast_loss(facts: Facts) -> list[Finding]:
    """Every prediction is compared with every target."""
    found = []
    for where, seen in facts.broadcasts.items():
        evidence = (
            f"{seen.loss or 'A difference'} got a prediction of shape {seen.prediction} and a target of shape"
            f" {seen.target}, and broadcast them."
        )
        found.append(finding("broadcast-loss", "error", where, evidence, _same_shape(seen)))
    return found


def _same_shape(seen: BroadcastFacts) -> str:
    """Say how the two get the same shape."""
    prediction, target, comment = "prediction", "target", f"{seen.prediction} against {seen.target}"
    if math.prod(seen.prediction) != math.prod(seen.target):
        return f"one output for each target, or one target for each output: {comment}"
    long, short = sorted((seen.prediction, seen.target), key=len, reverse=True)
    axes = [i for i, size in enumerate(long) if size == 1 and long[:i] + long[i + 1 :] == short]
    if not axes:
        prediction += ".reshape(target.shape)"
    elif len(seen.prediction) > len(seen.target):
        prediction += f".squeeze({axes[0]})"
    else:
        target += f".squeeze({axes[0]})"
    if not seen.loss:
        return f"{prediction} - {target}  # the same shape on both sides"
    return f"loss = F.{seen.loss}({prediction}, {target})  # the same shape on both sides"


def probabilities_in_loss(facts: Facts) -> list[Finding]:
    """A softmax or sigmoid stands before a loss that has it in it, or that takes logarithms."""
    found = []
    for where, seen in facts.loss_inputs.items():
        if seen.looks < 2 or seen.probable < seen.looks:
            continue
        single = seen.activation == "sigmoid"
        values = (
            "all values lay in [0, 1]"
            if single
            else f"the {seen.classes} values of a row were >= 0 and summed to 1"
        )
        made_by = f" (from {seen.maker})" if seen.maker else ""
        evidence = f"At {share(seen.probable, seen.looks)} looks at what {seen.loss} got{made_by}, {values}: "
        consequence, fix = _wanted(seen)
        found.append(finding("probabilities-in-loss", "error", where, evidence + consequence, fix))
    return found


def _wanted(seen: LossInputFacts) -> tuple[str, str]:
    """Return what comes of it, and what to do."""
    culprit = seen.maker or f"the {seen.activation or 'softmax'}"
    if seen.loss == "cross_entropy":
        least = math.log(math.e + seen.classes - 1) - 1
        return (
            f"it takes the softmax of them once more, and cannot fall below {figure(least)}.",
            f"leave {culprit} out: F.cross_entropy takes the scores, and has the softmax in it",
        )
    if seen.loss == "binary_cross_entropy_with_logits":
        return (
            f"it takes the sigmoid of them once more, which then lies between 0.5 and"
            f" {figure(1 / (1 + math.exp(-1)))}.",
            f"leave {culprit} out; or use F.binary_cross_entropy, which takes probabilities",
        )
    return (
        "it expects their logarithms.",
        f"log_softmax in place of {culprit}; or F.cross_entropy on the scores",
    )
