"""Data parallelism: every rank holds the whole model and a share of the data; gradients are all-reduced.

After the last layer's backward its gradient is known, while the others still wait for theirs. So gradients
are gathered into buckets, and a bucket is all-reduced as soon as it is full: on a real machine while the
backward goes on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from course.arrays import Array, copy
from course.cluster.communicator import Communicator
from course.cluster.flat import Collector, Naming, Unit
from course.cluster.models import Layered, backward, forward
from course.cluster.parts import even_part
from course.rules import Rule

__all__ = ["DataParallel", "rows"]

BUCKET = 25 * 2**20  # bytes, as torch's DDP


def rows(count: int, comm: Communicator) -> slice:
    """Return which rows of a batch are this rank's: as many as another's, or one more or less.

    Their share of the whole is ``(stop - start) / count``: what ``step`` needs where the shares differ.
    """
    own = even_part(count, comm.world_size, comm.rank)
    return slice(own.start, own.stop)


class DataParallel:
    """One rank's part of data-parallel training (DDP): 2 (N-1)/N of the gradients' bytes a step.

    Args:
        comm: the ranks. model: in layers. rule: any course rule; every rank takes the same step.
        frozen: names of parameters that are not trained. bucket_bytes: how much is all-reduced at once.
    """

    def __init__(
        self,
        comm: Communicator,
        model: Layered,
        rule: Rule,
        *,
        frozen: Collection[str] = (),
        bucket_bytes: float = BUCKET,
    ) -> None:
        self.comm, self.model, self.rule = comm, model, rule
        self.naming = Naming(model.layers, frozen)
        self.units = self.naming.buckets(1, bucket_bytes)  # nothing is cut up: no padding
        self.params = {name: copy(param) for name, param in self.naming.params.items()}
        self.state = rule.init({name: self.params[name] for unit in self.units for name in unit.names})
        self._count()

    def step(self, x: Array, target: Array, share: float | None = None) -> float:
        """Take one step on this rank's rows of the batch; return their mean loss.

        Args:
            x, target: this rank's rows.
            share: the part of the whole batch that they are, where parts differ; equal parts by default.
        """
        layers = self.naming.layers(self.params)
        out, saved = forward(self.model, layers, x)
        loss, dy = self.model.loss(out, target)
        gradients: dict[str, Array] = {}

        def ready(unit: Unit, row: Array) -> None:
            total = self.comm.all_reduce(row, label="gradients")
            gradients.update(unit.views(self.comm.memory.hold("gradients", total)))

        collector = Collector(
            self.units, self.naming, 1 / self.comm.world_size if share is None else share, ready
        )
        for i, found in backward(self.model, layers, saved, dy):
            collector.add(i, found)
        self.comm.memory.mark("backward")
        self._update(gradients)
        self.comm.step += 1
        return loss

    def parameters(self) -> dict[str, Array]:
        """Return all parameters by name."""
        return self.params

    def _update(self, gradients: dict[str, Array]) -> None:
        mine = {name: self.params[name] for name in gradients}
        deltas, self.state = self.rule.update(gradients, self.state, mine)
        for name, delta in deltas.items():
            self.params[name] = self.params[name] - delta
        self._count()

    def _count(self) -> None:
        hold: Any = self.comm.memory.hold
        hold("parameters", self.params)
        hold("optimizer", self.state)
