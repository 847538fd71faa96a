"""One small network in training, healthy and with one thing wrong at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from course.widgets.models.digits_net import digits, init, loss_and_gradients

__all__ = ["HEALTHY", "LR", "PATIENTS", "STEPS", "Course", "Illness", "course_of"]

Floats = npt.NDArray[np.float64]

STEPS, EXAMPLES, LR = 60, 256, 0.5


@dataclass(frozen=True)
class Illness:
    """What is wrong with a run; the defaults are those of the healthy one.

    Attributes:
        cause: in a few words. lr: the learning rate. scale: of the weights at the start.
        clears: the place at which gradients are cleared: "each step", "never", "too early" (before the step).
        left_out: a layer that the optimizer was not given. frozen: one that gets no gradient.
        shuffled: whether the labels are in another order than the images.
    """

    cause: str
    lr: float = LR
    scale: float = 1.0
    clears: str = "each step"
    left_out: str = ""
    frozen: str = ""
    shuffled: bool = False


HEALTHY = Illness("nothing: the healthy run")
PATIENTS = (
    Illness("the last layer is in no optimizer", left_out="last"),
    Illness("gradients are never cleared", clears="never"),
    Illness("gradients are cleared before the step", clears="too early"),
    Illness("the first layer is frozen", frozen="first"),
    Illness("learning rate 1000 times too small", lr=LR / 1000),
    Illness("the labels belong to other images", shuffled=True),
    Illness("weights start 20 times too small", scale=0.05),
    Illness("learning rate 10 times too large", lr=10 * LR),
)


@dataclass(frozen=True)
class Course:
    """What is seen of a run, one value a step.

    Attributes:
        loss: before the step. gradient: norm of what stands in .grad at the step, by layer.
        ratio: norm of the update / norm of the weights, by layer.
    """

    loss: Floats
    gradient: dict[str, Floats]
    ratio: dict[str, Floats]


@lru_cache(maxsize=16)
def course_of(illness: Illness) -> Course:
    """Train for ``STEPS`` steps on the same images, and write down what a watcher could see."""
    (x, y), _ = digits()
    x, y = x[:EXAMPLES], y[:EXAMPLES]
    if illness.shuffled:
        y = np.random.default_rng(0).permutation(y)
    params = {name: np.float32(illness.scale) * w for name, w in init().items()}
    held = {name: np.zeros_like(w) for name, w in params.items()}
    losses: list[float] = []
    norms: dict[str, list[float]] = {name: [] for name in params}
    ratios: dict[str, list[float]] = {name: [] for name in params}
    with np.errstate(all="ignore"):  # one of them runs away
        for _ in range(STEPS):
            loss, grads = loss_and_gradients(params, x, y)
            losses.append(loss)
            for name, w in params.items():
                held[name] = _in_grad(illness, name, held[name], grads[name])
                new = w if name == illness.left_out else w - np.float32(illness.lr) * held[name]
                norms[name].append(float(np.linalg.norm(held[name])))
                ratios[name].append(float(np.linalg.norm(new - w) / np.linalg.norm(w)))
                params[name] = new
    return Course(
        np.array(losses),
        {name: np.array(values) for name, values in norms.items()},
        {name: np.array(values) for name, values in ratios.items()},
    )


def _in_grad(
    illness: Illness, name: str, held: npt.NDArray[np.float32], grad: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return what stands in .grad when the step is taken."""
    if name == illness.frozen or illness.clears == "too early":
        return np.zeros_like(grad)
    return held + grad if illness.clears == "never" else grad
