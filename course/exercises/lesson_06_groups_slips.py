"""The slips of decay_groups: parameters sorted wrong, lost, taken twice, or given no decay of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from course.exercises.base import Slips

__all__ = ["group_slips"]

Groups = list[dict[str, Any]]
group_slips = Slips()


def _unique(named_parameters: Iterable[tuple[str, Any]], frozen: bool = False) -> dict[str, Any]:
    """Return the parameters by name, tied ones once, frozen ones only if asked for."""
    seen: dict[int, str] = {}
    found = {}
    for name, p in named_parameters:
        if (p.requires_grad or frozen) and id(p) not in seen:
            seen[id(p)], found[name] = name, p
    return found


def _two(
    found: dict[str, Any], decays: Callable[[str, Any], bool], weight_decay: float, rest: float = 0.0
) -> Groups:
    """Return two groups: those that ``decays`` says yes to get ``weight_decay``, the others ``rest``."""
    yes = [p for name, p in found.items() if decays(name, p)]
    no = [p for name, p in found.items() if not decays(name, p)]
    return [{"params": yes, "weight_decay": weight_decay}, {"params": no, "weight_decay": rest}]


def _matrix(name: str, p: Any) -> bool:
    return p.dim() >= 2


@group_slips(
    "only biases left out",
    "You leave out what is called bias. The weights of normalization layers are called weight, and decay.",
    "Look at the shape, not at the name: a parameter with fewer than two axes gets no decay.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _two(_unique(named_parameters), lambda name, p: not name.endswith("bias"), weight_decay)


@group_slips(
    "sorted by the layer's name",
    "You look for bias and norm in the names. In a Sequential the layers have numbers, and another "
    "parameter may be called so by chance.",
    "Look at the shape, not at the name: a parameter with fewer than two axes gets no decay.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    def decays(name: str, p: Any) -> bool:
        return "bias" not in name and "norm" not in name.lower()

    return _two(_unique(named_parameters), decays, weight_decay)


@group_slips(
    "groups swapped",
    "The parameters are sorted well, but the decay is on the wrong group: biases and norms decay.",
    "Which of the two lists gets weight_decay, and which gets 0?",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _two(_unique(named_parameters), _matrix, 0.0, rest=weight_decay)


@group_slips(
    "frozen parameters too",
    "Parameters with requires_grad False are in your groups. Nobody trains them; leave them out.",
    "Ask each parameter for its requires_grad.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _two(_unique(named_parameters, frozen=True), _matrix, weight_decay)


@group_slips(
    "frozen parameters without decay",
    "You put the frozen parameters into the group without decay. They belong into neither.",
    "Skip a parameter with requires_grad False before you sort.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    def decays(name: str, p: Any) -> bool:
        return p.requires_grad and p.dim() >= 2

    return _two(_unique(named_parameters, frozen=True), decays, weight_decay)


@group_slips(
    "a tied weight twice",
    "A parameter that two modules share comes twice. An optimizer would step it twice, or refuse.",
    "Remember what you have met already: a set of id(parameter) does it.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    pairs = [p for _, p in named_parameters if p.requires_grad]
    return [
        {"params": [p for p in pairs if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in pairs if p.dim() < 2], "weight_decay": 0.0},
    ]


@group_slips(
    "frozen and tied ones too",
    "The shapes are sorted well. But frozen parameters are in, and a weight that is shared comes twice.",
    "Skip what has requires_grad False, and what you have met already.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    pairs = [p for _, p in named_parameters]
    return [
        {"params": [p for p in pairs if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in pairs if p.dim() < 2], "weight_decay": 0.0},
    ]


@group_slips(
    "all in one group",
    "Every parameter decays, biases and norms too.",
    "You need a second group with weight_decay 0.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return [{"params": list(_unique(named_parameters).values()), "weight_decay": weight_decay}]


@group_slips(
    "the rest lost",
    "Biases and norms are in no group at all: no optimizer will ever move them.",
    "No decay does not mean no training. They need a group of their own.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _two(_unique(named_parameters), _matrix, weight_decay)[:1]


def _twice(named_parameters: Any, weight_decay: float, once: bool, frozen: bool) -> Groups:
    """Walk through the pairs for each group anew: the second walk finds nothing."""

    def walk(matrix: bool) -> list[Any]:
        found = [p for _, p in named_parameters if (frozen or p.requires_grad) and (p.dim() >= 2) is matrix]
        return list({id(p): p for p in found}.values()) if once else found

    return [
        {"params": walk(True), "weight_decay": weight_decay},
        {"params": walk(False), "weight_decay": 0.0},
    ]


WALKED = (
    "named_parameters can be walked only once. You walk through it twice, and find nothing the second time: "
    "the second group stays empty."
)


@group_slips(
    "the generator read twice",
    WALKED,
    "Walk once and fill both lists, or begin with list(named_parameters).",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _twice(named_parameters, weight_decay, once=True, frozen=False)


@group_slips(
    "the generator read twice, a tied weight too",
    WALKED + " And a weight that is shared comes twice.",
    "Walk once and fill both lists; remember the id of each parameter that you have met.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _twice(named_parameters, weight_decay, once=False, frozen=False)


@group_slips(
    "the generator read twice, nothing skipped",
    WALKED + " And frozen parameters are in, and a weight that is shared comes twice.",
    "Walk once and fill both lists; skip what has requires_grad False, and what you have met already.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _twice(named_parameters, weight_decay, once=False, frozen=True)


@group_slips(
    "tensors compared",
    "`p in seen`, with a list of tensors, compares their values and not the tensors themselves; torch stops "
    "there.",
    "Keep id(p) in the place of p, in a set.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    seen: list[Any] = []
    for _, p in named_parameters:
        if p.requires_grad and p not in seen:
            seen.append(p)
    return _two({str(i): p for i, p in enumerate(seen)}, _matrix, weight_decay)


@group_slips(
    "pairs with their names",
    "The parameters are sorted well, but your lists hold pairs (name, parameter).",
    "Append the parameter alone: for name, p in named_parameters gives you both apart.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    found = list(_unique(named_parameters).items())
    return [
        {"params": [pair for pair in found if pair[1].dim() >= 2], "weight_decay": weight_decay},
        {"params": [pair for pair in found if pair[1].dim() < 2], "weight_decay": 0.0},
    ]


@group_slips(
    "groups in the other order",
    "Both groups are right, but they come in the other order.",
    "What decays comes first, the rest second.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _two(_unique(named_parameters), _matrix, weight_decay)[::-1]


@group_slips(
    "weight_decay missing in the second group",
    "The second group says nothing of its decay, so the optimizer's default applies: 0.01 for AdamW.",
    'Write "weight_decay": 0.0 into it.',
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    groups = _two(_unique(named_parameters), _matrix, weight_decay)
    del groups[1]["weight_decay"]
    return groups


@group_slips(
    "weight_decay given to nobody",
    "Neither group has a weight_decay, so the optimizer's default applies to both: 0.01 for AdamW.",
    'The key is "weight_decay", in each of the two dicts.',
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return [{"params": group["params"]} for group in _two(_unique(named_parameters), _matrix, 0.0)]


@group_slips(
    "only matrices decay",
    "You ask for exactly two axes. The kernel of a convolution has three or four, and should decay.",
    "At least two axes.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _two(_unique(named_parameters), lambda name, p: p.dim() == 2, weight_decay)


@group_slips(
    "vectors decay",
    "Only scalars go without decay in your groups. Biases and norms are vectors: they have one axis.",
    "At least two axes.",
)
def _(named_parameters: Any, weight_decay: float) -> Any:
    return _two(_unique(named_parameters), lambda name, p: p.dim() >= 1, weight_decay)
