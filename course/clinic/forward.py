"""What the modules do in the forward pass: seen from torch's global module hooks.

The hooks are global, so that nothing is attached to the user's modules: a copy or a pickle of the model made
during the watch is the same as without.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from course.clinic.facts import ModuleFacts
from course.clinic.recorder import Recorder, quiet

__all__ = ["Forward"]


class Forward:
    """Watches every module call."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.stack: list[tuple[int, ModuleFacts | None]] = []
        self.outputs: dict[int, weakref.ref[torch.Tensor]] = {}
        self.inputs: dict[int, weakref.ref[torch.Tensor]] = {}
        self.count = 0
        self.handles = [
            register_module_forward_pre_hook(self._pre),
            register_module_forward_hook(self._post, with_kwargs=True, always_call=True),
        ]

    def close(self) -> None:
        """Remove the hooks, and forget the tensors."""
        for handle in self.handles:
            handle.remove()
        self.outputs.clear()
        self.inputs.clear()

    @property
    def current(self) -> ModuleFacts | None:
        """The innermost watched module that is running."""
        return next((facts for _, facts in reversed(self.stack) if facts is not None), None)

    def _pre(self, module: nn.Module, args: Any) -> None:
        self.enter(module)

    def _post(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        self.leave(module, args, kwargs, result)

    @quiet
    def enter(self, module: nn.Module) -> None:
        """Note the call of a module: with or without gradients, in which mode."""
        entry = self.recorder.modules.get(id(module))
        if entry is None and not self.stack:
            self._stranger(module)
            entry = self.recorder.modules.get(id(module))
        facts = None if entry is None else entry[1]
        self.stack.append((id(module), facts))
        if facts is None:
            return
        facts.last_on = torch.is_grad_enabled()
        if facts.last_on:
            facts.on += 1
            facts.last_eval = not module.training
            if facts.order < 0:
                facts.order = self.count
                self.count += 1
        else:
            facts.off += 1

    def _stranger(self, module: nn.Module) -> None:
        """Take in a model that is called for the first time, or note that it runs unwatched."""
        recorder = self.recorder
        params = list(module.parameters())
        wanted = torch.is_grad_enabled() and any(p.requires_grad for p in params)
        if recorder.dynamic:
            if (wanted or any(id(p) in recorder.tracked for p in params)) and len(recorder.models) < 8:
                name, root = recorder.root_of(module)
                while name in recorder.models:
                    name += "'"
                recorder.adopt_model(name, root)
                if recorder.on_first_forward is not None:
                    recorder.on_first_forward()
            return
        if not wanted:
            return
        strangers = recorder.facts.strangers
        name = type(module).__name__
        if name in strangers or len(strangers) < 8:
            strangers[name] = strangers.get(name, 0) + 1
            recorder.strangers[id(module)] = weakref.ref(module)
            while len(recorder.strangers) > 16:
                del recorder.strangers[next(iter(recorder.strangers))]

    @quiet
    def leave(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        """Note what came out: is it finite; and what went into the first layer."""
        facts = None
        while self.stack:
            key, facts = self.stack.pop()
            if key == id(module):
                break
        if facts is None or result is None or not torch.is_grad_enabled():
            return
        tensors = _tensors(result)
        leaf = next(module.children(), None) is None
        if (leaf or not self.stack) and tensors:
            self._check_finite(module, facts, args, tensors)
        if not self.recorder.deep:
            return
        if not self.stack:
            self._remember(args, kwargs, tensors)
        self._read_inputs(module, facts, leaf, args)

    def _check_finite(
        self, module: nn.Module, facts: ModuleFacts, args: Any, tensors: list[torch.Tensor]
    ) -> None:
        if facts.bad is not None or not (self.recorder.deep or tensors[0].device.type == "cpu"):
            return
        for tensor in tensors:
            if tensor.is_floating_point() and not _finite(tensor.detach()):
                if any(not _finite(p.detach()) for p in module.parameters()):
                    why = "weights"
                elif any(t.is_floating_point() and not _finite(t.detach()) for t in _tensors(args)):
                    why = "inputs"
                else:
                    why = "itself"
                facts.bad = (self.recorder.facts.steps + 1, why)
                return

    def _remember(self, args: Any, kwargs: Any, results: list[torch.Tensor]) -> None:
        self.outputs = {id(t): weakref.ref(t) for t in results}
        fed = [*_tensors(args), *_tensors(list(kwargs.values()))]
        self.inputs.update({id(t): weakref.ref(t) for t in fed if t.requires_grad})
        if len(self.inputs) > 64:
            self.inputs = {k: r for k, r in self.inputs.items() if r() is not None}

    def _read_inputs(self, module: nn.Module, facts: ModuleFacts, leaf: bool, args: Any) -> None:
        """Read the scale of data that goes into a layer with weights: of what has no history."""
        if not leaf or next(module.parameters(recurse=False), None) is None:
            return
        if not args or not isinstance(args[0], torch.Tensor) or args[0].requires_grad:
            return
        value = args[0].detach()
        if value.is_floating_point() and value.numel():
            value = value.float()
            columns = value.square().mean(0).sqrt() if value.dim() == 2 else value.square().mean().sqrt()
            step = self.recorder.facts.steps + 1
            facts.rms.add(step, float(columns.max()))
            facts.mean.add(step, float(value.mean()))


def _tensors(value: Any) -> list[torch.Tensor]:
    """Return the tensors in a value, and one level down."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    return [item for item in value if isinstance(item, torch.Tensor)]


def _finite(value: torch.Tensor) -> bool:
    """Whether every element is finite; the sum tells at once, unless it overflows itself."""
    return math.isfinite(float(value.sum())) or bool(torch.isfinite(value).all())
