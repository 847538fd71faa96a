"""What the activation functions of a model give: units that are never alive, outputs stuck at a limit."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from course.clinic.facts import UnitFacts
from course.clinic.forward import Forward
from course.clinic.recorder import Recorder
from course.clinic.sites import here

__all__ = ["KINDS", "Activations"]

MOST_UNITS = 128
STUCK = 0.01  # how near to a limit, as a fraction of the range of a sigmoid

KINDS: dict[Callable[..., Any], str] = {
    F.relu: "relu",
    torch.relu: "relu",
    torch.relu_: "relu",
    torch.Tensor.relu: "relu",
    torch.Tensor.relu_: "relu",
    torch.sigmoid: "sigmoid",
    torch.Tensor.sigmoid: "sigmoid",
    torch.tanh: "tanh",
    torch.Tensor.tanh: "tanh",
    F.sigmoid: "sigmoid",
    F.tanh: "tanh",
}


class Activations:
    """Keeps one record for each activation function: by module, or by line of code."""

    def __init__(self, recorder: Recorder, forward: Forward) -> None:
        self.recorder, self.forward = recorder, forward

    def note(self, kind: str, made: torch.Tensor) -> None:
        """Add the outputs of one call."""
        units = self.recorder.facts.units
        module = self.forward.current
        if module is None or made.dim() < 2:
            return
        where = module.name
        if module.kind not in ("ReLU", "Sigmoid", "Tanh"):
            where = f"{module.name}, {here()}"
        facts = units.get(where)
        if facts is None:
            if len(units) >= MOST_UNITS:
                return
            facts = units[where] = UnitFacts(where, kind)
        self.forward.active[id(made)] = (weakref.ref(made), facts)
        made = made.detach()
        if kind == "relu":
            over = (0, 2, 3) if made.dim() == 4 else tuple(range(made.dim() - 1))
            alive = (made > 0).any(dim=over) if made.dim() != 4 else (made > 0).amax(dim=over)
            facts.silent = 0 if bool(alive.any()) else facts.silent + 1
            facts.examples += made.numel() // max(1, alive.numel())
            if facts.alive is None or facts.alive.shape == alive.shape:
                facts.alive = alive if facts.alive is None else facts.alive | alive
        else:
            level = made if kind == "sigmoid" else (made + 1) / 2
            share = ((level < STUCK) | (level > 1 - STUCK)).float().mean()
            facts.stuck.add(self.recorder.facts.steps + 1, float(share))
