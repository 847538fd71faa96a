"""What the clinic says of a cause: the place, the figures, and a fix that fits this loop and runs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course import clinic
from course.clinic.doctor import examine
from course.exercises.lesson_02_patients import patient_f

PATIENTS = Path(__file__).parent / "patients"


def first(name: str) -> clinic.Finding:
    return examine(PATIENTS / f"{name}.py", seconds=None).findings[0]


def line_of(name: str, text: str) -> str:
    """Return the place of the one line of a patient that holds a text, as the clinic writes it."""
    lines = (PATIENTS / f"{name}.py").read_text(encoding="utf-8").splitlines()
    (number,) = [i for i, line in enumerate(lines, 1) if text in line]
    return f"{name}.py:{number}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "who", "line"),
    [
        ("clears_every_second_step", "SGD", "opt.step()"),
        ("discriminator_never_cleared", "Adam of D", "opt_d.step()"),
        ("warmup_by_integer_division", "AdamW", "opt = torch"),
        ("step_lr_after_every_batch", "Adam", "opt = torch"),
        ("lambda_returns_the_rate", "SGD", "opt = torch"),
        ("optimizer_made_in_every_call", "Adam", "opt = torch"),
        ("detour_beside_a_rightful_detach", "model.emb.weight, model.rnn", "out.numpy(force=True)"),
    ],
)
def test_place_is_the_optimizer_or_the_cut_and_its_line(name: str, who: str, line: str) -> None:
    where = first(name).where
    assert where.startswith(f"{who}, ")
    assert where.endswith(line_of(name, line))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "evidence", "fix"),
    [
        (
            "linear_warmup_outlasts_the_run",
            "LinearLR is still warming up: it has come to 1.19e-06 of 0.001.",
            "total_iters=12  # in LinearLR: 100000 outlasts the 120 steps",
        ),
        ("warmup_of_a_million_steps", "LambdaLR is still warming up", "shorten the warmup of LambdaLR"),
        ("lambda_returns_the_rate", "lr was 0.0001, its square.", "its value / 0.01"),
        ("learning_rate_far_too_small", "at lr = 1e-06", "lr=1e-3  # instead of 1e-06"),
        ("warmup_by_integer_division", "It was 0.001 when", "mend the line that sets group['lr']"),
        ("step_lr_after_every_batch", "below 1e-5 of its highest", "step_size=5 of StepLR counts its calls"),
        ("linear_schedule_too_short", "lr fell from 0.001 to 0", "let LambdaLR last 60 of its calls"),
        ("critic_optimizer_gets_the_actor", "4 of 8 parameters", "Adam(critic.parameters(), ...)"),
        ("gan_with_one_detached_fake", "detach()", "fake = G(torch.randn(64, 8)); and D(fake.detach()) only"),
        ("detour_beside_a_rightful_detach", "numpy()", "keep the tensor itself"),
        ("target_as_a_column", "(128,) and a target of shape (128, 1)", "F.huber_loss(prediction, target.sq"),
        ("accumulation_clears_every_time", "only the last counts", "only after optimizer.step()"),
        ("relu_on_the_output", "cannot be below zero", "leave the last ReLU (model.3) out"),
        ("optimizer_made_in_every_call", "60 times in 60 steps", "once, before the loop"),
        ("softmax_before_cross_entropy", "cannot fall below 0.744", "leave model.3 out"),
        ("nll_of_probabilities", "(from model.3)", "log_softmax in place of model.3"),
        ("sigmoid_before_bce_with_logits", "between 0.5 and 0.731", "F.binary_cross_entropy"),
    ],
)
def test_figures_and_fix_fit_the_loop(name: str, evidence: str, fix: str) -> None:
    found = first(name)
    assert evidence in found.evidence
    assert fix in found.fix


def test_fix_of_the_detached_fake_runs_and_heals(tmp_path: Path) -> None:
    text = (PATIENTS / "gan_with_one_detached_fake.py").read_text(encoding="utf-8")
    mended = text.replace("8)).detach()", "8))").replace("D(fake), zero", "D(fake.detach()), zero")
    path = tmp_path / "gan.py"
    path.write_text(mended, encoding="utf-8")
    visit = examine(path, seconds=None)
    assert (visit.findings, visit.trouble) == ([], "")


def test_two_cuts_that_cannot_be_told_apart_are_both_named(tmp_path: Path) -> None:
    text = (PATIENTS / "detour_beside_a_rightful_detach.py").read_text(encoding="utf-8")
    hidden = "        hidden = hidden.detach()\n"
    path = tmp_path / "rnn.py"
    path.write_text(text.replace(hidden, f"{hidden[:-1]}; self.norm = out.norm().item()\n"), encoding="utf-8")
    found = examine(path, seconds=None).findings[0]
    assert "rnn.py:18" in found.where
    assert "rnn.py:19" in found.where
    assert " or in " in found.evidence


def test_broadcast_explains_a_loss_that_does_not_fall() -> None:
    x = torch.linspace(-1, 1, 16)[:, None]
    torch.manual_seed(0)
    with contextlib.redirect_stdout(None), pytest.warns(UserWarning, match="target size"):
        _, exam = patient_f(x, 2 * x[:, 0], 16)
    assert [f.code for f in exam.findings] == ["broadcast-loss"]
    assert "F.mse_loss(prediction.squeeze(1), target)" in exam.findings[0].fix


def test_norm_that_does_not_grow_is_left_out() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.randn(32, 3)
    with clinic.watch(model, optimizer, quiet=True) as exam:
        for _ in range(16):
            (F.mse_loss(model(x), x.sum(1, keepdim=True)) * 100).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    found = exam.findings[0]
    assert found.code == "no-zero-grad"
    assert "times" not in found.evidence


def test_what_looks_meant_is_not_to_be_undone() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)
    x = torch.randn(32, 3)
    with clinic.watch(model, optimizer, quiet=True) as exam:
        for _ in range(10):
            optimizer.zero_grad()
            F.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
            optimizer.step()
    (found,) = exam.findings
    assert (found.code, found.severity) == ("frozen", "note")
    assert found.fix.startswith("nothing, if it is meant")


def test_optimizers_made_in_a_watched_loop_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    x = torch.randn(32, 3)
    with clinic.watch(model, torch.optim.Adam(model.parameters(), lr=1e-2)) as exam:
        for _ in range(20):
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
            optimizer.zero_grad()
            F.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
            optimizer.step()
    assert [f.code for f in exam.findings] == ["optimizer-in-loop"]
    assert "in 20 steps of Adam" in capsys.readouterr().out


def test_two_optimizers_that_step_in_turn_are_two() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    both = [torch.optim.Adam(model.parameters(), lr=1e-2) for _ in range(2)]
    x = torch.randn(32, 3)
    with clinic.watch(model, both, quiet=True) as exam:
        for step in range(20):
            both[step % 2].zero_grad()
            F.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
            both[step % 2].step()
    codes = [f.code for f in exam.findings]
    assert codes[0] == "tied-twice"
    assert "optimizer-in-loop" not in codes
    assert len(exam.facts.optimizers) == 2
