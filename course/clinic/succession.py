"""Optimizers that are built anew in the loop: each takes the place of the one before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from course.clinic.recorder import Recorder, WatchedOptimizer

__all__ = ["predecessor", "succeed"]


def _held(optimizer: torch.optim.Optimizer) -> list[int]:
    return [id(p) for group in optimizer.param_groups for p in group["params"]]


def predecessor(
    recorder: Recorder, optimizer: torch.optim.Optimizer, made_at: str
) -> WatchedOptimizer | None:
    """Return the optimizer that this one replaces: of the same class and parameters, and it has stepped.

    Two that exist side by side, and step in turn, replace each other only once: the older is known again.
    """
    if optimizer in recorder.superseded:
        return None
    for watched in recorder.order:
        if (
            type(watched.optimizer) is type(optimizer)
            and watched.facts.made_at == made_at
            and watched.facts.steps > watched.facts.remade
            and _held(watched.optimizer) == _held(optimizer)
        ):
            return watched
    return None


def succeed(
    recorder: Recorder, watched: WatchedOptimizer, optimizer: torch.optim.Optimizer
) -> WatchedOptimizer:
    """Go on with the facts of the optimizer that was replaced."""
    recorder.superseded.add(watched.optimizer)
    del recorder.optimizers[id(watched.optimizer)]
    watched.optimizer = optimizer
    recorder.optimizers[id(optimizer)] = watched
    watched.facts.remade += 1
    watched.schedulers.clear()
    watched.witness = []  # whatever set the weights in between is no concern of the new one
    return watched
