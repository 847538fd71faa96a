"""``decay_groups`` on real modules: its cases, its driver and its reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from course.exercises.base import Case, Fault, Outcome, StopDriving

if TYPE_CHECKING:
    import torch

__all__ = ["drive_groups", "group_cases", "group_reference"]

Pairs = list[tuple[str, Any]]


def group_reference(named_parameters: Any, weight_decay: float) -> Any:
    """Collect each trainable parameter once, by identity, and split them by their number of axes."""
    unique = {id(p): p for _, p in named_parameters if p.requires_grad}
    return [
        {"params": [p for p in unique.values() if (p.dim() >= 2) is matrix], "weight_decay": decay}
        for matrix, decay in ((True, weight_decay), (False, 0.0))
    ]


def group_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first; ``model`` names one of :func:`_pairs`."""
    for label, model, part in (
        ("one linear layer", "Linear(2, 3)", "formula"),
        ("a normalization layer", "Linear(2, 3), LayerNorm(3), Linear(3, 1)", "formula"),
        ("an embedding", "Embedding(5, 2), RMSNorm(2), Linear(2, 5, bias=False)", "formula"),
        ("a frozen layer", "Linear(2, 3) frozen, Linear(3, 1)", "formula"),
        ("a tied weight", "Embedding(5, 2) and Linear(2, 5) with the same weight", "formula"),
        ("convolutions", "Conv2d(1, 2, 3), BatchNorm2d(2), Conv1d(2, 1, 3)", "formula"),
        ("parameters outside any layer", "a scalar, a vector, a table called bias", "formula"),
        ("nothing to leave out", "Linear(2, 3, bias=False), Linear(3, 1, bias=False)", "edges"),
        ("nothing to decay", "LayerNorm(3)", "edges"),
        ("a weight with a single entry", "Linear(1, 1)", "edges"),
        ("all frozen", "Linear(2, 3) frozen", "edges"),
        ("a tied weight that is frozen", "a frozen Embedding(5, 2) and Linear(2, 5), tied", "edges"),
        ("equal values that are not tied", "two Linear(2, 2), all zeros", "edges"),
    ):
        yield Case(label, {"model": model, "weight_decay": 0.1}, part)
    yield Case("weight decay 0", {"model": "Linear(2, 3)", "weight_decay": 0.0}, "edges")
    yield Case("another weight decay", {"model": "Linear(2, 3)", "weight_decay": 0.5}, "edges")


def _pairs(model: str) -> Pairs:
    """Return what ``named_parameters()`` yields for a model; modules side by side may share a weight."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):  # a check leaves the learner's own random state alone
        torch.manual_seed(0)
        modules = {name: make() for name, make in _layers(nn)[model].items()}
    for name, module in modules.items():
        if name.startswith("frozen"):
            module.requires_grad_(False)
    if "head" in modules:  # a head is tied to what stands first
        modules["head"].weight = next(iter(modules.values())).weight
    if "zeros" in model:
        for module in modules.values():
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return list(chain.from_iterable(m.named_parameters(prefix=name) for name, m in modules.items()))


def _layers(nn: Any) -> Mapping[str, Mapping[str, Callable[[], Any]]]:
    """Return for each model its modules by name, in the order in which they are read."""

    def loose() -> Any:
        import torch

        made = nn.Module()
        made.temperature = nn.Parameter(torch.tensor(1.0))
        made.scale = nn.Parameter(torch.ones(3))
        made.position_bias = nn.Parameter(torch.ones(4, 3))
        made.normal_map = nn.Parameter(torch.ones(2, 2, 2))
        return made

    linear, bare = nn.Linear, lambda rows, columns: nn.Linear(rows, columns, bias=False)
    return {
        "Linear(2, 3)": {"layer": lambda: linear(2, 3)},
        "Linear(2, 3), LayerNorm(3), Linear(3, 1)": {
            "net": lambda: nn.Sequential(linear(2, 3), nn.LayerNorm(3), linear(3, 1))
        },
        "Embedding(5, 2), RMSNorm(2), Linear(2, 5, bias=False)": {
            "net": lambda: nn.Sequential(nn.Embedding(5, 2), nn.RMSNorm(2), bare(2, 5))
        },
        "Linear(2, 3) frozen, Linear(3, 1)": {"frozen": lambda: linear(2, 3), "layer": lambda: linear(3, 1)},
        "Embedding(5, 2) and Linear(2, 5) with the same weight": {
            "tokens": lambda: nn.Embedding(5, 2),
            "head": lambda: linear(2, 5),
        },
        "Conv2d(1, 2, 3), BatchNorm2d(2), Conv1d(2, 1, 3)": {
            "net": lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv1d(2, 1, 3))
        },
        "a scalar, a vector, a table called bias": {"own": loose},
        "Linear(2, 3, bias=False), Linear(3, 1, bias=False)": {
            "net": lambda: nn.Sequential(bare(2, 3), bare(3, 1))
        },
        "LayerNorm(3)": {"norm": lambda: nn.LayerNorm(3)},
        "Linear(1, 1)": {"layer": lambda: linear(1, 1)},
        "Linear(2, 3) frozen": {"frozen": lambda: linear(2, 3)},
        "a frozen Embedding(5, 2) and Linear(2, 5), tied": {
            "frozen": lambda: nn.Embedding(5, 2),
            "head": lambda: linear(2, 5),
        },
        "two Linear(2, 2), all zeros": {"first": lambda: linear(2, 2), "second": lambda: linear(2, 2)},
    }


def drive_groups(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
    """Run an answer on a real model; write down what an optimizer would do with each parameter.

    What counts is how often each parameter comes, and with which decay; a group without a ``weight_decay``
    gets AdamW's own default. Then the form: two dicts in a list, what decays first, with two keys each.
    """
    pairs = _pairs(case.inputs["model"])
    known = {id(p): name for name, p in reversed(pairs)}  # of two names for one parameter the first
    before = [p.detach().clone() for _, p in pairs], [p.requires_grad for _, p in pairs]
    source = _OnceThrough(pairs)
    groups = _groups(_answered(answer, source, case.inputs["weight_decay"]), out)
    if source.again:
        out.notes.append("the generator was read again after its end")
    times, decays = dict.fromkeys(known, 0), dict.fromkeys(known, float("nan"))
    members = [_members(group, out) for group in groups]
    for group, inside in zip(groups, members, strict=True):
        for p in inside:
            if id(p) not in known:
                message = "a group holds something that is none of the parameters (a copy, a name, a .data?)"
                raise StopDriving(Fault("foreign", "params", message))
            times[id(p)] += 1
            decays[id(p)] = float(group.get("weight_decay", _default_decay()))
    if any(members) and _turned_round(members):
        out.fault("order", "groups", "the group that decays must come first; yours comes second")
    for key in dict.fromkeys(id(p) for _, p in pairs):
        out.see(1, f"the count of {known[key]} in your groups", times[key])
        out.see(1, f"the decay of {known[key]}", decays[key])
    _note_changes(pairs, before, out)


class _OnceThrough:
    """Yields pairs like the generator that ``named_parameters()`` returns; remembers who comes back."""

    def __init__(self, pairs: Pairs) -> None:
        self._rest, self._ended, self.again = iter(pairs), False, False

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        self.again = self.again or self._ended
        return self

    def __next__(self) -> tuple[str, Any]:
        try:
            return next(self._rest)
        except StopIteration:
            self._ended = True
            raise


def _answered(answer: Callable[..., Any], source: _OnceThrough, weight_decay: float) -> Any:
    """Call the answer; torch's words for a comparison of tensors are turned into ours."""
    try:
        return answer(source, weight_decay)
    except RuntimeError as error:
        if "Boolean value of Tensor" in str(error) or "must match the size" in str(error):
            message = "your function compares tensors by their values: `p in a_list` does, and `p == q`"
            raise StopDriving(Fault("compared", "tensors", message)) from error
        raise


def _groups(result: Any, out: Outcome) -> list[dict[str, Any]]:
    wanted = 'return a list of two dicts, each with "params" and "weight_decay"'
    if result is None:
        raise StopDriving(Fault("none", "groups", f"your function returned None; {wanted}"))
    if isinstance(result, dict | str) or not hasattr(result, "__iter__"):
        raise StopDriving(Fault("type", "groups", f"{wanted}; yours is a {type(result).__name__}"))
    if not isinstance(result, list):
        kind = type(result).__name__
        out.fault("form", "groups", f"put the two groups into a list, as asked for; yours is a {kind}")
    groups = list(result)
    if not all(isinstance(group, dict) and "params" in group for group in groups):
        raise StopDriving(Fault("type", "group", f"{wanted}; one of yours is no such dict"))
    if len(groups) > 2:
        raise StopDriving(Fault("count", "groups", f"{wanted}; yours holds {len(groups)}"))
    if len(groups) < 2:
        message = f"there must be two groups, also where one is empty; yours are {len(groups)}"
        out.fault("number", "groups", message)
    for group in groups:
        extra = sorted(str(key) for key in group if key not in ("params", "weight_decay"))
        if extra:
            message = f'a group has just the keys "params" and "weight_decay"; yours has {extra[0]!r} too'
            out.fault("keys", ", ".join(extra), message)
        if "weight_decay" not in group:
            out.fault("keys", "weight_decay", 'each group must have the key "weight_decay"')
    return groups


def _members(group: dict[str, Any], out: Outcome) -> list[Any]:
    """Return a group's parameters as torch reads them: one tensor, tensors, or pairs with their names."""
    params = group["params"]
    if isinstance(params, set):  # as torch refuses it: the order would change from run to run
        raise StopDriving(Fault("type", "params", 'torch refuses a set as "params": make it a list'))
    if not isinstance(params, list):
        kind = type(params).__name__
        out.fault("form", "params", f'"params" must be a list; yours is a {kind}: list(...) makes one of it')
    if hasattr(params, "requires_grad") or not hasattr(params, "__iter__"):
        return [params]
    inside = list(params)
    if any(isinstance(p, tuple) for p in inside):
        out.fault(
            "form", "members", '"params" holds the parameters alone; yours holds pairs with their names'
        )
    return [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in inside]


def _turned_round(members: list[list[Any]]) -> bool:
    """Say whether the vectors stand in the first group and the matrices in the second."""
    small = [[p.dim() < 2 for p in inside] for inside in members]
    return len(members) == 2 and all(small[0]) and not any(small[1])


def _default_decay() -> float:
    import torch

    return float(torch.optim.AdamW([torch.zeros(1)]).defaults["weight_decay"])


def _note_changes(pairs: Pairs, before: tuple[list[torch.Tensor], list[bool]], out: Outcome) -> None:
    values, trainable = before
    same = all(np.array_equal(p.detach(), old) for (_, p), old in zip(pairs, values, strict=True))
    if not same or [p.requires_grad for _, p in pairs] != trainable:
        out.fault("mutated", "parameters", "your function changed the parameters that it was to sort")
