"""The simulated engine: messages, groups, the books, and errors that say who waits for what."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from course import cluster
from course.cluster import Deadlock, Mismatch, RankError

X = np.ones(3)


def refused(program, ranks=2, error=Deadlock) -> str:
    with pytest.raises(error) as caught:
        cluster.run(program, ranks)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_ring_of_ones_own():
    def program(comm):
        total, passing = X * comm.rank, X * comm.rank
        for _ in range(comm.world_size - 1):
            right, left = (comm.rank + 1) % comm.world_size, (comm.rank - 1) % comm.world_size
            passing = comm.exchange(passing, to=right, source=left)
            total = total + passing
        return total

    outcome = cluster.run(program, 5)
    assert all((r == 10).all() for r in outcome.results)
    assert outcome.ledger.sent(rank=2) == 4 * X.nbytes  # whole tensors: N-1 times the array
    assert [e.peers for e in outcome.ledger.select("send", rank=4)] == [(0,)] * 4


def test_both_send_first():
    def program(comm):
        comm.send(X, 1 - comm.rank)
        return comm.recv(1 - comm.rank)

    assert refused(program) == (
        "deadlock: rank 0 waits in send of float64 (3,) to rank 1; "
        "rank 1 waits in send of float64 (3,) to rank 0"
    )


def test_both_receive_first():
    text = refused(lambda comm: comm.recv(1 - comm.rank))
    assert text == "deadlock: rank 0 waits in recv from rank 1; rank 1 waits in recv from rank 0"


def test_a_rank_that_has_gone_home():
    def program(comm):
        if comm.rank != 1:
            comm.all_reduce(X)

    text = refused(program, 3)
    assert "rank 0 waits in all_reduce of float64 (3,) for rank 1" in text
    assert "rank 1 has returned" in text


def test_many_ranks_are_not_all_named():
    text = refused(lambda comm: comm.recv((comm.rank + 1) % 64), 64)
    assert text.endswith("and 60 more")


def test_different_collectives():
    def program(comm):
        comm.barrier()
        return comm.all_reduce(X) if comm.rank == 0 else comm.broadcast(X)

    assert refused(program, error=Mismatch) == (
        "ranks call different collectives: rank 0 calls all_reduce of float64 (3,), "
        "rank 1 calls broadcast from rank 0"
    )


@pytest.mark.parametrize(
    ("program", "names"),
    [
        (lambda c: c.all_reduce(np.ones(3 + c.rank)), ("(3,)", "(4,)")),
        (lambda c: c.all_reduce(X.astype(["f4", "f8"][c.rank])), ("float32", "float64")),
        (lambda c: c.all_reduce(X, ["sum", "max"][c.rank]), ("rank 1 calls", "(max)")),
        (lambda c: c.broadcast(X, root=c.rank), ("from rank 0", "from rank 1")),
    ],
)
def test_the_same_collective_with_different_arrays(program, names):
    text = refused(program, error=Mismatch)
    assert all(name in text for name in names)


def test_a_collective_against_a_message():
    def program(comm):
        return comm.all_reduce(X) if comm.rank == 0 else comm.recv(0)

    assert refused(program) == (
        "deadlock: rank 0 waits in all_reduce of float64 (3,) for rank 1; rank 1 waits in recv from rank 0"
    )


def test_a_ranks_error_is_told_with_its_cause_and_stops_the_others():
    cleaned = []

    def program(comm):
        try:
            comm.barrier()
            if comm.rank == 2:
                raise KeyError("nothing here")
            comm.all_reduce(X)
        finally:
            cleaned.append(comm.rank)

    before = threading.active_count()
    with pytest.raises(RankError, match="rank 2: KeyError: 'nothing here'") as caught:
        cluster.run(program, 4)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__cause__.__traceback__.tb_next.tb_frame.f_code.co_name == "program"
    assert sorted(cleaned) == [0, 1, 2, 3]
    assert threading.active_count() == before


def test_an_error_cannot_be_swallowed_by_another_rank():
    def program(comm):
        if comm.rank == 0:
            raise ValueError("first")
        while True:
            try:
                comm.recv(0)
            except Exception:
                continue

    with pytest.raises(RankError, match="rank 0: ValueError: first"):
        cluster.run(program, 2)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (lambda c: c.send(X, 2), "send: to is rank 2, but the ranks are 0 to 1"),
        (lambda c: c.send(X, c.rank), "send: to is rank 0, which is this rank itself"),
        (lambda c: c.recv(1.0), "recv: source must be a rank, an integer, not 1.0"),
        (lambda c: c.reduce_scatter(X), "does not divide into 2 ranks; pad it first"),
        (lambda c: c.all_gather(1.0), "needs an array with at least one axis"),
        (lambda c: c.all_reduce([1.0]), "all_reduce: needs an array, not list"),
        (lambda c: c.all_reduce(X, "product"), "op must be one of sum, mean, max, min, not 'product'"),
        (lambda c: c.group([1 - c.rank]), "rank 0 is not one of the members [1]"),
        (lambda c: c.group([0, 0, 1]), "are not distinct"),
    ],
)
def test_bad_input_is_one_clear_line(program, message):
    assert message in refused(program, error=RankError)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ranks": 0}, ValueError, "ranks must be an integer >= 1, not 0"),
        ({"ranks": 2.0}, ValueError, "not 2.0"),
        ({"engine": "mpi"}, ValueError, "engine must be one of"),
        ({"layout": "odd"}, ValueError, "layout must be 'even' or 'gloo', not 'odd'"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        cluster.run(lambda comm: None, **options)


SHARED = {"weights": [np.zeros(3)]}


def test_what_the_program_captures_is_each_ranks_own_or_read_only():
    captured = np.zeros(3)
    view = captured[:2]

    def in_place(comm):
        nonlocal view
        view += comm.rank

    def through_a_helper(comm):
        change()

    def change(weights=captured):
        weights[0] = 1

    def of_the_module(comm):
        SHARED["weights"][0][comm.rank] = 1

    for program in (in_place, through_a_helper, of_the_module):
        text = refused(program, error=RankError)
        assert "read-only; ranks share no memory: copy what you change" in text
    captured += 1  # afterwards it is the owner's again
    view += 1
    SHARED["weights"][0] += 1


def test_groups_are_clusters_of_their_own():
    def program(comm):
        row = comm.group([r for r in range(6) if r // 3 == comm.rank // 3])
        column = comm.group([r for r in range(6) if r % 3 == comm.rank % 3])
        assert comm.group([5, 4, 3, 2, 1, 0]) is comm
        assert row is comm.group([r for r in range(6) if r // 3 == comm.rank // 3])
        assert (row.world_size, row.rank, column.rank) == (3, comm.rank % 3, comm.rank // 3)
        inner = row.group([0, 2]) if row.rank != 1 else None
        last = inner.all_gather(np.array([comm.rank])) if inner is not None else None
        return row.all_reduce(float(comm.rank)), column.all_reduce(float(comm.rank)), last

    outcome = cluster.run(program, 6)
    assert [r[0] for r in outcome.results] == [3, 3, 3, 12, 12, 12]
    assert [r[1] for r in outcome.results] == [3, 5, 7, 3, 5, 7]
    np.testing.assert_array_equal(outcome.results[5][2], [3, 5])
    assert outcome.ledger.select("all_gather").entries[-1].group == (3, 5)
    assert outcome.ledger.select("all_gather").entries[-1].peers == (3,)


def test_a_run_is_the_same_every_time():
    def program(comm):
        order.append(comm.rank)
        comm.barrier()
        order.append(comm.rank)
        comm.all_reduce(X)
        order.append(comm.rank)

    orders = []
    for _ in range(2):
        order: list[int] = []
        cluster.run(program, 5)
        orders.append(order)
    assert orders[0] == orders[1]


def test_isend_goes_on_at_once():
    def program(comm):
        other = 1 - comm.rank
        pending = [comm.isend(X * i, other) for i in range(3)]
        came = [comm.recv(other) for _ in range(3)]
        for one in pending:
            one.wait()
        return came

    for came in cluster.run(program, 2).results:
        np.testing.assert_array_equal(came, [X * 0, X, X * 2])


def test_the_ledger_knows_step_label_and_table():
    def program(comm):
        for comm.step in range(3):
            comm.all_reduce(X, label="gradients")

    ledger = cluster.run(program, 2).ledger
    assert ledger.count(step=1) == 2
    assert ledger.select(label="gradients").payload(rank=0) == 3 * X.nbytes
    assert str(ledger).splitlines()[1].split() == ["0", "all_reduce", "3", "72", "72", "72"]


def test_memory_counts_what_is_alive():
    def program(comm):
        held = comm.memory.hold("state", {"a": X.copy(), "b": [np.ones(5), 3]})
        comm.memory.hold("buffer", np.ones(100))  # freed at once
        comm.memory.mark("begun")
        held.pop("a")
        return held

    report = cluster.run(program, 2).memory[1]
    assert report.marks["begun"] == {"state": 64}
    assert report.live == {"state": 40}
    assert report.peak == 864
    assert report.peaks == {"state": 64, "buffer": 800}


def test_an_array_that_is_held_twice_counts_once():
    memory = cluster.Memory()
    x = memory.hold("gradients", np.ones(4))
    memory.hold("parameters", x)
    assert memory.live == {"parameters": 32}


def test_modules_load_when_they_are_named():
    assert cluster.zero.model_states(1, 1, 0) == 16
    with pytest.raises(AttributeError, match="no attribute 'zeros'"):
        _ = cluster.zeros


def test_an_error_without_a_text_ends_the_run():
    class Mute(Exception):
        def __str__(self):
            raise ValueError

    def program(comm):
        if comm.rank == 1:
            raise Mute
        comm.barrier()

    with pytest.raises(RankError, match=r"rank 1: Mute: \(its text cannot be shown: ValueError\)"):
        cluster.run(program, 3)
