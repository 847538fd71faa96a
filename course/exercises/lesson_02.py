"""Lesson 02: eight loops to mend, ``update_to_weight_ratio`` and ``find_missing_parameters``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from course.exercises import lesson_02_equivalent as equivalent
from course.exercises import lesson_02_patients as patients
from course.exercises.base import Case, Driver, Exercise, Slips
from course.exercises.drive_training import training
from course.exercises.late import F, clinic, nn, torch
from course.exercises.lesson_02_abc_slips import a_slips, b_slips, c_slips
from course.exercises.lesson_02_d_slips import d_slips
from course.exercises.lesson_02_ef_slips import e_slips, f_slips
from course.exercises.lesson_02_gh_slips import g_slips, h_slips
from course.exercises.lesson_02_tools import TOOLS

__all__ = ["EXERCISES"]


def loop_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    yield Case("32 examples, 16 steps", {"n": 32, "steps": 16, "seed": 0})
    yield Case("48 other examples, 20 steps", {"n": 48, "steps": 20, "seed": 1})
    yield Case("a single step", {"n": 32, "steps": 1, "seed": 2}, "edges")


# ---------------------------------------------------------------- references, not those of the lesson
def _trained(model: Any, optimizer: Any, loss_of: Any, steps: int) -> Any:
    """Train as all references do: the gradients cleared at the end of a step."""
    with clinic.watch(model, optimizer, quiet=True) as exam:
        for _ in range(steps):
            loss_of(model).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model, exam


def line_reference(x: Any, y: Any, steps: int) -> Any:
    """Fit a line, prediction and target flat."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    return _trained(model, optimizer, lambda m: (m(x).flatten() - y.flatten()).pow(2).mean(), steps)


def deep_reference(x: Any, y: Any, steps: int) -> Any:
    """Read digits with two hidden layers."""
    tanh = nn.Tanh()
    model = nn.Sequential(nn.Linear(64, 24), tanh, nn.Linear(24, 16), tanh, nn.Linear(16, 10))
    return _digits(model, torch.optim.Adam(model.parameters(), lr=0.05), x, y, steps)


def head_reference(x: Any, y: Any, steps: int) -> Any:
    """Read digits with one hidden layer; its head, too, was made last."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    return _digits(model, torch.optim.Adam(model.parameters(), lr=0.05), x, y, steps)


def decayed_reference(x: Any, y: Any, steps: int) -> Any:
    """Read digits with one hidden layer and weight decay."""
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    return _digits(model, torch.optim.AdamW(model.parameters(), lr=0.05), x, y, steps)


def float_reference(x: Any, y: Any, steps: int) -> Any:
    """Read digits with a linear model of float32 weights that start at 8."""
    model = nn.Linear(64, 10, bias=False)
    nn.init.constant_(model.weight, 8.0)
    return _digits(model, torch.optim.Adam(model.parameters(), lr=0.01), x, y, steps)


def _digits(model: Any, optimizer: Any, x: Any, y: Any, steps: int) -> Any:
    return _trained(model, optimizer, lambda m: F.cross_entropy(m(x), y), steps)


# ---------------------------------------------------------------- the ward
_MEANING = {
    "number of values that train": "all trainable values of model.parameters()",
    "number of steps": "the calls of step() under watch for one parameter",
    "number of parameters that move": "weights and biases that the steps changed",
}


def _patient(
    letter: str,
    reference: Any,
    drive: Driver,
    slips: Slips,
    hints: tuple[str, ...],
    same: Mapping[str, str] | None = None,
) -> Exercise:
    name = f"patient_{letter}"
    return Exercise(
        name=name,
        lesson="02",
        arguments=("x", "y", "steps"),
        reference=reference,
        drive=drive,
        make_cases=loop_cases,
        slips=tuple(slips),
        hints=hints,
        meaning=_MEANING,
        positions=frozenset(_MEANING),
        equivalent=same or {},
        broken=getattr(patients, name),
    )


EXERCISES = (
    _patient(
        "a",
        line_reference,
        training("line", "SGD", lr=0.2, momentum=0.0),
        a_slips,
        (
            "Say the five operations of a training step aloud, with a finger on the code.",
            "Run the loop once, and read what the clinic says of it.",
            "What does backward() do when .grad is not empty?",
        ),
        equivalent.A,
    ),
    _patient(
        "b",
        deep_reference,
        training("digits", "Adam", lr=0.05),
        b_slips,
        (
            "Count the parameters: len(list(model.parameters())). How many should there be?",
            "A module finds its layers among its attributes. It does not look into Python's own containers.",
            "torch.nn has a container that looks like a list and registers what is in it.",
        ),
        equivalent.B,
    ),
    _patient(
        "c",
        head_reference,
        training("digits", "Adam", lr=0.05),
        c_slips,
        (
            "Which parameters does the optimizer hold? Which does the model have, when training begins?",
            "An optimizer reads model.parameters() once, when it is made.",
            "Two lines stand in the wrong order.",
        ),
        equivalent.C,
    ),
    _patient(
        "d",
        head_reference,
        training("digits", "Adam", lr=0.05),
        d_slips,
        (
            "Follow the way from the parameters to the loss. Where does it leave PyTorch?",
            "A tensor that is made from numbers does not know where these came from.",
            "cross_entropy takes what the model returns, as it is.",
        ),
        equivalent.D,
    ),
    _patient(
        "e",
        decayed_reference,
        training("digits", "AdamW", lr=0.05, weight_decay=0.01),
        e_slips,
        (
            "All five operations are there. Are they in the right order?",
            "What is in .grad at the moment of the step?",
            "Clear at the beginning of a turn or at its end.",
        ),
    ),
    _patient(
        "f",
        line_reference,
        training("flat line", "SGD", lr=0.2, momentum=0.0),
        f_slips,
        (
            "Print model(x).shape and y.shape.",
            "(n, 1) against (n,) is broadcast to (n, n): each prediction meets every target.",
            "Drop the second dimension of the prediction, or give the target one.",
        ),
        equivalent.F,
    ),
    _patient(
        "g",
        head_reference,
        training("digits", "Adam", keeps=True, lr=0.05),
        g_slips,
        (
            "Print p.requires_grad for each parameter of the model, just before the loop.",
            "requires_grad is an attribute of tensors. What happens when one sets it on a module?",
            "Modules have a method for this; its name ends with an underscore.",
        ),
        equivalent.G,
    ),
    _patient(
        "h",
        float_reference,
        training("digits", "Adam", start=8.0, left=0.9, lr=0.01),
        h_slips,
        (
            "bfloat16 keeps eight binary digits. Which number comes after 8?",
            "Compute torch.tensor(8.0, dtype=torch.bfloat16) - 0.01.",
            "Keep the weights in float32. Then the model takes x as it comes.",
        ),
        equivalent.H,
    ),
    *TOOLS,
)
