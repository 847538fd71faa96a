"""Lesson 02: the eight broken loops, as a learner finds them. Each is written as people write it.

Each builds a model and an optimizer, trains on ``x`` and ``y`` for ``steps`` steps under the eyes of the
clinic, and returns ``(model, exam)``. What is wrong is named where the slips are, not here.
"""

from __future__ import annotations

from course.exercises.late import F, clinic, nn, torch

__all__ = [
    "patient_a",
    "patient_b",
    "patient_c",
    "patient_d",
    "patient_e",
    "patient_f",
    "patient_g",
    "patient_h",
]


def patient_a(x, y, steps):
    """Fit a line."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam


def patient_b(x, y, steps):
    """Read digits with two hidden layers."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = [nn.Linear(64, 24), nn.Linear(24, 16)]
            self.output = nn.Linear(16, 10)

        def forward(self, x):
            for layer in self.hidden:
                x = torch.tanh(layer(x))
            return self.output(x)

    model = Network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam


def patient_c(x, y, steps):
    """Read digits with a network that could tell two classes apart, and gets a head for ten."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    model[2] = nn.Linear(16, 10)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam


def patient_d(x, y, steps):
    """Read digits."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss = torch.tensor(loss.item(), requires_grad=True)
            loss.backward()
            optimizer.step()
    return model, exam


def patient_e(x, y, steps):
    """Read digits, with weight decay."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
    return model, exam


def patient_f(x, y, steps):
    """Fit a line to targets of shape (n,)."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam


def patient_g(x, y, steps):
    """Read digits: everything was frozen; a new head has come, and the first layer shall learn again."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    for parameter in model.parameters():
        parameter.requires_grad = False
    model[2] = nn.Linear(16, 10)
    model[0].requires_grad = True
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam


def patient_h(x, y, steps):
    """Read digits with a linear model whose weights all start at 8."""
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    model = model.to(torch.bfloat16)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            scores = model(x.to(torch.bfloat16))
            F.cross_entropy(scores.float(), y).backward()
            optimizer.step()
    return model, exam
