"""``watch``: the context manager around somebody's own training loop."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TextIO

import torch
from torch import nn

from course.clinic import report as reporting
from course.clinic.calls import Calls
from course.clinic.facts import Facts
from course.clinic.finding import Finding
from course.clinic.forward import Forward
from course.clinic.owners import hidden_in
from course.clinic.recorder import Recorder
from course.clinic.schedulers import find_schedulers
from course.clinic.signs import diagnose
from course.clinic.sites import raised_at
from course.clinic.steps import Steps
from course.clinic.warned import Warned

__all__ = ["Exam", "watch"]

Models = nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]
Optimizers = torch.optim.Optimizer | Sequence[torch.optim.Optimizer]

_open: list[Exam] = []


def watch(
    model: Models,
    optimizer: Optimizers,
    *,
    ignore: Iterable[str | nn.Module | torch.Tensor] | str = (),
    quiet: bool = False,
    file: TextIO | None = None,
) -> Exam:
    """Watch a training loop, and say why its model does not learn.

    Put it around your own loop, which stays as it is; leaving it prints a report. The watch only looks:
    the parameters, the random numbers and the gradients are bit for bit those of the loop without it.

    Args:
        model: the model, or several: a list, or a dict from name to model.
        optimizer: its optimizer, or a list of them.
        ignore: what is meant to be so: codes (``"eval-mode"``), names of parameters or modules
            (``"backbone"``, ``"*.bias"``), or the modules and parameters themselves.
        quiet: print no report; ``exam.findings`` holds the findings in any case.
        file: where the report is printed (standard output).

    Returns:
        The exam, to be used with ``with``; ``findings`` is sorted, the cause first.

    Raises:
        TypeError: ``model`` is no module, or ``optimizer`` no optimizer. ValueError: the model has no
        parameters, or the optimizer belongs to another model. RuntimeError, on entering: another watch is
        open, or this one was closed.

    >>> from torch import nn
    >>> model = nn.Linear(3, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with watch(model, optimizer, quiet=True) as exam:
    ...     for _ in range(5):
    ...         loss = model(torch.ones(4, 3)).pow(2).mean()
    ...         optimizer.step()
    >>> exam.findings[0].code
    'no-backward'
    """
    models, optimizers = _models(model), _optimizers(optimizer)
    for one in optimizers:
        _demand_kinship(models, one)
    return Exam(models, optimizers, _ignored(ignore, models), quiet=quiet, file=file)


class Exam:
    """A watch: open inside ``with``, closed after it. Made by ``watch``."""

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
        ignore: Sequence[str] = (),
        *,
        quiet: bool = False,
        file: TextIO | None = None,
        dynamic: bool = False,
    ) -> None:
        self._models, self._optimizers, self._ignore = dict(models), list(optimizers), list(ignore)
        self._quiet, self._file = quiet, file
        self.recorder = Recorder(dynamic=dynamic)
        self._state = "new"
        self._findings: list[Finding] = []

    @property
    def facts(self) -> Facts:
        """What was seen."""
        return self.recorder.facts

    @property
    def findings(self) -> list[Finding]:
        """The findings, the cause first; inside ``with``: those so far. RuntimeError before it."""
        if self._state == "new":
            raise RuntimeError(
                "clinic.watch: nothing was watched yet; write `with clinic.watch(...) as exam:`"
            )
        if self._state == "open":
            return diagnose(self.facts, self._ignore)
        return list(self._findings)

    @property
    def text(self) -> str:
        """The report, as it is printed."""
        return reporting.text(self.findings, self.facts)

    def _repr_html_(self) -> str:
        return reporting.html(self.findings, self.facts)

    def __repr__(self) -> str:
        if self._state == "new":
            return "Exam(not begun)"
        silent = "could not look" if self.facts.blind else "healthy"
        return f"Exam({', '.join(f.code for f in self.findings) or silent})"

    def __enter__(self) -> Exam:
        if self._state != "new":
            raise RuntimeError("clinic.watch: this watch is closed; call clinic.watch(...) anew")
        if _open:
            raise RuntimeError(
                "clinic.watch: another watch is open; watch all models in one: watch([a, b], [opt_a, opt_b])"
            )
        for name, model in self._models.items():
            self.recorder.adopt_model(name, model)
        for optimizer in self._optimizers:
            self.recorder.adopt_optimizer(optimizer)
        find_schedulers(self.recorder)
        self._forward = Forward(self.recorder)
        self._steps = Steps(self.recorder)
        self._calls = Calls(self.recorder, self._forward)
        self._warned = Warned()
        self._calls.__enter__()
        self._state = "open"
        _open.append(self)
        return self

    def limit_steps(self, stop: Callable[[int], None] | None) -> None:
        """Call ``stop`` with the number of steps after each; what it raises ends the loop."""
        self._steps.stop = stop

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._calls.close()
        self._warned.close()
        self.recorder.finish()
        self._forward.close()
        self._steps.close()
        self.recorder.close()
        _open.remove(self)
        explained = isinstance(error, Exception)
        if explained and error is not None:
            self.facts.error = (type(error).__name__, str(error), raised_at(traceback))
        self._findings = diagnose(self.facts, self._ignore)
        self._state = "closed"
        if explained and error is not None and self._findings:
            error.add_note(f"course.clinic: {self._findings[0]}")
        if not self._quiet:
            print(self.text, file=self._file or sys.stdout)


def _models(given: Models) -> dict[str, nn.Module]:
    """Return the models by the name that stands before their parameters'."""
    if isinstance(given, nn.Module):
        named = {"": given}
    elif isinstance(given, Mapping):
        named = {str(name): model for name, model in given.items()}
    elif isinstance(given, Sequence) and not isinstance(given, str):
        kinds = [type(model).__name__ for model in given]
        named = {
            kind if kinds.count(kind) == 1 else f"{kind}#{kinds[: index + 1].count(kind)}": model
            for index, (kind, model) in enumerate(zip(kinds, given, strict=True))
        }
        named = {"": given[0]} if len(given) == 1 else named
    else:
        raise TypeError(f"clinic.watch: model must be a torch.nn.Module, not {given!r:.80}")
    if not named:
        raise ValueError("clinic.watch: there is no model to watch")
    for model in named.values():
        if not isinstance(model, nn.Module):
            raise TypeError(f"clinic.watch: model must be a torch.nn.Module, not {model!r:.80}")
        if next(model.parameters(), None) is None:
            raise ValueError(f"clinic.watch: {type(model).__name__} has no parameters{_hidden(model)}")
    return named


def _hidden(model: nn.Module) -> str:
    """Say where the parameters of a model without parameters are."""
    found = hidden_in(model)
    if not found:
        return ""
    return f"; {found[0][0]} is held in a plain attribute: use nn.ModuleList, nn.ModuleDict or nn.Parameter"


def _optimizers(given: Optimizers) -> list[torch.optim.Optimizer]:
    many: list[Any] = list(given) if isinstance(given, list | tuple) else [given]
    for one in many:
        if not isinstance(one, torch.optim.Optimizer):
            hint = "; pass the optimizer, not its scheduler" if hasattr(one, "optimizer") else ""
            raise TypeError(f"clinic.watch: optimizer must be a torch.optim.Optimizer, not {one!r:.80}{hint}")
    if not many:
        raise ValueError("clinic.watch: there is no optimizer to watch")
    return many


def _demand_kinship(models: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer) -> None:
    """Refuse an optimizer that has nothing to do with the models; one of a rebuilt model is a finding."""
    own = [p for model in models.values() for p in model.parameters()]
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if {id(p) for p in own} & {id(p) for p in held}:
        return
    if not Counter(tuple(p.shape) for p in own) & Counter(tuple(p.shape) for p in held if p.dim() > 1):
        names = ", ".join(type(model).__name__ for model in models.values())
        raise ValueError(
            f"clinic.watch: {type(optimizer).__name__} holds no parameter of {names}: it is another model's"
        )


def _ignored(ignore: Any, models: Mapping[str, nn.Module]) -> list[str]:
    """Return patterns of names, and codes."""
    patterns: list[str] = []
    for item in [ignore] if isinstance(ignore, str | nn.Module | torch.Tensor) else ignore:
        if isinstance(item, str):
            patterns.append(item)
            continue
        found = [
            (f"{label}." if label else "") + name
            for label, model in models.items()
            for name, thing in [*model.named_modules(), *model.named_parameters()]
            if thing is item
        ]
        if not found:
            raise ValueError(
                f"clinic.watch: ignore holds something that is in no watched model: {item!r:.80}"
            )
        patterns += found
    return patterns
