"""Fully sharded data parallelism (ZeRO stage 3): no rank holds more than its block of anything.

A layer's parameters are all-gathered just before they are used, and dropped after: once in the forward, once
in the backward. With the reduce-scatter of the gradients that makes 3 (N-1)/N of the parameters' bytes a
step.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from course.arrays import Array
from course.cluster.communicator import Communicator
from course.cluster.flat import Collector, Naming, Unit, as_dtype, own_block
from course.cluster.models import Layered
from course.cluster.sharded_rules import ShardedRule
from course.rules import Rule

__all__ = ["FullyShard"]


class FullyShard:
    """One rank's part of fully sharded training; each layer is a unit.

    Args:
        comm: the ranks. model: in layers. rule: elementwise, or LARS or LAMB.
        reshard_after_forward: drop each layer after its forward and gather it again for its backward; False
            keeps all layers in between, for 2 (N-1)/N of the bytes and the memory of the whole model.
        frozen: names of parameters that are not trained (they are sharded too).
        master: the dtype in which each rank keeps its block and its state, if another than the model's.
    """

    def __init__(
        self,
        comm: Communicator,
        model: Layered,
        rule: Rule,
        *,
        reshard_after_forward: bool = True,
        frozen: Collection[str] = (),
        master: str | None = None,
    ) -> None:
        self.comm, self.model, self.reshard, self.master = comm, model, reshard_after_forward, master
        self.naming = Naming(model.layers, frozen)
        self.units, self.fixed = self._make_units(True), self._make_units(False)
        every = (*self.units, *self.fixed)
        self.home = {name: unit for unit in every for name in unit.names}
        rows = {id(unit): unit.flatten(self.naming.params) for unit in every}
        self.shards = {id(unit): own_block(unit, rows[id(unit)], comm.rank) for unit in every}
        self.blocks = [self.shards[id(unit)] for unit in self.units]
        if master is not None:
            self.blocks = [own_block(unit, rows[id(unit)], comm.rank, master) for unit in self.units]
        pieces = [unit.pieces(comm.rank) for unit in self.units]
        axes = {name: len(shape) for unit in self.units for name, shape in unit.shapes.items()}
        self.rule = ShardedRule(comm, rule, self.blocks, pieces, axes)
        self.gathered: dict[int, Array] = {}
        self._count()

    def step(self, x: Array, target: Array, share: float | None = None) -> float:
        """Take one step on this rank's rows of the batch; return their mean loss (see DataParallel)."""
        saved = []
        for i in range(len(self.naming.uses)):
            x, kept = self.model.forward(i, self._gather(i, "forward"), x)
            saved.append(kept)
            if self.reshard:
                self.gathered.clear()
        loss, dy = self.model.loss(x, target)
        rows: dict[int, Array] = {}

        def ready(unit: Unit, row: Array) -> None:
            own = self.comm.reduce_scatter(row, label="gradients")
            rows[id(unit)] = self.comm.memory.hold("gradients", own)

        collector = Collector(
            self.units, self.naming, 1 / self.comm.world_size if share is None else share, ready
        )
        for i in reversed(range(len(self.naming.uses))):
            dy, found = self.model.backward(i, self._gather(i, "backward"), saved.pop(), dy)
            if self.reshard:
                self.gathered.clear()
            collector.add(i, found)
        self.gathered.clear()
        self.comm.memory.mark("backward")
        self._update([rows.pop(id(unit)) for unit in self.units])
        self.comm.step += 1
        return loss

    def parameters(self) -> dict[str, Array]:
        """Return all parameters by name, gathered: every rank must call this, and gets the whole model."""
        found: dict[str, Array] = {}
        for unit in (*self.units, *self.fixed):
            found |= unit.views(self.comm.all_gather(self.shards[id(unit)], label="result"))
        return {name: found[name] for name in self.naming.params}

    def _gather(self, layer: int, label: str) -> dict[str, Array]:
        """Return a layer's parameters whole, gathering what is not there."""
        params = {}
        for local, name in self.naming.uses[layer].items():
            unit = self.home[name]
            if id(unit) not in self.gathered:
                row = self.comm.all_gather(self.shards[id(unit)], label=label)
                self.gathered[id(unit)] = self.comm.memory.hold("gathered", row)
            row = self.gathered[id(unit)]
            params[local] = row[unit.places[name]].reshape(unit.shapes[name])
        return params

    def _update(self, gradients: list[Array]) -> None:
        gradients = [as_dtype(g, self.master) for g in gradients]
        deltas = self.rule.update(gradients, self.blocks)
        self.blocks = [block - delta for block, delta in zip(self.blocks, deltas, strict=True)]
        for unit, block in zip(self.units, self.blocks, strict=True):
            own = self.shards[id(unit)]
            self.shards[id(unit)] = block if self.master is None else as_dtype(block, own.dtype)
        self._count()

    def _make_units(self, trained: bool) -> list[Unit]:
        """Return one unit a layer, of the parameters that it is the first to use."""
        units = []
        for i, uses in enumerate(self.naming.uses):
            own = [name for name in uses.values() if name.startswith(f"{i}.")]
            chosen = {n: self.naming.params[n] for n in own if (n in self.naming.frozen) != trained}
            if chosen:
                units.append(Unit(chosen, self.comm.world_size))
        return units

    def _count(self) -> None:
        hold: Any = self.comm.memory.hold
        if self.master is not None:
            hold("optimizer", self.blocks)
        hold("parameters", self.shards)
        hold("optimizer", self.rule.states)
