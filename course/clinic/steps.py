"""What an optimizer's step finds, and what it does: seen from its pre- and post-hooks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from course.clinic.facts import OptimizerFacts
from course.clinic.recorder import Recorder, Tracked, WatchedOptimizer, quiet

__all__ = ["Steps"]

TINY = 1e-5  # of the highest learning rate so far
WITNESSES, SAMPLES = 12, 32


class Steps:
    """Watches ``optimizer.step`` of every optimizer that holds a watched parameter."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.stop: Callable[[int], None] | None = None  # told the number of steps; may raise
        self.handles = [
            register_optimizer_step_pre_hook(self._pre),
            register_optimizer_step_post_hook(self._post),
        ]

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self.handles:
            handle.remove()

    def _pre(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.before(optimizer, args, kwargs)

    def _post(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self.after(optimizer)
        if self.stop is not None:
            self.stop(self.recorder.facts.steps)

    @quiet
    def before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Look at what the step is about to use."""
        recorder = self.recorder
        watched = recorder.optimizers.get(id(optimizer)) or self._newcomer(optimizer)
        if watched is None or any(w.in_step for w in recorder.order):
            return
        watched.in_step = True
        watched.closure = (len(args) > 1 and callable(args[1])) or callable(kwargs.get("closure"))
        facts = watched.facts
        if facts.steps == 0:
            _count_early(watched)
        _read_rates(watched)
        with torch.no_grad():
            if watched.deep or _on_cpu(watched):
                _compare_witness(watched)
            if not watched.closure:
                _read_gradients(recorder, watched)
            if watched.deep:
                watched.before = [t.param.detach().clone() for t in watched.tracked]

    def _newcomer(self, optimizer: torch.optim.Optimizer) -> WatchedOptimizer | None:
        """Take in an optimizer that turns out to hold a watched parameter."""
        known = self.recorder.tracked
        if any(id(p) in known for group in optimizer.param_groups for p in group["params"]):
            if any(w.in_step for w in self.recorder.order):
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
        with torch.no_grad():
            if watched.closure:
                _read_gradients(self.recorder, watched)
            if watched.before:
                _read_updates(watched)
            if watched.deep or _on_cpu(watched):
                _take_witness(watched)
        facts.steps += 1
        for tracked in watched.tracked:
            tracked.facts.steps += 1
            tracked.used = tracked.param.grad is not None
            tracked.fresh = 0
        watched.before, watched.micro = [], {}
        watched.hits = watched.backwards = 0
        watched.discarded, watched.arrived, watched.factor = False, None, None
        self.recorder.turn()


def _on_cpu(watched: WatchedOptimizer) -> bool:
    """Whether reading a value is free of a synchronisation."""
    return bool(watched.tracked) and watched.tracked[0].param.device.type == "cpu"


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
        watched.facts.scheduled = watched.facts.scheduled or "initial_lr" in group
        peak = max(facts.lr.high, 0.0)
        facts.lr.add(step, rate)
        if rate == 0:
            facts.zero_steps += 1
        if 0 < peak and rate <= TINY * peak:
            facts.tiny_steps += 1
            facts.tiny_from = facts.tiny_from or step
        else:
            facts.tiny_steps, facts.tiny_from = 0, None


def _dense(gradient: torch.Tensor) -> torch.Tensor:
    gradient = gradient.detach()
    return gradient.coalesce().values() if gradient.is_sparse else gradient


def _norm(value: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(value, dtype=torch.float32)


def _read_gradients(recorder: Recorder, watched: WatchedOptimizer) -> None:
    facts, step = watched.facts, watched.next_step
    dense = [_dense(t.param.grad) for t in watched.tracked if t.param.grad is not None]
    if watched.hits:
        facts.fed += 1
    if not dense:
        facts.empty += 1
        facts.wiped += watched.hits > 0
        return
    if not (watched.deep or _on_cpu(watched)):
        return
    total = float(torch.nn.utils.get_total_norm(dense).float())
    facts.norms.add(step, total)
    if not math.isfinite(total) and facts.bad_gradient is None:
        _find_bad_gradient(watched, step)
    if total == 0 and watched.arrived:
        facts.wiped += 1
    if watched.deep and not watched.closure:
        facts.looked += 1
        facts.residue += any(t.residue for t in watched.tracked)
        facts.applied.add(step, total)
        if watched.arrived and math.isfinite(watched.arrived):
            facts.arrived.add(step, watched.arrived)
            facts.kept.add(step, total * (recorder.scale or 1.0) / watched.arrived)
        _read_accumulation(recorder, facts, watched, step)


def _read_accumulation(recorder: Recorder, facts: OptimizerFacts, watched: WatchedOptimizer, step: int) -> None:
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
        if gradient is not None and not bool(torch.isfinite(_dense(gradient)).all()):
            tracked.facts.bad_gradient = step
            watched.facts.bad_gradient = watched.facts.bad_gradient or (step, tracked.facts.name)


def _read_updates(watched: WatchedOptimizer) -> None:
    facts, step = watched.facts, watched.next_step
    read = [_read_update(t, b, watched, step) for t, b in zip(watched.tracked, watched.before, strict=False)]
    weight, update, gradient = (math.sqrt(sum(r[i] ** 2 for r in read)) for i in range(3))
    if weight > 0:
        facts.ratio.add(step, update / weight)
        if gradient > 0:
            facts.pull.add(step, gradient / weight)


def _read_update(
    tracked: Tracked, before: torch.Tensor, watched: WatchedOptimizer, step: int
) -> tuple[float, float, float]:
    """Note how one parameter moved; returns the norms of weight, update and gradient."""
    facts, param = tracked.facts, tracked.param
    if before.shape != param.shape or not param.is_floating_point():
        return 0.0, 0.0, 0.0
    moved = param.detach() - before
    gradient = None if param.grad is None else param.grad.detach()
    numbers = [_norm(before), _norm(moved)]
    if gradient is not None:
        gradient = gradient.to_dense() if gradient.is_sparse else gradient
        pulled = gradient != 0
        numbers += [_norm(gradient), pulled.sum().float(), (pulled & (moved == 0)).sum().float()]
    weight, update, *rest = torch.stack(numbers).tolist()
    facts.looked += 1
    facts.weight.add(step, weight)
    facts.update.add(step, update)
    if not rest:
        return weight, update, 0.0
    norm, pulled_count, kept_count = rest
    facts.gradient.add(step, norm)
    facts.zero += norm == 0
    facts.moved_without += norm == 0 and update > 0
    facts.residue += tracked.residue
    if pulled_count and not watched.closure:
        facts.lost.add(step, kept_count / pulled_count)
        rate = float(watched.optimizer.param_groups[facts.listed[0][1]].get("lr", math.nan))
        rms = norm / math.sqrt(facts.numel)
        facts.expected.add(step, rate if watched.facts.adaptive else rate * rms)
        facts.spacing.add(step, torch.finfo(param.dtype).eps * weight / math.sqrt(facts.numel))
    return weight, update, norm


def _print_of(tracked: Tracked) -> torch.Tensor | None:
    """Return some elements of a parameter, enough to see whether it was written to."""
    param = tracked.param.detach()
    if not param.is_contiguous() or param.numel() == 0:
        return None
    return param.view(-1)[:: max(1, param.numel() // SAMPLES)][:SAMPLES].clone()


def _take_witness(watched: WatchedOptimizer) -> None:
    """Remember a print of some parameters: at the start, before the last step, and after it."""
    chosen = watched.tracked[:: max(1, -(-len(watched.tracked) // WITNESSES))]
    if len(watched.witness) != len(chosen):
        watched.witness = [[None, None, None] for _ in chosen]
    for tracked, prints in zip(chosen, watched.witness, strict=True):
        prints[2] = _print_of(tracked)


def _compare_witness(watched: WatchedOptimizer) -> None:
    """See whether anything but the optimizer has written to the parameters since its last step."""
    chosen = watched.tracked[:: max(1, -(-len(watched.tracked) // WITNESSES))]
    if len(watched.witness) != len(chosen):
        watched.witness = [[None, None, None] for _ in chosen]
    written = reverted = False
    for tracked, prints in zip(chosen, watched.witness, strict=True):
        now = _print_of(tracked)
        start, before, after = prints
        if now is not None and after is not None and not torch.equal(now, after):
            written = True
            if _is_setback(now, start, before, after):
                reverted = True
                watched.facts.written_what = tracked.facts.name
        prints[0] = now if start is None else start
        prints[1] = now
    if watched.facts.steps:
        watched.facts.pairs += 1
        watched.facts.written += written
        watched.facts.reverted += reverted


def _is_setback(
    now: torch.Tensor, start: torch.Tensor | None, before: torch.Tensor | None, after: torch.Tensor
) -> bool:
    """Whether a value was put back to an old one, or thrown far away."""
    if any(old is not None and torch.equal(now, old) and not torch.equal(after, old) for old in (start, before)):
        return True
    if before is None or not bool(torch.isfinite(now).all()):
        return False
    jump, stride = float((now - after).float().norm()), float((after - before).float().norm())
    return stride > 0 and jump > 10 * stride and jump > 0.3 * float(now.float().norm())
