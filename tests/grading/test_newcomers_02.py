"""Lesson 02 as newcomers write it: other ways to mend a loop pass, and what is not mended is told by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from course import clinic
from course.authoring.proof import function_from, solution_source
from course.authoring.stub import Stub
from course.exercises import ALL
from course.grading import judge

F = nn.functional
PATIENTS = [name for name in ALL if name.startswith("patient_")]


def train(model, optimizer, x, y, steps, loss=F.cross_entropy, **watch):
    with clinic.watch(model, optimizer, **watch) as exam:
        for _ in range(steps):
            for p in model.parameters():
                p.grad = None
            loss(model(x), y).backward()
            optimizer.step()
    return model, exam


def mlp():
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def a_cleared_by_hand(x, y, steps):
    model = nn.Linear(1, 1)
    return train(model, torch.optim.SGD(model.parameters(), lr=0.2), x, y, steps, F.mse_loss)


def b_without_a_container(x, y, steps):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.output = nn.Linear(64, 24), nn.Linear(24, 16), nn.Linear(16, 10)

        def forward(self, x):
            return self.output(torch.tanh(self.two(torch.tanh(self.one(x)))))

    model = Network()
    return train(model, torch.optim.Adam(model.parameters(), lr=0.05), x, y, steps)


def c_with_another_group(x, y, steps):
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    model[2] = nn.Linear(16, 10)
    optimizer.add_param_group({"params": model[2].parameters()})
    return train(model, optimizer, x, y, steps)


def e_cleared_first(x, y, steps):
    model = mlp()
    return train(model, torch.optim.AdamW(model.parameters(), lr=0.05), x, y, steps)


def f_with_a_target_column(x, y, steps):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    return train(model, optimizer, x, y.unsqueeze(1), steps, F.mse_loss)


def g_thawed_one_by_one(x, y, steps):
    model = mlp()
    model.requires_grad_(False)
    model[2] = nn.Linear(16, 10)
    for p in model[0].parameters():
        p.requires_grad = True
    return train(model, torch.optim.Adam(model.parameters(), lr=0.05), x, y, steps)


def h_by_autocast(x, y, steps):
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def loss(scores, y):
        return F.cross_entropy(scores.float(), y)

    with torch.autocast("cpu", torch.bfloat16):
        return train(model, optimizer, x, y, steps, loss)


RIGHT = [
    a_cleared_by_hand, b_without_a_container, c_with_another_group, e_cleared_first, f_with_a_target_column,
    g_thawed_one_by_one, h_by_autocast,
]  # fmt: skip


@pytest.mark.parametrize("answer", RIGHT, ids=lambda f: f.__name__)
def test_other_repairs_are_right(answer):
    verdict = judge(ALL[f"patient_{answer.__name__[0]}"], answer)
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize("name", PATIENTS)
def test_the_stub_shows_the_broken_loop_and_counts_as_untouched(name):
    source = Stub.of(solution_source(name), name, ALL[name].broken).source
    assert f'raise NotImplementedError("mend {name}")' in source
    assert "clinic.watch" in source
    assert judge(ALL[name], function_from(source, name)).status == "not attempted"
    untouched = "\n".join(line for line in source.splitlines() if "raise NotImpl" not in line)
    verdict = judge(ALL[name], function_from(untouched, name))
    assert verdict.slip == "it behaves as it did before"


def test_what_the_clinic_finds_is_told_where_no_slip_fits():
    def answer(x, y, steps):
        model = nn.Linear(1, 1)
        with torch.no_grad():
            model.weight.fill_(0.3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        with clinic.watch(model, optimizer) as exam:
            for step in range(steps):
                if step % 4 == 0:
                    optimizer.zero_grad()
                F.mse_loss(model(x), y).backward()
                optimizer.step()
        return model, exam

    verdict = judge(ALL["patient_a"], answer)
    assert verdict.status == "failed"
    assert "clinic still finds" in str(verdict)


def test_the_clinic_cannot_be_told_to_look_away():
    def answer(x, y, steps):
        model = mlp()
        model[0].requires_grad_(False)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        return train(model, optimizer, x, y, steps, ignore=["frozen"], quiet=True)

    verdict = judge(ALL["patient_g"], answer)
    assert verdict.status == "failed"
    assert "frozen" in str(verdict)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: torch.optim.Adam(m.parameters(), lr=0.05), "the optimizer is SGD"),
        (lambda m: torch.optim.SGD(m.parameters(), lr=0.3), "lr"),
        (lambda m: torch.optim.SGD(m.parameters(), lr=0.2, momentum=0.5), "momentum"),
    ],
    ids=["another optimizer", "another rate", "momentum"],
)
def test_a_repair_leaves_what_was_asked(change, says):
    def answer(x, y, steps):
        model = nn.Linear(1, 1)
        return train(model, change(model), x, y, steps, F.mse_loss)

    verdict = judge(ALL["patient_a"], answer)
    assert verdict.status == "failed"
    assert says in str(verdict)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (lambda model, exam: None, "return model, exam"),
        (lambda model, exam: model, "return model, exam"),
        (lambda model, exam: (model, None), "clinic.watch"),
    ],
)
def test_what_is_returned_is_told(result, says):
    def answer(x, y, steps):
        return result(*a_cleared_by_hand(x, y, steps))

    verdict = judge(ALL["patient_a"], answer)
    assert verdict.status == "failed"
    assert says in str(verdict)


def test_a_check_leaves_threads_gradients_and_dice_alone():
    torch.manual_seed(3)
    threads, dice = torch.get_num_threads(), torch.random.get_rng_state()

    def answer(x, y, steps):
        torch.set_grad_enabled(False)
        return a_cleared_by_hand(x, y, steps)

    judge(ALL["patient_a"], answer)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), dice)


def ratio_by_sums(before, after):
    def length(a):
        return np.sqrt(np.sum(np.square(a)))

    ratios = {}
    for name, w in before.items():
        moved, size = length(after[name] - w), length(w)
        ratios[name] = 0.0 if moved == 0 else np.inf if size == 0 else moved / size
    return ratios


def missing_by_identity(model, optimizer):
    held = [p for group in optimizer.param_groups for p in group["params"]]
    return [n for n, p in model.named_parameters() if p.requires_grad and not any(p is q for q in held)]


def missing_by_hash(model, optimizer):
    held = {p for group in optimizer.param_groups for p in group["params"]}  # tensors hash by identity
    return {n for n, p in model.named_parameters() if p.requires_grad and p not in held}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("update_to_weight_ratio", ratio_by_sums),
        ("find_missing_parameters", missing_by_identity),
        ("find_missing_parameters", missing_by_hash),
    ],
)
def test_instruments_written_otherwise_are_right(name, answer):
    verdict = judge(ALL[name], answer)
    assert verdict.passed, str(verdict)
