"""What the modules do in the forward pass: seen from torch's global module hooks.

The hooks are global, so that nothing is attached to the user's modules: a copy or a pickle of the model made
during the watch is the same as without.
"""

from __future__ import annotations

import threading
import weakref
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    _global_forward_hooks_with_kwargs,
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from course.clinic.facts import ModuleFacts, UnitFacts
from course.clinic.numbers import is_finite
from course.clinic.recorder import Recorder, quiet

__all__ = ["Forward"]


class _Calls(threading.local):
    """The calls of modules that go on, of each thread its own."""

    def __init__(self) -> None:
        self.stack: list[tuple[int, ModuleFacts | None]] = []
        self.aside = False  # whether torch's calls go unseen until the outermost returns


class Forward:
    """Watches every module call."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.calls = _Calls()
        self.outputs: dict[int, weakref.ref[torch.Tensor]] = {}
        self.inputs: dict[int, weakref.ref[torch.Tensor]] = {}
        self.made_by: dict[int, ModuleFacts] = {}  # of this forward pass: which leaf gave a tensor
        self.outputs_by: dict[int, ModuleFacts] = {}  # the same of the outputs, until the next are there
        self.active: dict[int, tuple[weakref.ref[torch.Tensor], UnitFacts]] = {}  # by activation functions
        self.count = 0
        self.seen_backward = False  # whether one ever ran inside a forward
        self.handles = [
            register_module_forward_pre_hook(self.enter),
            register_module_forward_hook(self.leave, with_kwargs=True, always_call=True),
        ]

    def close(self) -> None:
        """Remove the hooks, and forget the tensors."""
        for handle in self.handles:
            handle.remove()
            _global_forward_hooks_with_kwargs.pop(handle.id, None)  # which torch forgets to do
        self.outputs.clear()
        self.inputs.clear()
        self.made_by.clear()
        self.outputs_by.clear()
        self.active.clear()

    @property
    def stack(self) -> list[tuple[int, ModuleFacts | None]]:
        """The modules that run in this thread, from the outermost on."""
        return self.calls.stack

    @property
    def current(self) -> ModuleFacts | None:
        """The innermost watched module that is running."""
        return next((facts for _, facts in reversed(self.stack) if facts is not None), None)

    def maker_of(self, output: torch.Tensor) -> ModuleFacts | None:
        """Return the leaf that gave an output of the model."""
        reference = self.outputs.get(id(output))
        return self.outputs_by.get(id(output)) if reference is not None and reference() is output else None

    @quiet
    def enter(self, module: nn.Module, args: Any) -> None:
        """Note the call of a module: with or without gradients, in which mode."""
        entry = self.recorder.modules.get(id(module))
        if entry is None and not self.stack:
            self._stranger(module)
            entry = self.recorder.modules.get(id(module))
        facts = None if entry is None else entry[1]
        if not self.stack:
            self.made_by.clear()
            self.active.clear()
            self.calls.aside = self._says_nothing(module)
            if self.calls.aside:
                self.recorder.look_away(True)
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

    def _says_nothing(self, module: nn.Module) -> bool:
        """Whether the calls within a forward tell nothing: it evaluates, or only backward would be noted."""
        evaluates = not module.training and not torch.is_grad_enabled()
        return evaluates or not (self.recorder.deep or self.seen_backward)

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
        recorder.strangers[id(module)] = weakref.ref(module)
        while len(recorder.strangers) > 16:
            del recorder.strangers[next(iter(recorder.strangers))]

    @quiet
    def leave(self, module: nn.Module, args: Any, *rest: Any) -> None:
        """Note what came out: is it finite; and what went into the first layer.

        torch leaves the keyword arguments out where the call has ended in an exception.
        """
        kwargs, result = rest if len(rest) == 2 else ({}, None)
        facts = None
        while self.stack:
            key, facts = self.stack.pop()
            if key == id(module):
                break
        if not self.stack and self.calls.aside:
            self.calls.aside = False
            self.recorder.look_away(False)
        if facts is None or result is None or not torch.is_grad_enabled():
            return
        tensors = _tensors(result)
        if not self.stack:
            self.outputs = {id(t): weakref.ref(t) for t in tensors}
            self.outputs_by = {id(t): self.made_by[id(t)] for t in tensors if id(t) in self.made_by}
            for reference, unit in (self.active[id(t)] for t in tensors if id(t) in self.active):
                unit.is_output = unit.is_output or id(reference()) in self.outputs
        if (facts.leaf or not self.stack) and tensors:
            self._check_finite(module, facts, args, tensors)
            for tensor in tensors:
                self.made_by.setdefault(id(tensor), facts)
        if not self.recorder.deep:
            return
        if not self.stack:
            self._remember(args, kwargs)
        self._read_inputs(facts, args)

    def _check_finite(
        self, module: nn.Module, facts: ModuleFacts, args: Any, results: list[torch.Tensor]
    ) -> None:
        """See whether what came out is finite, in a sample: whatever is not soon spreads over all columns."""
        if facts.bad is not None or not (self.recorder.deep or results[0].device.type == "cpu"):
            return
        if all(is_finite(_sample(t)) for t in results if t.is_floating_point() or t.is_complex()):
            return
        step = self.recorder.facts.steps + 1
        spoilt = [t for t in _tensors(args) if t.is_floating_point() and not is_finite(t.detach())]
        if any(not is_finite(p.detach()) for p in module.parameters()):
            facts.bad = (step, "weights")
        elif not spoilt:
            facts.bad = (step, "itself")
        else:
            facts.bad = (step, "inputs")
            maker = self.made_by.get(id(spoilt[0]))
            if maker is not None and maker.bad is None:
                maker.bad = (step, "itself")

    def check_outputs(self) -> None:
        """See whether what the models gave is finite, every element of it; called when a loss is not."""
        for key, reference in self.outputs.items():
            output, maker = reference(), self.made_by.get(key)
            if output is None or maker is None or maker.bad is not None or not output.is_floating_point():
                continue
            if not is_finite(output.detach()):
                maker.bad = (self.recorder.facts.steps + 1, "itself")

    def _remember(self, args: Any, kwargs: Any) -> None:
        fed = [*_tensors(args), *_tensors(list(kwargs.values()))]
        self.inputs.update({id(t): weakref.ref(t) for t in fed if t.requires_grad})
        if len(self.inputs) > 64:
            self.inputs = {k: r for k, r in self.inputs.items() if r() is not None}

    def _read_inputs(self, facts: ModuleFacts, args: Any) -> None:
        """Read the scale of data that goes into a layer with weights: of what has no history."""
        if not (facts.leaf and facts.weighted and args and isinstance(args[0], torch.Tensor)):
            return
        if args[0].requires_grad:
            return
        value = args[0].detach()
        if value.is_floating_point() and value.numel():
            value = value if value.dtype == torch.float64 else value.float()
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


def _sample(value: torch.Tensor) -> torch.Tensor:
    """Return a column of a batch, or a pixel of each channel."""
    value = value.detach()
    while value.dim() > 1 and value.shape[-1]:
        value = value.select(-1, 0)
        if value.dim() <= 2:
            break
    return value
