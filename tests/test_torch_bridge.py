"""``RuleOptimizer`` in real PyTorch loops: a torch optimizer in every way that a loop relies on."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch.optim import lr_scheduler

from course.rules import SGD, AddDecay, HeavyBall, Nesterov, chain
from course.torch_bridge import RuleOptimizer

PAIRS = {
    "SGD": (SGD(0.05, 0.01), {"weight_decay": 0.01}),
    "HeavyBall": (HeavyBall(0.05, 0.9, 0.1), {"momentum": 0.9, "dampening": 0.1}),
    "Nesterov": (Nesterov(0.05, 0.9), {"momentum": 0.9, "nesterov": True}),
    "chain": (chain(AddDecay(0.01), HeavyBall(0.05)), {"momentum": 0.9, "weight_decay": 0.01}),
}
every = pytest.mark.parametrize(("rule", "options"), PAIRS.values(), ids=PAIRS)


def network(dtype=torch.float64) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).to(dtype)


def data(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(32, 3, generator=generator, dtype=dtype)
    return x, torch.sin(x.sum(1, keepdim=True))


def train(model, optimizer, steps: int, scheduler=None) -> list[float]:
    x, y = data(next(model.parameters()).dtype)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
            scheduler.step(loss.item())
        elif scheduler is not None:
            scheduler.step()
    return losses


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.thorough
@every
@pytest.mark.parametrize(("dtype", "gate"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_the_loss_curve_is_torchs(rule, options, dtype, gate):
    mine, theirs = network(dtype), network(dtype)
    curve = train(mine, RuleOptimizer(mine.parameters(), rule), 200)
    reference = train(theirs, torch.optim.SGD(theirs.parameters(), lr=0.05, **options), 200)
    torch.testing.assert_close(torch.tensor(curve), torch.tensor(reference), rtol=gate, atol=gate / 100)
    assert curve[-1] < 0.5 * curve[0]
    assert weights(mine).dtype == dtype


SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 5, 0.5),
    "Cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 30),
    "OneCycle": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=40),
    "Plateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.2),
    "Warm-up": lambda o: lr_scheduler.LinearLR(o, 0.1, total_iters=10),
}


@pytest.mark.parametrize("make", SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize("kind", ["HeavyBall", "Nesterov", "chain"])
def test_schedulers_drive_it_as_they_drive_torch(make, kind):
    rule, options = PAIRS[kind]
    mine, theirs = network(), network()
    ours = RuleOptimizer(mine.parameters(), rule)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.05, **options)
    seen = []
    ours.register_step_post_hook(
        lambda o, *_: seen.append((o.param_groups[0]["lr"], o.param_groups[0]["momentum"]))
    )
    train(mine, ours, 40, make(ours))
    train(theirs, reference, 40, make(reference))
    torch.testing.assert_close(weights(mine), weights(theirs), rtol=1e-11, atol=1e-12)
    assert len({lr for lr, _ in seen}) > 2
    assert (len({m for _, m in seen}) > 2) == (make is SCHEDULERS["OneCycle"])


def test_groups_have_their_own_hyperparameters():
    mine, theirs = network(), network()

    def groups(model):
        return [
            {"params": model[0].parameters(), "lr": 0.2},
            {"params": model[2].parameters(), "momentum": 0.5, "weight_decay": 0.1},
        ]

    train(mine, RuleOptimizer(groups(mine), HeavyBall(0.05)), 20)
    train(theirs, torch.optim.SGD(groups(theirs), lr=0.05, momentum=0.9), 20)
    torch.testing.assert_close(weights(mine), weights(theirs), rtol=1e-12, atol=1e-13)


def test_a_group_may_come_later():
    model = network()
    optimizer = RuleOptimizer(model[0].parameters(), SGD(0.1))
    before = model[2].weight.detach().clone()
    train(model, optimizer, 1)
    assert torch.equal(model[2].weight, before)
    optimizer.add_param_group({"params": model[2].parameters(), "lr": 0.01})
    train(model, optimizer, 1)
    assert not torch.equal(model[2].weight, before)


def test_a_resumed_schedule_may_bring_its_initial_lr():
    model = network()
    optimizer = RuleOptimizer([{"params": model.parameters(), "initial_lr": 0.05}], SGD(0.05))
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5, last_epoch=3)
    assert scheduler.base_lrs == [0.05]
    assert scheduler.get_last_lr() == [0.025]


@every
def test_a_stored_state_goes_on_to_the_last_bit(rule, options):
    model = network()
    optimizer = RuleOptimizer(model.parameters(), rule)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 30)
    train(model, optimizer, 10, scheduler)
    buffer = io.BytesIO()
    stored = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "lr": scheduler.state_dict()}
    torch.save(stored, buffer)
    buffer.seek(0)
    again = torch.load(buffer, weights_only=True)

    twin = network()
    twin.load_state_dict(again["model"])
    other = RuleOptimizer(twin.parameters(), rule.with_hyperparameters(lr=9.0))
    timer = lr_scheduler.CosineAnnealingLR(other, 30)
    other.load_state_dict(again["optimizer"])
    timer.load_state_dict(again["lr"])
    assert train(twin, other, 10, timer) == train(model, optimizer, 10, scheduler)
    assert torch.equal(weights(twin), weights(model))


def test_a_stateless_rule_stores_no_state():
    model = network()
    optimizer = RuleOptimizer(model.parameters(), SGD(0.1))
    train(model, optimizer, 2)
    assert optimizer.state_dict()["state"] == {}


@every
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copied_optimizer_goes_on_with_its_copied_model(rule, options, clone):
    model = network()
    optimizer = RuleOptimizer(model.parameters(), rule)
    train(model, optimizer, 5)
    twin, other = clone((model, optimizer))
    assert other.rule == rule
    train(model, optimizer, 5)
    train(twin, other, 5)
    assert torch.equal(weights(twin), weights(model))
    assert all(a is b for a, b in zip(other.param_groups[0]["params"], twin.parameters(), strict=True))


def test_a_closure_gives_the_loss_and_may_call_backward():
    w = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = RuleOptimizer([w], SGD(0.25))

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert w.item() == 0.5
    assert w.requires_grad
    assert w.grad_fn is None
    assert optimizer.step() is None


def test_grad_scaler_skips_the_step_on_infinite_gradients():
    model = network(torch.float32)
    optimizer = RuleOptimizer(model.parameters(), HeavyBall(0.01))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=1)
    x, y = data(torch.float32)

    def step(spoil: bool) -> None:
        optimizer.zero_grad()
        scaler.scale(torch.nn.functional.mse_loss(model(x), y)).backward()
        if spoil:
            model[0].weight.grad[0, 0] = float("inf")
        scaler.step(optimizer)
        scaler.update()

    before = weights(model).clone()
    step(spoil=True)
    assert torch.equal(weights(model), before)
    assert not optimizer.state
    assert scaler.get_scale() == 512.0
    step(spoil=False)
    assert not torch.equal(weights(model), before)
    assert scaler.get_scale() == 1024.0
    twin = network(torch.float32)
    train(twin, RuleOptimizer(twin.parameters(), HeavyBall(0.01)), 1)
    torch.testing.assert_close(weights(model), weights(twin))


def test_sparse_gradients_are_refused():
    table = torch.nn.Embedding(4, 2, sparse=True)
    optimizer = RuleOptimizer(table.parameters(), SGD(0.1))
    table(torch.tensor([1])).sum().backward()
    before = table.weight.detach().clone()
    with pytest.raises(RuntimeError, match="sparse gradients are not supported"):
        optimizer.step()
    assert torch.equal(table.weight, before)


@every
def test_parameters_without_a_gradient_stay(rule, options):
    model = network()
    model[0].weight.requires_grad_(False)
    optimizer = RuleOptimizer(model.parameters(), rule)
    before = model[0].weight.clone()
    train(model, optimizer, 3)
    assert torch.equal(model[0].weight, before)
    assert model[0].weight not in optimizer.state


def test_a_zero_gradient_still_decays_and_coasts():
    w = torch.nn.Parameter(torch.ones(2))
    optimizer = RuleOptimizer([w], HeavyBall(0.1, weight_decay=0.5))
    w.grad = torch.zeros(2)
    optimizer.step()
    assert (w < 1).all()


def test_step_hooks_run():
    w = torch.nn.Parameter(torch.ones(1))
    optimizer, order = RuleOptimizer([w], SGD(0.5)), []
    optimizer.register_step_pre_hook(lambda *_: order.append(w.item()))
    optimizer.register_step_post_hook(lambda *_: order.append(w.item()))
    w.grad = torch.ones(1)
    optimizer.step()
    assert order == [1.0, 0.5]


def test_scalar_and_empty_parameters():
    scalar, empty = torch.nn.Parameter(torch.tensor(1.0)), torch.nn.Parameter(torch.zeros(0))
    scalar.grad, empty.grad = torch.tensor(1.0), torch.zeros(0)
    RuleOptimizer([scalar, empty], Nesterov(0.5)).step()
    assert scalar.item() == pytest.approx(1 - 0.5 * 1.9)


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"learning_rate": 1}, "no hyperparameter 'learning_rate'"),
        ({"momentum": 0.5}, "no hyperparameter 'momentum'"),
        ({"lr": -1.0}, "lr must be a finite number"),
    ],
)
def test_a_wrong_group_is_refused_in_one_line(group, words):
    with pytest.raises(ValueError, match=words) as caught:
        RuleOptimizer([{"params": [torch.nn.Parameter(torch.ones(1))], **group}], SGD())
    assert "\n" not in str(caught.value)


def test_what_is_no_rule_is_refused():
    for wrong in (SGD, 0.1, "SGD"):
        with pytest.raises(TypeError, match="rule must be a course rule"):
            RuleOptimizer([torch.nn.Parameter(torch.ones(1))], wrong)
    with pytest.raises(ValueError, match="empty parameter list"):
        RuleOptimizer([], SGD())
