"""The slips of ``pipeline_stage``: wrong orders, activations mixed up, too much on the wire."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.exercises.base import Slips
from course.exercises.lesson_13_pieces import StagePieces

__all__ = ["stage_slips"]

stage_slips = Slips()


@stage_slips(
    "saved under one name",
    "What a forward saves is overwritten by the next forward, before its backward has used it.",
    "Keep it by the number of the micro-batch: saved[i].",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class One(StagePieces):
        def keep(self, i: int, saved: Any, y: Any) -> None:
            self.one = saved
            self.outputs[i] = y

        def kept(self, i: int) -> Any:
            return self.one, self.outputs.pop(i)

    return One(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "last in, first out",
    "You take what was saved last, and not what this micro-batch's forward has saved.",
    "Both ways in order: what was saved first is used first. Or keep it by number: saved[i].",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Stack(StagePieces):
        def kept(self, i: int) -> Any:
            saved = self.saved.pop(max(self.saved))
            return saved, self.outputs.pop(i)

    return Stack(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "works ignored",
    "You do all forwards first, whatever works says. The gradient is right, but each stage holds all "
    "micro-batches at once: under 1F1B that is just what was to be avoided.",
    "One loop: for kind, i in works.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class First(StagePieces):
        def order(self) -> Any:
            return [work for kind in "FB" for work in self.works if work[0] == kind]

    return First(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "backward before its forward",
    "You sort the works, and B comes before F in the alphabet: a backward is called with nothing saved.",
    "Take the works in the order in which they come.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Sorted(StagePieces):
        def order(self) -> Any:
            return sorted(self.works)

    return Sorted(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "send waits for its receiver",
    "comm.send returns when the other side has taken the message. Under 1F1B a stage sends onwards while the "
    "next one sends back: each waits for the other, for ever.",
    "comm.isend goes on at once. Keep what it returns, and wait() for all at the end.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Blocking(StagePieces):
        def send(self, array: Any, i: int, step: int) -> None:
            self.comm.send(array, self.comm.rank + step)

    return Blocking(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "sends never waited for",
    "You start sends and return without waiting for them. On the simulated cluster the messages arrive all "
    "the same. A real process may be gone before its last message is, and then the one that waits for it "
    "comes to a standstill.",
    "isend returns something with a wait(). Keep them in a list, and wait for all after the loop.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Gone(StagePieces):
        def send(self, array: Any, i: int, step: int) -> None:
            self.comm.isend(array, self.comm.rank + step)

    return Gone(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "activations never let go",
    "Your values are right, but what the forwards saved stays until the end: under 1F1B that is the memory "
    "of GPipe.",
    "saved.pop(i) takes it out when its backward needs it.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Kept(StagePieces):
        def kept(self, i: int) -> Any:
            return self.saved[i], self.outputs[i]

    return Kept(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "the whole batch each time",
    "Your values are right, but every message is as long as the whole batch, with one micro-batch in it.",
    "Send what forward or backward has returned, and nothing else.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Whole(StagePieces):
        def part(self, i: int) -> slice:
            return slice(sum(self.rows[:i]), sum(self.rows[: i + 1]))

        def send(self, array: Any, i: int, step: int) -> None:
            whole = np.zeros((sum(self.rows), array.shape[1]), array.dtype)
            whole[self.part(i)] = array
            super().send(whole, i, step)

        def receive(self, i: int, step: int) -> Any:
            return super().receive(i, step)[self.part(i)]

    return Whole(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "inputs sent along",
    "Your values are right, but with each activation you send what it was computed from as well.",
    "The next stage needs the output of this one. What is saved stays where it is.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Along(StagePieces):
        def ahead(self, i: int) -> None:
            x = self.receive(i, -1) if self.comm.rank else self.inputs[i]
            y, saved = self.forward(x)
            self.keep(i, saved, y)
            if not self.last:
                self.send(y, i, 1)
                self.send(x, i, 1)

        def receive(self, i: int, step: int) -> Any:
            came = super().receive(i, step)
            if step < 0:
                super().receive(i, step)
            return came

    return Along(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "the batch at every stage",
    "Every stage starts from the rows of the batch. Only the first one does; the others start from what the "
    "stage before has sent.",
    "comm.recv(comm.rank - 1) at every stage but the first.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Batch(StagePieces):
        def receive(self, i: int, step: int) -> Any:
            return self.inputs[i] if step < 0 else super().receive(i, step)

    return Batch(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "gradients all-reduced over the stages",
    "You all-reduce the gradient, as in data parallelism. But the stages hold different layers.",
    "What a stage has computed is its own. Only pipelines side by side would have something to add up.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Reduced(StagePieces):
        def result(self) -> Any:
            return self.comm.all_reduce(self.total)

    return Reduced(comm, works, forward, backward, loss, inputs).run()


@stage_slips(
    "the newest output",
    "You ask loss about the newest output, whatever micro-batch goes back. Under 1F1B that is the same one; "
    "under GPipe all forwards come first, and the newest output is always the last micro-batch's.",
    "Keep the outputs by number too, or ask loss at once, in the forward, and keep what it says.",
)
def _(comm: Any, works: Any, forward: Any, backward: Any, loss: Any, inputs: Any) -> Any:
    class Newest(StagePieces):
        def keep(self, i: int, saved: Any, y: Any) -> None:
            self.saved[i], self.newest = saved, y

        def kept(self, i: int) -> Any:
            return self.saved.pop(i), self.newest

    return Newest(comm, works, forward, backward, loss, inputs).run()
