"""Healthy training loops of many kinds, as people write them. Each takes the watch as an argument, and
returns every tensor that the training made: so that it can be run with and without being watched.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course.data import load_digits

Watch = Callable[..., AbstractContextManager[Any]]
LOOPS: dict[str, Callable[[Watch], list[torch.Tensor]]] = {}


def healthy(loop: Callable[[Watch], list[torch.Tensor]]) -> Callable[[Watch], list[torch.Tensor]]:
    LOOPS[loop.__name__] = loop
    return loop


def digits(n: int = 512, flat: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits()
    x = torch.tensor(images[:n])
    return (x.flatten(1) if flat else x[:, None]), torch.tensor(labels[:n])


def everything(*things: Any) -> list[torch.Tensor]:
    """Return all tensors in modules and optimizers, and random numbers: the generator must be in place."""
    found = [torch.rand(3)]
    for thing in things:
        if isinstance(thing, nn.Module):
            found += [t.detach() for t in thing.state_dict().values()]
            found += [p.grad for p in thing.parameters() if p.grad is not None]
        elif isinstance(thing, torch.optim.Optimizer):
            for state in thing.state.values():
                found += [v for v in state.values() if isinstance(v, torch.Tensor)]
    return found


@healthy
def mlp(watch: Watch) -> list[torch.Tensor]:
    x, y = digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True)
    with watch(model, optimizer):
        for _ in range(4):
            running = 0.0
            for xb, yb in loader:
                optimizer.zero_grad()
                out = model(xb)
                loss = F.cross_entropy(out, yb)
                loss.backward()
                optimizer.step()
                running += loss.item() * len(xb)
                (out.argmax(1) == yb).float().mean().item()
            model.eval()
            with torch.no_grad():
                F.cross_entropy(model(x), y).item()
            model.train()
    return everything(model, optimizer)


@healthy
def cnn_with_batch_norm(watch: Watch) -> list[torch.Tensor]:
    x, y = digits(flat=False)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=32)
    with watch(model, optimizer):
        for _ in range(4):
            for xb, yb in zip(x.split(64), y.split(64), strict=True):
                loss = F.cross_entropy(model(xb), yb, label_smoothing=0.1)
                optimizer.zero_grad(set_to_none=False)
                loss.backward()
                optimizer.step()
                schedule.step()
    return everything(model, optimizer)


@healthy
def lstm(watch: Watch) -> list[torch.Tensor]:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(8, 32, batch_first=True)
            self.out = nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.lstm(x)[0][:, -1])

    x, y = digits(flat=False)
    x = x.squeeze(1)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    with watch(model, optimizer):
        for i in range(24):
            batch = slice(64 * (i % 8), 64 * (i % 8) + 64)
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return everything(model, optimizer)


@healthy
def tiny_transformer(watch: Watch) -> list[torch.Tensor]:
    class Transformer(nn.Module):
        def __init__(self, vocabulary: int, width: int = 32) -> None:
            super().__init__()
            self.token = nn.Embedding(vocabulary, width)
            self.position = nn.Parameter(0.02 * torch.randn(16, width))
            layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
            self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary, bias=False)
            self.head.weight = self.token.weight

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
            h = self.blocks(self.token(tokens) + self.position, mask=mask, is_causal=True)
            return self.head(self.norm(h))

    text = "a tale told twice is a tale told well, and a tale told well is told again. " * 6
    letters = sorted(set(text))
    data = torch.tensor([letters.index(c) for c in text])
    model = Transformer(len(letters))
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, s / 5))
    with watch(model, optimizer):
        for step in range(24):
            start = torch.randint(0, len(data) - 17, (16,))
            batch = torch.stack([data[s : s + 17] for s in start])
            logits = model(batch[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if step % 10 == 9:
                model.eval()
                with torch.no_grad():
                    model(batch[:, :-1])
                model.train()
    return everything(model, optimizer)


@healthy
def gan(watch: Watch) -> list[torch.Tensor]:
    G = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    opt_g = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
    bce = nn.BCEWithLogitsLoss()
    with watch([G, D], [opt_g, opt_d]):
        for _ in range(40):
            real = torch.randn(64, 2) * 0.5 + 1
            opt_d.zero_grad()
            loss_real = bce(D(real), torch.ones(64, 1))
            loss_real.backward()
            fake = G(torch.randn(64, 8))
            loss_fake = bce(D(fake.detach()), torch.zeros(64, 1))
            loss_fake.backward()
            opt_d.step()
            opt_g.zero_grad()
            loss_g = bce(D(fake), torch.ones(64, 1))
            loss_g.backward()
            opt_g.step()
    return everything(G, D, opt_g, opt_d)


@healthy
def wgan_with_gradient_penalty(watch: Watch) -> list[torch.Tensor]:
    G = nn.Sequential(nn.Linear(4, 32), nn.SiLU(), nn.Linear(32, 2))
    D = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 1))
    opt_g = torch.optim.RMSprop(G.parameters(), lr=1e-3)
    opt_d = torch.optim.RMSprop(D.parameters(), lr=1e-3)
    with watch({"generator": G, "critic": D}, [opt_g, opt_d]):
        for step in range(30):
            real = torch.randn(64, 2) + torch.tensor([2.0, 0.0])
            with torch.no_grad():
                fake = G(torch.randn(64, 4))
            mix = torch.lerp(real, fake, torch.rand(64, 1)).requires_grad_(True)
            (slope,) = torch.autograd.grad(D(mix).sum(), mix, create_graph=True)
            penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
            loss = D(fake).mean() - D(real).mean() + 10 * penalty
            opt_d.zero_grad()
            loss.backward()
            opt_d.step()
            if step % 5 == 4:
                loss_g = -D(G(torch.randn(64, 4))).mean()
                opt_g.zero_grad()
                loss_g.backward()
                opt_g.step()
    return everything(G, D, opt_g, opt_d)


@healthy
def accumulation(watch: Watch) -> list[torch.Tensor]:
    x, y = digits()
    model = nn.Sequential(nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with watch(model, optimizer):
        for epoch in range(3):
            for i, (xb, yb) in enumerate(zip(x.split(16), y.split(16), strict=True), start=1):
                loss = F.cross_entropy(model(xb), yb)
                loss = loss / 4
                loss.backward()
                if i % 4 == 0:
                    optimizer.step()
                    optimizer.zero_grad()
            print(epoch, loss.item() * 4)
    return everything(model, optimizer)


@healthy
def accumulation_weighted_by_count(watch: Watch) -> list[torch.Tensor]:
    x, y = digits(320)
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with watch(model, optimizer):
        for _ in range(10):
            optimizer.zero_grad()
            for xb, yb in zip(x.split(150), y.split(150), strict=True):
                (F.cross_entropy(model(xb), yb, reduction="sum") / len(x)).backward()
            optimizer.step()
    return everything(model, optimizer)
