"""A simulated run that is interrupted: at whatever moment, every rank ends and nothing is said of it."""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import time
import traceback

import numpy as np
import pytest

from course import cluster
from course.cluster.simulated import _Stopped

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no alarm")


class AlarmError(BaseException):
    """What the alarm raises in the main thread."""


@contextlib.contextmanager
def alarm(seconds):
    """Raise in the main thread after so long; and again, since Python drops what a callback raises."""
    armed = [True]

    def ring(*_):
        if armed:
            raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with contextlib.suppress(AlarmError):
            signal.setitimer(signal.ITIMER_REAL, seconds, 2.0)
            try:
                yield
            finally:
                armed.clear()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def ranks_left() -> int:
    """Count the threads that play a rank."""
    frames = sys._current_frames().values()
    return sum(frame.f_code.co_name == "live" for last in frames for frame, _ in traceback.walk_stack(last))


def talks(comm):
    while True:
        comm.exchange(np.ones(2), (comm.rank + 1) % comm.world_size, (comm.rank - 1) % comm.world_size)


def returns_at_once(comm):
    return comm.rank


def raises(comm):
    comm.barrier()
    raise ValueError(comm.rank)


def loops_for_ever(comm):
    while comm.rank == 1:
        pass
    comm.barrier()


@pytest.mark.thorough
@pytest.mark.parametrize("program", [talks, loops_for_ever, returns_at_once, raises])
def test_every_rank_ends_whenever_the_interrupt_comes(program, monkeypatch):
    # Python drops what is raised in a callback and tells the hook; pytest's own would be interrupted as well.
    told: set[type[BaseException]] = set()
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: told.add(dropped.exc_type))
    cluster.run(returns_at_once, 2)  # imports what the alarm is not to interrupt
    draw = random.Random(0)
    for _ in range(25):
        with alarm(draw.uniform(1e-3, 5e-3)):
            while True:
                with contextlib.suppress(cluster.RankError):
                    cluster.run(program, 8)
    until = time.monotonic() + 10
    while ranks_left() > 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert ranks_left() == 0
    assert told <= {AlarmError, _Stopped}
