"""Finds the learning-rate schedulers of the watched optimizers, to see who steps first."""

from __future__ import annotations

import gc

from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from course.clinic.recorder import Recorder

__all__ = ["find_schedulers"]


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
                now = item.last_epoch
                watched.schedulers[id(item)] = (item, 0 if late and now == 1 else now)
