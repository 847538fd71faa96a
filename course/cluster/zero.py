"""ZeRO: what every rank of data parallelism holds alike is cut up among them.

Stage 1 shards the optimizer's state, stage 2 the gradients as well, stage 3 the parameters too. Stages 1 and
2 send what data parallelism sends, in two halves: gradients are reduce-scattered, so that each rank has the
sum of its own block; it updates that block; and the new parameters are all-gathered.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from course.arrays import Array, copy
from course.cluster.communicator import Communicator
from course.cluster.data_parallel import BUCKET
from course.cluster.flat import Collector, Naming, Unit, as_dtype, own_block
from course.cluster.fsdp import FullyShard
from course.cluster.models import Layered, backward, forward
from course.cluster.sharded_rules import ShardedRule
from course.rules import Rule

__all__ = ["Zero", "model_states", "zero"]


def model_states(
    parameters: float,
    ranks: int,
    stage: int,
    param_bytes: float = 2,
    gradient_bytes: float = 2,
    optimizer_bytes: float = 12,
) -> float:
    """Return the bytes of parameters, gradients and optimizer state that a rank holds.

    The defaults are those of the ZeRO paper: half precision, and Adam with a master copy in float32
    (4 + 4 + 4 bytes). Stage 0 is data parallelism.

    >>> [round(model_states(7.5e9, 64, stage) / 1e9, 1) for stage in range(4)]
    [120.0, 31.4, 16.6, 1.9]

    Source: S. Rajbhandari et al. (2020), ZeRO: Memory Optimizations Toward Training Trillion Parameter
    Models, figure 1.
    """
    if stage not in (0, 1, 2, 3):
        raise ValueError(f"model_states: stage must be 0, 1, 2 or 3, not {stage!r}")
    sizes = (optimizer_bytes, gradient_bytes, param_bytes)
    return parameters * sum(size / ranks if i < stage else size for i, size in enumerate(sizes))


def zero(comm: Communicator, model: Layered, rule: Rule, stage: int = 2, **options: Any) -> Zero | FullyShard:
    """Return this rank's part of ZeRO training in stage 1, 2 or 3; options as of the classes."""
    if stage == 3:
        return FullyShard(comm, model, rule, **options)
    return Zero(comm, model, rule, stage, **options)


class Zero:
    """Stages 1 and 2: parameters whole on every rank, each rank updating its own block of them.

    Args:
        comm: the ranks. model: in layers. rule: elementwise, or LARS or LAMB. stage: 1 or 2.
        frozen: names of parameters that are not trained. bucket_bytes: how much is reduced at once; each
            bucket is padded until it divides among the ranks.
        master: the dtype in which each rank keeps its block and its state, if another than the model's:
            ``float32`` beside a half-precision model.
    """

    def __init__(
        self,
        comm: Communicator,
        model: Layered,
        rule: Rule,
        stage: int = 2,
        *,
        frozen: Collection[str] = (),
        bucket_bytes: float = BUCKET,
        master: str | None = None,
    ) -> None:
        if stage not in (1, 2):
            raise ValueError(f"Zero: stage must be 1 or 2, not {stage!r}; FullyShard is stage 3")
        self.comm, self.model, self.stage, self.master = comm, model, stage, master
        self.naming = Naming(model.layers, frozen)
        self.units = self.naming.buckets(comm.world_size, bucket_bytes)
        hold = comm.memory.hold
        self.rows = [hold("parameters", unit.flatten(self.naming.params)) for unit in self.units]
        self.fixed = {name: hold("parameters", copy(self.naming.params[name])) for name in self.naming.frozen}
        self.blocks = self._own_blocks()
        pieces = [unit.pieces(comm.rank) for unit in self.units]
        axes = {name: len(shape) for unit in self.units for name, shape in unit.shapes.items()}
        self.rule = ShardedRule(comm, rule, self.blocks, pieces, axes)
        self._count()

    def step(self, x: Array, target: Array, share: float | None = None) -> float:
        """Take one step on this rank's rows of the batch; return their mean loss (see DataParallel)."""
        layers = self.naming.layers(self.parameters())
        out, saved = forward(self.model, layers, x)
        loss, dy = self.model.loss(out, target)
        rows: dict[int, Array] = {}

        def ready(unit: Unit, row: Array) -> None:
            row = self._reduced(row) if self.stage == 2 else row
            rows[id(unit)] = self.comm.memory.hold("gradients", row)

        collector = Collector(
            self.units, self.naming, 1 / self.comm.world_size if share is None else share, ready
        )
        for i, found in backward(self.model, layers, saved, dy):
            collector.add(i, found)
        del found
        self.comm.memory.mark("backward")
        gradients = [rows.pop(id(unit)) for unit in self.units]
        if self.stage == 1:
            gradients = [self._reduced(row) for row in gradients]
        self._update(gradients)
        self.comm.step += 1
        return loss

    def parameters(self) -> dict[str, Array]:
        """Return all parameters by name: views of the rows."""
        found = dict(self.fixed)
        for unit, row in zip(self.units, self.rows, strict=True):
            found |= unit.views(row)
        return {name: found[name] for name in self.naming.params}

    def _reduced(self, row: Array) -> Array:
        return self.comm.reduce_scatter(row, label="gradients")

    def _own_blocks(self) -> list[Array]:
        """Return this rank's blocks: parts of the rows, or copies in the master's dtype."""
        pairs, rank = zip(self.units, self.rows, strict=True), self.comm.rank
        if self.master is None:
            return [row[unit.block(rank)] for unit, row in pairs]
        return [own_block(unit, row, rank, self.master) for unit, row in pairs]

    def _update(self, gradients: list[Array]) -> None:
        gradients = [as_dtype(g, self.master) for g in gradients]
        deltas = self.rule.update(gradients, self.blocks)
        self.blocks = [block - delta for block, delta in zip(self.blocks, deltas, strict=True)]
        for i, block in enumerate(self.blocks):
            sent = block if self.master is None else as_dtype(block, self.rows[i].dtype)
            self.rows[i][:] = self.comm.all_gather(sent, label="parameters")
        if self.master is None:  # the blocks need not be kept twice
            self.blocks = self._own_blocks()
        self._count()

    def _count(self) -> None:
        self.comm.memory.hold("optimizer", self.rule.states)
        if self.master is not None:
            self.comm.memory.hold("optimizer", self.blocks)
