"""Code that never ends is stopped, in either kind of thread, and the session goes on."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
import types

import numpy as np
import pytest

from course import cluster
from course.grading import check, written
from course.grading.runner import TimeUp, time_limit

LIMIT = 0.25


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """The real limit is 3 s (asserted below); waiting it out in every test would be tedious."""
    module = sys.modules["course.grading.judge"]
    assert module.LIMIT == 3.0
    monkeypatch.setattr(module, "LIMIT", LIMIT)


def plain_loop(n, batch_size, rng):
    while True:
        pass


def sleep(n, batch_size, rng):
    time.sleep(60)


def short_sleeps(n, batch_size, rng):
    while True:
        time.sleep(0.01)


def swallowing_loop(n, batch_size, rng):
    while True:
        try:  # noqa: SIM105
            n += 1
        except:  # noqa: E722
            pass


def swallowing_sleeps(n, batch_size, rng):
    while True:
        try:  # noqa: SIM105
            time.sleep(0.01)
        except:  # noqa: E722
            pass


def catching_exceptions(n, batch_size, rng):
    while True:
        try:  # noqa: SIM105
            n += 1
        except Exception:
            pass


def finally_loop(n, batch_size, rng):
    while True:
        try:
            n += 1
        finally:
            continue  # noqa: B012


def endless_generator(n, batch_size, rng):
    while True:
        yield [0]


def silent_generator(n, batch_size, rng):
    while True:
        if n < 0:
            yield [0]


def in_an_inner_function(n, batch_size, rng):
    def inner():
        while True:
            pass

    inner()


LOOPS = [
    plain_loop,
    short_sleeps,
    swallowing_loop,
    swallowing_sleeps,
    catching_exceptions,
    finally_loop,
    endless_generator,
    silent_generator,
    in_an_inner_function,
]


def run(function):
    function = types.FunctionType(function.__code__, globals(), "minibatches")
    begin = time.monotonic()
    verdict = check(function)
    return verdict, time.monotonic() - begin


def expect_stopped(function):
    verdict, seconds = run(function)
    assert (verdict.status, verdict.score) == ("failed", 0)
    assert seconds < 2, "3 s more than this would be over 5"
    if function is not endless_generator:
        assert f"did not finish within {LIMIT:g} seconds" in verdict.message
        assert dict(verdict.evidence)["in"].startswith("line ")
        assert "loop" in verdict.nudge
    else:
        assert "no end to your batches" in verdict.message


with_alarm = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarm (Windows)")


@with_alarm
@pytest.mark.parametrize("function", [*LOOPS, sleep], ids=lambda f: f.__name__)
def test_it_is_stopped_in_the_main_thread(function):
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    expect_stopped(function)
    assert signal.getsignal(signal.SIGALRM) is handler
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer[0] > 0)
    assert sys.gettrace() is None or "coverage" in str(sys.gettrace())
    time.sleep(0.12)  # a late alarm would come now


@pytest.mark.thorough
@pytest.mark.parametrize("function", LOOPS, ids=lambda f: f.__name__)
def test_it_is_stopped_in_a_second_thread(function):
    problems = []

    def work():
        try:
            expect_stopped(function)
            for _ in range(100):  # the thread itself goes on
                time.sleep(0.001)
        except BaseException as problem:
            problems.append(problem)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(6)
    assert not thread.is_alive()
    assert problems == []


def test_the_session_is_usable_afterwards():
    def minibatches(n, batch_size, rng):
        order = rng.permutation(n)
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    assert run(plain_loop)[0].status == "failed"
    assert check(minibatches).passed
    assert sum(range(200_000)) == 19_999_900_000


def test_the_learners_line_is_named():
    verdict, _ = run(plain_loop)
    assert dict(verdict.evidence)["in"] in ("line 2: while True:", "line 3: pass")


def test_written_does_not_hang_either(capsys):
    assert written(types.FunctionType(plain_loop.__code__, globals(), "minibatches")) is True


def test_a_loop_that_only_the_shrinking_meets(monkeypatch):
    """An answer that hangs on inputs which no case has: the verdict comes all the same."""

    def minibatches(n, batch_size, rng):
        return [rng.permutation(n)]

    calls = {"n": 0}

    def sgd(grad, state, param, lr, weight_decay):
        calls["n"] += 1
        while calls["n"] > 60:
            pass
        return 1.1 * lr * grad + 3, state

    begin = time.monotonic()
    assert check(sgd).status == "failed"
    assert check(minibatches).status == "failed"
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("in_thread", [False, True])
def test_fast_code_is_left_alone(in_thread):
    done = []

    def work():
        for _ in range(50):
            with time_limit(0.02):
                pass
        time.sleep(0.1)
        done.append(True)

    if in_thread:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    else:
        work()
    assert done == [True]


@with_alarm
def test_a_timer_of_the_session_goes_on_afterwards():
    """pytest-timeout, and a learner's own alarm, use the same timer."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    old = signal.setitimer(signal.ITIMER_REAL, 0.2)
    begin = time.monotonic()
    try:
        with time_limit(5):
            time.sleep(0.05)
        time.sleep(0.3)
        assert rung
        assert rung[0] - begin == pytest.approx(0.2, abs=0.1)
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *old)


@pytest.mark.parametrize(("seconds", "problem"), [(5, ZeroDivisionError), (0.001, TimeUp)])
def test_an_exception_passes_through_the_limit(seconds, problem):
    def work():
        time.sleep(0.05)
        raise ZeroDivisionError

    with pytest.raises(problem), time_limit(seconds):
        work()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no alarm")
def test_a_time_limit_around_simulated_ranks_ends_them_every_time():
    """What ranks are told to raise must not be left over: with a tracer Python 3.11 then runs in a circle."""

    def talks(comm):
        while True:
            comm.exchange(np.ones(2), (comm.rank + 1) % comm.world_size, (comm.rank - 1) % comm.world_size)

    cluster.run(lambda comm: comm.barrier(), 2)  # imports what the limit is not to interrupt
    draw = random.Random(0)
    for _ in range(30):
        with pytest.raises(TimeUp), time_limit(draw.uniform(1e-3, 5e-3)):
            cluster.run(talks, 6)
