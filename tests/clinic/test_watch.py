"""The watch itself: it leaves nothing behind, changes nothing, does not grow, and refuses bad input."""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import pickle
import weakref
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules import module as hooks
from torch.optim import optimizer as optim_hooks
from torch.overrides import _get_current_function_mode

from course import clinic


def small() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    return model, torch.optim.Adam(model.parameters(), lr=1e-2)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> None:
    for _ in range(steps):
        loss = F.mse_loss(model(torch.ones(6, 4)), torch.zeros(6, 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def train_and_divide(model: nn.Module, optimizer: torch.optim.Optimizer, by: int) -> float:
    train(model, optimizer)
    return 1 / by


def hooked(model: nn.Module) -> list[Any]:
    """Return everything that torch holds for hooks."""
    return [
        dict(hooks._global_forward_hooks),
        dict(hooks._global_forward_pre_hooks),
        dict(hooks._global_forward_hooks_always_called),
        dict(hooks._global_forward_hooks_with_kwargs),
        dict(optim_hooks._global_optimizer_pre_hooks),
        dict(optim_hooks._global_optimizer_post_hooks),
        [dict(p._post_accumulate_grad_hooks or {}) for p in model.parameters()],
        [p._backward_hooks for p in model.parameters()],
        _get_current_function_mode(),
    ]


@pytest.mark.parametrize("how", ["well", "by an exception", "by KeyboardInterrupt"])
def test_everything_is_unhooked(how: str) -> None:
    model, optimizer = small()
    train(model, optimizer)
    before = hooked(model)
    stop = {"well": None, "by an exception": ValueError("mine"), "by KeyboardInterrupt": KeyboardInterrupt()}[
        how
    ]
    with contextlib.suppress(ValueError, KeyboardInterrupt), clinic.watch(model, optimizer, quiet=True):
        assert hooked(model) != before
        train(model, optimizer)
        if stop is not None:
            raise stop
    now = hooked(model)
    assert [h or None for h in now[:-3]] == [h or None for h in before[:-3]]
    assert all(not h for h in now[-3])
    assert now[-2:] == before[-2:]


def test_exception_passes_on_unchanged_with_the_finding_that_explains_it() -> None:
    model, optimizer = small()
    page = io.StringIO()
    exam = clinic.watch(model, optimizer, file=page)
    with pytest.raises(RuntimeError, match="does not require grad") as caught, exam:
        model(torch.ones(6, 4)).detach().mean().backward()
    assert type(caught.value) is RuntimeError
    (note,) = caught.value.__notes__
    assert note.startswith("course.clinic: detached (all 4 parameters, cut at test_watch.py:")
    assert "leave .detach() out" in note
    assert exam.findings[0].code == "detached"
    assert page.getvalue().startswith("clinic: 1 error in 0 steps of Adam on Sequential (49 values)")


def test_unexplained_exception_gets_no_note() -> None:
    model, optimizer = small()
    with pytest.raises(ZeroDivisionError) as caught, clinic.watch(model, optimizer, quiet=True):
        train_and_divide(model, optimizer, 0)
    assert not hasattr(caught.value, "__notes__")


def test_report_is_printed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    model, optimizer = small()
    with clinic.watch(model, optimizer) as exam:
        train(model, optimizer)
    assert capsys.readouterr().out == "clinic: nothing found in 5 steps of Adam on Sequential (49 values)\n"
    assert repr(exam) == "Exam(healthy)"
    model, optimizer = small()
    with clinic.watch(model, optimizer, quiet=True) as exam:
        optimizer.step()
        model(torch.ones(1, 4))
        assert exam.findings[0].code == "no-backward"  # inside: those so far
    assert capsys.readouterr().out == ""
    assert repr(exam) == "Exam(no-backward)"
    assert "<code>loss.backward()" in exam._repr_html_()
    assert "lesson 01" in exam.text


def test_ignore_takes_codes_names_patterns_and_modules() -> None:
    def findings(ignore: Any) -> list[str]:
        model, optimizer = small()
        model[0].requires_grad_(False)
        with clinic.watch(model, optimizer, quiet=True, ignore=ignore(model)) as exam:
            train(model, optimizer)
        return [f.code for f in exam.findings]

    assert findings(lambda m: ()) == ["frozen"]
    for ignore in (
        lambda m: "frozen",
        lambda m: ["0"],
        lambda m: ["0.*"],
        lambda m: m[0],
        lambda m: [m[0].weight, "0.bias"],
    ):
        assert findings(ignore) == []
    assert findings(lambda m: ["0.bias"]) == ["frozen"]
    assert findings(lambda m: ["2"]) == ["frozen"]


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(2, 2)]


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda m, o: (nn.ReLU(), o), ValueError, "ReLU has no parameters"),
        (
            lambda m, o: (Listed(), o),
            ValueError,
            "Listed has no parameters; layers[0].weight is held in a plain",
        ),
        (lambda m, o: ([], o), ValueError, "there is no model to watch"),
        (lambda m, o: (m, []), ValueError, "there is no optimizer to watch"),
        (lambda m, o: (m.parameters(), o), TypeError, "model must be a torch.nn.Module, not <generator"),
        (lambda m, o: ([m, "net"], o), TypeError, "model must be a torch.nn.Module, not 'net'"),
        (lambda m, o: (m, "adam"), TypeError, "optimizer must be a torch.optim.Optimizer, not 'adam'"),
        (
            lambda m, o: (m, torch.optim.lr_scheduler.StepLR(o, 1)),
            TypeError,
            "pass the optimizer, not its scheduler",
        ),
        (
            lambda m, o: (m, torch.optim.SGD(nn.Linear(3, 3).parameters(), lr=1.0)),
            ValueError,
            "SGD holds no parameter of Sequential: it is another model's",
        ),
    ],
)
def test_bad_input_is_one_clear_line(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        clinic.watch(*make(*small()))
    assert message in str(caught.value)
    assert str(caught.value).startswith("clinic.watch: ")
    assert "\n" not in str(caught.value)


def test_ignore_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="in no watched model"):
        clinic.watch(*small(), ignore=[nn.Linear(1, 1)])


def test_nested_closed_and_unopened_watches_are_refused() -> None:
    model, optimizer = small()
    exam = clinic.watch(model, optimizer, quiet=True)
    with pytest.raises(RuntimeError, match="nothing was watched yet"):
        _ = exam.findings
    with exam:
        with pytest.raises(RuntimeError, match="another watch is open"), clinic.watch(model, optimizer):
            pass
        train(model, optimizer)  # the outer one goes on
    assert exam.facts.steps == 5
    with pytest.raises(RuntimeError, match="this watch is closed"), exam:
        pass
    assert exam.findings == []


def test_copies_and_pickles_made_meanwhile_are_as_ever() -> None:
    model, optimizer = small()
    with clinic.watch(model, optimizer, quiet=True):
        train(model, optimizer)
        twin = copy.deepcopy(model)
        again = pickle.loads(pickle.dumps((model, optimizer)))[0]
        state = copy.deepcopy(optimizer.state_dict())
    for other in (twin, again):
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
        assert all(not p._post_accumulate_grad_hooks for p in other.parameters())
    assert state.keys() == {"state", "param_groups"}


@pytest.mark.thorough
def test_memory_does_not_grow_and_nothing_is_kept_alive() -> None:
    model, optimizer = small()

    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(item), torch.Tensor) for item in gc.get_objects())

    with clinic.watch(model, optimizer, quiet=True) as exam:
        train(model, optimizer, 30)
        hidden = model[:2](torch.ones(1, 4))
        loss = model[2](hidden).mean()
        kept = weakref.ref(hidden), weakref.ref(loss)
        loss.backward()
        del loss, hidden
        assert [reference() for reference in kept] == [None, None]
        before = tensors(), len(pickle.dumps(exam.facts))
        train(model, optimizer, 400)
        assert tensors() <= before[0]
        assert len(pickle.dumps(exam.facts)) < 3 * before[1]


def test_evaluation_takes_torchs_fast_path() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    x = torch.randn(4, 6, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with torch.no_grad():
        alone = model(x)
        with clinic.watch(model, optimizer, quiet=True):
            watched = model(x)
            assert _get_current_function_mode() is not None
    assert torch.equal(alone, watched)


def test_modes_entered_meanwhile_stay() -> None:
    class Mine(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    model, optimizer = small()
    mine = Mine()
    with clinic.watch(model, optimizer, quiet=True):
        mine.__enter__()
    assert _get_current_function_mode() is mine
    mine.__exit__(None, None, None)
    assert _get_current_function_mode() is None


def test_trouble_of_the_clinic_does_not_touch_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*args: Any) -> None:
        raise ArithmeticError("a bug")

    model, optimizer = small()
    monkeypatch.setattr("course.clinic.steps._read_updates", stumble)
    with clinic.watch(model, optimizer, quiet=True) as exam:
        train(model, optimizer)
    assert exam.text.endswith(
        "look at 5 steps of Adam on Sequential (49 values): after: ArithmeticError: a bug"
    )


def test_optimizer_that_was_not_named_is_taken_in() -> None:
    model, _ = small()
    first = torch.optim.SGD(model[0].parameters(), lr=0.1)
    second = torch.optim.SGD(model[2].parameters(), lr=0.1)
    with clinic.watch(model, first, quiet=True) as exam:
        for _ in range(5):
            loss = F.mse_loss(model(torch.ones(6, 4)), torch.zeros(6, 1))
            first.zero_grad()
            second.zero_grad()
            loss.backward()
            first.step()
            second.step()
    assert exam.findings == []
    assert len(exam.facts.optimizers) == 2


def test_findings_are_plain_and_explain_themselves() -> None:
    model, optimizer = small()
    with clinic.watch(model, optimizer, quiet=True) as exam:
        model(torch.ones(1, 4)).mean().backward()
    (found,) = exam.findings
    evidence = "1 backward call reached its parameters, and step() ran 0 times."
    fix = "optimizer.step()  # after loss.backward(), with the parentheses"
    assert found == clinic.Finding("no-step", "error", "Adam", evidence, fix, 1)
    assert str(found) == f"no-step (Adam): optimizer.step() was never called. {evidence} Fix: {fix}"
