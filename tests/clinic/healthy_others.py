"""More healthy training loops: precision, closures, averages, sparse gradients, policies, physics."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.clinic.healthy import Watch, digits, everything, healthy


@healthy
def bfloat16_autocast(watch: Watch) -> list[torch.Tensor]:
    x, y = digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.LayerNorm(64), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    with watch(model, optimizer):
        for i in range(24):
            batch = slice(64 * (i % 8), 64 * (i % 8) + 64)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return everything(model, optimizer)


@healthy
def gradient_scaler(watch: Watch) -> list[torch.Tensor]:
    x, y = digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # a few steps are skipped at first
    with watch(model, optimizer):
        for i in range(40):
            batch = slice(64 * (i % 8), 64 * (i % 8) + 64)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[batch]), y[batch])
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            scaler.step(optimizer)
            scaler.update()
    return everything(model, optimizer)


@healthy
def lbfgs(watch: Watch) -> list[torch.Tensor]:
    x = torch.linspace(-2, 2, 60)[:, None]
    y = torch.sin(2 * x)
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=8, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss

    with watch(model, optimizer):
        for _ in range(8):
            optimizer.step(closure)
    return everything(model, optimizer)


@healthy
def frozen_backbone(watch: Watch) -> list[torch.Tensor]:
    x, y = digits(flat=False)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Flatten())
            self.head = nn.Linear(16 * 36, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.backbone(x))

    model = Net()
    model.backbone.requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with watch(model, optimizer, ignore=["backbone"]):
        for _ in range(15):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return everything(model, optimizer)


@healthy
def exponential_moving_average(watch: Watch) -> list[torch.Tensor]:
    x, y = digits()
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    shadow = copy.deepcopy(model).requires_grad_(False)
    with watch(model, optimizer):
        for step in range(30):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for s, p in zip(shadow.parameters(), model.parameters(), strict=True):
                    s.mul_(0.9).add_(p, alpha=0.1)
            if step % 10 == 9:  # evaluate with the averaged weights, then put the trained ones back
                trained = copy.deepcopy(model.state_dict())
                model.load_state_dict(shadow.state_dict())
                with torch.no_grad():
                    F.cross_entropy(model(x), y)
                model.load_state_dict(trained)
    return everything(model, shadow, optimizer)


@healthy
def sparse_embeddings(watch: Watch) -> list[torch.Tensor]:
    class Factors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.user = nn.Embedding(40, 4, sparse=True)
            self.item = nn.Embedding(60, 4, sparse=True)
            for table in (self.user, self.item):
                nn.init.normal_(table.weight, std=0.5)

        def forward(self, u: torch.Tensor, i: torch.Tensor) -> torch.Tensor:
            return (self.user(u) * self.item(i)).sum(-1)

    truth = torch.randn(40, 2) @ torch.randn(2, 60)
    model = Factors()
    optimizer = torch.optim.SparseAdam(model.parameters(), lr=0.02)
    with watch(model, optimizer):
        for _ in range(60):
            u, i = torch.randint(40, (256,)), torch.randint(60, (256,))
            loss = F.mse_loss(model(u, i), truth[u, i])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return everything(model, optimizer)


@healthy
def actor_critic(watch: Watch) -> list[torch.Tensor]:
    class Policy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 32), nn.Tanh())
            self.action, self.value = nn.Linear(32, 2), nn.Linear(32, 1)

        def forward(self, s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            h = self.body(s)
            return self.action(h), self.value(h)

    policy = Policy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    with watch(policy, optimizer):
        for _ in range(25):
            states = torch.randn(32, 3)
            logits, values = policy(states)
            dist = torch.distributions.Categorical(logits=logits)
            actions = dist.sample()
            rewards = (actions == (states[:, 0] > 0)).float()
            advantage = rewards - values.squeeze(1).detach()
            loss = -(dist.log_prob(actions) * advantage).mean()
            loss = loss + 0.5 * F.mse_loss(values.squeeze(1), rewards) - 0.01 * dist.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return everything(policy, optimizer)


@healthy
def target_network(watch: Watch) -> list[torch.Tensor]:
    q = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
    target = copy.deepcopy(q)
    optimizer = torch.optim.AdamW(q.parameters(), lr=1e-3, amsgrad=True)
    with watch(q, optimizer):
        for step in range(30):
            s, n = torch.randn(64, 4), torch.randn(64, 4)
            a, r = torch.randint(0, 2, (64, 1)), torch.randn(64)
            with torch.no_grad():
                goal = r + 0.9 * target(n).max(1).values
            loss = F.smooth_l1_loss(q(s).gather(1, a).squeeze(1), goal)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_value_(q.parameters(), 100)
            optimizer.step()
            if step % 10 == 0:
                target.load_state_dict(q.state_dict())
    return everything(q, target, optimizer)


@healthy
def autoencoder_with_parametrized_weights(watch: Watch) -> list[torch.Tensor]:
    x, _ = digits()
    model = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(64, 32)),
        nn.ELU(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(32, 64)),
        nn.Sigmoid(),
    )
    optimizer = torch.optim.NAdam(model.parameters(), lr=2e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    with watch(model, optimizer):
        for _ in range(30):
            noisy = x + 0.1 * torch.randn_like(x)
            loss = F.mse_loss(model(noisy), x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            plateau.step(loss.detach())
    return everything(model, optimizer)


@healthy
def physics_informed(watch: Watch) -> list[torch.Tensor]:
    model = nn.Sequential(nn.Linear(1, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    t = torch.linspace(0, 2, 40)[:, None].requires_grad_(True)
    with watch(model, optimizer):
        for _ in range(40):
            u = model(t)
            (du,) = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)
            loss = ((du + u) ** 2).mean() + (model(torch.zeros(1, 1)) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return everything(model, optimizer)


@healthy
def gradients_by_hand(watch: Watch) -> list[torch.Tensor]:
    x, y = digits(256)
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with watch(model, optimizer):
        for _ in range(15):
            loss = F.cross_entropy(model(x), y)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            for p, g in zip(model.parameters(), gradients, strict=True):
                p.grad = g
            optimizer.step()
    return everything(model, optimizer)


@healthy
def distillation(watch: Watch) -> list[torch.Tensor]:
    x, y = digits()
    teacher = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).eval()
    student = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.RAdam(student.parameters(), lr=5e-3)
    with watch(student, optimizer):
        for _ in range(30):
            with torch.inference_mode():
                soft = teacher(x).softmax(1)
            log = student(x).log_softmax(1)
            loss = F.kl_div(log, soft.clone(), reduction="batchmean") + F.nll_loss(log, y)
            student.zero_grad()
            loss.backward()
            optimizer.step()
    return everything(student, optimizer)
