"""Finds the learning-rate schedulers of the watched optimizers, to see who steps first."""

from __future__ import annotations

import gc

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from course.clinic.recorder import Recorder

__all__ = ["find_schedulers"]

LENGTHS = ("total_iters", "T_max", "step_size", "total_steps", "T_0", "milestones")


def _length(scheduler: LRScheduler) -> str:
    """Return the argument that says how long a schedule is, as it was written; "" if there is none."""
    for name in LENGTHS:
        value = getattr(scheduler, name, None) or getattr(scheduler, f"_{name}", None)
        if value:
            return f"{name}={sorted(value) if isinstance(value, dict) else value}"
    return ""


def find_schedulers(recorder: Recorder, *, late: bool = False) -> None:
    """Remember each scheduler of an optimizer that has not stepped yet, and how often it has stepped.

    A scheduler leaves ``initial_lr`` in the groups of its optimizer; only then are the objects searched.

    Args:
        late: the loop has begun: one that is first seen now, and has stepped once, has stepped early.
    """
    waiting = {
        id(w.optimizer): w
        for w in recorder.order
        if w.facts.steps == 0 and any("initial_lr" in g for g in w.optimizer.param_groups)
    }
    if not waiting:
        return
    for item in gc.get_objects():
        if issubclass(type(item), LRScheduler) and not issubclass(type(item), ReduceLROnPlateau):
            watched = waiting.get(id(getattr(item, "optimizer", None)))
            if watched is not None and id(item) not in watched.schedulers:
                watched.facts.schedulers[type(item).__name__] = _length(item)
                now = item.last_epoch
                watched.schedulers[id(item)] = (item, 0 if late and now == 1 else now)
