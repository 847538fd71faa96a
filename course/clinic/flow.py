"""How tensors flow from one torch call to the next: where history is cut, what goes into the loss functions,
which factors the loss carries, what the activations do. Only in deep steps.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch

from course.clinic.activations import KINDS, Activations
from course.clinic.facts import CutFacts
from course.clinic.forward import Forward
from course.clinic.graph import reach_of
from course.clinic.losses import Losses
from course.clinic.recorder import Recorder, quiet
from course.clinic.sites import here_with_code

__all__ = ["Flow"]

MOST_CUTS, MOST_MARKS = 64, 4096

# Calls that give a number or an array: the history ends there.
ESCAPES = {
    torch.Tensor.item: "item()",
    torch.Tensor.tolist: "tolist()",
    torch.Tensor.numpy: "numpy()",
    torch.Tensor.__float__: "float()",
    torch.Tensor.__array__: "a NumPy array",
}
DIVIDES = {"div", "div_", "__truediv__", "__itruediv__", "true_divide"}
MULTIPLIES = {"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply"}
CARRIES = {"mean", "sum", "add", "add_", "__add__", "__radd__", "__iadd__", "sub", "squeeze", "neg"}
NO_CUT = {
    "ones_like",
    "zeros_like",
    "empty_like",
    "full_like",
    "rand_like",
    "randn_like",
    "new_zeros",
    "size",
}


class Flow:
    """Follows tensors; holds no tensor alive."""

    def __init__(self, recorder: Recorder, forward: Forward) -> None:
        self.recorder, self.forward = recorder, forward
        self.activations = Activations(recorder, forward)
        self.losses = Losses(recorder, forward)
        self.last_cut = ""
        self._marks: dict[int, tuple[weakref.ref[torch.Tensor], frozenset[str]]] = {}
        self._factors: dict[int, tuple[weakref.ref[torch.Tensor], float]] = {}
        recorder.on_tick.append(self.forget)

    def forget(self) -> None:
        """Forget the tensors of the last step."""
        self._marks.clear()
        self._factors.clear()
        self.last_cut = ""

    def marks_of(self, tensor: torch.Tensor) -> frozenset[str]:
        """Return the cuts that lie behind a tensor."""
        return _recall(self._marks, tensor, frozenset())

    def factor(self, tensor: torch.Tensor) -> float:
        """Return the product of the numbers by which a loss was multiplied."""
        return _recall(self._factors, tensor, 1.0)

    @quiet
    def note(self, func: Callable[..., Any], args: Any, kwargs: Any, result: Any) -> None:
        """Note one torch call."""
        given = _flat([*args, *kwargs.values()])
        made = _flat([result])
        if not given:
            return
        name = getattr(func, "__name__", "")
        self._carry_marks(func, name, given, made)
        if not torch.is_grad_enabled() or not any(t.requires_grad for t in given):
            return
        if func in ESCAPES and not made:
            self._cut(ESCAPES[func], given)
        elif made and name not in NO_CUT and not _is_gradient(func) and _all_new(made, given):
            self._cut(_call(func, name), given, made)
        if len(made) == 1:
            self._carry_factor(name, args, given, made[0])
            self.losses.note(func, name, args)
            if func in KINDS and self.forward.current is not None:
                self.activations.note(KINDS[func], made[0])

    def _carry_marks(
        self, func: Callable[..., Any], name: str, given: list[torch.Tensor], made: list[torch.Tensor]
    ) -> None:
        marks = frozenset().union(*(self.marks_of(t) for t in given)) if self._marks else frozenset()
        if not marks:
            return
        if not made and func in ESCAPES:
            self.last_cut = sorted(marks)[0]
            for mark in marks:
                self.recorder.facts.cuts[mark].escaped += 1
        for tensor in made:
            _remember(self._marks, tensor, marks)

    def _cut(self, op: str, given: list[torch.Tensor], made: list[torch.Tensor] | None = None) -> None:
        where, code = here_with_code()
        cuts = self.recorder.facts.cuts
        key = f"{where} {op}"
        if key not in cuts:
            if len(cuts) >= MOST_CUTS:
                return
            cuts[key] = CutFacts(where, code, op)
        cut = cuts[key]
        cut.count += 1
        cut.escaped += made is None
        if not cut.reach:
            cut.reach = reach_of([t for t in given if t.requires_grad], self.recorder)
        if cut.reach:
            self.last_cut = key
        for tensor in made or ():
            _remember(self._marks, tensor, self.marks_of(tensor) | {key})

    def _carry_factor(self, name: str, args: Any, given: list[torch.Tensor], made: torch.Tensor) -> None:
        factor = max((self.factor(t) for t in given if t.requires_grad), default=1.0)
        if name in DIVIDES or name in MULTIPLIES:
            number = _number(args[1]) if len(args) > 1 else None
            if not number and name in MULTIPLIES and args:
                number = _number(args[0])
            if number:
                factor = factor / number if name in DIVIDES else factor * number
        elif name not in CARRIES:
            return
        if factor != 1.0:
            _remember(self._factors, made, factor)


def _recall(
    store: dict[int, tuple[weakref.ref[torch.Tensor], Any]], tensor: torch.Tensor, default: Any
) -> Any:
    entry = store.get(id(tensor))
    return default if entry is None or entry[0]() is not tensor else entry[1]


def _remember(
    store: dict[int, tuple[weakref.ref[torch.Tensor], Any]], tensor: torch.Tensor, value: Any
) -> None:
    if len(store) >= MOST_MARKS:
        for key in [key for key, (reference, _) in store.items() if reference() is None]:
            del store[key]
        if len(store) >= MOST_MARKS:
            return
    store[id(tensor)] = (weakref.ref(tensor), value)


def _flat(values: Any) -> list[torch.Tensor]:
    """Return the tensors among values and in lists, tuples one level down."""
    found = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += [item for item in value if isinstance(item, torch.Tensor)]
    return found


def _number(value: Any) -> float | None:
    """Return a number or a tensor of one value without history as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.requires_grad:
        return float(value)
    return None


def _all_new(made: list[torch.Tensor], given: list[torch.Tensor]) -> bool:
    """Whether all results are new tensors without a history."""
    known = {id(tensor) for tensor in given}
    return all(id(one) not in known and (not one.requires_grad or one.is_leaf) for one in made)


def _is_gradient(func: Callable[..., Any]) -> bool:
    return getattr(func, "__self__", None) in (torch.Tensor.grad, torch.Tensor.shape)


def _call(func: Callable[..., Any], name: str) -> str:
    if name == "__get__":
        return "." + getattr(getattr(func, "__self__", None), "__name__", "data")
    return "torch.tensor()" if name == "tensor" else f"{name}()"
