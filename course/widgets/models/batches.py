"""What the batch size does to a path: a least-squares problem on real digits, small enough to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from course.data import load_digits
from course.rules import SGD

__all__ = ["LeastSquares", "digits_problem", "gradient_spread", "walk"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LeastSquares:
    """Mean squared error of a linear model with two weights: loss = mean((x @ theta - y)**2) / 2.

    Attributes:
        x: features, shape (examples, 2).
        y: targets, shape (examples,).
    """

    x: Floats
    y: Floats

    def value(self, theta: Floats) -> Floats:
        """Return the mean loss at ``theta`` of shape (..., 2)."""
        residual = np.asarray(theta) @ self.x.T - self.y
        return np.asarray((residual**2).mean(axis=-1) / 2)

    def gradients(self, theta: Floats) -> Floats:
        """Return the gradient of every single example at ``theta``, shape (examples, 2)."""
        return np.asarray((self.x @ theta - self.y)[:, None] * self.x)

    def batch(self, chosen: npt.NDArray[np.int64]) -> LeastSquares:
        """Return the problem that only the chosen examples pose."""
        return LeastSquares(self.x[chosen], self.y[chosen])

    @property
    def optimum(self) -> Floats:
        """The weights with the smallest loss, shape (2,)."""
        return np.asarray(np.linalg.lstsq(self.x, self.y, rcond=None)[0])


def digits_problem(examples: int = 64) -> LeastSquares:
    """Return the question "is it a 1 (+1) or a 0 (-1)?", asked of two pixels of real digits.

    One pixel lies in the middle, where a 1 has ink, and one at the lower right, where a 0 has; each is
    standardised over the examples chosen (zero mean, unit deviation). As many zeros as ones. Two pixels
    cannot answer it fully, so that the examples disagree even at the optimum: that is where noise comes from.
    """
    images, labels = load_digits()
    zeros, ones = (np.flatnonzero(labels == digit)[: examples // 2] for digit in (0, 1))
    chosen = np.stack([zeros, ones], axis=1).reshape(-1)
    x = images[chosen][:, [4, 5], [3, 6]].astype(np.float64)
    return LeastSquares((x - x.mean(axis=0)) / x.std(axis=0), 2.0 * labels[chosen] - 1.0)


def gradient_spread(problem: LeastSquares, theta: Floats, batch_size: int) -> float:
    """Return the standard deviation of a mini-batch's gradient (length of the deviation), exactly.

    A batch is drawn without replacement, so that the spread falls as 1/sqrt(batch_size) and is 0 for all.
    """
    gradients = problem.gradients(theta)
    count = len(gradients)
    variance = gradients.var(axis=0).sum()
    return float(np.sqrt(variance / batch_size * (count - batch_size) / (count - 1)))


def walk(
    problem: LeastSquares, batch_size: int, lr: float, epochs: int, start: npt.ArrayLike, seed: int = 0
) -> Floats:
    """Return the path of mini-batch SGD, shape (steps + 1, 2); every example is used once an epoch."""
    rng = np.random.default_rng(seed)
    rule = SGD(lr=lr)
    theta = np.array(start, dtype=np.float64)
    state = rule.init(theta)
    path = [theta]
    for _ in range(epochs):
        order = rng.permutation(len(problem.y))
        for first in range(0, len(order), batch_size):
            batch = problem.batch(order[first : first + batch_size])
            delta, state = rule.update(batch.gradients(theta).mean(axis=0), state, theta)
            theta = theta - delta
            path.append(theta)
    return np.stack(path)
