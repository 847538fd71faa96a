"""The calls into torch, seen by a ``TorchFunctionMode``: which are followed, and which only counted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, _get_current_function_mode, _pop_mode, _push_mode

from course.clinic.backward import Backward
from course.clinic.facts import ScalerFacts
from course.clinic.flow import Flow
from course.clinic.forward import Forward
from course.clinic.recorder import Recorder, quiet
from course.clinic.sites import here
from course.clinic.trace import LossTrace

__all__ = ["Calls"]

BACKWARDS = {torch.Tensor.backward, torch.autograd.backward}
UNSCALE = torch._amp_foreach_non_finite_check_and_unscale_
UPDATE_SCALE = torch._amp_update_scale_
SET_GRAD = torch._C._set_grad_enabled
SPECIAL = {*BACKWARDS, UNSCALE, UPDATE_SCALE, SET_GRAD}


class Calls(TorchFunctionMode):
    """Sees the torch calls of the user's code, and passes them on unchanged; see :meth:`look_away`."""

    def __init__(self, recorder: Recorder, forward: Forward) -> None:
        super().__init__()
        self.recorder = recorder
        self.flow = Flow(recorder, forward)
        self.backward = Backward(recorder, forward, self.flow)
        self.unscaled = False
        self.away: int | None = None  # the thread that it stands aside in: modes are a thread's own
        recorder.look_away = self.look_away

    def look_away(self, begins: bool) -> None:
        """Stand aside while a model runs whose calls say nothing, and come back after that.

        So torch can take its faster ways in an evaluation, and a forward at a step that is not deep costs
        less. Where another mode stands in between, this one stays.
        """
        thread = threading.get_ident()
        if begins and self.away is None and _get_current_function_mode() is self:
            self.away = thread
            self.__exit__(None, None, None)
        elif not begins and self.away == thread:
            self.away = None
            self.__enter__()

    def close(self) -> None:
        """Stop seeing calls; modes that were entered meanwhile, such as a default device, stay."""
        above = []
        while self.away is None and (top := _get_current_function_mode()) is not None:
            _pop_mode()
            if top is self:
                break
            above.append(top)
        for mode in reversed(above):
            _push_mode(mode)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        recorder = self.recorder
        if func in SPECIAL and not recorder.busy:
            return self._special(func, args, kwargs or {})
        result = func(*args, **kwargs) if kwargs else func(*args)
        if recorder.deep and not recorder.busy and (not recorder.stepping or recorder.closing):
            self.flow.note(func, args, kwargs or {}, result)
        return result

    def _special(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if func in BACKWARDS:
            roots, given = _roots(func, args, kwargs)
            if roots:
                self.backward.before(roots, given)
            result = func(*args, **kwargs)
            if roots:
                self.backward.after()
            return result
        if func is UNSCALE:
            self._before_unscale(args)
        result = func(*args, **kwargs)
        if func is UNSCALE:
            self._after_unscale(args)
        elif func is UPDATE_SCALE:
            self._after_update()
        elif args and args[0] is False:
            self._grad_off()
        return result

    @quiet
    def _grad_off(self) -> None:
        if self.recorder.deep and not self.recorder.stepping:
            self.recorder.facts.grad_off_at = here() or self.recorder.facts.grad_off_at

    @quiet
    def _before_unscale(self, args: Any) -> None:
        """See whether the gradients were clipped while they were still scaled."""
        gradients = list(args[0])
        watched = self._owner(gradients)
        if watched is None or not watched.deep or not watched.arrived:
            return
        now = float(torch.nn.utils.get_total_norm(gradients))
        watched.facts.clip_before_unscale.add(watched.next_step, now / watched.arrived)

    def _owner(self, gradients: list[torch.Tensor]) -> Any:
        keys = {g.data_ptr() for g in gradients}
        for watched in self.recorder.order:
            held = (t.param.grad for t in watched.tracked if t.param.grad is not None)
            if any(g.data_ptr() in keys for g in held if not g.is_sparse):
                return watched
        return None

    @quiet
    def _after_unscale(self, args: Any) -> None:
        facts = self.recorder.facts
        scaler = facts.scaler = facts.scaler or ScalerFacts()
        scaler.unscales += 1
        found, inverse = args[1], args[2]
        if found.device.type == "cpu" or self.recorder.deep:
            if self.recorder.scale is None:  # the losses so far were noted with the scale in them
                for loss in facts.losses.values():
                    loss.trace = LossTrace()
            self.unscaled = self.unscaled or bool(found)
            self.recorder.scale = 1.0 / float(inverse)
            scaler.scale.add(scaler.unscales, self.recorder.scale)

    @quiet
    def _after_update(self) -> None:
        scaler = self.recorder.facts.scaler
        if scaler is None:
            return
        scaler.updates += 1
        scaler.skipped += self.unscaled
        if self.unscaled:
            for watched in self.recorder.order:
                watched.hits, watched.micro = 0, {}
                for tracked in watched.tracked:
                    tracked.used = tracked.param.grad is not None
                    tracked.fresh = 0
            self.recorder.turn()
        self.unscaled = False


def _roots(func: Callable[..., Any], args: Any, kwargs: Any) -> tuple[list[torch.Tensor], Any]:
    """Return the tensors from which a backward pass starts, and the gradient that it is given."""
    first = args[0] if args else kwargs.get("tensors")
    roots = [first] if isinstance(first, torch.Tensor) else list(first or ())
    given = args[1] if len(args) > 1 else kwargs.get("gradient", kwargs.get("grad_tensors"))
    if isinstance(given, list | tuple):
        given = given[0] if given else None
    return [root for root in roots if isinstance(root, torch.Tensor)], given
