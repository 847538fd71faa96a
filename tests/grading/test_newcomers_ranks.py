"""Lesson 11 as newcomers write it: rings, steps and buckets that are nearly right are told by name."""

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def ring(comm, x, blocks, reduce_hops, gather_hops):
    n, r = comm.world_size, comm.rank
    right, left = (r + 1) % n, (r - 1) % n
    for h in range(reduce_hops):
        take = (r - h - 1) % n
        blocks[take] = blocks[take] + comm.exchange(blocks[(r - h) % n], right, left)
    for h in range(gather_hops):
        blocks[(r - h) % n] = comm.exchange(blocks[(r + 1 - h) % n].copy(), right, left)
    return np.concatenate(blocks).reshape(x.shape)


@pytest.mark.parametrize(
    ("more", "slip"),
    [
        ((1, 0), "one hop too many"),
        ((0, 1), "one hop too many"),
        ((1, 1), "one hop too many, in both phases"),
        ((-1, -1), "one hop too few, in both phases"),
    ],
)
def test_hops_too_many_and_too_few_are_told_without_a_wrong_phase(more, slip):
    def ring_all_reduce(comm, x):
        n = comm.world_size
        blocks = np.array_split(x.flatten(), n)
        return ring(comm, x, blocks, n - 1 + more[0], n - 1 + more[1])

    verdict = verdict_on("ring_all_reduce", ring_all_reduce)
    assert verdict.slip == slip
    assert "first phase goes" not in verdict.message


def test_blocks_of_rows_are_too_large_where_rows_are_few():
    def ring_all_reduce(comm, x):
        n = comm.world_size
        return ring(comm, x, np.array_split(np.atleast_1d(x).copy(), n), n - 1, n - 1)

    assert verdict_on("ring_all_reduce", ring_all_reduce).slip == "cut by rows"


def test_alone_a_rank_may_return_what_it_was_given():
    def ring_all_reduce(comm, x):
        n = comm.world_size
        return x if n == 1 else ring(comm, x, np.array_split(x.flatten(), n), n - 1, n - 1)

    assert verdict_on("ring_all_reduce", ring_all_reduce).passed


def test_float64_in_the_blocks_is_told_as_that():
    def ring_all_reduce(comm, x):
        n = comm.world_size
        blocks = np.array_split(x.reshape(-1).astype(float), n)
        return ring(comm, x, blocks, n - 1, n - 1).astype(x.dtype)

    assert "you send float64" in verdict_on("ring_all_reduce", ring_all_reduce).message


def swapped(comm, x):
    n, r = comm.world_size, comm.rank
    blocks, (right, left) = np.array_split(x.flatten(), n), ((r - 1) % n, (r + 1) % n)
    for h in range(n - 1):
        came = comm.exchange(blocks[(r - h) % n], right, left)
        blocks[(r - h - 1) % n] = blocks[(r - h - 1) % n] + came
    for h in range(n - 1):
        blocks[(r - h) % n] = comm.exchange(blocks[(r + 1 - h) % n], right, left)
    return np.concatenate(blocks).reshape(x.shape)


def adds_twice(comm, x):
    n, r = comm.world_size, comm.rank
    flat = np.array(x).ravel()
    ends = np.cumsum([0] + [len(b) for b in np.array_split(flat, n)])

    def place(i):
        return slice(ends[i % n], ends[i % n + 1])

    for h in range(n - 1):
        flat[place(r - h - 1)] += comm.exchange(flat[place(r - h)], (r + 1) % n, (r - 1) % n)
    for h in range(n - 1):
        flat[place(r - h)] += comm.exchange(flat[place(r + 1 - h)], (r + 1) % n, (r - 1) % n)
    return flat.reshape(x.shape)


def resends(comm, x):
    n, r = comm.world_size, comm.rank
    mine, blocks = np.array_split(x.flatten(), n), np.array_split(x.flatten(), n)
    for h in range(n - 1):
        came = comm.exchange(mine[(r - h) % n], (r + 1) % n, (r - 1) % n)
        blocks[(r - h - 1) % n] = blocks[(r - h - 1) % n] + came
    return ring(comm, x, blocks, 0, n - 1)


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (swapped, "left and right swapped"),
        (adds_twice, "added in the second phase too"),
        (resends, "the own numbers sent on, not the sum"),
    ],
)
def test_rings_that_turn_or_add_wrongly_are_told_by_name(answer, slip):
    assert verdict_on("ring_all_reduce", answer).slip == slip


def divided(weigh, by, sign=-1):
    def ddp_step(comm, grad_fn, update, param, state, x, y):
        total = comm.all_reduce(grad_fn(param, x, y) * (len(x) if weigh else 1))
        count = comm.all_reduce(len(x))
        over = {"ranks": comm.world_size, "rows": count, "both": comm.world_size * count}[by]
        delta, state = update(total / over, state, param)
        return param + sign * delta, state

    return ddp_step


@pytest.mark.parametrize(
    ("how", "slip"),
    [
        ((True, "ranks"), "weighed, and divided by the ranks"),
        ((False, "rows"), "not weighed, and divided by the rows"),
        ((True, "both"), "divided by the ranks and by the rows"),
        ((True, "rows", 1), "delta added"),
    ],
)
def test_means_of_other_things_are_told_by_name(how, slip):
    assert verdict_on("ddp_step", divided(*how)).slip == slip


def test_bytes_that_are_expected_are_whole():
    def ddp_step(comm, grad_fn, update, param, state, x, y):
        totals = comm.all_gather((len(x) * grad_fn(param, x, y))[None])
        delta, state = update(totals.sum(axis=0) / comm.all_reduce(len(x)), state, param)
        return param - delta, state

    exercise = ALL["ddp_step"]
    verdict = judge(exercise, ddp_step)
    assert verdict.slip == "all gradients gathered"
    assert "." not in dict(verdict.evidence)["expected"]
    for outcome in exercise.expected:
        for seen in outcome.seen:
            assert seen.name != "bytes that each rank sent" or (seen.value == seen.value.round()).all()


def test_a_size_that_is_never_set_back_is_told_by_name():
    def bucketed_all_reduce(comm, arrays, bucket_bytes):
        buckets, bucket, size = [], [], 0
        for i in range(len(arrays))[::-1]:
            if bucket and size + arrays[i].nbytes > bucket_bytes:
                buckets.append(bucket)
                bucket = []
            bucket.append(i)
            size += arrays[i].nbytes
        out = [None] * len(arrays)
        for full in [*buckets, bucket]:
            row = comm.all_reduce(np.concatenate([arrays[i].ravel() for i in full]), "mean")
            for i, part in zip(
                full, np.split(row, np.cumsum([arrays[i].size for i in full])[:-1]), strict=True
            ):
                out[i] = part.reshape(arrays[i].shape)
        return out

    assert verdict_on("bucketed_all_reduce", bucketed_all_reduce).slip == "the size never set back"
