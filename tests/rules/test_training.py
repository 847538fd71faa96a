"""Through ``RuleOptimizer``, every rule trains a network on the real digits; torch's rules as torch does."""

from __future__ import annotations

import pytest
import torch

from course import oracle
from course.data import load_digits
from course.rules import ALL, Adam, Rule, Sophia, gauss_newton_bartlett
from course.torch_bridge import RuleOptimizer

# Found once, on a grid: each rule's own pace.
LR = {
    "SGD": 0.3, "HeavyBall": 0.1, "Nesterov": 0.1, "AdaGrad": 0.1, "Adadelta": 3.0, "RMSProp": 3e-3,
    "Adam": 1e-2, "AdamW": 1e-2, "AMSGrad": 1e-2, "Adamax": 3e-2, "NAdam": 1e-2, "RAdam": 3e-2,
    "Adafactor": 0.1, "LARS": 3.0, "LAMB": 0.01, "Lion": 3e-3, "Sophia": 3e-3, "Muon": 0.02,
}  # fmt: skip
STEPS, BATCH = 200, 64


@pytest.fixture(autouse=True)
def one_thread():
    """A network this small is slower on two threads, and far slower where tests run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits()
    return torch.tensor(images).double().reshape(len(images), -1), torch.tensor(labels)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10)
    return torch.nn.Sequential(*layers).double()


def matrices(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.ndim == 2]


def others(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.ndim != 2]


def curve(model: torch.nn.Module, optimizers, before_step=None) -> list[float]:
    """Train for 200 steps; return the loss of each step."""
    x, y = digits()
    losses = []
    for i in range(STEPS):
        rows = torch.arange(i * BATCH, (i + 1) * BATCH) % len(x)
        if before_step is not None:
            before_step(i, x[rows])
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return losses


def optimizers_for(rule: Rule, model: torch.nn.Module, kind=RuleOptimizer):
    """Give the rule all parameters, or the matrices alone and Adam the biases where it is for matrices."""
    if not rule.only_matrices:
        return [kind(list(model.parameters()), rule)]
    return [kind(matrices(model), rule), RuleOptimizer(others(model), Adam(3e-3))]


def torchs(params, rule: Rule) -> torch.optim.Optimizer:
    return oracle.torch_reference(rule)(params)


def rule_named(name: str) -> Rule:
    return ALL[name](lr=LR.get(name, 1e-2))


def end_of(losses: list[float]) -> float:
    return sum(losses[-10:]) / 10


@pytest.mark.parametrize("name", ALL)
def test_it_trains_on_the_digits(name):
    model = network()
    losses = curve(model, optimizers_for(rule_named(name), model))
    assert losses[0] > 2.2  # ln 10 = 2.30: it knows nothing
    assert end_of(losses) < 0.5


@pytest.mark.parametrize("name", [name for name, rule in ALL.items() if rule in oracle.IN_TORCH])
def test_its_loss_curve_is_torchs(name, monkeypatch):
    monkeypatch.setattr(
        torch.Tensor, "bfloat16", torch.Tensor.clone
    )  # Muon's: see test_every_rule_against_torch
    mine, theirs = network(), network()
    curve_of_rule = curve(mine, optimizers_for(rule_named(name), mine))
    with oracle.scalars_as_exact_as(next(theirs.parameters())):
        reference = curve(theirs, optimizers_for(rule_named(name), theirs, torchs))
    assert max(abs(a - b) for a, b in zip(curve_of_rule, reference, strict=True)) <= 1e-9


@pytest.mark.parametrize("name", ALL)
def test_it_resumes_from_its_state_dict(name, tmp_path):
    """Saved, loaded with torch's safe loader and continued, it ends where it would have ended."""
    unbroken, broken = network(), network()
    x, y = digits()

    def go(model, optimizers, steps: int) -> None:
        for _ in range(steps):
            model.zero_grad()
            torch.nn.functional.cross_entropy(model(x[:64]), y[:64]).backward()
            for optimizer in optimizers:
                optimizer.step()

    go(unbroken, optimizers_for(rule_named(name), unbroken), 6)
    first = optimizers_for(rule_named(name), broken)
    go(broken, first, 3)
    torch.save([optimizer.state_dict() for optimizer in first], tmp_path / "saved.pt")
    second = optimizers_for(rule_named(name), broken)
    for optimizer, saved in zip(second, torch.load(tmp_path / "saved.pt"), strict=True):
        optimizer.load_state_dict(saved)
    go(broken, second, 3)
    for a, b in zip(unbroken.parameters(), broken.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSProp", "NAdam"])
def test_one_cycle_drives_it_as_it_drives_torch(name):
    """The schedule changes lr and the momentum, which is the first of two betas for Adam's family."""
    mine, theirs, rule = network(), network(), rule_named(name)
    rule = rule.with_hyperparameters(**({"momentum": 0.5} if name == "RMSProp" else {}))
    ends = []
    for model, kind in ((mine, RuleOptimizer), (theirs, torchs)):
        optimizer = kind(list(model.parameters()), rule)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=STEPS + 1)
        optimizer.register_step_post_hook(lambda *_, s=schedule: s.step())
        with oracle.scalars_as_exact_as(next(model.parameters())):
            ends.append(curve(model, [optimizer])[-1])
    assert abs(ends[0] - ends[1]) <= 1e-9


def test_sophia_trains_with_gauss_newton_bartlett_estimates():
    """As in the paper: every ten steps an estimate, from labels that the model itself draws."""
    model, rule = network(), Sophia(lr=1e-2, rho=0.04)
    optimizer = RuleOptimizer(model.parameters(), rule)
    generator = torch.Generator().manual_seed(1)

    def estimate(i: int, x: torch.Tensor) -> None:
        if i % 10 != 0:
            return
        optimizer.zero_grad()
        logits = model(x)
        drawn = torch.multinomial(logits.detach().softmax(1), 1, generator=generator)[:, 0]
        torch.nn.functional.cross_entropy(logits, drawn).backward()
        for p in model.parameters():
            state = optimizer.state[p] if p in optimizer.state else rule.init(p.detach())
            optimizer.state[p] = rule.with_hessian(state, gauss_newton_bartlett(p.grad, len(x)))

    losses = curve(model, [optimizer], estimate)
    assert end_of(losses) < 0.5
    assert all(optimizer.state[p]["h"].any() for p in model.parameters())
