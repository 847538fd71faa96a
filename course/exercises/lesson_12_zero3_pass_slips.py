"""More slips of ``zero3_step``: what the backward pass is given, and what of it is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_12_zero3_slips import Step

__all__ = ["zero3_pass_slips"]

Array = np.ndarray
zero3_pass_slips = Slips()


class _Passes(Step):
    """The step with places to spoil: what is kept of the forward, and what is handed on in the backward."""

    def kept(self, before: Array, after: Array) -> Array:
        return before

    def handed_on(self, dy: Array, dx: Array) -> Array:
        return dx

    def run(self) -> Any:
        inputs, x = [], self.x
        for i in range(len(self.shards)):
            before, x = x, self.model.forward(i, self.gather(i), x)
            inputs.append(self.kept(before, x))
        dy = self.model.loss(x)
        for i in reversed(range(len(self.shards))):
            dx, grad = self.model.backward(i, self.gather(i), inputs[i], dy)
            self.update(i, self.reduce(grad))
            dy = self.handed_on(dy, dx)
        return self.shards, self.states


@zero3_pass_slips(
    "outputs kept, not inputs",
    "You keep what a layer gave back, and hand that to model.backward. It asks for what the layer was given.",
    "Append x to the list before model.forward replaces it.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Outputs(_Passes):
        def kept(self, before: Array, after: Array) -> Array:
            return after

    return Outputs(comm, shards, states, model, x, rule).run()


@zero3_pass_slips(
    "dy not handed on",
    "Every layer is given the gradient of the loss in the last output. Only the last layer should be.",
    "model.backward returns dx: that is the dy of the layer before.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Same(_Passes):
        def handed_on(self, dy: Array, dx: Array) -> Array:
            return dy

    return Same(comm, shards, states, model, x, rule).run()


@zero3_pass_slips(
    "states forgotten",
    "What a step leaves in the states never reaches the next step: either you return them as they came, or "
    "you make new ones at every step.",
    "Give rule.update states[i], and put what it returns in its place.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    return Step(comm, shards, states, model, x, rule).run()[0], states


@zero3_pass_slips(
    "gradients kept whole",
    "You collect the gradients of all layers and reduce them after the backward. Values and bytes are right, "
    "but each rank held every whole gradient.",
    "Reduce-scatter a layer's gradient before the backward of the next.",
)
def _(comm: Any, shards: Any, states: Any, model: Any, x: Any, rule: Any) -> Any:
    class Late(_Passes):
        def update(self, i: int, gradient: Array) -> None:
            self.waiting = [*getattr(self, "waiting", []), (i, gradient)]

        def reduce(self, grad: Array) -> Array:
            return grad

        def run(self) -> Any:
            super().run()
            for i, grad in self.waiting:
                Step.update(self, i, Step.reduce(self, grad))
            return self.shards, self.states

    return Late(comm, shards, states, model, x, rule).run()
