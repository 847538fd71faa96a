"""The slips of stale_sgd: paths with another delay, another beginning, or another base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["stale_slips"]

Array = np.ndarray
stale_slips = Slips()


def walked(gradient: Any, start: Array, lr: float, steps: int, seen: Callable[[list, int], Any]) -> Array:
    """Return the path whose gradient of step ``t`` is taken at ``seen(path, t)``."""
    path = [start.copy()]
    for t in range(steps):
        path.append(path[t] - lr * gradient(seen(path, t), t))
    return np.stack(path)


@stale_slips(
    "no delay at all",
    "You take the gradient where you stand. That is plain gradient descent; delay is not used.",
    "At which index of the path were the parameters that the gradient has seen?",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[t])


@stale_slips(
    "one step too stale",
    "Your gradients are delay + 1 steps old. With a delay of 0 the gradient is taken where you stand.",
    "path[-1] is no step old. path[-1 - delay] is delay steps old, once there are so many.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[max(t - delay - 1, 0)])


@stale_slips(
    "one step too fresh",
    "Your gradients are delay - 1 steps old: a delay of 1 changes nothing, a delay of 2 is one step.",
    "Write down for delay = 1 which parameters step 1 sees: those that step 0 began with.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[max(t - max(delay - 1, 0), 0)])


@stale_slips(
    "path[-delay]",
    "path[-1] is the newest point, no step old. So path[-delay] is delay - 1 steps old, and without a delay "
    "path[-0] is path[0], the start.",
    "Count from the beginning: the point of step t stands at index t, the one delay steps before it at ...",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[-delay] if t >= delay else path[0])


@stale_slips(
    "zeros before the start",
    "The first steps see zeros, as if the parameters had been zero before. Nobody had read anything else "
    "than the start by then.",
    "As long as t is smaller than the delay, the oldest parameters that there are stand at index 0.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[t - delay] if t >= delay else 0 * path[0])


@stale_slips(
    "waits until there is a past",
    "You take no step until delay steps have gone by. The workers do step meanwhile: all from the start.",
    "For t smaller than the delay the gradient is taken at the start.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    path = [start.copy()]
    for t in range(steps):
        path.append(path[t] - lr * gradient(path[t - delay], t) if t >= delay else path[t])
    return np.stack(path)


@stale_slips(
    "fresh until there is a past",
    "For the first steps you take the gradient where you stand. Their workers had read the start.",
    "For t smaller than the delay the gradient is taken at the start, not at path[t].",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[t - delay if t >= delay else t])


@stale_slips(
    "the step begins in the past as well",
    "You subtract from the old parameters. Each step then forgets the ones between, and you get several "
    "separate paths, interleaved. The gradient is old; what it is subtracted from is not.",
    "Only the argument of gradient is stale. The step begins where the path ends.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    path = [start.copy()]
    for t in range(steps):
        seen = path[max(t - delay, 0)]
        path.append(seen - lr * gradient(seen, t))
    return np.stack(path)


@stale_slips(
    "the rate divided by the delay + 1",
    "You make the steps shorter by delay + 1. A wise thing to do with stale gradients, but the caller's.",
    "Use lr as it is given.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr / (delay + 1), steps, lambda path, t: path[max(t - delay, 0)])


@stale_slips(
    "the rate divided by the delay",
    "You divide lr by the delay. A smaller rate does help against staleness, but that is for the caller.",
    "Use lr as it is given.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr / max(delay, 1), steps, lambda path, t: path[max(t - delay, 0)])


@stale_slips(
    "all rows the same array",
    "You change one array in place and append it again and again. All rows of the path are that one array, "
    "so its past is overwritten, and no gradient is ever stale.",
    "theta -= ... changes the array that the path holds already. theta = theta - ... makes a new one.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    theta = np.array(start)
    path = [theta]
    for t in range(steps):
        theta -= lr * gradient(path[max(t - delay, 0)], t)
        path.append(theta)
    return np.stack(path)


@stale_slips(
    "all rows the start itself",
    "Your theta is start under a second name: theta -= ... changes the caller's array, and all rows of your "
    "path are that one array. Its past is overwritten, and no gradient is ever stale.",
    "Begin with a copy, and let theta = theta - ... make a new array at each step.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    theta = start
    path = [theta]
    for t in range(steps):
        theta -= lr * gradient(path[max(t - delay, 0)], t)
        path.append(theta)
    return np.stack(path)


@stale_slips(
    "the steps counted from 1",
    "Your first step asks for the gradient of step 1, and your last for that of step steps. The path's rows "
    "are counted so that row 0 is the start; the steps begin with 0 as well.",
    "Step t leads from row t to row t + 1, and its gradient has the number t.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(
        lambda at, t: gradient(at, t + 1), start, lr, steps, lambda path, t: path[max(t - delay, 0)]
    )


@stale_slips(
    "the number of the step is stale too",
    "You call gradient with the step at which the parameters were read. The second argument is t: this "
    "step's rows, whatever parameters they are looked at with.",
    "Only the parameters are old. The number of the step is t.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    path = [start.copy()]
    for t in range(steps):
        then = max(t - delay, 0)
        path.append(path[t] - lr * gradient(path[then], then))
    return np.stack(path)


@stale_slips(
    "the start left out",
    "The path lacks its first row: theta[0] is the start.",
    "There is one row more than there are steps.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[max(t - delay, 0)])[1:]


@stale_slips(
    "one step too few",
    "The path has as many rows as there are steps, the start among them: the last step is missing.",
    "There is one row more than there are steps.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, max(steps - 1, 0), lambda path, t: path[max(t - delay, 0)])


@stale_slips(
    "only the last point",
    "You return where the path ends. Asked for is the whole path, a row for each point.",
    "Keep every theta in a list, and stack them.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[max(t - delay, 0)])[-1]


@stale_slips(
    "refreshed now and then",
    "You keep old parameters for delay + 1 steps and then read anew. Their age then runs from 0 up to the "
    "delay. Here every gradient is equally old.",
    "At each step the index that is read moves on by one, too.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, lr, steps, lambda path, t: path[t - t % (delay + 1)])


@stale_slips(
    "uphill",
    "You add the gradient: the path climbs.",
    "A step goes against the gradient.",
)
def _(gradient: Any, start: Array, lr: float, steps: int, delay: int) -> Any:
    return walked(gradient, start, -lr, steps, lambda path, t: path[max(t - delay, 0)])
