"""The slips of lesson 02, patient D: loops that behave as before, and repairs that go half the way."""

from __future__ import annotations

from typing import Any

from course.exercises import lesson_02_patients as patients
from course.exercises.base import Slips
from course.exercises.late import F, clinic, nn, torch

__all__ = ["d_slips"]

d_slips = Slips()


def _treat(x: Any, y: Any, steps: int, loss_of: Any) -> Any:
    """Run patient D's loop, with the loss as ``loss_of(model)`` has it."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(model).backward()
            optimizer.step()
    return model, exam


d_slips(
    "it behaves as it did before",
    "From the loss that backward() starts at there is still no way back to the model. A tensor made from "
    "the number that item() gives knows nothing of it, and requires_grad=True only silences the error.",
    "Call backward() on the loss itself. item() is for printing.",
)(patients.patient_d)


@d_slips(
    "detach moved to the loss",
    "The loss is now computed from the model's own scores, and then cut off itself. Wherever the cut is, "
    "nothing behind it gets a gradient.",
    "Leave the cut out instead of moving it.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _treat(x, y, steps, lambda model: F.cross_entropy(model(x), y).detach().requires_grad_())


@d_slips(
    ".data instead of detach",
    "`.data` is an older way to say detach: the numbers without the history.",
    "Use what the model returns as it is.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _treat(x, y, steps, lambda model: F.cross_entropy(model(x).data.requires_grad_(), y))


@d_slips(
    "the scores through NumPy",
    "Now it is the scores that leave PyTorch and come back as a new tensor. Its gradient ends there, and the "
    "model never hears of it.",
    "The loss must be computed from the very tensor that the model returned.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def loss_of(model: Any) -> Any:
        return F.cross_entropy(torch.tensor(model(x).detach().numpy(), requires_grad=True), y)

    return _treat(x, y, steps, loss_of)


@d_slips(
    "detached after the first layer",
    "The last layer trains now. The first does not: its output is still detached before it goes on.",
    "No detach anywhere between the parameters and the loss.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _treat(x, y, steps, lambda model: F.cross_entropy(model[1:](model[0](x).detach()), y))


@d_slips(
    "no backward at all",
    "There is no backward() left. Every .grad is None, and step() passes over such parameters in silence.",
    "The step needs gradients; only backward() makes them.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y)
            optimizer.step()
    return model, exam
