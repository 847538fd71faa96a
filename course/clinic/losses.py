"""What goes into a loss function: shapes that do not fit, and probabilities where something else is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from course.clinic.facts import BroadcastFacts, LossInputFacts
from course.clinic.forward import Forward
from course.clinic.recorder import Recorder
from course.clinic.sites import here

__all__ = ["Losses"]

PAIRED = {F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.kl_div, F.poisson_nll_loss}
SUBTRACTS = {"sub", "__sub__", "__rsub__", "rsub", "subtract"}

# Losses that take scores or logarithms, and the activation that makes probabilities of scores.
TAKE = {
    F.cross_entropy: "softmax",
    F.nll_loss: "softmax",
    F.kl_div: "softmax",
    F.binary_cross_entropy_with_logits: "sigmoid",
}
# What changes no value by much.
SHAPING = {"View", "Reshape", "Squeeze", "Unsqueeze", "Select", "Slice", "Index", "Transpose", "T", "Permute"}
SHAPING |= {"Alias", "UnsafeView", "Expand", "Clone", "ToCopy"}
MOST = 8  # lines that are noted
FAR = 8  # steps back through the graph


class Losses:
    """Looks at the arguments of loss functions, and of differences that may be one."""

    def __init__(self, recorder: Recorder, forward: Forward) -> None:
        self.recorder, self.forward = recorder, forward

    def note(self, func: Callable[..., Any], name: str, args: Any) -> None:
        """Note one call."""
        if len(args) < 2 or not all(isinstance(a, torch.Tensor) for a in args[:2]):
            return
        left, right = args[:2]
        if func in TAKE and left.requires_grad:
            self._note_input(func, name, left)
        if left.shape == right.shape:
            return
        loss = func in PAIRED and not _harmless(left, right)
        if loss or (
            name in SUBTRACTS and self.forward.current is None and self._looks_broadcast(left, right)
        ):
            prediction, target = (left, right) if left.requires_grad else (right, left)
            broadcasts = self.recorder.facts.broadcasts
            if len(broadcasts) < MOST:
                seen = BroadcastFacts(name if loss else "", tuple(prediction.shape), tuple(target.shape))
                broadcasts.setdefault(here(), seen)

    def _looks_broadcast(self, left: torch.Tensor, right: torch.Tensor) -> bool:
        """Whether a difference of these is a loss whose shapes do not fit."""
        if left.requires_grad == right.requires_grad:
            return False
        small, large = sorted((tuple(left.shape), tuple(right.shape)), key=len)
        if (len(small), len(large)) == (1, 2):
            return large == (small[0], 1) and small[0] > 1
        guess = left if left.requires_grad else right
        reference = self.forward.outputs.get(id(guess))
        if reference is None or reference() is not guess or (len(small), len(large)) != (2, 2):
            return False
        return small[0] == large[0] and 1 in (small[1], large[1]) and small[0] > 1

    def _note_input(self, func: Callable[..., Any], name: str, value: torch.Tensor) -> None:
        """See whether these are probabilities."""
        seen = self.recorder.facts.loss_inputs
        where = here()
        if where not in seen and len(seen) >= MOST:
            return
        facts = seen.setdefault(where, LossInputFacts(name))
        facts.looks += 1
        kind, node = TAKE[func], _maker(value)
        made = node.startswith(kind.capitalize())
        axis = -1 if func is F.kl_div or value.dim() < 2 else 1
        likely = (
            _sums_to_one(value.detach(), axis) if kind == "softmax" else made and _in_unit(value.detach())
        )
        if not likely:
            return
        facts.probable += 1
        facts.classes = value.shape[axis] if value.dim() else 1
        facts.activation = kind if made else facts.activation
        maker = self.forward.maker_of(value)
        if maker is not None and maker.kind.lower() == kind:
            facts.maker = maker.name


def _harmless(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether broadcasting makes no new pair: each element meets its own, or all meet one number."""
    whole = torch.broadcast_shapes(left.shape, right.shape).numel()
    return whole == left.numel() == right.numel() or 1 in (left.numel(), right.numel())


def _maker(value: torch.Tensor) -> str:
    """Return the name of the function in the graph that gave these values, whatever their shape since."""
    node = value.grad_fn
    for _ in range(FAR):
        if node is None or node.name().rstrip("0123456789").removesuffix("Backward") not in SHAPING:
            break
        node = node.next_functions[0][0]
    return "" if node is None else node.name()


def _in_unit(value: torch.Tensor) -> bool:
    return value.numel() > 0 and bool(((value >= 0) & (value <= 1)).all())


def _sums_to_one(value: torch.Tensor, axis: int) -> bool:
    """Whether all is >= 0, and each row sums to 1; the first row tells at once where it is not so."""
    if value.dim() == 0 or value.shape[axis] < 2 or not value.numel() or not value.is_floating_point():
        return False
    first = value.movedim(axis, -1).reshape(-1, value.shape[axis])[0] if value.dim() < 3 else value[0]
    if bool((first < 0).any()) or bool((value < 0).any()):
        return False
    near = 1e-2 if value.dtype in (torch.float16, torch.bfloat16) else 1e-3
    return bool(((value.sum(axis, dtype=torch.float32) - 1).abs() < near).all())
