"""The slips of ``pipeline_stage`` that get the mean wrong: weighed twice, by the wrong number, or not."""

from __future__ import annotations

from typing import Any

from course.exercises.base import Slips
from course.exercises.lesson_13_pieces import StagePieces

__all__ = ["mean_slips"]

mean_slips = Slips()


@mean_slips(
    "averaged twice",
    "You weigh each micro-batch by its rows and then divide by the number of micro-batches: the gradient is "
    "that many times too small.",
    "Shares of rows add up to 1. Nothing is left to divide by.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Twice(StagePieces):
        def result(self) -> Any:
            return self.total / len(self.rows)

    return Twice(comm, works, forward, backward, loss, inputs).run()


@mean_slips(
    "weighed at every stage",
    "The gradient that comes back is weighed again at each stage, so the earlier the stage, the smaller.",
    "Weigh once: at the last stage what goes back, or at each stage what it keeps.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Every(StagePieces):
        def behind(self, i: int) -> None:
            saved, y = self.kept(i)
            dy = self.loss(i, y) if self.last else self.receive(i, 1)
            dx, gradient = self.backward(saved, dy * (self.rows[i] / sum(self.rows)))
            self.total = self.total + gradient
            if self.comm.rank:
                self.send(dx, i, -1)

    return Every(comm, works, forward, backward, loss, inputs).run()


@mean_slips(
    "added, not averaged",
    "You add the gradients of the micro-batches as they are. Each is a mean already, over its own rows.",
    "The mean over all rows weighs each micro-batch by its share of the rows.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Sum(StagePieces):
        def add(self, i: int, gradient: Any) -> None:
            self.total = self.total + gradient

    return Sum(comm, works, forward, backward, loss, inputs).run()


@mean_slips(
    "the plain mean of uneven micro-batches",
    "You divide by the number of micro-batches. With unequal numbers of rows that is not the mean over rows.",
    "Weigh each by len(inputs[i]) over the sum of all.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Plain(StagePieces):
        def add(self, i: int, gradient: Any) -> None:
            self.total = self.total + gradient / len(self.rows)

    return Plain(comm, works, forward, backward, loss, inputs).run()


@mean_slips(
    "divided by the stages",
    "You divide by the number of stages. Stages share layers, not rows: there is nothing to average.",
    "The weights come from rows alone.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Stages(StagePieces):
        def result(self) -> Any:
            return self.total / self.comm.world_size

    return Stages(comm, works, forward, backward, loss, inputs).run()


@mean_slips(
    "only the last micro-batch",
    "Each backward replaces the gradient of the one before. What you return comes from one micro-batch.",
    "Add them up.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Last(StagePieces):
        def add(self, i: int, gradient: Any) -> None:
            self.total = gradient * (self.rows[i] / sum(self.rows))

    return Last(comm, works, forward, backward, loss, inputs).run()


@mean_slips(
    "weighed at both ends",
    "You weigh what goes back at the last stage, and each stage weighs its gradient again: every share "
    "counts squared.",
    "Once is enough: at the last stage what goes back, or at each stage what it keeps.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Both(StagePieces):
        def first_gradient(self, i: int, y: Any) -> Any:
            return self.loss(i, y) * (self.rows[i] / sum(self.rows))

    return Both(comm, works, forward, backward, loss, inputs).run()


@mean_slips(
    "rows over micro-batches",
    "You divide the rows of each micro-batch by the number of micro-batches: len(inputs) counts these, not "
    "their rows. The shares no longer add up to 1.",
    "All rows are sum(len(x) for x in inputs).",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Counted(StagePieces):
        def add(self, i: int, gradient: Any) -> None:
            self.total = self.total + gradient * (self.rows[i] / len(self.inputs))

    return Counted(comm, works, forward, backward, loss, inputs).run()
