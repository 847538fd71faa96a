"""The slips of lesson 02, patients A to C: loops that behave as before, and repairs that go half the way."""

from __future__ import annotations

from typing import Any

from course.exercises import lesson_02_patients as patients
from course.exercises.base import Slips
from course.exercises.late import F, clinic, nn, torch

__all__ = ["a_slips", "b_slips", "c_slips"]

a_slips, b_slips, c_slips = Slips(), Slips(), Slips()


# ---------------------------------------------------------------- A: gradients are never cleared
a_slips(
    "it behaves as it did before",
    "Still nothing clears the gradients: each backward adds to all that came before, and the line swings "
    "about its target like a ball without friction.",
    "Which of the five operations of a training step is missing?",
)(patients.patient_a)


@a_slips(
    "cleared once, before the loop",
    "You clear the gradients once, before the first step, when there is nothing to clear; inside the loop "
    "they still add up.",
    "The clearing belongs to every step.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    optimizer.zero_grad()
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam


@a_slips(
    "zero_grad without parentheses",
    "`optimizer.zero_grad` names the method and does not call it, as the first patient of this lesson did "
    "with `step`. Nothing is cleared.",
    "What makes a call of a name?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad  # noqa: B018
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam


@a_slips(
    "cleared at every second step",
    "You clear the gradients at every second step. In between, a step uses the gradient of the step before "
    "once more: the line is found, by a longer way than it need be.",
    "Which step needs an old gradient?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for step in range(steps):
            if step % 2 == 0:
                optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam


@a_slips(
    "cleared between backward and step",
    "You clear the gradients after backward() and before step(): the step finds none, and nothing moves.",
    "step() reads what backward() wrote. What may stand between them?",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
    return model, exam


@a_slips(
    "a smaller learning rate instead",
    "You made the steps smaller. That slows the swinging down, and does not end it; the learning rate was "
    "not the illness.",
    "Leave lr at 0.2, and ask what is in .grad at the second step.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
    return model, exam


@a_slips(
    "gradients divided by the step",
    "You divide the gradient by the number of steps, as if it were a sum to be averaged. What is left of the "
    "old gradients is still old: they belong to weights that are gone.",
    "A step needs the gradient of this step alone.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with clinic.watch(model, optimizer) as exam:
        for step in range(steps):
            loss = F.mse_loss(model(x), y)
            loss.backward()
            for parameter in model.parameters():
                parameter.grad /= step + 1
            optimizer.step()
    return model, exam


# ---------------------------------------------------------------- B: layers in a plain list
def _train(model: Any, parameters: Any, x: Any, y: Any, steps: int, lr: float = 0.05) -> Any:
    """Train as patients B and C do, with Adam on these parameters."""
    optimizer = torch.optim.Adam(parameters, lr=lr)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam


def _network(keep: Any) -> Any:
    """Return patient B's network; ``keep(network, layers)`` stores the hidden layers and returns them."""

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = keep(self, [nn.Linear(64, 24), nn.Linear(24, 16)])
            self.output = nn.Linear(16, 10)

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = torch.tanh(layer(x))
            return self.output(x)

    return Network()


b_slips(
    "it behaves as it did before",
    "The hidden layers are still not the model's own: those in a plain list are left out of "
    "model.parameters(), and nobody trains them.",
    "PyTorch has a list for layers.",
)(patients.patient_b)


@b_slips(
    "a tuple instead of a list",
    "A tuple is as plain as a list: the layers in it still belong to no module.",
    "It is not that the list can change. It is that nn.Module does not look into it.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = _network(lambda network, layers: tuple(layers))
    return _train(model, model.parameters(), x, y, steps)


@b_slips(
    "given to the optimizer by hand",
    "You gave the layers' parameters to the optimizer yourself. They train, but the model still does not "
    "know them: state_dict() will not save them, and model.to(device) will leave them behind.",
    "Mend the model, not the optimizer.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = _network(lambda network, layers: list(layers))
    parameters = [*model.parameters(), *(p for layer in model.layers for p in layer.parameters())]
    return _train(model, parameters, x, y, steps)


@b_slips(
    "only the first layer registered",
    "You made the first hidden layer an attribute of its own. The second still stands in the list.",
    "Every layer must be one of the model's modules.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    def keep(network: Any, layers: list[Any]) -> list[Any]:
        network.first = layers[0]
        return layers

    model = _network(keep)
    return _train(model, model.parameters(), x, y, steps)


@b_slips(
    "registered after the optimizer was made",
    "You registered the layers, but only after the optimizer had read model.parameters(). It holds the "
    "output layer alone.",
    "The optimizer takes what the model has at the moment it is made.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = _network(lambda network, layers: layers)
    parameters, layers = list(model.parameters()), model.layers
    del model.layers
    model.layers = nn.ModuleList(layers)
    return _train(model, parameters, x, y, steps)


# ---------------------------------------------------------------- C: a new head after the optimizer
def _headless() -> Any:
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))


c_slips(
    "it behaves as it did before",
    "The optimizer still holds the head that was there when it was made. The new head gets gradients, and "
    "nobody steps it.",
    "When does an optimizer read model.parameters()?",
)(patients.patient_c)


@c_slips(
    "an optimizer for the head alone",
    "Now the optimizer holds the new head and nothing else: the first layer stands still.",
    "Both layers are to train.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = _headless()
    model[2] = nn.Linear(16, 10)
    return _train(model, model[2].parameters(), x, y, steps)


@c_slips(
    "the last parameter left out",
    "The slice [:-1] drops the last parameter, which is the bias of the new head: it never moves.",
    "Give the optimizer all of model.parameters().",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = _headless()
    model[2] = nn.Linear(16, 10)
    return _train(model, list(model.parameters())[:-1], x, y, steps)


@c_slips(
    "a new optimizer at every step",
    "You make a new optimizer at every step. It holds the right parameters, but Adam's memory begins at zero "
    "each time, and the optimizer under watch never steps.",
    "One optimizer, made once, after the last change to the model.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = _headless()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    model[2] = nn.Linear(16, 10)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam


@c_slips(
    "the head replaced at every step",
    "The replacement moved into the loop: every step throws the head away and begins with a new one.",
    "The model must be complete before the optimizer is made, and stay what it is.",
)
def _(x: Any, y: Any, steps: int) -> Any:
    model = _headless()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    with clinic.watch(model, optimizer) as exam:
        for _ in range(steps):
            model[2] = nn.Linear(16, 10)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    return model, exam
