"""Pipeline parallelism: each rank has some of the layers, and the batch passes through in small parts.

A schedule (:mod:`course.cluster.schedules`) says in which order a rank works on which part; here it is
carried out, with real activations sent forward and real gradients sent back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from course.arrays import Array, copy
from course.cluster.communicator import Communicator, Pending
from course.cluster.flat import Naming, Unit
from course.cluster.models import Layered
from course.cluster.parts import even_part
from course.cluster.schedules import Work, gpipe
from course.rules import Rule

__all__ = ["Pipeline", "chunk_of"]


def chunk_of(layers: int, chunks: int, place: int) -> range:
    """Return which layers are the ``place``-th of so many chunks: the first ones have one more if need be.

    >>> [list(chunk_of(5, 2, place)) for place in range(2)]
    [[0, 1, 2], [3, 4]]
    """
    if chunks > layers:
        raise ValueError(f"pipeline: {layers} layers do not make {chunks} chunks")
    return even_part(layers, chunks, place)


class Pipeline:
    """One stage of a pipeline.

    Args:
        comm: the stages, in order. model: the whole one, in layers; a stage keeps its own.
        rule: any course rule. schedule: for each stage, its work in order.
        data: the ranks that hold the same stage of other pipelines, on other rows: gradients are summed over
            them. None for one pipeline alone.
    """

    def __init__(
        self,
        comm: Communicator,
        model: Layered,
        rule: Rule,
        schedule: Sequence[Sequence[Work]] | None = None,
        *,
        data: Communicator | None = None,
    ) -> None:
        schedule = gpipe(comm.world_size, comm.world_size) if schedule is None else schedule
        if len(schedule) != comm.world_size:
            raise ValueError(f"pipeline: the schedule is for {len(schedule)} stages, not {comm.world_size}")
        self.comm, self.model, self.rule, self.data = comm, model, rule, data
        self.works = list(schedule[comm.rank])
        self.micros = 1 + max(work.micro for work in self.works)
        self.chunks = 1 + max(work.chunk for work in self.works)
        total, layers = comm.world_size * self.chunks, len(model.layers)
        self.own = [chunk_of(layers, total, c * comm.world_size + comm.rank) for c in range(self.chunks)]
        naming = Naming(model.layers)
        if max(naming.counts.values()) > 1:
            raise ValueError("pipeline: a parameter of two layers would have to live on two stages")
        names = [name for part in self.own for i in part for name in naming.uses[i].values()]
        self.uses = naming.uses
        self.params = {name: copy(naming.params[name]) for name in names}
        self.state = rule.init(self.params)
        self._count()

    def step(self, x: Array, target: Array, share: float = 1.0) -> float:
        """Take one step on a batch, which every stage is given (the first uses ``x``, the last ``target``).

        Args:
            x, target: the rows; cut into micro-batches here. share: what they are of all pipelines' rows.

        Returns: the mean loss on the last stage, 0 on the others.
        """
        self.saved: dict[tuple[int, int], Any] = {}
        self.kept: dict[tuple[int, int], Any] = {}
        self.pending: list[Pending] = []
        self.gradients: dict[str, Array] = {}
        self.loss, self.parts = 0.0, dict(enumerate(_parts(x, self.micros)))
        self.targets, self.share = _parts(target, self.micros), share
        for work in self.works:
            {"F": self._forward, "B": self._backward, "W": self._weights}[work.kind](work)
        for one in self.pending:
            one.wait()
        self._update()
        self.comm.step += 1
        return self.loss

    def parameters(self) -> dict[str, Array]:
        """Return this stage's parameters by name."""
        return self.params

    def _forward(self, work: Work) -> None:
        x = self.parts.pop(work.micro) if self._place(work) == 0 else self._receive(work, -1)
        saved = []
        for i in self.own[work.chunk]:
            x, kept = self.model.forward(i, self._layer(i), x)
            saved.append(kept)
        self.saved[work.micro, work.chunk] = self.comm.memory.hold("activations", saved)
        if self._place(work) + 1 < self.comm.world_size * self.chunks:
            self._send(x, work, 1)
        else:
            target = self.targets[work.micro]
            loss, dy = self.model.loss(x, target)
            part = len(target) / max(sum(map(len, self.targets)), 1)
            self.loss += loss * part
            self.saved[work.micro, work.chunk].append(dy * (part * self.share))

    def _backward(self, work: Work) -> None:
        if (work.micro, work.chunk) not in self.saved:
            raise ValueError(
                f"pipeline: stage {self.comm.rank} is to do the backward {work} before its forward"
            )
        saved = self.saved.pop((work.micro, work.chunk))
        last = self._place(work) + 1 == self.comm.world_size * self.chunks
        dy = saved.pop() if last else self._receive(work, 1)
        split, kept = Work("W", work.micro, work.chunk) in self.works, []
        for i in reversed(self.own[work.chunk]):
            if split:
                model: Any = self.model
                dy, one = model.backward_input(i, self._layer(i), saved.pop(), dy)
                kept.append((i, one))
            else:
                dy, found = self.model.backward(i, self._layer(i), saved.pop(), dy)
                self._add(i, found)
        if split:
            self.kept[work.micro, work.chunk] = self.comm.memory.hold("activations", kept)
        if self._place(work):
            self._send(dy, work, -1)

    def _weights(self, work: Work) -> None:
        model: Any = self.model
        for i, kept in self.kept.pop((work.micro, work.chunk)):
            self._add(i, model.backward_weight(i, kept))

    def _add(self, layer: int, gradients: dict[str, Array]) -> None:
        for local, name in self.uses[layer].items():
            before = self.gradients.get(name)
            self.gradients[name] = gradients[local] if before is None else before + gradients[local]

    def _update(self) -> None:
        gradients = {name: self.gradients[name] for name in self.params}
        if self.data is not None:
            unit = Unit(gradients, 1)
            gradients = unit.views(self.data.all_reduce(unit.flatten(gradients), label="gradients"))
        deltas, self.state = self.rule.update(gradients, self.state, self.params)
        self.params = {name: param - deltas[name] for name, param in self.params.items()}
        self._count()

    def _place(self, work: Work) -> int:
        """Return which of all chunks of the model this is."""
        return work.chunk * self.comm.world_size + self.comm.rank

    def _layer(self, i: int) -> dict[str, Array]:
        return {local: self.params[name] for local, name in self.uses[i].items()}

    def _send(self, array: Array, work: Work, step: int) -> None:
        """Send to the chunk after (1) or before (-1); alone, a stage is its own neighbour."""
        place, label = self._place(work), "activations" if step == 1 else "gradients of activations"
        tag = self._tag(work.micro, place + step, step)
        if self.comm.world_size == 1:
            self.kept[-1, tag] = array
        else:
            self.pending.append(self.comm.isend(array, (place + step) % self.comm.world_size, label, tag))

    def _receive(self, work: Work, step: int) -> Array:
        place = self._place(work)
        tag = self._tag(work.micro, place, -step)
        if self.comm.world_size == 1:
            return self.kept.pop((-1, tag))
        return self.comm.recv((place + step) % self.comm.world_size, tag=tag)

    def _tag(self, micro: int, place: int, step: int) -> int:
        """Number the message that chunk ``place`` gets for a micro-batch, from before (1) or after (-1)."""
        return 2 * (micro * self.comm.world_size * self.chunks + place) + (step == 1)

    def _count(self) -> None:
        self.comm.memory.hold("parameters", self.params)
        self.comm.memory.hold("optimizer", self.state)


def _parts(rows: Array, count: int) -> list[Array]:
    """Cut the rows into so many parts, whose lengths differ by one at most."""
    parts = [even_part(len(rows), count, i) for i in range(count)]
    return [copy(rows[part.start : part.stop]) for part in parts]
