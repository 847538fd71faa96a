"""Local SGD and DiLoCo: every rank trains on its own for a while, then all meet.

After ``every`` steps the ranks average what they moved. The opposite of that is taken as a gradient, and an
outer rule takes a step with it: plain SGD with rate 1 is local SGD, where the average of the parameters is
simply the new start; Nesterov with rate 0.7 and momentum 0.9 is DiLoCo. The wire carries what data
parallelism carries, but once every so many steps.
"""

from __future__ import annotations

from course.arrays import Array, copy
from course.cluster.communicator import Communicator
from course.cluster.flat import Naming, Unit
from course.cluster.models import Layered, backward, forward
from course.rules import SGD, Nesterov, Rule

__all__ = ["DILOCO", "LOCAL_SGD", "LocalSGD"]

LOCAL_SGD = SGD(lr=1.0)
DILOCO = Nesterov(lr=0.7, momentum=0.9)  # A. Douillard et al. (2023), DiLoCo, section 3.1


class LocalSGD:
    """One rank of local SGD.

    Args:
        comm: the ranks. model: in layers. rule: of the inner steps; its state stays on the rank.
        every: inner steps between two meetings, >= 1. outer: the rule of the meetings.

    Source: S. U. Stich (2019), Local SGD Converges Fast and Communicates Little; A. Douillard et al. (2023),
    DiLoCo: Distributed Low-Communication Training of Language Models.
    """

    def __init__(
        self, comm: Communicator, model: Layered, rule: Rule, every: int = 10, outer: Rule = LOCAL_SGD
    ) -> None:
        if every < 1:
            raise ValueError(f"LocalSGD: every must be >= 1, not {every!r}")
        self.comm, self.model, self.rule, self.outer, self.every = comm, model, rule, outer, every
        self.naming = Naming(model.layers)
        self.unit = Unit(self.naming.params, 1)
        self.params = {name: copy(param) for name, param in self.naming.params.items()}
        self.state = rule.init(self.params)
        self.start = self.unit.flatten(self.params)
        self.outer_state = outer.init(self.start)
        self.done = 0

    def step(self, x: Array, target: Array) -> float:
        """Take one inner step on this rank's rows, and meet the others when it is time; return the loss."""
        layers = self.naming.layers(self.params)
        out, saved = forward(self.model, layers, x)
        loss, dy = self.model.loss(out, target)
        gradients: dict[str, Array] = {}
        for i, found in backward(self.model, layers, saved, dy):
            for local, name in self.naming.uses[i].items():
                gradients[name] = found[local] + gradients[name] if name in gradients else found[local]
        ordered = {name: gradients[name] for name in self.params}
        deltas, self.state = self.rule.update(ordered, self.state, self.params)
        self.params = {name: param - deltas[name] for name, param in self.params.items()}
        self.done += 1
        if self.done % self.every == 0:
            self._meet()
        self.comm.step += 1
        return loss

    def parameters(self) -> dict[str, Array]:
        """Return this rank's parameters: those of all ranks right after a meeting."""
        return self.params

    def _meet(self) -> None:
        moved = self.start - self.unit.flatten(self.params)
        mean = self.comm.all_reduce(moved, "mean", label="outer gradients")
        delta, self.outer_state = self.outer.update(mean, self.outer_state, self.start)
        self.start = self.start - delta
        self.params = {name: copy(view) for name, view in self.unit.views(self.start).items()}
