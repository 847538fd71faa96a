"""The slips of lesson 02, patients E to H: the loop as it was, and repairs that go half the way."""

from __future__ import annotations

from typing import Any

from course.exercises import lesson_02_patients as patients
from course.exercises.base import Slips
from course.exercises.late import F, clinic, nn, torch

__all__ = ["e_slips", "f_slips", "g_slips", "h_slips"]

e_slips, f_slips, g_slips, h_slips = Slips(), Slips(), Slips(), Slips()


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
    "the loop as it was",
    "The gradients are cleared after backward() and before step(): the step finds none.",
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
    "the loop as it was",
    "The prediction has shape (n, 1), the target (n,). Broadcasting compares every prediction with every "
    "target, and the best answer to that is the mean of all targets: a flat line.",
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


# ---------------------------------------------------------------- G: frozen by accident
def _thaw(x: Any, y: Any, steps: int, thaw: Any, chosen: Any = lambda p: True, later: bool = False) -> Any:
    """Run patient G's loop; ``thaw(model)`` comes before the optimizer is made, or, ``later``, after it."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    for parameter in model.parameters():
        parameter.requires_grad = False
    model[2] = nn.Linear(16, 10)
    if not later:
        thaw(model)
    optimizer = torch.optim.Adam([p for p in model.parameters() if chosen(p)], lr=0.05)
    if later:
        thaw(model)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam


g_slips(
    "the loop as it was",
    "`model[0].requires_grad = True` makes a new attribute on a module, which nobody reads. The parameters "
    "inside stay frozen.",
    "requires_grad belongs to tensors. Modules have a method for it, with an underscore.",
)(patients.patient_g)


@g_slips(
    "only the weight unfrozen",
    "The weight of the first layer learns again. Its bias is still frozen.",
    "A layer has more than one parameter.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _thaw(x, y, steps, lambda model: model[0].weight.requires_grad_(True))


@g_slips(
    "unfrozen after the optimizer had chosen",
    "The optimizer took the parameters that required a gradient, and only then were the others unfrozen: "
    "they get gradients, and no optimizer holds them.",
    "Which comes first?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _thaw(x, y, steps, lambda model: model.requires_grad_(True), lambda p: p.requires_grad, later=True)


@g_slips(
    "unfrozen after the training",
    "The layer is unfrozen when the loop is over.",
    "It must be able to learn while there is something to learn from.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model, exam = _thaw(x, y, steps, lambda model: None)
    model.requires_grad_(True)
    return model, exam


@g_slips(
    "unfrozen, but its output detached",
    "The parameters are free, but the layer's output is detached before it goes on: no gradient comes back.",
    "What is frozen by requires_grad needs no detach; what should learn must not have one.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    class Detach(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x.detach())

    def thaw(model: Any) -> None:
        model.requires_grad_(True)
        model[1] = Detach()

    return _thaw(x, y, steps, thaw)


# ---------------------------------------------------------------- H: steps lost to rounding
def _in_bfloat16(x: Any, y: Any, steps: int, lr: float = 0.01, after: Any = lambda model: None) -> Any:
    """Run patient H's loop; ``after(model)`` comes after each step."""
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    model = model.to(torch.bfloat16)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x.to(torch.bfloat16)).float(), y).backward()
            optimizer.step()
            after(model)
    return model, exam


h_slips(
    "the loop as it was",
    "Next to 8, the numbers of bfloat16 are 1/32 and 1/16 apart. A step of 0.01 is less than half of that, "
    "so 8 - 0.01 rounds back to 8, every time.",
    "Which numbers have to be precise: those that are multiplied, or those that steps are added to?",
)(patients.patient_h)


@h_slips(
    "a larger learning rate instead",
    "You raised the learning rate until the steps could be seen. Now they are as coarse as the numbers, "
    "and it is no longer the rate that was asked for.",
    "Leave lr at 0.01, and give the weights more digits.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _in_bfloat16(x, y, steps, lr=0.1)


@h_slips(
    "float32 after the training",
    "The model becomes float32 when the loop is over. What the steps lost is not coming back.",
    "The weights must be float32 while steps are added to them.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model, exam = _in_bfloat16(x, y, steps)
    return model.float(), exam


@h_slips(
    "rounded again after every step",
    "The step is taken in float32 and then put back into bfloat16, where it is lost as before.",
    "The float32 weights must be kept from step to step.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            model.weight.data = model.weight.data.to(torch.bfloat16).float()
    return model, exam


@h_slips(
    "more steps instead",
    "Ten times as many steps, and each of them is lost: ten times nothing.",
    "Does a weight keep any part of a step that rounds back to where it was?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _in_bfloat16(x, y, 10 * steps)
