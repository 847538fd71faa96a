"""Healthy loops as practitioners have them: precision, gradients put in by hand, losses of every kind."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

from tests.clinic.healthy import Watch, digits, everything, healthy


def task(classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(256, 10)
    return x, (x @ torch.randn(10, classes)).argmax(1)


def mlp(outputs: int = 4) -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, outputs))


@healthy
def master_weights_by_hand(watch: Watch) -> list[torch.Tensor]:
    x, y = task()
    model = mlp().to(torch.bfloat16)
    master = [nn.Parameter(p.detach().float()) for p in model.parameters()]
    optimizer = torch.optim.AdamW(master, lr=3e-3)
    with watch(model, optimizer):
        for _ in range(60):
            model.zero_grad()
            F.cross_entropy(model(x.bfloat16()).float(), y).backward()
            for m, p in zip(master, model.parameters(), strict=True):
                m.grad = p.grad.float() if p.grad is not None else None
            optimizer.step()
            with torch.no_grad():
                for m, p in zip(master, model.parameters(), strict=True):
                    p.copy_(m)
    return everything(model, optimizer)


@healthy
def float64_adam_then_lbfgs(watch: Watch) -> list[torch.Tensor]:
    x = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None]
    y = torch.sin(3 * x)
    net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)).double()
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        lbfgs.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        return loss

    with watch(net, [adam, lbfgs]):
        for _ in range(40):
            adam.zero_grad()
            F.mse_loss(net(x), y).backward()
            adam.step()
        for _ in range(5):
            lbfgs.step(closure)
    return everything(net, adam, lbfgs)


@healthy
def clipped_gradients_of_each_example(watch: Watch) -> list[torch.Tensor]:
    x, y = task()
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)

    def loss_of(params: dict[str, torch.Tensor], one: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(model, params, one[None]), label[None])

    with watch(model, optimizer):
        for _ in range(30):
            params = {name: p.detach() for name, p in model.named_parameters()}
            each = vmap(grad(loss_of), (None, 0, 0))(params, x, y)
            length = torch.stack([g.flatten(1).norm(dim=1) for g in each.values()]).norm(dim=0)
            keep = (1 / length).clamp(max=1)
            for name, p in model.named_parameters():
                p.grad = torch.einsum("b,b...->...", keep, each[name]) / len(x)
            optimizer.step()
    return everything(model, optimizer)


@healthy
def row_of_predictions(watch: Watch) -> list[torch.Tensor]:
    x, _ = task()
    y = x.sum(1)
    model = nn.Linear(10, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer):
        for _ in range(30):
            loss = F.mse_loss(model(x).T, y)  # (1, n) against (n,): each meets its own
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return everything(model, optimizer)


@healthy
def sigmoid_with_the_loss_of_probabilities(watch: Watch) -> list[torch.Tensor]:
    x, y = task(2)
    model = nn.Sequential(mlp(1), nn.Sigmoid(), nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer):
        for _ in range(30):
            optimizer.zero_grad()
            F.binary_cross_entropy(model(x), y.float()).backward()
            optimizer.step()
    return everything(model, optimizer)


@healthy
def log_softmax_and_scores_in_the_unit_interval(watch: Watch) -> list[torch.Tensor]:
    """A cosine lies in [0, 1] here, and is a score all the same."""
    x, y = task()
    model = nn.Sequential(mlp(8), nn.ReLU())
    places = nn.Parameter(torch.rand(4, 8))
    head = nn.ParameterList([places])
    optimizer = torch.optim.Adam([*model.parameters(), places], lr=1e-2)
    with watch({"model": model, "head": head}, optimizer):
        for _ in range(40):
            cosine = F.normalize(model(x) + 0.1, dim=1) @ F.normalize(places.abs(), dim=1).T
            optimizer.zero_grad()
            loss = F.nll_loss((5 * cosine).log_softmax(1), y)
            loss = loss + F.binary_cross_entropy_with_logits(cosine, F.one_hot(y, 4).float())
            loss.backward()
            optimizer.step()
    return everything(model, optimizer)


@healthy
def two_fits_with_an_optimizer_each(watch: Watch) -> list[torch.Tensor]:
    x, y = task()
    model = mlp()

    def fit(optimizer: torch.optim.Optimizer) -> None:
        for _ in range(20):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()

    first = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with watch(model, first):
        fit(first)
        for rate in (0.05, 0.02, 0.01, 0.005):
            fit(torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9))
    return everything(model, first)


@healthy
def accumulation_over_uneven_parts(watch: Watch) -> list[torch.Tensor]:
    x, y = digits(256)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with watch(model, optimizer):
        for i in range(64):
            batch = slice(32 * (i % 8), 32 * (i % 8) + 32)
            (F.cross_entropy(model(x[batch]), y[batch]) / 2).backward()
            if i % 2:
                optimizer.step()
                optimizer.zero_grad()
    return everything(model, optimizer)


@healthy
def warmup_by_a_factor_as_small_as_the_rate(watch: Watch) -> list[torch.Tensor]:
    x, y = task()
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
    with watch(model, optimizer):
        for _ in range(40):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            warmup.step()
    return everything(model, optimizer)


@healthy
def start_at_the_solution(watch: Watch) -> list[torch.Tensor]:
    x, _ = task()
    model = nn.Linear(10, 1, bias=False)
    y = model(x).detach()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watch(model, optimizer):
        for _ in range(20):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
    return everything(model, optimizer)
