"""The slips of ``zero3_step``: weights kept or not gathered, gradients moved whole, wrong means."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_12_zero1_slips import TOO_MUCH

__all__ = ["Step", "zero3_slips"]

Array = np.ndarray
zero3_slips = Slips()


class Step:
    """A right step in pieces; a slip is one with another piece."""

    def __init__(self, comm: Any, shards: Any, states: Any, model: Any, x: Array, rule: Any) -> None:
        self.comm, self.shards, self.states, self.model = comm, list(shards), list(states), model
        self.x, self.rule = x, rule

    def gather(self, i: int) -> Array:
        """Gather a layer and cut its padding."""
        return self.comm.all_gather(self.shards[i])[: self.model.sizes[i]]

    def forward_weights(self, i: int) -> Array:
        """Return what the forward computes with."""
        return self.gather(i)

    def backward_weights(self, i: int) -> Array:
        """Return what the backward computes with."""
        return self.gather(i)

    def padded(self, grad: Array) -> Array:
        """Fill a gradient up."""
        return np.pad(grad, (0, -len(grad) % self.comm.world_size))

    def reduce(self, grad: Array) -> Array:
        """Reduce a gradient to this rank's block of the mean."""
        return self.comm.reduce_scatter(self.padded(grad), "mean")

    def update(self, i: int, gradient: Array) -> None:
        """Update this rank's shard."""
        delta, self.states[i] = self.rule.update(gradient, self.states[i], self.shards[i])
        self.shards[i] = self.shards[i] - delta

    def run(self) -> Any:
        """Take the step."""
        inputs, x = [], self.x
        for i in range(len(self.shards)):
            inputs.append(x)
            x = self.model.forward(i, self.forward_weights(i), x)
        dy = self.model.loss(x)
        for i in reversed(range(len(self.shards))):
            dy, grad = self.model.backward(i, self.backward_weights(i), inputs[i], dy)
            self.update(i, self.reduce(grad))
        return self.shards, self.states


@zero3_slips(
    "weights not freed",
    "You keep the gathered weights from the forward for the backward. That saves a gather, but each rank "
    "holds the whole model between the two: what stage 3 was to avoid.",
    "Gather again in the backward, one layer at a time.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Kept(Step):
        def forward_weights(self, i: int) -> Array:
            self.kept = [*getattr(self, "kept", []), self.gather(i)]
            return self.kept[i]

        def backward_weights(self, i: int) -> Array:
            return self.kept[i]

    return Kept(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "everything gathered first",
    "You gather twice, as you should, and still each rank holds the whole model: either all layers are "
    "gathered before the first is used, or those of the forward are kept, in a list or as copies.",
    "Gather inside the loop, and keep no list of gathered weights.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class First(Step):
        def forward_weights(self, i: int) -> Array:
            if i == 0:
                self.all = [self.gather(j) for j in range(len(self.shards))]
            return self.all[i]

        def backward_weights(self, i: int) -> Array:
            if i == len(self.shards) - 1:
                self.all = [self.gather(j) for j in range(len(self.shards))]
            return self.all[i]

    return First(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "gathered once too often",
    "Your values are right, but you move 4 Psi instead of 3: you gather the new weights after the step, and "
    "nobody uses them.",
    "The next forward gathers what it needs. A step ends with the shards.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    step = Step(comm, shards, states, model, x, rule)
    result = step.run()
    for i in range(len(step.shards)):
        step.gather(i)
    return result


FOUR_PSI = (
    "Your values are right, but you move 4 Psi instead of 3: you all-reduce each gradient and use one block."
)


@zero3_slips("all-reduce instead of reduce-scatter", FOUR_PSI, TOO_MUCH)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Reduced(Step):
        def reduce(self, grad: Array) -> Array:
            mean = self.comm.all_reduce(self.padded(grad), "mean")
            return mean.reshape(self.comm.world_size, -1)[self.comm.rank]

    return Reduced(comm, shards, states, model, x, rule).run()


@zero3_slips("all-reduce of the unpadded gradients", FOUR_PSI + " You pad what comes of it.", TOO_MUCH)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Reduced(Step):
        def reduce(self, grad: Array) -> Array:
            mean = self.padded(self.comm.all_reduce(grad, "mean"))
            return mean.reshape(self.comm.world_size, -1)[self.comm.rank]

    return Reduced(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "mean forgotten",
    "You add the ranks' gradients and do not divide: each step is world_size times too long.",
    'comm.reduce_scatter(padded, "mean"), or divide the sum by comm.world_size.',
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Sum(Step):
        def reduce(self, grad: Array) -> Array:
            return self.comm.reduce_scatter(self.padded(grad))

    return Sum(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "mean twice",
    "You divide by the number of ranks twice: once in the collective, once beside it.",
    'With "mean" the division is done.',
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Twice(Step):
        def reduce(self, grad: Array) -> Array:
            return super().reduce(grad) / self.comm.world_size

    return Twice(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "gradients not reduced",
    "Each rank updates its shards with its own gradients: the other ranks' data is lost.",
    "comm.reduce_scatter leaves each rank the mean of all ranks' gradients, for its shard.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Own(Step):
        def reduce(self, grad: Array) -> Array:
            return self.padded(grad).reshape(self.comm.world_size, -1)[self.comm.rank]

    return Own(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "not gathered before use",
    "You hand the model this rank's shard. A layer computes with all of its weights.",
    "comm.all_gather(shards[i]) first.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Shard(Step):
        def gather(self, i: int) -> Array:
            return self.shards[i]

    return Shard(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "padding leaked",
    "You hand the model the gathered row with its padding.",
    "Cut it to model.sizes[i].",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Leaked(Step):
        def gather(self, i: int) -> Array:
            return self.comm.all_gather(self.shards[i])

    return Leaked(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "gathered in the wrong order",
    "You put the gathered shards together from the last rank to the first.",
    "all_gather returns them in order of rank already.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Backwards(Step):
        def gather(self, i: int) -> Array:
            blocks = self.comm.all_gather(self.shards[i]).reshape(self.comm.world_size, -1)
            return blocks[::-1].reshape(-1)[: self.model.sizes[i]]

    return Backwards(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "stale shard kept",
    "You return the shards as they came: the weights never change.",
    "shards[i] - delta is the new shard.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Stale(Step):
        def update(self, i: int, gradient: Array) -> None:
            _, self.states[i] = self.rule.update(gradient, self.states[i], self.shards[i])

    return Stale(comm, shards, states, model, x, rule).run()


@zero3_slips(
    "updated before its backward",
    "You gather a layer for its backward after you have updated it: the gradient flows through new weights.",
    "Gather, backward, reduce-scatter, update: in this order for each layer.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Early(Step):
        def run(self) -> Any:
            inputs, x = [], self.x
            for i in range(len(self.shards)):
                inputs.append(x)
                x = self.model.forward(i, self.forward_weights(i), x)
            dy = self.model.loss(x)
            for i in reversed(range(len(self.shards))):
                weights = self.gather(i)
                _, grad = self.model.backward(i, weights, inputs[i], dy)
                del weights
                self.update(i, self.reduce(grad))
                dy, _ = self.model.backward(i, self.gather(i), inputs[i], dy)
            return self.shards, self.states

    return Early(comm, shards, states, model, x, rule).run()
