"""A small network on the digits, gradient written out: fast enough to train a hundred times in a lesson."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from course.data import load_digits
from course.rules import Rule

__all__ = ["Digits", "accuracy", "digits", "init", "loss_and_gradients", "train"]

Floats = npt.NDArray[np.float32]
Layers = dict[str, Floats]
Digits = tuple[Floats, npt.NDArray[np.int64]]

SHAPES = {"first": (64, 32), "middle": (32, 32), "last": (32, 10)}
TRAINING = 1437  # of 1797 images: four fifths
BLOCK = 64  # examples at a time: larger products would start BLAS's threads, which cost more than they save


def digits(seed: int = 0) -> tuple[Digits, Digits]:
    """Return the digits, shuffled, as (images, labels) to train on and to test with: 1437 and 360."""
    images, labels = load_digits()
    order = np.random.default_rng(seed).permutation(len(images))
    x, y = images.reshape(len(images), 64)[order], labels[order]
    return (x[:TRAINING], y[:TRAINING]), (x[TRAINING:], y[TRAINING:])


def init(seed: int = 0) -> Layers:
    """Return the weights of three layers, 64-32-32-10 with ReLU between them and no biases."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.normal(0, np.sqrt(2 / shape[0]), shape).astype(np.float32) for name, shape in SHAPES.items()
    }


def _forward(params: Layers, x: Floats) -> tuple[Floats, Floats, Floats]:
    first = np.maximum(x @ params["first"], 0)
    middle = np.maximum(first @ params["middle"], 0)
    return first, middle, middle @ params["last"]


def loss_and_gradients(params: Layers, x: Floats, y: npt.NDArray[np.int64]) -> tuple[float, Layers]:
    """Return the mean cross entropy of a batch and its gradient, layer by layer."""
    total, sums = _sum_and_gradients(params, x[:BLOCK], y[:BLOCK])
    for i in range(BLOCK, len(y), BLOCK):
        loss, grads = _sum_and_gradients(params, x[i : i + BLOCK], y[i : i + BLOCK])
        total += loss
        sums = {name: g + grads[name] for name, g in sums.items()}
    return total / len(y), {name: g / np.float32(len(y)) for name, g in sums.items()}


def _sum_and_gradients(params: Layers, x: Floats, y: npt.NDArray[np.int64]) -> tuple[float, Layers]:
    """Return the summed loss of a few examples and its gradient."""
    first, middle, scores = _forward(params, x)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    error, rows = powers / powers.sum(axis=1, keepdims=True), np.arange(len(y))
    loss = -np.log(error[rows, y] + np.float32(1e-30)).sum()
    error[rows, y] -= 1
    back = (error @ params["last"].T) * (middle > 0)
    deeper = (back @ params["middle"].T) * (first > 0)
    return float(loss), {"first": x.T @ deeper, "middle": first.T @ back, "last": middle.T @ error}


def accuracy(params: Layers, x: Floats, y: npt.NDArray[np.int64]) -> float:
    """Return the share of images that are told right."""
    blocks = [_forward(params, x[i : i + BLOCK])[2] for i in range(0, len(y), BLOCK)]
    return float((np.concatenate(blocks).argmax(axis=1) == y).mean())


def train(rule: Rule, data: Digits, batch: int, epochs: int, seed: int = 0) -> Iterator[Layers]:
    """Yield the weights after each epoch, while the learning rate falls in a straight line to zero.

    Args:
        rule: any rule; its ``lr`` is that of the first epoch. data: images and labels.
        batch: examples in a step. epochs: how many. seed: of the weights and of the order of the examples.
    """
    x, y = data
    params, rng = init(seed), np.random.default_rng(seed)
    state = rule.init(params)
    for epoch in range(epochs):
        now = rule.with_hyperparameters(lr=rule.hyperparameters()["lr"] * (1 - epoch / epochs))
        order = rng.permutation(len(y))
        with np.errstate(over="ignore", invalid="ignore"):  # too large a learning rate is part of a search
            for chosen in np.split(order, range(batch, len(y), batch)):
                _, grads = loss_and_gradients(params, x[chosen], y[chosen])
                deltas, state = now.update(grads, state, params)
                params = {name: w - deltas[name] for name, w in params.items()}
        yield params
