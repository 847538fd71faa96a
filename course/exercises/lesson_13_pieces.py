"""A right ``pipeline_stage`` in pieces: a slip is one with another piece."""

from __future__ import annotations

from typing import Any

__all__ = ["StagePieces"]


class StagePieces:
    """One stage at work."""

    def __init__(self, comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> None:
        self.comm, self.works, self.inputs = comm, works, inputs
        self.forward, self.backward, self.loss = forward, backward, loss
        self.rows = [len(x) for x in inputs]
        self.saved: dict[int, Any] = {}
        self.outputs: dict[int, Any] = {}
        self.pending: list[Any] = []
        self.total: Any = 0

    @property
    def last(self) -> bool:
        """Say whether this is the last stage."""
        return self.comm.rank + 1 == self.comm.world_size

    def run(self) -> Any:
        """Do all works and return the gradient."""
        for kind, i in self.order():
            self.ahead(i) if kind == "F" else self.behind(i)
        for one in self.pending:
            one.wait()
        return self.result()

    def order(self) -> Any:
        """Return the works in the order in which they are done."""
        return self.works

    def ahead(self, i: int) -> None:
        """Do a forward."""
        x = self.receive(i, -1) if self.comm.rank else self.inputs[i]
        y, saved = self.forward(x)
        self.keep(i, saved, y)
        if not self.last:
            self.send(y, i, 1)

    def behind(self, i: int) -> None:
        """Do a backward."""
        saved, y = self.kept(i)
        dy = self.first_gradient(i, y) if self.last else self.receive(i, 1)
        dx, gradient = self.backward(saved, dy)
        self.add(i, gradient)
        if self.comm.rank:
            self.send(dx, i, -1)

    def keep(self, i: int, saved: Any, y: Any) -> None:
        """Keep what a forward leaves."""
        self.saved[i], self.outputs[i] = saved, y

    def kept(self, i: int) -> Any:
        """Return what a forward left, and let go of it."""
        return self.saved.pop(i, None), self.outputs.pop(i, None)

    def first_gradient(self, i: int, y: Any) -> Any:
        """Return the gradient in the output of the last stage."""
        return self.loss(i, y)

    def add(self, i: int, gradient: Any) -> None:
        """Add a micro-batch's gradient."""
        self.total = self.total + gradient * (self.rows[i] / sum(self.rows))

    def result(self) -> Any:
        """Return the gradient of all."""
        return self.total

    def send(self, array: Any, i: int, step: int) -> None:
        """Send to the next stage (1) or to the one before (-1)."""
        self.pending.append(self.comm.isend(array, self.comm.rank + step))

    def receive(self, i: int, step: int) -> Any:
        """Receive from the next stage (1) or from the one before (-1)."""
        return self.comm.recv(self.comm.rank + step)
