"""Lesson 02: mutants of the mended loops that are mended too, each with the reason."""

from __future__ import annotations

__all__ = ["A", "B", "C", "D", "F", "G", "H"]

_GRAD = "the forward pass does not touch .grad"


def _old_head(classes: int) -> dict[str, str]:
    """Return the mutants of a network whose last layer is replaced before anybody uses it."""

    def network(inputs: int, outputs: int) -> str:
        layers = f"nn.Linear(64, 16), nn.ReLU(), nn.Linear({inputs}, {outputs})"
        return f"model = nn.Sequential({layers})"

    others = ((15, classes), (17, classes), (16, classes - 1), (16, classes + 1))
    gone = "the old head is thrown away"
    return {f"{network(16, classes)} -> {network(*other)}": gone for other in others}


A = {"optimizer.zero_grad() -> loss = F.mse_loss(model(x), y)": _GRAD}
B = {
    "self.hidden = nn.ModuleList([nn.Linear(64, 24), nn.Linear(24, 16)]) -> "
    "self.output = nn.Linear(16, 10)": "swapped: the layers may be made in any order",
}
C = _old_head(2)
D = {"optimizer.zero_grad() -> loss = F.cross_entropy(model(x), y)": _GRAD}
F = {
    "optimizer.zero_grad() -> loss = F.mse_loss(model(x)[:, 0], y)": _GRAD,
    "loss = F.mse_loss(model(x)[:, 0], y) -> loss = F.mse_loss(model(x)[:, -1], y)": "there is one column",
}
G = _old_head(10) | {
    "for parameter in model.parameters(): -> model[2] = nn.Linear(16, 10)": "nothing frozen, nothing to thaw",
    "model[2] = nn.Linear(16, 10) -> model[0].requires_grad_(True)": "swapped: two different layers",
    "model[0].requires_grad_(True) -> optimizer = torch.optim.Adam(model.parameters(), lr=0.05)": (
        "swapped: the optimizer was given all parameters, frozen or not"
    ),
}
H = {
    "optimizer.zero_grad() -> scores = model(x)": _GRAD,
    "nn.init.constant_(model.weight, 8.0) -> optimizer = torch.optim.Adam(model.parameters(), lr=0.01)": (
        "swapped: the optimizer holds the tensor, whatever is in it"
    ),
    "model = nn.Linear(64, 10, bias=False) -> model = nn.Linear(64, 10, bias=0)": "0 is as false as False",
}
