"""The slips of lesson 02, patients G and H: loops that behave as before, and repairs that go half the way."""

from __future__ import annotations

from typing import Any

from course.exercises import lesson_02_patients as patients
from course.exercises.base import Slips
from course.exercises.late import F, clinic, nn, torch

__all__ = ["g_slips", "h_slips"]

g_slips, h_slips = Slips(), Slips()


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
    "it behaves as it did before",
    "The parameters of the first layer are still frozen. `model[0].requires_grad = True` does not reach them "
    "(it makes an attribute on the module, which nobody reads), and train() has nothing to do with it.",
    "requires_grad belongs to tensors. Modules have a method for it, with an underscore.",
)(patients.patient_g)


@g_slips(
    "requires_grad_ without parentheses",
    "`model[0].requires_grad_` names the method and does not call it. The first layer is still frozen.",
    "What makes a call of a name?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def thaw(model: Any) -> None:
        model[0].requires_grad_  # noqa: B018

    return _thaw(x, y, steps, thaw)


@g_slips(
    "the first layer replaced",
    "model[0] is a new layer now. It trains, but the layer that was there is thrown away, with all that it "
    "had learnt.",
    "The old layer should learn again; only the head is new.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def thaw(model: Any) -> None:
        model[0] = nn.Linear(64, 16)

    return _thaw(x, y, steps, thaw)


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
    "it behaves as it did before",
    "Every step is still rounded away. Next to 8, the numbers of bfloat16 are 1/32 and 1/16 apart. A step of "
    "0.01 is less than half of that, so 8 - 0.01 is 8 again, every time.",
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
    "Four times as many steps, and each of them is lost: four times nothing.",
    "Does a weight keep any part of a step that rounds back to where it was?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    return _in_bfloat16(x, y, 4 * steps)
