"""Lesson 01: ``linear_gradients``, ``training_step``, ``minibatches``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from course.exercises import drive
from course.exercises.base import Case, Exercise, Fault, Outcome, StopDriving
from course.exercises.draw import plain
from course.exercises.lesson_01_slips import batch_slips, gradient_slips, step_slips

__all__ = ["EXERCISES"]

Array = np.ndarray


# ---------------------------------------------------------------- linear_gradients
def gradient_reference(w: float, b: float, x: Array, y: Array) -> tuple[Any, Any]:
    """Return the gradients of the mean squared error, in matrix form."""
    design = np.stack([x, np.ones_like(x)], axis=1)
    dw, db = 2 / len(x) * design.T @ (design @ np.array([w, b], dtype=x.dtype) - y)
    return dw, db


def gradient_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    yield Case("one example", {"w": 1.0, "b": 0.0, "x": np.array([2.0]), "y": np.array([1.0])})
    yield Case("a bias", {"w": 1.0, "b": 0.5, "x": np.array([2.0]), "y": np.array([1.0])})
    yield Case(
        "x = 1, 2, 3 and y = 2x", {"w": 0.5, "b": 0.25, "x": np.arange(1.0, 4), "y": 2 * np.arange(1.0, 4)}
    )
    for seed, n in enumerate((2, 3, 5, 8, 40)):
        given = {"w": float(plain((), seed)), "b": float(plain((), seed + 9)), "x": plain((n,), seed + 20)}
        yield Case(f"{n} examples", given | {"y": plain((n,), seed + 30)})
    x = np.arange(1.0, 4)
    yield Case("a perfect fit", {"w": 2.0, "b": 0.0, "x": x, "y": 2 * x}, "edges")
    yield Case("all x zero", {"w": 2.0, "b": 1.0, "x": np.zeros(3), "y": x}, "edges")
    yield Case(
        "huge values", {"w": 2.0, "b": 1.0, "x": 1e6 * plain((4,), 1), "y": 1e6 * plain((4,), 2)}, "edges"
    )
    yield Case(
        "tiny values", {"w": 2.0, "b": 1e-9, "x": 1e-9 * plain((4,), 1), "y": 1e-9 * plain((4,), 2)}, "edges"
    )


# ---------------------------------------------------------------- training_step
def step_reference(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> float:
    """Take one step in the usual order, the gradients cleared after the step."""
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def drive_training(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
    """Run an answer as a training loop on real torch objects; write loss and parameters down each step.

    Where the gradients are cleared is the answer's choice: at the start or at the end of a step. So their
    values between the steps are not compared, only what the steps do.
    """
    import torch

    classify = case.inputs.get("labels", False)
    with torch.random.fork_rng(devices=[]):  # a check leaves the learner's own random state alone
        torch.manual_seed(case.inputs["seed"])
        model = torch.nn.Linear(2, 2 if classify else 1).double()
    make = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[case.inputs["optimizer"]]
    optimizer = make(model.parameters(), lr=case.inputs["lr"])
    loss_fn = torch.nn.CrossEntropyLoss() if classify else torch.nn.MSELoss()
    done = _listen(model, optimizer)
    for step in range(1, case.inputs["steps"] + 1):
        x = torch.from_numpy(plain((4, 2), case.inputs["seed"] + 10 * step))
        y = torch.from_numpy(plain((4, 1), case.inputs["seed"] + 10 * step + 1))
        y = y * case.inputs.get("scale", 1.0)
        if classify:  # this loss takes its arguments in one order only, as most do
            y = (y[:, 0] > 0).long()
        done.clear()
        batch = (x.clone(), y.clone())
        loss = answer(model, loss_fn, optimizer, x, y)
        if not (torch.equal(x, batch[0]) and torch.equal(y, batch[1])):
            out.fault("mutated", "batch", "your function changed the batch it was given", step)
        if not model.training:
            out.fault("mode", "model", "your function left the model in evaluation mode", step)
        out.notes.append(f"step {step}: {', '.join(sorted(done)) or 'nothing'}")
        _note_loss(loss, step, out)
        weights = torch.cat([p.detach().flatten() for p in model.parameters()]).numpy()
        out.see(step, "parameter vector", weights)


def _listen(model: Any, optimizer: Any) -> set[str]:
    """Return a set that fills with what happens: backward, step, and a step that found no gradient."""
    done: set[str] = set()
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(lambda _: done.add("backward"))

    def before_step(*_: Any) -> None:
        done.add("step")
        if "backward" in done and all(p.grad is None or not p.grad.any() for p in model.parameters()):
            done.add("gradients were gone")

    optimizer.register_step_pre_hook(before_step)
    return done


def _note_loss(loss: Any, step: int, out: Outcome) -> None:
    if loss is None:
        message = "your function returned None; it must return the loss as a number (loss.item())"
        raise StopDriving(Fault("none", "loss", message, step))
    if hasattr(loss, "detach"):
        if loss.requires_grad:
            message = (
                "you return the loss as a tensor with its graph, which stays in memory; return loss.item()"
            )
            out.fault("graph", "loss", message, step)
        loss = loss.detach()
    if not np.ndim(loss) == 0 or isinstance(loss, list | tuple | dict | str):
        raise StopDriving(
            Fault("type", "loss", f"the loss must be one number; yours is a {type(loss).__name__}", step)
        )
    out.see(step, "loss", float(loss))


def training_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    yield Case("SGD, one step", {"seed": 0, "optimizer": "SGD", "lr": 0.1, "steps": 1})
    yield Case("SGD, two steps", {"seed": 0, "optimizer": "SGD", "lr": 0.1, "steps": 2})
    yield Case("SGD, five steps", {"seed": 1, "optimizer": "SGD", "lr": 0.05, "steps": 5}, "steps")
    yield Case("Adam, three steps", {"seed": 2, "optimizer": "Adam", "lr": 0.05, "steps": 3}, "steps")
    steep = {"seed": 5, "optimizer": "SGD", "lr": 1e-6, "steps": 2, "scale": 1e4}
    yield Case("huge targets", steep, "edges")
    labelled = {"seed": 4, "optimizer": "SGD", "lr": 0.1, "steps": 2, "labels": True}
    yield Case("cross entropy", labelled, "steps")
    yield Case("a learning rate of zero", {"seed": 3, "optimizer": "SGD", "lr": 0.0, "steps": 2}, "edges")


# ---------------------------------------------------------------- minibatches
ENOUGH = 16  # a shuffle of fewer examples may come out in order by chance


def batch_reference(n: int, batch_size: int, rng: np.random.Generator) -> list[Array]:
    """Split a permutation at every multiple of the batch size."""
    return np.split(rng.permutation(n), range(batch_size, n, batch_size))


def drive_batches(answer: Callable[..., Any], case: Case, out: Outcome) -> None:
    """Run an answer for two epochs; write down what any right shuffle has in common."""
    n, batch_size = case.inputs["n"], case.inputs["batch_size"]
    rng = np.random.default_rng(case.inputs["seed"])
    first, second = (_epoch(answer, n, batch_size, rng, out) for _ in range(2))
    again = _epoch(answer, n, batch_size, np.random.default_rng(case.inputs["seed"]), out)
    other = _epoch(answer, n, batch_size, np.random.default_rng(case.inputs["seed"] + 1), out)
    order = np.concatenate([*first, np.zeros(0, int)])
    times = np.bincount(order, minlength=n)
    out.see(1, "every example comes", bool(times.all()))
    out.see(1, "no example comes twice", bool((times <= 1).all()))
    out.see(1, "list of batch sizes", [len(batch) for batch in first])
    if n >= ENOUGH:
        out.see(1, "the order is shuffled", _shuffled(order))
        if 2 <= batch_size <= n // 3:  # with few or tiny batches, two epochs may cut alike by chance
            inside = [[sorted(b.tolist()) for b in epoch] for epoch in (first, second)]
            out.see(2, "the next epoch has new batches", inside[0] != inside[1])
        out.see(2, "the next epoch has a new order", not _same(first, second))
        out.see(2, "the same rng gives the same order", _same(first, again))
        out.see(2, "another rng gives another order", not _same(first, other))


def _shuffled(order: Array) -> bool:
    """Say whether an order looks drawn: hardly an example in its old place, or beside its old neighbour.

    A random order of n examples leaves about one in place and two beside their neighbour, whatever n. The
    bounds for 40 and more are passed by chance once in a hundred million draws.
    """
    if order.tolist() == sorted(order.tolist()):
        return False
    n = len(order)
    if n < 40:
        return True
    halves = np.array_split(order == np.arange(n), 2)
    beside = np.isin(np.diff(order) % n, (1, n - 1))
    return bool(all(half.sum() <= max(n / 10, 8) for half in halves) and beside.sum() <= max(n / 5, 15))


def _same(a: list[Array], b: list[Array]) -> bool:
    return [x.tolist() for x in a] == [x.tolist() for x in b]


def _epoch(answer: Callable[..., Any], n: int, batch_size: int, rng: Any, out: Outcome) -> list[Array]:
    result = answer(n, batch_size, rng)
    if result is None:
        message = "your function returned None; return a list of index arrays (or yield them)"
        raise StopDriving(Fault("none", "batches", message))
    if isinstance(result, dict | str) or not hasattr(result, "__iter__"):
        raise StopDriving(
            Fault("type", "batches", f"return a list of index arrays; yours is a {type(result).__name__}")
        )
    batches = []
    for i, batch in enumerate(result):
        if i > 4 * n + 8:
            raise StopDriving(
                Fault("endless", "batches", f"there is no end to your batches: over {i} for {n} examples")
            )
        batch = np.asarray(batch)
        if batch.ndim != 1:
            message = f"each batch must be a 1-d array of indices; batch {i} has shape {batch.shape}"
            raise StopDriving(Fault("shape", "batches", message))
        if batch.size and (batch.dtype.kind not in "iu" or batch.min() < 0 or batch.max() >= n):
            message = (
                f"each batch must hold indices from 0 to {n - 1}; batch {i} holds {batch[:4].tolist()} ..."
            )
            raise StopDriving(Fault("range", "batches", message))
        batches.append(batch)
    return batches


def batch_cases() -> Iterator[Case]:
    """Yield the cases, the simplest first."""
    yield Case("four examples in twos", {"n": 4, "batch_size": 2, "seed": 0})
    yield Case("a short last batch", {"n": 5, "batch_size": 2, "seed": 0})
    for seed, (n, size) in enumerate(((40, 8), (41, 8), (100, 32), (17, 16), (64, 5))):
        yield Case(f"{n} examples in batches of {size}", {"n": n, "batch_size": size, "seed": seed})
    yield Case("batches of one", {"n": 20, "batch_size": 1, "seed": 5}, "edges")
    yield Case("one batch that holds all", {"n": 20, "batch_size": 20, "seed": 6}, "edges")
    yield Case("a batch larger than the data", {"n": 3, "batch_size": 8, "seed": 7}, "edges")
    yield Case("a single example", {"n": 1, "batch_size": 4, "seed": 8}, "edges")


EXERCISES = (
    Exercise(
        name="linear_gradients",
        lesson="01",
        arguments=("w", "b", "x", "y"),
        reference=gradient_reference,
        drive=drive.function("dw", "db"),
        make_cases=gradient_cases,
        slips=tuple(gradient_slips),
        hints=(
            "Write the error of each example first: e = w * x + b - y.",
            "The loss is the mean of e**2. Its slope is the mean of 2 * e * (how e changes).",
            "e changes by x when w changes, and by 1 when b changes. Return the two means, dw first.",
        ),
        meaning={"dw": "the derivative with respect to w", "db": "the derivative with respect to b"},
        equivalent={
            "dw = np.mean(2 * error * x) -> db = np.mean(2 * error)": "neither line needs the other",
        },
    ),
    Exercise(
        name="training_step",
        lesson="01",
        arguments=("model", "loss_fn", "optimizer", "x", "y"),
        reference=step_reference,
        drive=drive_training,
        make_cases=training_cases,
        slips=tuple(step_slips),
        hints=(
            "Five operations: predict, measure the loss, backward, step, and clear the gradients.",
            "backward writes the gradients, step reads them. Nothing may clear them in between.",
            "zero_grad stands first or last. Return loss.item(), the loss before the step.",
        ),
        meaning={"loss": "the loss before the step", "parameter vector": "weights and bias after the step"},
        positions=frozenset({"loss", "parameter vector"}),
        equivalent={
            "optimizer.zero_grad() -> loss = loss_fn(model(x), y)": "the forward pass does not touch .grad",
        },
    ),
    Exercise(
        name="minibatches",
        lesson="01",
        arguments=("n", "batch_size", "rng"),
        reference=batch_reference,
        drive=drive_batches,
        make_cases=batch_cases,
        slips=tuple(batch_slips),
        hints=(
            "rng.permutation(n) gives every index from 0 to n - 1 once, in random order.",
            "Cut that into slices of batch_size: order[start : start + batch_size].",
            "Let start run over range(0, n, batch_size): the last slice is then short by itself.",
        ),
        positions=frozenset({"list of batch sizes"}),
    ),
)
