"""Series in constant memory, and the steps that are looked at."""

from __future__ import annotations

from course.clinic.recorder import deep_step
from course.clinic.trace import ROOM, LossTrace, Trace


def test_series_are_bounded() -> None:
    trace, loss = Trace(), LossTrace()
    for step in range(10_000):
        trace.add(step, float(step))
        loss.add(step, 1.0 / (1 + step))
    assert len(trace.points) < ROOM
    assert (trace.count, trace.first, trace.last, trace.low, trace.high) == (10_000, 0.0, 9999.0, 0.0, 9999.0)
    assert 4000 < trace.median < 6000
    assert loss.change < -0.99
    assert [step for step in range(1, 60) if deep_step(step)] == [1, 2, 3, 5, 8, 13, 21, 34, 55]
