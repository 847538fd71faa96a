"""The recorder: which models and optimizers are watched, which step it is, and what is looked at in it.

Values are read only in "deep" steps, at growing distances (1, 2, 3, 5, 8, 13, ...); between these only the
calls of modules, backwards and steps are counted. So the cost per step falls, and the memory does not grow
with the steps.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from course.clinic.facts import Facts, GroupFacts, ModuleFacts, OptimizerFacts, ParamFacts
from course.clinic.owners import moody_in
from course.clinic.succession import predecessor, succeed

__all__ = ["Recorder", "Tracked", "WatchedOptimizer", "quiet"]

_transforming = torch._C._functorch.peek_interpreter_stack  # the innermost of vmap, grad, ...; or None
MOST_OPTIMIZERS = 8
PATIENCE = 64  # backward calls without a step after which a deep look ends


def deep_step(step: int) -> bool:
    """Whether the values are read at this step: at the Fibonacci numbers."""
    a, b = 1, 2
    while a < step:
        a, b = b, a + b
    return a == step


def quiet(method: Callable[..., None]) -> Callable[..., None]:
    """Make a method of an observer harmless: its errors are noted, and its own torch calls go unseen."""

    @functools.wraps(method)
    def inner(self: Any, *args: Any) -> None:
        recorder: Recorder = self.recorder
        if recorder.busy or torch.compiler.is_compiling() or _transforming() is not None:
            return  # what is compiled or transformed is traced as if it were not watched
        recorder.busy = True
        try:
            with torch._C.DisableTorchFunction():
                method(self, *args)
        except Exception as error:
            recorder.stumbled(method.__name__, error)
        finally:
            recorder.busy = False

    return inner


class Tracked:
    """A parameter, and the state of its gradient between backward and step."""

    __slots__ = ("facts", "fresh", "held", "param", "residue", "site", "used")

    def __init__(self, param: torch.Tensor, facts: ParamFacts) -> None:
        self.param, self.facts = param, facts
        self.fresh = 0  # accumulations since the last step
        self.used = False  # a step has used what is in .grad
        self.residue = False  # and something was added to that
        self.held = 0  # where in memory what was in .grad stood, when residue was noted
        self.site = ""


class WatchedOptimizer:
    """An optimizer, and what must be remembered from one of its events to the next."""

    def __init__(self, optimizer: torch.optim.Optimizer, facts: OptimizerFacts) -> None:
        self.optimizer, self.facts = optimizer, facts
        self.tracked: list[Tracked] = []
        self.deep = True
        self.in_step = False
        self.closure = False
        self.hits = 0  # accumulations since the last step
        self.micro: dict[str, int] = {}
        self.backwards = 0
        self.discarded = False
        self.factor: float | None = None
        self.arrived: float | None = None
        self.before: list[torch.Tensor] = []
        self.norms: dict[int, float] = {}
        self.witness: list[Any] = []
        self.schedulers: dict[int, tuple[Any, int]] = {}

    @property
    def next_step(self) -> int:
        """The number of the step that is to come, from 1."""
        return self.facts.steps + 1


class Recorder:
    """What is watched, and the facts so far."""

    def __init__(self, *, dynamic: bool = False) -> None:
        self.recorder = self
        self.facts = Facts()
        self.dynamic = dynamic  # take in models and optimizers as they come
        self.busy, self.deep = False, True
        self.tracked: dict[int, Tracked] = {}
        self.modules: dict[int, tuple[nn.Module, ModuleFacts]] = {}
        self.models: dict[str, nn.Module] = {}
        self.optimizers: dict[int, WatchedOptimizer] = {}
        self.order: list[WatchedOptimizer] = []
        self.superseded: weakref.WeakSet[torch.optim.Optimizer] = weakref.WeakSet()
        self.strangers: dict[int, weakref.ref[nn.Module]] = {}
        self.handles: list[Any] = []
        self.scale: float | None = None
        self.on_tick: list[Callable[[], None]] = []
        self.root_of: Callable[[nn.Module], tuple[str, nn.Module]] = lambda m: (type(m).__name__, m)
        self.look_away: Callable[[bool], None] = lambda begins: None
        self.namespace: dict[str, Any] = {}
        self.on_first_forward: Callable[[], None] | None = None

    def stumbled(self, what: str, error: Exception) -> None:
        """Note an error of the clinic itself."""
        said = f"{what}: {type(error).__name__}: {' '.join(str(error).split())}"
        if len(self.facts.trouble) < 5 and said not in self.facts.trouble:
            self.facts.trouble.append(said)

    @property
    def stepping(self) -> bool:
        """Whether an optimizer is inside its step."""
        return any(watched.in_step for watched in self.order)

    @property
    def closing(self) -> bool:
        """Whether it is inside a step that calls a closure."""
        return any(watched.in_step and watched.closure for watched in self.order)

    # models

    def adopt_model(self, name: str, model: nn.Module) -> None:
        """Watch a model; ``name`` is put before its parameters' names, unless it is empty."""
        label = name or type(model).__name__
        self.models[label] = model
        self.facts.roots.append(label)
        prefix = f"{name}." if name else ""
        for path, module in model.named_modules():
            if id(module) not in self.modules:
                full = prefix + path if path else label
                facts = ModuleFacts(full, type(module).__name__)
                facts.leaf = next(module.children(), None) is None
                facts.weighted = next(module.parameters(recurse=False), None) is not None
                if module is model:
                    facts.moody = moody_in(model)
                self.modules[id(module)] = (module, facts)
                self.facts.modules[full] = facts
                for own, param in module.named_parameters(recurse=False):
                    self._adopt_param(param, f"{prefix}{path}.{own}" if path else prefix + own, full)

    def _adopt_param(self, param: torch.Tensor, name: str, owner: str | None) -> Tracked:
        tracked = self.tracked.get(id(param))
        if tracked is None:
            facts = ParamFacts(
                name, tuple(param.shape), str(param.dtype).removeprefix("torch."), param.numel(), owner
            )
            facts.trainable = param.requires_grad
            tracked = self.tracked[id(param)] = Tracked(param, facts)
            self.facts.params.append(facts)
            self.facts.leaves.pop(id(param), None)  # it was nobody's until now
            self._listen(tracked)
        elif tracked.facts.owner is None and owner is not None:
            tracked.facts.name, tracked.facts.owner = name, owner
        return tracked

    def _listen(self, tracked: Tracked) -> None:
        """Have autograd tell when it has accumulated into a parameter."""
        if not tracked.param.requires_grad or not tracked.param.is_leaf:
            return

        def accumulated(_: torch.Tensor) -> None:
            tracked.fresh += 1
            tracked.facts.gradients += 1
            for index, _group in tracked.facts.listed:
                self.order[index].hits += 1

        self.handles.append(tracked.param.register_post_accumulate_grad_hook(accumulated))

    # optimizers

    def adopt_optimizer(self, optimizer: torch.optim.Optimizer, made_at: str = "") -> WatchedOptimizer | None:
        """Watch an optimizer; returns None where eight are watched already."""
        if id(optimizer) in self.optimizers:
            return self.optimizers[id(optimizer)]
        before = predecessor(self, optimizer, made_at)
        if before is not None:
            return succeed(self, before, optimizer)
        if len(self.optimizers) >= MOST_OPTIMIZERS:
            return None
        facts = OptimizerFacts(type(optimizer).__name__, adaptive=_adaptive(optimizer), made_at=made_at)
        watched = WatchedOptimizer(optimizer, facts)
        self.order.append(watched)
        self.optimizers[id(optimizer)] = watched
        self.facts.optimizers.append(facts)
        self.list_params(watched)
        return watched

    def list_params(self, watched: WatchedOptimizer) -> None:
        """Read which parameters an optimizer holds; groups may have been added."""
        index = self.order.index(watched)
        for tracked in watched.tracked:
            tracked.facts.listed = [pair for pair in tracked.facts.listed if pair[0] != index]
        held: dict[int, Tracked] = {}
        for number, group in enumerate(watched.optimizer.param_groups):
            if number >= len(watched.facts.groups):
                watched.facts.groups.append(_group_facts(group))
            watched.facts.groups[number].size = len(group["params"])
            for param in group["params"]:
                tracked = self._adopt_param(param, f"parameter {len(held)} of {watched.facts.name}", None)
                tracked.facts.listed.append((index, number))
                held[id(tracked)] = tracked
        watched.tracked = list(held.values())

    # time

    @quiet
    def tick(self) -> None:
        """Begin what follows a step: decide whether it is looked at."""
        self.turn()

    def turn(self) -> None:
        """Decide which optimizers are looked at until their next step."""
        for watched in self.order:
            watched.deep = deep_step(watched.next_step) and watched.backwards < PATIENCE
        self.deep = any(w.deep for w in self.order) or not self.order
        if self.deep:
            self.refresh()
        for action in self.on_tick:
            action()

    def refresh(self) -> None:
        """Take in what was added to the models and the optimizers, and what was frozen or thawed."""
        for watched in self.order:
            held = sum(len(g["params"]) for g in watched.optimizer.param_groups)
            if held != sum(g.size for g in watched.facts.groups):
                self.list_params(watched)
        for tracked in self.tracked.values():
            if tracked.param.requires_grad and not tracked.facts.trainable:
                tracked.facts.trainable = True
                self._listen(tracked)

    def finish(self) -> None:
        """Name what has no model, and drop models that no optimizer has to do with, if others are trained."""
        facts = self.facts
        if not self.dynamic:
            return
        for name, value in list(self.namespace.items()):
            tracked = self.tracked.get(id(value))
            if tracked is not None and tracked.facts.owner is None:
                for cut in facts.cuts.values():
                    if tracked.facts.name in cut.reach:
                        cut.reach = cut.reach - {tracked.facts.name} | {name}
                tracked.facts.name = name
                if not self.models:
                    tracked.facts.owner = ""  # there is no model: the script itself holds it
        trained = [n for n, m in self.models.items() if self._is_meant(m)]
        for name in [n for n in self.models if trained and n not in trained]:
            gone = {id(m) for m in self.models.pop(name).modules()}
            owners = {f.name for key, (_, f) in self.modules.items() if key in gone}
            facts.params = [p for p in facts.params if p.owner not in owners]
            facts.roots.remove(name)
            for owner in owners:
                facts.modules.pop(owner, None)

    def _is_meant(self, model: nn.Module) -> bool:
        facts = [self.tracked[id(p)].facts for p in model.parameters() if id(p) in self.tracked]
        return any(f.listed or f.sought for f in facts)

    def close(self) -> None:
        """Remove the hooks, and forget the tensors."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        for watched in self.order:
            watched.before, watched.witness = [], []


def _adaptive(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the size of the step does not follow the size of the gradient."""
    defaults = optimizer.defaults
    return any(key in defaults for key in ("betas", "alpha", "rho", "eps", "lr_decay"))


def _group_facts(group: dict[str, Any]) -> GroupFacts:
    decay = group.get("weight_decay", 0.0)
    rate = float(group.get("lr", math.nan))
    return GroupFacts(len(group["params"]), float(decay or 0.0), float(group.get("momentum") or 0.0), rate)
