"""The slips of lesson 02's two instruments: the update/weight ratio, and the parameters nobody steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["missing_slips", "ratio_slips"]

Arrays = dict[str, np.ndarray]
norm = np.linalg.norm
ratio_slips, missing_slips = Slips(), Slips()


def _ratio(moved: Any, size: Any) -> float:
    """Divide as the exercise says."""
    return float(moved / size) if size > 0 else (np.inf if moved > 0 else 0.0)


@ratio_slips(
    "squared norms",
    "You compare squared norms: a ratio of 0.001 comes out as 0.000001.",
    "A norm ends with a root.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: _ratio(np.sum((after[k] - w) ** 2), np.sum(w**2)) for k, w in before.items()}


@ratio_slips(
    "upside down",
    "You divide the weights by their update; it is the update, as a share of the weights.",
    "A step of nothing has the ratio 0.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: _ratio(norm(w), norm(after[k] - w)) for k, w in before.items()}


@ratio_slips(
    "weights of zero not guarded",
    "Where all weights are zero you divide by zero.",
    "A bias often starts at zero. What should its ratio be before it has moved, and after?",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: float(np.divide(norm(after[k] - w), norm(w))) for k, w in before.items()}


@ratio_slips(
    "a small number below instead of a guard",
    "You add a small number to the norm of the weights: a weight of zero that moves gets some large ratio "
    "that depends on that number, and tiny weights get a wrong one.",
    "Treat the norm of exactly zero as a case of its own.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: float(norm(after[k] - w) / (norm(w) + 1e-8)) for k, w in before.items()}


@ratio_slips(
    "next to nothing below instead of a guard",
    "Weights of zero that move get a finite ratio. Adding some 1e-12 to their norm does that: what comes out "
    "is large, and says more of that number than of the step.",
    "Treat the norm of exactly zero as a case of its own.",
    shows=lambda case: "1e-12" not in case.label,  # there it depends on how little was added
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: float(norm(after[k] - w) / (norm(w) + 1e-12)) for k, w in before.items()}


@ratio_slips(
    "weights of zero always infinite",
    "Weights of zero get an infinite ratio even if they have not moved.",
    "What share is no change at all?",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: float(norm(after[k] - w) / norm(w)) if w.any() else np.inf for k, w in before.items()}


@ratio_slips(
    "weights of zero always 0",
    "Weights of zero get the ratio 0 even if they have moved. A bias in its first step then looks as if it "
    "stood still.",
    "Which number says that a change is more than any share of what was there?",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: float(norm(after[k] - w) / norm(w)) if w.any() else 0.0 for k, w in before.items()}


@ratio_slips(
    "the largest entry instead of the norm",
    "You compare the largest entries. The norm adds all of them up: it is the root of the sum of squares.",
    "np.linalg.norm does it for an array of any shape.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: _ratio(np.abs(after[k] - w).max(), np.abs(w).max()) for k, w in before.items()}


@ratio_slips(
    "mean of the absolute values",
    "You compare sums or means of absolute values. The norm here is the Euclidean one: the root of the sum "
    "of squares.",
    "np.linalg.norm does it for an array of any shape.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: _ratio(np.abs(after[k] - w).mean(), np.abs(w).mean()) for k, w in before.items()}


@ratio_slips(
    "one ratio for all",
    "You give every parameter the same ratio, that of all of them together. One that stands still is hidden "
    "by the others.",
    "Which layer stands still is the question, so each parameter needs its own.",
)
def _(before: Arrays, after: Arrays) -> Any:
    moved = norm([norm(after[k] - w) for k, w in before.items()])
    whole = _ratio(moved, norm([norm(w) for w in before.values()]))
    return dict.fromkeys(before, whole)


@ratio_slips(
    "difference of the norms",
    "You take the difference of the two norms. A weight that turns without growing has moved, and you do not "
    "see it.",
    "First the difference, then its norm.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: _ratio(abs(norm(after[k]) - norm(w)), norm(w)) for k, w in before.items()}


@ratio_slips(
    "divided by the weights after the step",
    "You divide by the norm of the weights after the step; it is the one before.",
    "Share of what? Of what was there when the step began.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: _ratio(norm(after[k] - w), norm(after[k])) for k, w in before.items()}


@ratio_slips(
    "element by element",
    "You divide each element by its own and take the mean. One weight that happens to be near zero then "
    "rules it all.",
    "Take the norm of each array first.",
)
def _(before: Arrays, after: Arrays) -> Any:
    return {k: float(np.mean(np.abs((after[k] - w) / w))) for k, w in before.items()}


# ---------------------------------------------------------------- find_missing_parameters
def _held(optimizer: Any) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]


@missing_slips(
    "compared by value",
    "You compare values. Two biases that both start at zero are equal, and still are two parameters.",
    "The question is whether it is the same object: `is`, or id().",
)
def _(model: Any, optimizer: Any) -> Any:
    def equal(p: Any, q: Any) -> bool:
        return p.shape == q.shape and bool((p == q).all())

    return [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and not any(equal(p, q) for q in _held(optimizer))
    ]


@missing_slips(
    "compared by shape",
    "You compare shapes. Many layers have the same.",
    "The question is whether it is the same object: `is`, or id().",
)
def _(model: Any, optimizer: Any) -> Any:
    shapes = [p.shape for p in _held(optimizer)]
    return [name for name, p in model.named_parameters() if p.requires_grad and p.shape not in shapes]


@missing_slips(
    "looked up in a list",
    "`p not in held` asks a list whether an entry *equals* p. For tensors that is a comparison value by "
    "value, and Python cannot make one yes or no of many.",
    "Ask for the object: collect id(p), or the parameters in a set, which looks for the object itself.",
)
def _(model: Any, optimizer: Any) -> Any:
    held = _held(optimizer)
    return [name for name, p in model.named_parameters() if p.requires_grad and p not in held]


@missing_slips(
    "compared by memory",
    "You compare addresses in memory. Two parameters can share theirs: nn.Parameter(old.data) is a new "
    "parameter on old memory, and its gradient goes where the optimizer does not look.",
    "The question is whether it is the same object: `is`, or id().",
)
def _(model: Any, optimizer: Any) -> Any:
    held = {p.data_ptr() for p in _held(optimizer)}
    return [name for name, p in model.named_parameters() if p.requires_grad and p.data_ptr() not in held]


@missing_slips(
    "layers within are not looked into",
    "You look at the parameters of the outermost module only. Those of its layers are never asked.",
    "named_parameters() goes down into all layers, unless recurse=False.",
)
def _(model: Any, optimizer: Any) -> Any:
    held = {id(p) for p in _held(optimizer)}
    named = model.named_parameters(recurse=False)
    return [name for name, p in named if p.requires_grad and id(p) not in held]


@missing_slips(
    "those without a state",
    "You list every trainable parameter. An optimizer's state comes with its first step: a fresh optimizer "
    "that holds everything has none.",
    "What an optimizer holds is in optimizer.param_groups.",
)
def _(model: Any, optimizer: Any) -> Any:
    return [name for name, p in model.named_parameters() if p.requires_grad and p not in optimizer.state]


@missing_slips(
    "only the last group read",
    "You begin anew at every group: what the groups before hold is forgotten.",
    "Collect over all groups, then ask.",
)
def _(model: Any, optimizer: Any) -> Any:
    held: set[int] = set()
    for group in optimizer.param_groups:
        held = {id(p) for p in group["params"]}
    return [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]


@missing_slips(
    "only counted",
    "You compare how many there are, and take the last ones of the model for the missing ones.",
    "Ask of each parameter whether the optimizer holds it.",
)
def _(model: Any, optimizer: Any) -> Any:
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    return names[len(_held(optimizer)) :]


@missing_slips(
    "only the first group read",
    "You look into the first parameter group only. An optimizer can have several.",
    "param_groups is a list.",
)
def _(model: Any, optimizer: Any) -> Any:
    held = {id(p) for p in optimizer.param_groups[0]["params"]}
    return [name for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]


@missing_slips(
    "frozen ones included",
    "You also list parameters that are frozen. Nobody means to train them, so nothing is missing there.",
    "Only those with requires_grad count.",
)
def _(model: Any, optimizer: Any) -> Any:
    held = {id(p) for p in _held(optimizer)}
    return [name for name, p in model.named_parameters() if id(p) not in held]


@missing_slips(
    "those that are held",
    "You list the parameters that the optimizer holds; the others are asked for.",
    "Is a `not` missing?",
)
def _(model: Any, optimizer: Any) -> Any:
    held = {id(p) for p in _held(optimizer)}
    return [name for name, p in model.named_parameters() if p.requires_grad and id(p) in held]


@missing_slips(
    "tied ones under each name",
    "A tied parameter has two names and is one parameter. You list it under both.",
    "named_parameters() gives each one once; what does remove_duplicate=False do?",
)
def _(model: Any, optimizer: Any) -> Any:
    held = {id(p) for p in _held(optimizer)}
    named = model.named_parameters(remove_duplicate=False)
    return [name for name, p in named if p.requires_grad and id(p) not in held]


@missing_slips(
    "those without a gradient",
    "You list the parameters whose .grad is None. That says that no backward reached them, not that the "
    "optimizer does not hold them.",
    "Look into optimizer.param_groups.",
)
def _(model: Any, optimizer: Any) -> Any:
    return [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
