"""Lesson 13 as newcomers write it: other right programs pass, and the usual mistakes are told by name."""

from collections import deque

import numpy as np
import pytest

from course.cluster.schedules import gpipe, one_f_one_b
from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def gpipe_by_loops(stages, micros):
    plan = []
    for _ in range(stages):
        row = []
        for kind in ["F", "B"]:
            for i in range(micros):
                row.append([kind, np.int64(i)])
        plan.append(tuple(row))
    return tuple(plan)


def by_simulation(stages, micros):
    """Forward while fewer than stages - s are held and there are forwards left; backward otherwise."""
    plan = [[] for _ in range(stages)]
    for s in range(stages):
        ahead = back = 0
        while back < micros:
            if ahead < micros and ahead - back < stages - s:
                plan[s].append(("F", ahead))
                ahead += 1
            else:
                plan[s].append(("B", back))
                back += 1
    return plan


def bubble_by_time(stages, micros, chunks=1):
    forward, backward = 1 / chunks, 2 / chunks
    work = micros * chunks * (forward + backward)
    wait = (stages - 1) * (forward + backward)
    return wait / (work + wait)


def weighing_what_goes_back(comm, works, forward, backward, loss, inputs):
    """Scale at the last stage; keep activations in a queue; wait as the messages pile up."""
    queue, waiting, out = deque(), [], None
    share = np.array([len(x) for x in inputs]) / sum(map(len, inputs))
    for kind, i in works:
        if kind == "F":
            x = comm.recv(comm.rank - 1) if comm.rank else inputs[i]
            y, kept = forward(x)
            queue.append((kept, y))
            if comm.rank < comm.world_size - 1:
                waiting.append(comm.isend(y, comm.rank + 1))
        else:
            kept, y = queue.popleft()
            if comm.rank == comm.world_size - 1:
                dy = (loss(i, y) * share[i]).astype(y.dtype)
            else:
                dy = comm.recv(comm.rank + 1)
            dx, g = backward(kept, dy)
            out = g if out is None else out + g
            if comm.rank:
                waiting.append(comm.isend(dx, comm.rank - 1))
    [w.wait() for w in waiting]
    return out


def numbered_messages(comm, works, forward, backward, loss, inputs):
    """Tags, a list of gradients, and one weighed mean at the end."""
    saved, grads, sends = {}, [None] * len(inputs), []
    for kind, i in works:
        if kind == "F":
            x = inputs[i] if comm.rank == 0 else comm.recv(comm.rank - 1, tag=i)
            saved[i] = forward(x)
            if comm.rank + 1 < comm.world_size:
                sends.append(comm.isend(saved[i][0], comm.rank + 1, tag=i))
            continue
        y, kept = saved.pop(i)
        dy = comm.recv(comm.rank + 1, tag=i) if comm.rank + 1 < comm.world_size else loss(i, y)
        dx, grads[i] = backward(kept, dy)
        if comm.rank > 0:
            sends.append(comm.isend(dx, comm.rank - 1, tag=i))
    for s in sends:
        s.wait()
    return np.average(grads, axis=0, weights=[len(x) for x in inputs]).astype(grads[0].dtype)


def column_as_a_class(comm, x, weight, bias):
    class Back:
        def __call__(self, dy):
            n = comm.world_size
            rows = dy @ weight.T
            whole = np.pad(rows.reshape(-1), (0, -rows.size % n))
            summed = comm.all_gather(comm.reduce_scatter(whole))[: rows.size].reshape(rows.shape)
            return [summed, np.dot(x.T, dy), np.ones(len(dy), dy.dtype) @ dy]

    return [np.dot(x, weight) + bias[None, :], Back()]


def row_with_a_share_of_the_bias(comm, x, weight, bias):
    """The bias in parts, whose sum is the bias; its gradient is not divided."""
    y = comm.all_reduce(x @ weight + bias / comm.world_size)
    return y, lambda dy: (np.dot(dy, weight.T), np.dot(x.T, dy), np.sum(dy, 0))


def row_with_a_bias_on_one_rank(comm, x, weight, bias):
    mine = bias if comm.rank == 0 else np.zeros_like(bias)
    return comm.all_reduce(x @ weight + mine), lambda dy: (dy @ weight.T, x.T @ dy, dy.sum(0))


RIGHT = [
    ("gpipe_schedule", gpipe_by_loops),
    ("gpipe_schedule", lambda s, m: [[(k, i) for k in "FB" for i in range(m)]] * s),
    ("one_f_one_b", by_simulation),
    ("bubble_fraction", bubble_by_time),
    ("bubble_fraction", lambda p, m, v=1: 1 - v * m / (v * m + p - 1)),
    ("pipeline_stage", weighing_what_goes_back),
    ("pipeline_stage", numbered_messages),
    ("column_parallel", column_as_a_class),
    ("row_parallel", row_with_a_share_of_the_bias),
    ("row_parallel", row_with_a_bias_on_one_rank),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=lambda x: getattr(x, "__name__", x))
def test_other_right_programs_pass(name, answer):
    verdict = verdict_on(name, answer)
    assert verdict.passed, str(verdict)


def test_the_other_schedule_is_told_by_name():
    as_pairs = {f: lambda p, m, f=f: [[w[:2] for w in row] for row in f(p, m)] for f in (gpipe, one_f_one_b)}
    assert verdict_on("one_f_one_b", as_pairs[gpipe]).slip == "all forwards first"
    assert verdict_on("gpipe_schedule", as_pairs[one_f_one_b]).slip == "this is 1F1B"


def test_a_schedule_out_of_order_is_told_with_the_stage_that_waits():
    def reversed_rows(stages, micros):
        return [row[::-1] for row in by_simulation(stages, micros)]

    verdict = verdict_on("one_f_one_b", reversed_rows)
    assert verdict.status == "failed"
    assert "can never run: stage 0 waits in B2" in str(verdict)


def test_a_loss_divided_by_the_micro_batches_too_is_told():
    def pipeline_stage(comm, works, forward, backward, loss, inputs):
        def divided(i, y):
            return loss(i, y) / len(inputs)

        return weighing_what_goes_back(comm, works, forward, backward, divided, inputs)

    assert verdict_on("pipeline_stage", pipeline_stage).slip == "averaged twice"


def test_one_variable_for_what_was_saved_is_told():
    def pipeline_stage(comm, works, forward, backward, loss, inputs):
        box, ys, sends, total = None, {}, [], 0
        for kind, i in works:
            if kind == "F":
                ys[i], box = forward(inputs[i] if comm.rank == 0 else comm.recv(comm.rank - 1))
                if comm.rank < comm.world_size - 1:
                    sends.append(comm.isend(ys[i], comm.rank + 1))
            else:
                dy = comm.recv(comm.rank + 1) if comm.rank < comm.world_size - 1 else loss(i, ys[i])
                dx, g = backward(box, dy)
                total = total + g * len(inputs[i]) / sum(map(len, inputs))
                if comm.rank:
                    sends.append(comm.isend(dx, comm.rank - 1))
        for one in sends:
            one.wait()
        return total

    verdict = verdict_on("pipeline_stage", pipeline_stage)
    assert (verdict.slip, verdict.score) == ("saved under one name", 0)


def test_a_stage_that_forgets_to_return_is_told():
    verdict = verdict_on("pipeline_stage", lambda comm, works, forward, backward, loss, inputs: None)
    assert "returned None" in str(verdict)


@pytest.mark.parametrize("name", ["column_parallel", "row_parallel"])
def test_a_backward_that_was_called_and_not_returned_is_told(name):
    def answer(comm, x, weight, bias):
        return (comm.all_reduce(x @ weight) if name == "row_parallel" else x @ weight) + bias, 0.0

    assert "must be a function, backward(dy); yours is a float" in str(verdict_on(name, answer))


def test_autograds_sum_of_a_sum_is_told():
    def row_parallel(comm, x, weight, bias):
        def backward(dy):
            dy = comm.all_reduce(dy)
            return dy @ weight.T, x.T @ dy, dy.sum(axis=0)

        return comm.all_reduce(x @ weight) + bias, backward

    assert verdict_on("row_parallel", row_parallel).slip == "dy summed over the ranks"


def test_torchs_orientation_is_told():
    def column_parallel(comm, x, weight, bias):
        return x @ weight.T + bias, lambda dy: (comm.all_reduce(dy @ weight), dy.T @ x, dy.sum(axis=0))

    verdict = verdict_on("column_parallel", column_parallel)
    assert verdict.status == "failed"


def test_the_output_put_together_is_told():
    def column_parallel(comm, x, weight, bias):
        parts = comm.all_gather((x @ weight + bias).T).T
        return parts, lambda dy: (comm.all_reduce(dy @ weight.T), x.T @ dy, dy.sum(axis=0))

    assert verdict_on("column_parallel", column_parallel).slip == "the output gathered"
