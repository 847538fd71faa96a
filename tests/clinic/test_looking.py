"""What can be looked at: numbers of every dtype; and what is said where nothing could be."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.overrides import _get_current_function_mode

from course import clinic
from course.clinic.doctor import examine
from course.clinic.numbers import as_floats, is_finite, norm
from tests.clinic.test_doctor import HEALTHY, doctor, write

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128]
PATIENTS = Path(__file__).parent / "patients"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_norm_and_finiteness_of_every_dtype(dtype: torch.dtype) -> None:
    value = torch.tensor([3.0, -4.0, 12.0]).to(dtype)
    assert as_floats([norm(value), norm(2 * value)]) == [13.0, 26.0]
    assert is_finite(value)
    assert not is_finite(torch.cat([value, value / 0]))
    small = torch.full((1000,), 1e-3).to(dtype)
    assert float(norm(small)) == pytest.approx(np.sqrt(1000) * 1e-3, rel=1e-2)


def test_norms_of_several_dtypes_at_once() -> None:
    assert as_floats([norm(torch.ones(4, dtype=d)) for d in DTYPES]) == [2.0] * len(DTYPES)
    assert as_floats([]) == []
    assert as_floats([norm(torch.tensor([1e200], dtype=torch.float64))]) == [1e200]


@pytest.mark.filterwarnings("ignore:Complex modules")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_looked_at(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 1, bias=False).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(32, 4).to(dtype)
    with clinic.watch(model, optimizer, quiet=True) as exam:
        for _ in range(5):
            (model(x) - x[:, :1]).abs().square().mean().backward()
            optimizer.step()
    assert exam.facts.trouble == []
    (param,) = exam.facts.params
    assert param.looked == 4
    assert param.update.low > 0
    assert [f.code for f in exam.findings] == ["no-zero-grad"]


def stumble(*args: Any) -> None:
    raise ArithmeticError("a bug\nof ours")


def test_where_nothing_could_be_looked_at_nothing_is_not_what_is_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("course.clinic.steps._read_rates", stumble)
    script = write(tmp_path, HEALTHY)
    code, out, _ = doctor(capsys, script)
    assert code == 2
    what = "20 steps of SGD on model (4 values)"
    line = f"clinic: could not look at {what}: before: ArithmeticError: a bug of ours"
    assert out.splitlines()[1:] == [line]
    assert repr(examine(script).exam) == "Exam(could not look)"


def test_where_something_was_looked_at_it_says_that_it_stumbled(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("course.clinic.steps.take_witness", stumble)
    code, out, _ = doctor(capsys, write(tmp_path, HEALTHY))
    assert code == 0
    assert "clinic: stumbled, and found nothing in what it saw of 20 steps" in out
    assert out.count("the clinic itself stumbled: after: ArithmeticError: a bug of ours") == 1


def test_card_tells_of_a_stumble_as_the_text_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course.clinic.steps.take_witness", stumble)
    exam = examine(write(tmp_path, HEALTHY)).exam
    line = "the clinic itself stumbled: after: ArithmeticError: a bug of ours"
    assert exam.text.splitlines()[1:] == [line]
    assert exam._repr_html_().count(f"<p>{line}</p>") == 1


def test_warnings_of_torch_are_shown_at_the_line_of_the_script() -> None:
    script = PATIENTS / "target_as_a_column.py"
    shown = warnings.showwarning
    for _ in range(2):  # what was shown in one watch is shown in the next
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("default")
            examine(script, seconds=None)
        (one,) = [w for w in seen if "target size" in str(w.message)]
        text = script.read_text(encoding="utf-8").splitlines()
        assert one.filename == str(script)
        assert "huber_loss" in text[one.lineno - 1]
    assert warnings.showwarning is shown


def test_what_replaces_showwarning_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back in the end
    model = nn.Linear(2, 1)
    with clinic.watch(model, torch.optim.SGD(model.parameters(), lr=0.1), quiet=True):
        warnings.showwarning = stumble
    assert warnings.showwarning is stumble


def test_a_hook_of_a_step_may_call_the_model() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    optimizer.register_step_post_hook(lambda *_: model(torch.ones(6, 4)))
    with clinic.watch(model, optimizer, quiet=True) as exam:
        for _ in range(10):
            optimizer.zero_grad()
            model(torch.ones(6, 4)).square().mean().backward()
            optimizer.step()
    assert (exam.facts.backwards, exam.facts.steps, exam.facts.trouble) == (10, 10, [])


def test_a_model_evaluated_in_another_thread_blinds_nothing() -> None:
    inside, returned = threading.Event(), threading.Event()
    modes: list[Any] = []

    class Twice(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if threading.current_thread() is threading.main_thread():
                threads.append(threading.Thread(target=evaluate))
                threads[-1].start()
                inside.wait(10)
            else:
                inside.set()
                returned.wait(10)
            return super().forward(x)

    def evaluate() -> None:
        with torch.no_grad():
            model(torch.ones(6, 4))
        modes.append(_get_current_function_mode())

    model, threads = Twice(4, 1), []
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    with clinic.watch(model, optimizer, quiet=True) as exam:
        for _ in range(10):
            inside.clear()
            returned.clear()
            optimizer.zero_grad()
            loss = model(torch.ones(6, 4)).square().mean()
            returned.set()
            threads[-1].join()
            loss.backward()
            optimizer.step()
    assert modes == [None] * 10
    assert (exam.facts.backwards, exam.facts.steps, exam.facts.trouble) == (10, 10, [])


def test_a_backward_within_a_forward_is_seen_at_every_step() -> None:
    class Trains(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            loss = super().forward(x).square().mean()
            loss.backward()
            return loss.detach()

    model = Trains(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with clinic.watch(model, optimizer, quiet=True) as exam:
        for _ in range(10):
            optimizer.zero_grad()
            model(torch.ones(6, 4))
            optimizer.step()
    assert exam.facts.backwards == 10
