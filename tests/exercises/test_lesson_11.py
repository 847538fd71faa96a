"""Lesson 11: rank programs that are right in other ways pass, and what goes wrong is told in a line."""

from __future__ import annotations

import numpy as np
import pytest

from course import cluster
from course.authoring.proof import function_from, solution_source
from course.cluster.data_parallel import DataParallel, rows
from course.cluster.models import MLP, backward, forward
from course.exercises import find
from course.grading import judge
from course.rules import AdamW


def padded_ring(comm, x):
    n, r = comm.world_size, comm.rank
    blocks = np.pad(x.reshape(-1), (0, -x.size % n)).reshape(n, -1)
    for hop in range(n - 1):
        blocks[(r + hop + 1) % n] += comm.exchange(blocks[(r + hop) % n].copy(), (r - 1) % n, (r + 1) % n)
    for hop in range(n - 1):
        came = comm.exchange(blocks[(r + hop - 1) % n].copy(), (r - 1) % n, (r + 1) % n)
        blocks[(r + hop) % n] = came
    return blocks.reshape(-1)[: x.size].reshape(x.shape)


def one_receives_first(comm, x):
    n, r = comm.world_size, comm.rank
    right, left = (r + 1) % n, (r - 1) % n
    blocks = np.array_split(x.ravel().copy(), n)

    def pass_on(block):
        if r == 0:
            came = comm.recv(left)
            comm.send(block, right)
            return came
        comm.send(block, right)
        return comm.recv(left)

    for hop in range(n - 1):
        blocks[r - hop - 1] = pass_on(blocks[r - hop]) + blocks[r - hop - 1]
    for hop in range(n - 1):
        blocks[r - hop] = pass_on(blocks[(r - hop + 1) % n])
    return np.concatenate(blocks).reshape(x.shape)


def sent_without_waiting(comm, x):
    if comm.world_size == 1:
        return x
    n, r = comm.world_size, comm.rank
    blocks = dict(enumerate(np.array_split(np.array(x).reshape(-1), n)))
    for hop in range(2 * n - 2):
        sending = comm.isend(blocks[(r - hop) % n], (r + 1) % n)
        came = comm.recv((r - 1) % n)
        place = (r - hop - 1) % n
        blocks[place] = blocks[place] + came if hop < n - 1 else came
        sending.wait()
    return np.concatenate([blocks[i] for i in range(n)]).reshape(x.shape)


@pytest.mark.parametrize("answer", [padded_ring, one_receives_first, sent_without_waiting])
def test_other_rings_pass(answer):
    assert judge(find("ring_all_reduce"), answer).status == "passed"


def count_in_the_row(comm, grad_fn, update, param, state, x, y):
    row = comm.all_reduce(np.concatenate([(grad_fn(param, x, y) * len(x)).ravel(), [len(x)]]))
    delta, new = update(row[:-1].reshape(param.shape) / row[-1], state, param)
    return param - delta, new


def share_first(comm, grad_fn, update, param, state, x, y):
    share = len(x) / comm.all_gather(np.array([len(x)])).sum()
    delta, new = update(comm.all_reduce(share * grad_fn(param, x, y)), state, param)
    return param - delta, new


@pytest.mark.parametrize("answer", [count_in_the_row, share_first])
def test_other_ways_of_weighing_pass(answer):
    assert judge(find("ddp_step"), answer).status == "passed"


def summed_and_divided(comm, arrays, bucket_bytes):
    out, held, size = {}, [], 0

    def flush():
        row = comm.all_reduce(np.hstack([arrays[i].flatten() for i in held])) / np.float32(comm.world_size)
        ends = np.cumsum([arrays[i].size for i in held])[:-1]
        for i, part in zip(held, np.split(row, ends), strict=True):
            out[i] = part.reshape(arrays[i].shape)

    for i in range(len(arrays) - 1, -1, -1):
        if held and size + arrays[i].nbytes > bucket_bytes:
            flush()
            held, size = [], 0
        held.append(i)
        size += arrays[i].nbytes
    flush()
    return [out[i] for i in range(len(arrays))]


def test_buckets_flushed_on_the_way_pass():
    assert judge(find("bucketed_all_reduce"), summed_and_divided).status == "passed"


def test_a_deadlock_is_told_by_who_waits_for_whom():
    def ring_all_reduce(comm, x):
        total = x.copy()
        for _ in range(comm.world_size - 1):
            total = total + comm.recv((comm.rank - 1) % comm.world_size, tag=7)
            comm.send(x, (comm.rank + 1) % comm.world_size)
        return total

    exercise = find("ring_all_reduce")
    stopped = exercise.run(ring_all_reduce, exercise.cases[0]).stopped
    assert stopped.message == (
        "on 2 ranks: deadlock: rank 0 waits in recv from rank 1; rank 1 waits in recv from rank 0"
    )
    verdict = judge(exercise, ring_all_reduce)
    assert (verdict.status, verdict.slip) == ("failed", "everybody receives first")
    assert stopped.message in str(verdict)


def test_what_a_rank_raises_is_told_with_its_line():
    def ddp_step(comm, grad_fn, update, param, state, x, y):
        return np.ones((2, 3)) @ param, state

    verdict = judge(find("ddp_step"), ddp_step)
    assert verdict.message.startswith("Your function raised ValueError")
    assert dict(verdict.evidence)["in"].startswith("line 2")


def test_different_collectives_are_a_mismatch():
    def bucketed_all_reduce(comm, arrays, bucket_bytes):
        return [comm.all_reduce(a) if comm.rank else comm.all_gather(a) for a in arrays]

    assert (
        "ranks call different collectives" in judge(find("bucketed_all_reduce"), bucketed_all_reduce).message
    )


def test_an_endless_loop_on_a_rank_is_stopped(monkeypatch):
    import sys

    def ring_all_reduce(comm, x):
        while comm.rank == 1:
            pass
        return x

    monkeypatch.setattr(sys.modules[judge.__module__], "LIMIT", 0.2)
    assert "did not finish" in judge(find("ring_all_reduce"), ring_all_reduce).message


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_the_solution_sends_what_theory_says(ranks):
    solution = function_from(solution_source("ring_all_reduce"), "ring_all_reduce")
    values = np.random.default_rng(ranks).normal(size=(ranks, 420))
    run = cluster.run(lambda comm: solution(comm, values[comm.rank]), ranks=ranks)
    np.testing.assert_allclose(run.results, [values.sum(0)] * ranks, rtol=0, atol=1e-12)
    assert [run.ledger.sent(rank=r) for r in range(ranks)] == [2 * (ranks - 1) * 420 * 8 // ranks] * ranks


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_twenty_steps_of_the_solution_are_those_of_one_process_and_of_the_library(ranks):
    solution = function_from(solution_source("ddp_step"), "ddp_step")
    model, rule = MLP.of_sizes([5, 3]), AdamW(lr=0.01)
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(n, 5)), rng.normal(size=(n, 3))) for n in [9] * 19 + [4]]

    def gradient(weight, x, y):
        layers = [{"weight": weight, "bias": np.zeros(3)}]
        out, saved = forward(model, layers, x)
        return dict(backward(model, layers, saved, model.loss(out, y)[1]))[0]["weight"]

    def of_solution(comm):
        weight, state = model.layers[0]["weight"], rule.init(model.layers[0]["weight"])
        for x, y in batches:
            own = rows(len(x), comm)
            weight, state = solution(comm, gradient, rule.update, weight, state, x[own], y[own])
        return weight

    def of_library(comm):
        bare = MLP([{"weight": model.layers[0]["weight"], "bias": np.zeros(3)}])
        trainer = DataParallel(comm, bare, rule, frozen=["0.bias"])
        for x, y in batches:
            own = rows(len(x), comm)
            trainer.step(x[own], y[own], share=(own.stop - own.start) / len(x))
        return trainer.parameters()["0.weight"]

    one = cluster.run(of_solution, ranks=1).results[0]
    for program in (of_solution, of_library):
        for weight in cluster.run(program, ranks=ranks).results:
            np.testing.assert_allclose(weight, one, rtol=0, atol=1e-11)


def ring_by_shared_memory(comm, x):
    table = comm.shared("table", np.zeros((comm.world_size, x.size), x.dtype))
    table[comm.rank] = x.ravel()
    while comm.world_size > 1 and not np.all(comm.shared("there", np.zeros(comm.world_size))):
        comm.shared("there", np.zeros(comm.world_size))[comm.rank] = 1
        comm.pause()
    return table.sum(0).reshape(x.shape)


def ddp_by_shared_memory(comm, grad_fn, update, param, state, x, y):
    table = comm.shared(f"step {comm.step}", np.zeros((comm.world_size, param.size + 1)))
    table[comm.rank] = [*(grad_fn(param, x, y) * len(x)).ravel(), len(x)]
    comm.barrier()
    total = table.sum(0)
    delta, new = update(total[:-1].reshape(param.shape) / total[-1], state, param)
    return param - delta, new


def ring_of_little(comm, x):
    n, r = comm.world_size, comm.rank
    for _ in range(2 * (n - 1)):
        comm.exchange(x.ravel()[:1].copy(), (r - 1) % n, (r + 1) % n)
    return ring_by_shared_memory(comm, x)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("ring_all_reduce", ring_by_shared_memory),
        ("ring_all_reduce", ring_of_little),
        ("ddp_step", ddp_by_shared_memory),
    ],
)
def test_the_right_sum_by_shared_memory_fails_since_too_little_goes_over_the_wire(name, answer):
    verdict = judge(find(name), answer)
    assert verdict.status == "failed"
    assert "bytes" in str(verdict)
