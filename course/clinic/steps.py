"""What an optimizer's step finds, and what it does: seen from its pre- and post-hooks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from course.clinic.facts import OptimizerFacts
from course.clinic.numbers import as_floats, dense, is_finite, norm
from course.clinic.recorder import Recorder, Tracked, WatchedOptimizer, quiet
from course.clinic.sites import here
from course.clinic.witness import compare_witness, on_cpu, take_witness

__all__ = ["Steps"]

TINY = 1e-5  # of the highest learning rate so far
SMALL = 4096  # elements: gradients up to this size are checked at every step
SAMPLE = 16384  # elements of a parameter from which its update is measured


class Steps:
    """Watches ``optimizer.step`` of every optimizer that holds a watched parameter."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.stop: Callable[[int], None] | None = None  # told the number of steps; may raise
        self.handles = [
            register_optimizer_step_pre_hook(self.before),
            register_optimizer_step_post_hook(self._post),
        ]

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self.handles:
            handle.remove()

    def _post(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.after(optimizer)
        if self.stop is not None:
            self.stop(self.recorder.facts.steps)

    @quiet
    def before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Look at what the step is about to use."""
        recorder = self.recorder
        watched = recorder.optimizers.get(id(optimizer)) or self._newcomer(optimizer)
        if watched is None or recorder.stepping:
            return
        watched.in_step = True
        watched.closure = (len(args) > 1 and callable(args[1])) or callable(kwargs.get("closure"))
        facts = watched.facts
        if facts.steps == 0:
            _count_early(watched)
            facts.stepped_at, facts.first_turn = here(), recorder.facts.steps + 1
        _read_rates(watched)
        if watched.deep or on_cpu(watched):
            compare_witness(watched)
        if not watched.closure:
            _read_gradients(recorder, watched)
        if watched.deep:
            watched.before = [_some(t.param).clone() for t in watched.tracked]

    def _newcomer(self, optimizer: torch.optim.Optimizer) -> WatchedOptimizer | None:
        """Take in an optimizer that turns out to hold a watched parameter."""
        known = self.recorder.tracked
        if any(id(p) in known for group in optimizer.param_groups for p in group["params"]):
            if self.recorder.stepping:
                return None  # it works inside another, which is watched
            return self.recorder.adopt_optimizer(optimizer)
        return None

    @quiet
    def after(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at what the step did."""
        watched = self.recorder.optimizers.get(id(optimizer))
        if watched is None or not watched.in_step:
            return
        watched.in_step = False
        facts = watched.facts
        facts.closure = facts.closure or watched.closure
        try:
            if watched.closure:
                _read_gradients(self.recorder, watched)
            if watched.before:
                _read_updates(watched)
            if watched.deep or on_cpu(watched):
                take_witness(watched)
        finally:
            self._count(watched)

    def _count(self, watched: WatchedOptimizer) -> None:
        """Count the step, and begin the next."""
        facts = watched.facts
        facts.steps += 1
        facts.last_turn = self.recorder.facts.steps
        for tracked in watched.tracked:
            tracked.facts.steps += 1
            tracked.used = tracked.param.grad is not None
            tracked.fresh = 0
        watched.before, watched.micro = [], {}
        watched.hits = watched.backwards = 0
        watched.discarded, watched.arrived, watched.factor = False, None, None
        self.recorder.turn()


def _count_early(watched: WatchedOptimizer) -> None:
    for scheduler, seen in watched.schedulers.values():
        now = scheduler.last_epoch
        if now > seen:
            watched.facts.early_schedulers[type(scheduler).__name__] = now - seen


def _read_rates(watched: WatchedOptimizer) -> None:
    step = watched.next_step
    for facts, group in zip(watched.facts.groups, watched.optimizer.param_groups, strict=False):
        rate = float(group.get("lr", math.nan))
        if math.isnan(rate):
            continue
        if "initial_lr" in group:
            watched.facts.scheduled = True
            watched.facts.base_lr = max(watched.facts.base_lr, float(group["initial_lr"]))
        peak = max(facts.lr.high, 0.0)
        facts.lr.add(step, rate)
        if rate == 0:
            facts.zero_steps += 1
        if peak > 0 and rate <= TINY * peak:
            facts.tiny_steps += 1
            facts.tiny_from = facts.tiny_from or step
        else:
            facts.tiny_steps, facts.tiny_from = 0, None


def _read_gradients(recorder: Recorder, watched: WatchedOptimizer) -> None:
    facts, step = watched.facts, watched.next_step
    held = [(t, g) for t in watched.tracked if (g := t.param.grad) is not None]
    fresh = any(t.fresh for t in watched.tracked)  # since any optimizer's last step
    facts.fed += fresh
    if not held:
        facts.empty += 1
        facts.wiped += fresh
    elif watched.deep:
        _read_norms(recorder, watched, [(t, dense(g)) for t, g in held], step)
    elif facts.bad_gradient is None and on_cpu(watched):
        # Whatever is not finite flows back into the first layers, as a rule: their smallest will show it.
        ends = held[-1][1], held[min(1, len(held) - 1)][1]
        small = [g for g in ends if g.numel() <= SMALL and not g.is_sparse]
        if not all(is_finite(g.detach()) for g in small):
            _find_bad_gradient(watched, step)


def _read_norms(
    recorder: Recorder, watched: WatchedOptimizer, held: list[tuple[Tracked, torch.Tensor]], step: int
) -> None:
    facts = watched.facts
    norms = as_floats([norm(gradient) for _, gradient in held])
    watched.norms = {id(t): one for (t, _), one in zip(held, norms, strict=True)}
    total = math.hypot(*norms)
    if not math.isfinite(total) and facts.bad_gradient is None:
        _find_bad_gradient(watched, step)
    if total == 0 and watched.arrived:
        facts.wiped += 1
    if watched.closure:
        return
    facts.looked += 1
    for tracked in watched.tracked:
        tracked.residue = tracked.residue and _is_old(tracked)
    facts.residue += any(t.residue for t in watched.tracked)
    facts.applied.add(step, total)
    if watched.arrived and math.isfinite(watched.arrived):
        facts.arrived.add(step, watched.arrived)
        facts.kept.add(step, total * (recorder.scale or 1.0) / watched.arrived)
    _read_accumulation(recorder, facts, watched, step)


def _is_old(tracked: Tracked) -> bool:
    """Whether .grad is what autograd has added to, and not what the loop itself has put there since."""
    gradient = tracked.param.grad
    if tracked.fresh:
        return True
    if gradient is None or gradient.is_sparse:
        return False
    return tracked.facts.gradients > 0 and gradient.data_ptr() == tracked.held


def _read_accumulation(
    recorder: Recorder, facts: OptimizerFacts, watched: WatchedOptimizer, step: int
) -> None:
    if watched.micro:
        where, count = max(watched.micro.items(), key=lambda pair: pair[1])
        facts.micro.add(step, 1 if watched.discarded else count)
        facts.micro_where = where
        facts.discarded += watched.discarded
        if watched.factor is not None:
            facts.factor.add(step, watched.factor / (recorder.scale or 1.0))


def _find_bad_gradient(watched: WatchedOptimizer, step: int) -> None:
    for tracked in watched.tracked:
        gradient = tracked.param.grad
        if gradient is not None and not is_finite(dense(gradient)):
            watched.facts.bad_gradient = (step, tracked.facts.name)
            return


def _some(value: torch.Tensor) -> torch.Tensor:
    """Return evenly spaced elements of a large tensor, all of a small one; a view where possible."""
    value = value.detach()
    if value.is_sparse:
        value = value.to_dense()
    return value.reshape(-1)[:: max(1, value.numel() // SAMPLE)]


def _read_updates(watched: WatchedOptimizer) -> None:
    facts, step = watched.facts, watched.next_step
    read = [_read_update(t, b, watched, step) for t, b in zip(watched.tracked, watched.before, strict=False)]
    weight, update, gradient = (math.hypot(*(r[i] for r in read)) for i in range(3))
    if weight > 0:
        facts.ratio.add(step, update / weight)
        rate = max((abs(group.lr.last) for group in facts.groups if group.lr.count), default=0.0)
        if update > 0 and rate > 0:
            facts.speed.add(step, update / weight / rate)
        if gradient > 0:
            facts.pull.add(step, gradient / weight)


def _read_update(
    tracked: Tracked, before: torch.Tensor, watched: WatchedOptimizer, step: int
) -> tuple[float, float, float]:
    """Note how one parameter moved; returns the norms of weight, update and gradient."""
    facts, param = tracked.facts, tracked.param
    now = _some(param)
    numeric = param.is_floating_point() or param.is_complex()
    if before.shape != now.shape or not numeric or not now.numel():
        return 0.0, 0.0, 0.0
    moved = now - before
    numbers = [norm(before), norm(moved)]
    if param.grad is not None:
        gradient = _some(param.grad)
        counts = gradient.count_nonzero(), gradient.logical_and(moved).count_nonzero()
        numbers += [n.to(numbers[0].dtype) for n in counts]
    whole = math.sqrt(facts.numel / now.numel())
    weight, update, *rest = as_floats(numbers)
    weight, update = weight * whole, update * whole
    facts.looked += 1
    facts.weight.add(step, weight)
    facts.update.add(step, update)
    if not rest:
        return weight, update, 0.0
    pull = watched.norms.get(id(tracked), 0.0)
    facts.gradient.add(step, pull)
    facts.zero += pull == 0
    facts.moved_without += pull == 0 and update > 0
    facts.residue += tracked.residue
    pulled, moved_too = rest
    if pulled and not watched.closure:
        facts.lost.add(step, (pulled - moved_too) / pulled)
        rate = float(watched.optimizer.param_groups[facts.listed[0][1]].get("lr", math.nan))
        rms = pull / math.sqrt(facts.numel)
        facts.expected.add(step, rate if watched.facts.adaptive else rate * rms)
        facts.spacing.add(step, torch.finfo(param.dtype).eps * weight / math.sqrt(facts.numel))
    return weight, update, pull
