"""Lesson 02's ward as learners mend it: what is right passes however it is done, half a repair does not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from course import clinic
from course.exercises import ALL
from course.exercises.training_chart import Chart
from course.grading import judge

F = nn.functional


def mlp():
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))


def train(model, optimizer, x, y, steps, loss=F.cross_entropy):
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
    return model, exam


def a_clearing(when, late=False):
    """Return patient A, cleared before backward, or ``late`` after the step, where ``when(i)`` holds."""

    def answer(x, y, steps):
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        with clinic.watch(model, optimizer) as exam:
            for i in range(steps):
                if when(i) and not late:
                    optimizer.zero_grad()
                ((model(x) - y) ** 2).mean().backward()
                optimizer.step()
                if when(i) and late:
                    optimizer.zero_grad()
        return model, exam

    return answer


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("of", [2, 3])
@pytest.mark.parametrize("at", [0, 1])
def test_clearing_now_and_then_is_not_clearing(of, at, late):
    verdict = judge(ALL["patient_a"], a_clearing(lambda i: i % of == at, late))
    assert (verdict.status, verdict.score) == ("failed", 0)


def test_clearing_at_every_second_step_has_its_name():
    assert judge(ALL["patient_a"], a_clearing(lambda i: i % 2 == 0)).slip == "cleared at every second step"

    def patient_e(x, y, steps):
        model = mlp()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
        with clinic.watch(model, optimizer) as exam:
            for i in range(steps):
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
                if i % 2:
                    optimizer.zero_grad()
        return model, exam

    assert judge(ALL["patient_e"], patient_e).slip == "cleared at every second step"


def test_the_steps_that_got_another_gradient_are_known():
    with Chart() as chart:
        model, _ = a_clearing(lambda i: i % 2 == 1)(torch.eye(4)[:, :1], torch.ones(4, 1), 6)
    assert chart.odd(model) == {3: "old", 5: "old"}


def test_a_layer_that_learns_at_every_second_step_is_not_mended():
    def answer(x, y, steps):
        model = mlp()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        with clinic.watch(model, optimizer) as exam:
            for i in range(steps):
                optimizer.zero_grad()
                hidden = model[:2](x)
                F.cross_entropy(model[2](hidden.detach() if i % 2 else hidden), y).backward()
                optimizer.step()
        return model, exam

    assert "a parameter had none" in str(judge(ALL["patient_d"], answer))


def a_by_closure(x, y, steps):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)

    def closure():
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss

    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.step(closure)
    return model, exam


def a_by_autograd_grad(x, y, steps):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            gradients = torch.autograd.grad(F.mse_loss(model(x), y), list(model.parameters()))
            for p, g in zip(model.parameters(), gradients, strict=True):
                p.grad = g
            optimizer.step()
    return model, exam


def a_clipped_far_above(x, y, steps):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 100.0)
            optimizer.step()
    return model, exam


def c_with_two_optimizers(x, y, steps):
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))
    model[2] = nn.Linear(16, 10)
    body, head = (torch.optim.Adam(layer.parameters(), lr=0.05) for layer in (model[0], model[2]))
    with clinic.watch(model, [body, head]) as exam:
        for _ in range(steps):
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            body.step()
            head.step()
    return model, exam


def f_transposed(x, y, steps):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    return train(model, optimizer, x, y, steps, lambda scores, y: F.mse_loss(scores.T, y))


def g_wrapped_anew(x, y, steps):
    model = mlp()
    model.requires_grad_(False)
    model[2] = nn.Linear(16, 10)
    model[0].weight, model[0].bias = nn.Parameter(model[0].weight.data), nn.Parameter(model[0].bias.data)
    return train(model, torch.optim.Adam(model.parameters(), lr=0.05), x, y, steps)


def h_in_float64(x, y, steps):
    model = nn.Linear(64, 10, bias=False).to(torch.float64)
    nn.init.constant_(model.weight, 8.0)
    return train(model, torch.optim.Adam(model.parameters(), lr=0.01), x.double(), y, steps)


def h_with_master_weights(x, y, steps):
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    model = model.to(torch.bfloat16)
    master = nn.Parameter(model.weight.detach().float())
    optimizer = torch.optim.Adam([master], lr=0.01)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            model.zero_grad()
            F.cross_entropy(model(x.to(torch.bfloat16)).float(), y).backward()
            master.grad = model.weight.grad.float()
            optimizer.step()
            with torch.no_grad():
                model.weight.copy_(master)
    return model, exam


RIGHT = [
    a_by_closure, a_by_autograd_grad, a_clipped_far_above, c_with_two_optimizers, f_transposed,
    g_wrapped_anew, h_in_float64, h_with_master_weights,
]  # fmt: skip


@pytest.mark.parametrize("answer", RIGHT, ids=lambda f: f.__name__)
def test_these_repairs_are_right_too(answer):
    verdict = judge(ALL[f"patient_{answer.__name__[0]}"], answer)
    assert verdict.passed, str(verdict)


def test_master_weights_with_old_gradients_are_not_right():
    def answer(x, y, steps):
        model = nn.Linear(64, 10, bias=False)
        nn.init.constant_(model.weight, 8.0)
        model = model.to(torch.bfloat16)
        master = nn.Parameter(model.weight.detach().float())
        optimizer = torch.optim.Adam([master], lr=0.01)
        with clinic.watch(model, optimizer) as exam:
            for _ in range(steps):
                F.cross_entropy(model(x.to(torch.bfloat16)).float(), y).backward()
                master.grad = model.weight.grad.float()
                optimizer.step()
                with torch.no_grad():
                    model.weight.copy_(master)
        return model, exam

    assert judge(ALL["patient_h"], answer).status == "failed"


def a_named_only(x, y, steps):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad  # noqa: B018
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam


def a_once(x, y, steps):
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    model.zero_grad()
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            F.mse_loss(model(x), y).backward()
            optimizer.step()
    return model, exam


def g_with(thaw):
    def answer(x, y, steps):
        model = mlp()
        model.requires_grad_(False)
        model[2] = nn.Linear(16, 10)
        thaw(model)
        return train(model, torch.optim.Adam(model.parameters(), lr=0.05), x, y, steps)

    return answer


def g_named_inside(x, y, steps):
    model = mlp()
    model.requires_grad_(False)
    model[2] = nn.Linear(16, 10)
    model[0].requires_grad_  # noqa: B018
    return train(model, torch.optim.Adam(model.parameters(), lr=0.05), x, y, steps)


def g_replaced(model):
    model[0] = nn.Linear(64, 16)


def h_scaled(x, y, steps):
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    model = model.to(torch.bfloat16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = x.to(torch.bfloat16)
    return train(model, optimizer, x, y, steps, lambda s, y: 1000 * F.cross_entropy(s.float(), y))


SAME = "it behaves as it did before"


@pytest.mark.parametrize(
    ("name", "answer", "slip"),
    [
        ("patient_a", a_named_only, "zero_grad without parentheses"),
        ("patient_a", a_once, "cleared once, before the loop"),
        ("patient_g", g_named_inside, "requires_grad_ without parentheses"),
        ("patient_g", g_with(lambda model: model[0].train()), SAME),
        ("patient_g", g_with(g_replaced), "the first layer replaced"),
        ("patient_h", h_scaled, SAME),
    ],
)
def test_what_changes_nothing_is_named_as_what_it_is(name, answer, slip):
    verdict = judge(ALL[name], answer)
    assert verdict.slip == slip, str(verdict)
    assert "loop as it was" not in str(verdict)


def test_a_chart_leaves_torch_as_it_was():
    before = torch.optim.Optimizer.zero_grad, nn.Module.zero_grad
    model = nn.Linear(2, 1)
    with Chart() as chart:
        nn.Linear(2, 1).zero_grad()
        torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert (chart.clearings, chart.steps) == (1, 1)
    assert (torch.optim.Optimizer.zero_grad, nn.Module.zero_grad) == before
    assert not nn.modules.module._global_parameter_registration_hooks
    assert not nn.modules.module._global_forward_pre_hooks
