"""The whole step of ``llm_step`` with a switch for each place in which it can be done wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from course.averaging import round_to_bfloat16

__all__ = ["WrongStep"]

Tree = dict[str, Any]


@dataclass(frozen=True)
class WrongStep:
    """The whole step, with one place after the other in which it can be done wrong."""

    mean: str = "by tokens"
    clip: str = "together"
    rate: Callable[[Any, int], float] = lambda schedule, step: schedule(step)
    correct: Callable[[float, int], float] = lambda beta, t: 1 - beta**t
    correct_m: Callable[[float, int], float] | None = None
    correct_v: Callable[[float, int], float] | None = None
    squares: str = "clipped"
    eps_inside: bool = False
    decays: Callable[[np.ndarray], bool] = lambda theta: theta.ndim >= 2
    decay: str = "beside"
    start: Callable[[np.ndarray], np.ndarray] = lambda theta: theta
    weights: Callable[[np.ndarray, np.ndarray], Any] = lambda old, new: round_to_bfloat16(new)
    keep: Callable[[np.ndarray], Any] = lambda new: new
    swapped: bool = False
    counts: int = 1
    sign: int = 1

    def __call__(
        self, grads: list[Tree], tokens: list[int], state: Tree, master: Tree,
        schedule: Any, beta1: float, beta2: float, eps: float, weight_decay: float, max_norm: float,
    ) -> Any:  # fmt: skip
        """Take the step, wrong where a switch says so."""
        if self.clip == "before":
            grads = [_clipped(grad, max_norm) for grad in grads]
        mean = _mean(self.mean, grads, tokens)
        grad = _clip(self.clip, mean, max_norm)
        t, lr = state["step"] + 1, float(self.rate(schedule, state["step"]))
        after: Tree = {"m": {}, "v": {}, "step": state["step"] + self.counts}
        steps: Tree = {}
        for name, theta in master.items():
            wd = weight_decay if self.decays(theta) else 0.0
            g = grad[name] + (wd * theta if self.decay == "in the gradient" else 0)
            m = after["m"][name] = beta1 * state["m"][name] + (1 - beta1) * g
            square = (mean[name] if self.squares == "unclipped" else g) ** 2
            v = after["v"][name] = beta2 * state["v"][name] + (1 - beta2) * square
            step = self._adam(m, v, (beta1, beta2), t, eps)
            steps[name] = np.asarray(lr * step + self._decayed(wd, lr, schedule, theta), theta.dtype)
        if self.clip == "after":
            steps = _clipped(steps, max_norm)
        new = {name: self.start(theta) - self.sign * steps[name] for name, theta in master.items()}
        weights = {name: self.weights(master[name], theta) for name, theta in new.items()}
        kept = {name: self.keep(theta) for name, theta in new.items()}
        return (kept, weights, after) if self.swapped else (weights, kept, after)

    def _adam(self, m: Any, v: Any, betas: tuple[float, float], t: int, eps: float) -> Any:
        first = np.float32((self.correct_m or self.correct)(betas[0], t))
        second = np.float32((self.correct_v or self.correct)(betas[1], t))
        with np.errstate(all="ignore"):
            if self.eps_inside:
                return (m / first) / np.sqrt(v / second + np.float32(eps))
            return (m / first) / (np.sqrt(v / second) + np.float32(eps))

    def _decayed(self, wd: float, lr: float, schedule: Any, theta: np.ndarray) -> Any:
        rate = {"beside": lr, "without lr": 1.0, "with the peak": schedule.lr, "in the gradient": 0.0}
        return rate[self.decay] * wd * theta


def _mean(how: str, grads: list[Tree], tokens: list[int]) -> Tree:
    counts = list(tokens) if how in ("by tokens", "sum by tokens") else [1] * len(grads)
    over = {"by tokens": sum(counts), "by micro-batch": len(grads), "sum of means over tokens": sum(tokens)}
    if how == "last":
        grads, counts = grads[-1:], counts[-1:]
    return {
        name: sum(n * grad[name] for n, grad in zip(counts, grads, strict=True)) / over.get(how, 1)
        for name in grads[0]
    }


def _norm(tree: Tree) -> float:
    return math.sqrt(sum(float(np.sum(np.square(x))) for x in tree.values()))


def _clipped(tree: Tree, max_norm: float) -> Tree:
    factor = min(1.0, max_norm / (_norm(tree) + 1e-6))
    return {name: factor * x for name, x in tree.items()}


def _clip(how: str, grad: Tree, max_norm: float) -> Tree:
    if how == "together":
        return _clipped(grad, max_norm)
    if how == "each":
        return {name: _clipped({name: x}, max_norm)[name] for name, x in grad.items()}
    if how == "always":
        return {name: max_norm / (_norm(grad) + 1e-6) * x for name, x in grad.items()}
    if how == "by value":
        return {name: np.clip(x, -max_norm, max_norm) for name, x in grad.items()}
    if how == "no root":
        return {name: min(1.0, max_norm / (_norm(grad) ** 2 + 1e-6)) * x for name, x in grad.items()}
    return grad
