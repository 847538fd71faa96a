"""What a training loop does, measured without the clinic: what its steps got, and what they moved."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from course.exercises.late import nn, torch

__all__ = ["Chart", "named_not_called"]

CALLS = frozenset({"zero_grad", "requires_grad_"})  # that people name and forget to call


class _Watched:
    """One parameter: what backward calls brought it since its last step, and its values around the first."""

    def __init__(self, param: Any) -> None:
        self.param = param
        self.hooked = False
        self.brought: Any = None  # the sum of what came since the last step, or None
        self.empty = True  # nothing was in .grad when the first of it came
        self.start: Any = None  # the values before the first step
        self.then: Any = None  # and after it
        self.steps = 0  # of the optimizers that hold it
        self.odd: dict[int, str] = {}  # steps at which .grad was not what had been brought

    def bring(self, gradient: Any) -> None:
        """Note a gradient that is about to be added to ``.grad``."""
        with torch._C.DisableTorchFunction(), torch.no_grad():
            empty, gradient = _nothing(self.param.grad), gradient.detach().clone().double()
            if self.brought is None or empty:
                self.brought, self.empty = gradient, empty
            else:
                self.brought = self.brought + gradient


class Chart:
    """Notes, inside ``with``, the parameters that are made, their gradients, and the steps of optimizers.

    Attributes:
        clearings: calls of ``zero_grad``, of modules and optimizers.
    """

    def __init__(self) -> None:
        self.clearings = 0
        self._watched: dict[int, _Watched] = {}
        self._copies: dict[int, _Watched] = {}  # what optimizers hold, and no module does
        self._undo: list[Callable[[], None]] = []

    def __enter__(self) -> Chart:
        import torch.optim.optimizer as optimizers  # no attribute of torch.optim, since that deletes the name

        modules = nn.modules.module
        handles = [
            modules.register_module_parameter_registration_hook(lambda module, name, p: self._adopt(p)),
            modules.register_module_forward_pre_hook(self._adopt_all),
            optimizers.register_optimizer_step_pre_hook(self._before),
            optimizers.register_optimizer_step_post_hook(self._after),
        ]
        self._undo = [handle.remove for handle in handles]
        for owner in (optimizers.Optimizer, nn.Module):
            self._count_clearings(owner)
        return self

    def __exit__(self, *_: Any) -> None:
        for undo in self._undo:
            undo()

    @property
    def steps(self) -> int:
        """The steps that the parameter saw that saw the most."""
        return max((w.steps for w in (*self._watched.values(), *self._copies.values())), default=0)

    def moved(self, model: Any) -> int:
        """Return how many parameters of a model are no longer what they were before the first step.

        One counts as moved too where an optimizer's copy of the same shape has moved in its place.
        """
        copies = {c.param.shape for c in self._copies.values() if _differ(c.start, c.param)}
        return sum(_differ(w.start, w.param) or w.param.shape in copies for w in self._of(model))

    def odd(self, model: Any) -> dict[int, str]:
        """Return the steps at which ``.grad`` was not what backward had brought since the step before.

        The word says why: "old" where something older was still in it, "gone" where it had been cleared,
        "none" where no backward had come.
        """
        found: dict[int, str] = {}
        for watched in (*self._of(model), *self._copies.values()):
            found = watched.odd | found
        return dict(sorted(found.items()))

    def moved_at_first(self, model: Any) -> int:
        """Return how many parameters of a model its first step moved."""
        return sum(_differ(w.start, w.then) for w in self._of(model))

    def keeps_first(self, model: Any) -> bool:
        """Say whether a model's first parameter began as the first one of its shape that was made."""
        first = next(iter(self._of(model)), None)
        if first is None or first.start is None:
            return True
        made = next(w for w in self._watched.values() if w.param.shape == first.param.shape)
        return made is first or (made.start is not None and not _differ(made.start, first.start))

    def _of(self, model: Any) -> Iterator[_Watched]:
        return (self._watched[id(p)] for p in model.parameters() if id(p) in self._watched)

    def _adopt(self, param: Any) -> None:
        if param is None or isinstance(param, nn.parameter.UninitializedTensorMixin):
            return
        watched = self._watched.setdefault(id(param), _Watched(param))
        if not watched.hooked and param.requires_grad:
            handle = param.register_hook(watched.bring)
            watched.hooked = True
            self._undo.append(handle.remove)

    def _adopt_all(self, module: Any, args: Any) -> None:
        for param in module._parameters.values():
            self._adopt(param)

    def _count_clearings(self, owner: Any) -> None:
        clear = owner.zero_grad

        @functools.wraps(clear)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.clearings += 1
            return clear(*args, **kwargs)

        owner.zero_grad = counted
        self._undo.append(lambda: setattr(owner, "zero_grad", clear))

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        with torch._C.DisableTorchFunction():
            for group in optimizer.param_groups:
                for param in group["params"]:
                    if id(param) not in self._watched:
                        self._copies.setdefault(id(param), _Watched(param))
            for watched in (*self._watched.values(), *self._copies.values()):
                if watched.start is None:
                    watched.start = watched.param.detach().double().clone()

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        held = [p for group in optimizer.param_groups for p in group["params"]]
        with torch._C.DisableTorchFunction(), torch.no_grad():
            for param in held:
                copied = id(param) not in self._watched
                watched = (self._copies if copied else self._watched)[id(param)]
                watched.steps += 1
                odd = self._oddity_of_copy(param) if copied else _oddity(watched)
                if odd:
                    watched.odd[watched.steps] = odd
            for each in self._watched.values():
                if each.then is None:
                    each.then = each.param.detach().double().clone()

    def _oddity_of_copy(self, param: Any) -> str:
        """The same for a parameter of no module: the copy of one, whose gradient is handed over."""
        given = [
            w for w in self._watched.values() if w.brought is not None and w.brought.shape == param.shape
        ]
        fits = [w for w in given if not _nothing(param.grad) and _alike(param.grad, w.brought)]
        for each in fits or given:
            each.brought = None
        return "old" if given and not fits else ""


def _oddity(watched: _Watched) -> str:
    """Say what was odd about the gradient that a step got, or nothing; and begin anew."""
    grad, brought, watched.brought = watched.param.grad, watched.brought, None
    if brought is None and _nothing(grad):
        return "none" if watched.hooked and watched.param.requires_grad else ""
    if brought is None:
        return "old"
    if _nothing(brought):
        return ""
    if _nothing(grad):
        return "gone"
    # What was brought into an empty .grad and changed by hand (clipped, unscaled) is still its own.
    return "" if watched.empty or _alike(grad, brought) else "old"


def named_not_called(answer: Callable[..., Any]) -> list[str]:
    """Return the methods among ``CALLS`` that an answer names in a line of its own and does not call."""
    code = getattr(answer, "__code__", None)
    return sorted(set(_named_not_called(code))) if code else []


def _named_not_called(code: CodeType) -> Iterator[str]:
    import dis

    lines = list(dis.get_instructions(code))
    for this, following in itertools.pairwise(lines):
        if following.opname == "POP_TOP" and this.opname == "LOAD_ATTR" and this.argval in CALLS:
            yield this.argval
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _named_not_called(const)


def _nothing(value: Any) -> bool:
    return value is None or not bool(value.any())


def _differ(a: Any, b: Any) -> bool:
    return a is not None and b is not None and not torch.equal(a, b.detach().double())


def _alike(a: Any, b: Any) -> bool:
    """Say whether two gradients agree up to rounding, to half precision."""
    a, b = a.detach().double(), b.double()
    return a.shape == b.shape and bool((a - b).norm() <= 1e-2 * b.norm())
