"""The slips of lesson 01: the training loop written wrong, in the ways that people do write it."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["batch_slips", "gradient_slips", "step_slips"]

Array = np.ndarray
gradient_slips = Slips()


@gradient_slips(
    "sum instead of mean",
    "You add the gradients of all examples up; the loss is their mean, so its gradient is the mean too.",
    "With twice the data, the gradient of a mean does not double.",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x + b - y
    return np.sum(2 * e * x), np.sum(2 * e)


@gradient_slips(
    "sum instead of mean for the bias",
    "dw is right; for db you add the examples up instead of taking their mean.",
    "Both derivatives are means.",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x + b - y
    return np.mean(2 * e * x), np.sum(2 * e)


@gradient_slips(
    "factor 2 missing",
    "The square gives a factor 2, which is missing.",
    "Differentiate e**2 with respect to e.",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x + b - y
    return np.mean(e * x), np.mean(e)


@gradient_slips(
    "sign turned around",
    "Both gradients have the wrong sign: you took the error as y minus the prediction.",
    "How does e change when w grows? If e = y - w x - b, not by +x.",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = y - (w * x + b)
    return np.mean(2 * e * x), np.mean(2 * e)


@gradient_slips(
    "inner derivative missing",
    "dw lacks the factor x: by the chain rule, e changes by x when w changes.",
    "db is right. What is different for w?",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x + b - y
    return np.mean(2 * e), np.mean(2 * e)


@gradient_slips(
    "x in both",
    "db has the factor x as well; the bias is not multiplied by x.",
    "How much does w * x + b change when b changes by 1?",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x + b - y
    return np.mean(2 * e * x), np.mean(2 * e * x)


@gradient_slips(
    "bias left out of the prediction",
    "The prediction is w * x + b; yours leaves b out.",
    "Look at the line that computes the error.",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x - y
    return np.mean(2 * e * x), np.mean(2 * e)


@gradient_slips(
    "mean of e times mean of x",
    "You take the means of e and x one by one. The mean of a product is not the product of the means.",
    "Multiply e and x example by example, then take the mean.",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x + b - y
    return 2 * np.mean(e) * np.mean(x), 2 * np.mean(e)


@gradient_slips(
    "swapped",
    "Both numbers are right, in the wrong order.",
    "Return (dw, db).",
)
def _(w: float, b: float, x: Array, y: Array) -> Any:
    e = w * x + b - y
    return np.mean(2 * e), np.mean(2 * e * x)


step_slips = Slips()


@step_slips(
    "zero_grad between backward and step",
    "You clear the gradients after backward has written them and before step can read them.",
    "Which operation reads the gradients? zero_grad has to come after it, or before backward.",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    return loss.item()


@step_slips(
    "gradients never cleared",
    "zero_grad is missing, or lacks its parentheses. backward adds to .grad, so each step uses the sum of "
    "all gradients so far.",
    "The first step is right, the second is not. What is left over from the first?",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@step_slips(
    "step before backward",
    "You step before backward: the first step has no gradient yet, and each later one uses the last batch's.",
    "Which operation writes the gradients that step reads?",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    loss = loss_fn(model(x), y)
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    return loss.item()


@step_slips(
    "step right after zero_grad",
    "You step before backward, right after the gradients were cleared: step never finds one; nothing moves.",
    "Which operation writes the gradients that step reads?",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    optimizer.step()
    loss.backward()
    return loss.item()


@step_slips(
    "no step",
    "You compute the gradients, but never call optimizer.step(): the parameters do not move.",
    "backward only writes the gradients down. Which operation applies them?",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    return loss.item()


@step_slips(
    "no backward",
    "You never call loss.backward(): there are no gradients, so step has nothing to apply.",
    "Which operation writes the gradients that step reads?",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    optimizer.step()
    return loss.item()


@step_slips(
    "the loss after the step",
    "The step is right, but you return the loss measured again after it.",
    "Keep the loss that you called backward on.",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    optimizer.zero_grad()
    loss_fn(model(x), y).backward()
    optimizer.step()
    return loss_fn(model(x), y).item()


@step_slips(
    "two steps for one batch",
    "You call step twice for one backward: every batch counts twice.",
    "One backward, one step.",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    optimizer.step()
    return loss.item()


@step_slips(
    "the loss with its graph",
    "The step is right, but you return the loss tensor itself, and its whole graph stays in memory with it.",
    "loss.item() is the bare number.",
)
def _(model: Any, loss_fn: Any, optimizer: Any, x: Any, y: Any) -> Any:
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    return loss


batch_slips = Slips()


@batch_slips(
    "last batch dropped",
    "The examples left over at the end of an epoch are thrown away.",
    "When batch_size does not divide n, the last batch is short. Keep it.",
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    order = rng.permutation(n)
    return [order[i * batch_size : (i + 1) * batch_size] for i in range(n // batch_size)]


@batch_slips(
    "not shuffled",
    "Your batches come in the order of the data, and rng is not used.",
    "rng.permutation(n) gives all indices once, in random order.",
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    return [np.arange(n)[i : i + batch_size] for i in range(0, n, batch_size)]


@batch_slips(
    "the same order every epoch",
    "You make a generator of your own with a fixed seed, so every epoch has the same batches.",
    "Draw from the rng that you are given: it goes on from epoch to epoch.",
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    order = np.random.default_rng(0).permutation(n)
    return [order[i : i + batch_size] for i in range(0, n, batch_size)]


@batch_slips(
    "the global random state",
    "You shuffle by NumPy's global random state: the order cannot be repeated from the rng that was given.",
    "Call the methods of rng, not of np.random.",
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    order = np.random.permutation(n)
    return [order[i : i + batch_size] for i in range(0, n, batch_size)]


@batch_slips(
    "drawn with replacement",
    "You draw indices at random: some examples come twice in an epoch, others not at all.",
    "Every example exactly once an epoch: that is a permutation.",
    shows=lambda case: case.inputs["n"] >= 40,  # with fewer, a draw may by chance be a permutation
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    return [rng.integers(0, n, size=min(batch_size, n - i)) for i in range(0, n, batch_size)]


@batch_slips(
    "batches of nearly equal size",
    "You cut the epoch into nearly equal parts (np.array_split does). All batches but the last must be full.",
    "Cut at multiples of batch_size.",
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    return np.array_split(rng.permutation(n), -(-n // batch_size))


@batch_slips(
    "only the batches are shuffled",
    "You shuffle the order of the batches, but each holds the same neighbours in every epoch.",
    "Shuffle the examples first, then cut.",
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    batches = [np.arange(n)[i : i + batch_size] for i in range(0, n, batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


@batch_slips(
    "last example lost",
    "One example is missing from every epoch: a range ends before its stop.",
    "range(0, n, batch_size) starts at 0 and ends before n. No - 1 is needed.",
)
def _(n: int, batch_size: int, rng: Any) -> Any:
    order = rng.permutation(n)[: n - 1]
    return [order[i : i + batch_size] for i in range(0, n, batch_size)]
