"""What a call of ``backward`` starts from and reaches."""

from __future__ import annotations

import math
import weakref
from typing import Any

import torch

from course.clinic.facts import LeafFacts, LossFacts
from course.clinic.flow import Flow
from course.clinic.forward import Forward
from course.clinic.graph import leaves_of
from course.clinic.numbers import dense
from course.clinic.owners import owner_of
from course.clinic.recorder import Recorder, quiet
from course.clinic.sites import here

__all__ = ["Backward"]

MOST_LINES, MOST_LEAVES = 16, 32


class Backward:
    """Looks at the graph before ``backward`` runs, and at the gradients after it."""

    def __init__(self, recorder: Recorder, forward: Forward, flow: Flow) -> None:
        self.recorder, self.forward, self.flow = recorder, forward, flow
        self.where = ""
        self.hits: list[int] = []
        self.known_leaves: dict[int, weakref.ref[torch.Tensor]] = {}

    @quiet
    def before(self, roots: list[torch.Tensor], given: Any) -> None:
        """Note what backward starts from."""
        recorder, facts = self.recorder, self.recorder.facts
        where = self.where = here()
        self.forward.seen_backward |= bool(self.forward.stack)
        facts.backwards += 1
        self.hits = [w.hits for w in recorder.order]
        for watched in recorder.order:
            watched.backwards += 1
        for name in facts.roots:
            module = facts.modules[name]
            module.evals += module.last_eval
        loss = facts.losses.get(where)
        if loss is None:
            if len(facts.losses) >= MOST_LINES:
                return
            loss = facts.losses[where] = LossFacts(where)
        root = roots[0]
        loss.shape, loss.given = tuple(root.shape), given is not None
        self._read_value(loss, root)
        unhistoried = any(r.grad_fn is None for r in roots)
        loss.unhistoried += unhistoried
        if recorder.deep:
            self._look_at_old_gradients()
            marks = {mark for root in roots for mark in self.flow.marks_of(root)}
            if unhistoried:
                self._blame(marks)
            self._walk(roots, marks)
            factor = self.flow.factor(root) * _number(given)
            for watched in recorder.order:
                watched.factor = factor

    def _read_value(self, loss: LossFacts, root: torch.Tensor) -> None:
        recorder = self.recorder
        if root.numel() != 1 or root.is_complex() or not (recorder.deep or root.device.type == "cpu"):
            return
        value = float(root.detach()) / (recorder.scale or 1.0)
        if math.isinf(value) and max(recorder.scale or 1.0, self.flow.factor(root)) > 1:
            return  # a gradient scaler at work
        step = recorder.facts.steps + 1
        loss.trace.add(step, value)
        if not math.isfinite(value) and recorder.facts.loss_bad is None:
            recorder.facts.loss_bad = (step, self.where)
            self.forward.check_outputs()

    def _blame(self, marks: set[str]) -> None:
        """Note which cuts lie behind a loss, or else which was made last."""
        cuts = self.recorder.facts.cuts
        for mark in marks or {self.flow.last_cut}:
            if mark in cuts:
                cuts[mark].in_loss += 1

    def _look_at_old_gradients(self) -> None:
        """See what is in ``.grad`` before anything is added to it."""
        for watched in self.recorder.order:
            for tracked in watched.tracked:
                gradient = tracked.param.grad
                empty = gradient is None or not bool(dense(gradient).any())
                if tracked.fresh == 0 or watched.in_step:
                    again = tracked.used or (watched.in_step and tracked.fresh > 0)
                    tracked.residue = again and not empty
                    tracked.held = 0 if gradient is None or gradient.is_sparse else gradient.data_ptr()
                elif empty:
                    tracked.residue = False
                    if tracked.site == self.where and watched.arrived:
                        watched.discarded = True

    def _walk(self, roots: list[torch.Tensor], marks: set[str]) -> None:
        """Walk the graph; note the leaves that nobody owns, and the cuts before parameters that it misses."""
        recorder = self.recorder
        reached = leaves_of(roots)
        for key, leaf in reached.items():
            tracked = recorder.tracked.get(key)
            if tracked is None or (tracked.facts.owner is None and not tracked.facts.listed):
                self._note_leaf(key, leaf)
        missing = {
            t.facts.name
            for key, t in recorder.tracked.items()
            if t.facts.trainable and t.facts.gradients == 0 and key not in reached
        }
        for mark in marks if missing else ():
            cut = recorder.facts.cuts.get(mark)
            if cut is not None and cut.reach & missing:
                cut.in_loss += 1

    def _note_leaf(self, key: int, leaf: torch.Tensor) -> None:
        leaves = self.recorder.facts.leaves
        known = self.known_leaves.get(key)
        if known is None or known() is not leaf:  # a new tensor may have the id of one that is gone
            leaves.pop(key, None)
            if len(leaves) >= MOST_LEAVES:
                return
            self.known_leaves[key] = weakref.ref(leaf)
            name, owner = owner_of(leaf, self.recorder)
            leaves[key] = LeafFacts(name, tuple(leaf.shape), owner=owner)
        leaves[key].backwards += 1
        leaves[key].fed_in = leaves[key].fed_in or key in self.forward.inputs

    @quiet
    def after(self) -> None:
        """Note what arrived in the gradients."""
        recorder = self.recorder
        if recorder.dynamic and all(
            w.hits == hits for w, hits in zip(recorder.order, self.hits, strict=False)
        ):
            for tracked in recorder.tracked.values():
                tracked.facts.sought = tracked.facts.sought or tracked.fresh > 0
        for watched, hits in zip(recorder.order, self.hits, strict=False):
            if watched.hits == hits:
                continue
            if self.where in watched.micro or len(watched.micro) < MOST_LINES:
                watched.micro[self.where] = watched.micro.get(self.where, 0) + 1
            if not watched.deep:
                continue
            gradients = []
            for tracked in watched.tracked:
                if tracked.fresh and tracked.param.grad is not None:
                    tracked.site = self.where
                    gradients.append(dense(tracked.param.grad))
            if gradients:
                watched.arrived = float(torch.nn.utils.get_total_norm(gradients))


def _number(given: Any) -> float:
    """Return the factor that a gradient argument of backward stands for."""
    if isinstance(given, torch.Tensor) and given.numel() == 1:
        return float(given.detach())
    return 1.0
