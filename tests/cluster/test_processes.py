"""The same programs on real processes: values, ledger, errors, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from course import cluster
from course.cluster import Deadlock, Mismatch, RankError
from tests.cluster.leftovers import ranks_alive

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="ranks are forked"),
    pytest.mark.thorough,  # real processes, which import torch
    pytest.mark.usefixtures("nothing_stays"),
]
X = np.ones(3)
ROOT = Path(__file__).resolve().parents[2]


def everything(comm):
    def draws(*shape):
        return np.random.default_rng(comm.rank).normal(size=shape)

    n, rank = comm.world_size, comm.rank
    comm.step = 3
    found = {
        "sum": comm.all_reduce(draws(10)),
        "mean": comm.all_reduce(draws(4, 3), "mean"),
        "largest": comm.all_reduce(torch.tensor(draws(5)), "max"),
        "number": comm.all_reduce(rank + 0.5),
        "mine": comm.reduce_scatter(draws(2 * n, 3)),
        "mean of mine": comm.reduce_scatter(torch.tensor(draws(n)), "mean"),
        "least of mine": comm.reduce_scatter(draws(n), "min"),
        "gathered": comm.all_gather(draws(2, 2).astype("float32")),
        "none": comm.all_gather(np.empty((0, 2))),
        "swapped": comm.all_to_all(draws(2 * n)),
        "root's": comm.broadcast(draws(3) if rank == n - 1 else None, n - 1),
        "neighbour's": comm.exchange(draws(2, 3), (rank + 1) % n, (rank - 1) % n),
        "as torch": comm.exchange(torch.tensor([rank]), (rank - 1) % n, (rank + 1) % n),
    }
    if rank == 0:
        comm.send(np.arange(4), 1)
        comm.send(np.float32(2.5) * np.ones(()), 1)
    elif rank == 1:
        found["two"] = [comm.recv(0), comm.recv(0)]
    after, before = (rank + 1) % n, (rank - 1) % n
    pending = [comm.isend(draws(3) + i, after, tag=i // 2) for i in range(4)]
    found["in order"] = np.stack([comm.recv(before, tag=tag) for tag in (1, 0, 1, 0)])
    for one in pending:
        one.wait()
    comm.barrier()
    pair = comm.group([rank // 2 * 2, rank // 2 * 2 + 1])
    found["pair"] = pair.all_reduce(float(rank))
    if rank != 1:
        found["without 1"] = comm.group([3, 2, 0]).all_gather(np.array([rank]))
    comm.memory.hold("found", found)
    return found


def test_every_call_gives_the_same_and_the_same_ledger():
    real, simulated = cluster.run(everything, 4, "gloo"), cluster.run(everything, 4)
    for mine, theirs in zip(simulated.results, real.results, strict=True):
        assert list(mine) == list(theirs)
        for name, value in mine.items():
            for a, b in zip(*([x] if name != "two" else x for x in (value, theirs[name])), strict=True):
                assert type(a) is type(b), name
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-11, err_msg=name)
        for name in ("mine", "mean of mine", "gathered", "swapped", "root's"):
            np.testing.assert_array_equal(mine[name], theirs[name])
    # gloo's reduce-scatter would move twice the bytes; ours is an all-to-all: its peers are all the others.
    theirs = [replace(e, peers=((e.rank - 1) % 4,)) if e.kind == "reduce_scatter" else e for e in real.ledger]
    assert theirs == simulated.ledger.entries
    assert real.memory == simulated.memory


def test_the_sum_is_gloos_to_the_last_bit_with_its_blocks():
    def program(comm):
        return [
            comm.all_reduce(np.random.default_rng([comm.rank, size]).normal(size=size).astype(dtype))
            for size in (1, 7, 100, 1000, 300_001)
            for dtype in ("float32", "float64")
        ]

    for ranks in (2, 3):
        real = cluster.run(program, ranks, "gloo").results[0]
        simulated = cluster.run(program, ranks, layout="gloo").results[0]
        for a, b in zip(real, simulated, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_ranks_error_comes_with_its_own_traceback_at_once():
    def program(comm):
        comm.barrier()
        if comm.rank == 1:
            raise KeyError("no such weight")
        comm.barrier()

    with pytest.raises(RankError, match="rank 1: KeyError: 'no such weight'") as caught:
        cluster.run(program, 3, "gloo")
    assert caught.value.rank == 1
    assert isinstance(caught.value.__cause__, KeyError)
    assert "in program" in caught.value.text
    assert 'raise KeyError("no such weight")' in str(caught.value.__cause__.__cause__)


def test_a_rank_that_dies_is_named():
    def program(comm):
        if comm.rank == 1:
            os._exit(3)
        comm.barrier()

    with pytest.raises(RankError, match=r"rank 1: its process ended by itself \(exit code 3\)"):
        cluster.run(program, 2, "gloo")


def test_different_collectives_are_named_as_in_the_simulation():
    def program(comm):
        comm.barrier()
        return comm.all_reduce(X) if comm.rank == 0 else comm.broadcast(X)

    def shapes(comm):
        return comm.all_reduce(np.ones(3 + comm.rank))

    for wrong in (program, shapes):
        texts = []
        for engine in ("gloo", "simulated"):
            with pytest.raises(Mismatch) as caught:
                cluster.run(wrong, 2, engine)
            texts.append(str(caught.value))
        assert texts[0] == texts[1]


def test_a_deadlock_ends_and_says_who_waits():
    with pytest.raises(Deadlock, match="rank 0 waits in recv from rank 1; rank 1 waits in recv from rank 0"):
        cluster.run(lambda comm: comm.recv(1 - comm.rank), 2, "gloo", timeout=0.5)


def test_an_interrupt_leaves_nothing_behind():
    def program(comm):
        while comm.rank >= 0:
            time.sleep(0.01)

    main = threading.main_thread().ident
    timer = threading.Timer(1.0, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            cluster.run(program, 2, "gloo")
    finally:
        timer.cancel()
    assert ranks_alive() == []


def test_the_look_for_ranks_would_see_them(tmp_path):
    def program(comm):
        comm.barrier()
        while not (tmp_path / "seen").exists():
            time.sleep(0.01)

    def look():
        until = time.monotonic() + 60
        while len(ranks_alive()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        (tmp_path / "seen").write_text(str(len(ranks_alive())))

    looker = threading.Thread(target=look)
    looker.start()
    cluster.run(program, 2, "gloo")
    looker.join()
    assert (tmp_path / "seen").read_text() == "2"


def test_ranks_end_when_their_parent_is_killed():
    script = """
        import os, time
        from course import cluster
        def program(comm):
            print(os.getpid(), flush=True)
            while True:
                time.sleep(0.01)
        cluster.run(program, 2, "gloo")
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        until = time.monotonic() + 10
        while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
            time.sleep(0.02)
        assert not any(map(psutil.pid_exists, pids))


def test_what_ranks_print_comes_home(capfd):
    cluster.run(lambda comm: print("rank", comm.rank), 2, "gloo")
    assert sorted(capfd.readouterr().out.splitlines()) == ["rank 0", "rank 1"]
