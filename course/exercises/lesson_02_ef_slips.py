"""The slips of lesson 02, patients E and F: loops that behave as before, and repairs that go half the way."""

from __future__ import annotations

from typing import Any

from course.exercises import lesson_02_patients as patients
from course.exercises.base import Slips
from course.exercises.late import F, clinic, nn, torch

__all__ = ["e_slips", "f_slips"]

e_slips, f_slips = Slips(), Slips()


# ---------------------------------------------------------------- E: cleared before the step
def _in_order(x: Any, y: Any, steps: int, turn: Any) -> Any:
    """Run patient E's network; ``turn(optimizer, loss)`` is one turn, ``loss()`` the forward pass."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            turn(optimizer, lambda: F.cross_entropy(model(x), y))
    return model, exam


e_slips(
    "it behaves as it did before",
    "When step() is called, .grad is still empty: the gradients are cleared after backward() and before it.",
    "step() reads what backward() wrote. What may stand between them?",
)(patients.patient_e)


@e_slips(
    "the clearing deleted",
    "You took the clearing out instead of moving it: now each gradient is added to all the earlier ones.",
    "Something must clear, but not between backward() and step().",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def turn(optimizer: Any, loss: Any) -> None:
        loss().backward()
        optimizer.step()

    return _in_order(x, y, steps, turn)


@e_slips(
    "zeros instead of None",
    "The gradients are zeros now and no longer None. The step takes place, and weight decay shrinks the "
    "weights, but of the loss it knows nothing.",
    "It is the place of the clearing that is wrong, not its kind.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def turn(optimizer: Any, loss: Any) -> None:
        loss().backward()
        optimizer.zero_grad(set_to_none=False)
        optimizer.step()

    return _in_order(x, y, steps, turn)


@e_slips(
    "step before backward",
    "The step comes before backward(), so that it uses the gradient of the turn before; the first finds "
    "none, and the last gradient is never used.",
    "First the gradient, then the step that uses it.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def turn(optimizer: Any, loss: Any) -> None:
        optimizer.step()
        optimizer.zero_grad()
        loss().backward()

    return _in_order(x, y, steps, turn)


@e_slips(
    "backward at the end of the turn",
    "You call backward() last. The clearing of the next turn takes its gradient away before step() sees it.",
    "First the gradient, then the step that uses it.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def turn(optimizer: Any, loss: Any) -> None:
        optimizer.zero_grad()
        optimizer.step()
        loss().backward()

    return _in_order(x, y, steps, turn)


@e_slips(
    "two steps in one turn",
    "You put a step in front of the clearing and left the other one: two steps a turn, one of them empty.",
    "One backward, one step, one clearing.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def turn(optimizer: Any, loss: Any) -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        optimizer.step()

    return _in_order(x, y, steps, turn)


@e_slips(
    "cleared at every second step",
    "You clear the gradients at every second step only. In between, a step gets the gradients of two turns.",
    "One backward, one step, one clearing.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    turns = 0

    def turn(optimizer: Any, loss: Any) -> None:
        nonlocal turns
        loss().backward()
        optimizer.step()
        if turns % 2:
            optimizer.zero_grad()
        turns += 1

    return _in_order(x, y, steps, turn)


@e_slips(
    "zero_grad without parentheses",
    "`optimizer.zero_grad` names the method and does not call it: nothing is cleared, and every gradient is "
    "added to all the earlier ones.",
    "What makes a call of a name?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def turn(optimizer: Any, loss: Any) -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad  # noqa: B018

    return _in_order(x, y, steps, turn)


# ---------------------------------------------------------------- F: (n, 1) against (n,)
def _with_loss(x: Any, steps: int, loss_of: Any) -> Any:
    """Run patient F's loop, with the loss as ``loss_of(prediction)`` has it."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(model(x)).backward()
            optimizer.step()
    return model, exam


f_slips(
    "it behaves as it did before",
    "The loss still gets (n, 1) predictions and (n,) targets. Broadcasting compares every prediction with "
    "every target, and the best answer to that is the mean of all targets: a flat line.",
    "Bring both to the same shape.",
)(patients.patient_f)


@f_slips(
    "a row against a column",
    "The target has two dimensions now, but the wrong two: (1, n) against (n, 1) broadcasts just the same.",
    "Print both shapes. They must be equal.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _with_loss(x, steps, lambda prediction: F.mse_loss(prediction, y[None, :]))


@f_slips(
    "both expanded",
    "You did by hand what broadcasting does: the warning is gone, every prediction is still compared with "
    "every target.",
    "There are n pairs to compare, not n times n.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    n = len(y)
    return _with_loss(x, steps, lambda prediction: F.mse_loss(prediction.expand(n, n), y.expand(n, n)))


@f_slips(
    "the means compared",
    "You compare the mean prediction with the mean target. The shapes agree, and the slope gets no say.",
    "First the error of each example, then the mean.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _with_loss(x, steps, lambda prediction: (prediction.mean() - y.mean()) ** 2)


@f_slips(
    "only the first prediction",
    "An index takes one prediction out of the batch and compares it with every target.",
    "It is the second dimension that must go, not the first.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _with_loss(x, steps, lambda prediction: F.mse_loss(prediction[0], y))
