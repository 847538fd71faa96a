"""A loss with a wall: one recurrent unit, run for fifty steps, as a function of its two parameters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["OneUnit", "descend"]

Floats = npt.NDArray[np.float64]


class OneUnit:
    """The loss ``(sigmoid(x_T) - target)^2`` of ``x_{t+1} = w sigmoid(x_t) + b``, over ``theta = (w, b)``.

    Source: R. Pascanu, T. Mikolov and Y. Bengio (2013), On the difficulty of training recurrent neural
    networks, figure 6: there with 50 steps from 0.5, and target 0.7.
    """

    def __init__(self, steps: int = 50, start: float = 0.5, target: float = 0.7) -> None:
        self.steps, self.start, self.target = steps, start, target

    def value(self, theta: npt.ArrayLike) -> Floats:
        """Return the loss; ``theta`` has shape (..., 2)."""
        return self.both(theta)[0]

    def gradient(self, theta: npt.ArrayLike) -> Floats:
        """Return the gradient, shape (..., 2): the derivatives run along with the state."""
        return self.both(theta)[1]

    def both(self, theta: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Return the loss and its gradient."""
        w, b = np.moveaxis(np.asarray(theta, dtype=float), -1, 0)
        x, dw, db = np.full_like(w, self.start), np.zeros_like(w), np.zeros_like(w)
        for _ in range(self.steps):
            s = sigmoid(x)
            slope = w * s * (1 - s)
            x, dw, db = w * s + b, s + slope * dw, 1 + slope * db
        s = sigmoid(x)
        outer = 2 * (s - self.target) * s * (1 - s)
        return (s - self.target) ** 2, np.stack([outer * dw, outer * db], axis=-1)


def sigmoid(x: Floats) -> Floats:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def descend(
    loss: OneUnit, start: npt.ArrayLike, lr: npt.ArrayLike, max_norm: npt.ArrayLike, steps: int
) -> tuple[Floats, Floats, Floats]:
    """Return runs of gradient descent with clipping: points, losses, and the norms before clipping.

    Args:
        loss: the surface. start: the first point. lr: the learning rates, shape (runs,).
        max_norm: of the gradient, one a run; infinity clips nothing. steps: how many to take.

    Returns:
        Shapes (runs, steps + 1, 2), (runs, steps + 1) and (runs, steps).
    """
    rate, limit = np.broadcast_arrays(np.asarray(lr, dtype=float), np.asarray(max_norm, dtype=float))
    theta = np.broadcast_to(np.asarray(start, dtype=float), (*rate.shape, 2))
    value, gradient = loss.both(theta)
    path, losses, norms = [theta], [value], []
    for _ in range(steps):
        norm = np.linalg.norm(gradient, axis=-1)
        factor = np.minimum(1.0, limit / (norm + 1e-6))  # course.gradients.clip_by_norm, for all runs at once
        theta = theta - (rate * factor)[:, None] * gradient
        value, gradient = loss.both(theta)
        path.append(theta)
        losses.append(value)
        norms.append(norm)
    return np.stack(path, 1), np.stack(losses, 1), np.stack(norms, 1)
