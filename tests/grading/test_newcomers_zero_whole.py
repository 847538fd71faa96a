"""Lesson 12: what is held whole is counted however it is held, and each mistake is told by its own name."""

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def padded(row, n):
    return np.pad(row, (0, -len(row) % n))


def block(row, comm):
    return padded(row, comm.world_size).reshape(comm.world_size, -1)[comm.rank]


def layer_step(comm, param, mean, state, rule):
    old = block(param, comm)
    delta, state = rule.update(mean, state, old)
    return comm.all_gather(old - delta)[: len(param)], state


def stage_three(comm, shards, states, model, x, rule, weights_of, reduce_late=False):
    """A step of stage 3 whose weights come from ``weights_of(pass, i)``."""
    shards, states, inputs, late = list(shards), list(states), [], []
    for i in range(len(shards)):
        inputs.append(x)
        x = model.forward(i, weights_of("forward", i), x)
    dy = model.loss(x)

    def update(i, grad):
        mean = comm.reduce_scatter(padded(grad, comm.world_size), "mean")
        delta, states[i] = rule.update(mean, states[i], shards[i])
        shards[i] = shards[i] - delta

    for i in reversed(range(len(shards))):
        dy, grad = model.backward(i, weights_of("backward", i), inputs[i], dy)
        late.append((i, grad.copy())) if reduce_late else update(i, grad)
    for i, grad in late:
        update(i, grad)
    return shards, states


def the_model_at_once_and_dropped_as_used(comm, shards, states, model, x, rule):
    rows = {}

    def weights_of(way, i):
        if not any(key[0] == way for key in rows):
            gathered = [comm.all_gather(s)[:k] for s, k in zip(shards, model.sizes, strict=True)]
            rows.update({(way, j): row for j, row in enumerate(gathered)} | {(way, "begun"): None})
        return rows.pop((way, i))

    return stage_three(comm, shards, states, model, x, rule, weights_of)


def the_model_in_one_row(comm, shards, states, model, x, rule):
    def weights_of(way, i):
        if i == (0 if way == "forward" else len(shards) - 1):
            weights_of.whole = comm.all_gather(np.concatenate(shards)).reshape(comm.world_size, -1)
        start = sum(len(s) for s in shards[:i])
        part = weights_of.whole[:, start : start + len(shards[i])]
        return part.reshape(-1)[: model.sizes[i]]

    return stage_three(comm, shards, states, model, x, rule, weights_of)


def the_next_layer_ahead(comm, shards, states, model, x, rule):
    ahead = {}

    def gather(i):
        return comm.all_gather(shards[i])[: model.sizes[i]]

    def weights_of(way, i):
        if way == "backward":
            return gather(i)
        weights = ahead.pop(i) if i else gather(0)
        if i + 1 < len(shards):
            ahead[i + 1] = gather(i + 1)
        return weights

    return stage_three(comm, shards, states, model, x, rule, weights_of)


def copies_of_the_forward(comm, shards, states, model, x, rule):
    """The weights of the forward as copies that the model has not seen, handed over in the backward."""
    copies = []

    def weights_of(way, i):
        if way == "backward":
            return copies.pop()
        whole = comm.all_gather(shards[i])[: model.sizes[i]]
        copies.append(whole.copy())
        return whole

    return stage_three(comm, shards, states, model, x, rule, weights_of)


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (the_model_at_once_and_dropped_as_used, "everything gathered first"),
        (the_model_in_one_row, "everything gathered first"),
        (the_next_layer_ahead, None),
        (copies_of_the_forward, "weights not freed"),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_no_two_layers_may_be_whole_however_they_are_held(answer, slip):
    verdict = verdict_on("zero3_step", answer)
    assert (verdict.status, verdict.slip) == ("failed", slip)
    assert "whole layers held" in str(verdict)


def test_gradients_of_all_layers_may_not_be_whole_in_stage_three():
    def collects_copies(comm, shards, states, model, x, rule):
        def weights_of(way, i):
            return comm.all_gather(shards[i])[: model.sizes[i]]

        return stage_three(comm, shards, states, model, x, rule, weights_of, reduce_late=True)

    assert verdict_on("zero3_step", collects_copies).slip == "gradients kept whole"


def copies(comm, params, backward, states, rule):
    rows = {i: padded(grad, comm.world_size).copy() for i, grad in backward}
    return updated(comm, params, rows, states, rule)


def one_row(comm, params, backward, states, rule):
    ends = np.cumsum([0] + [len(padded(p, comm.world_size)) for p in params])
    row = np.zeros(ends[-1])
    for i, grad in backward:
        row[ends[i] : ends[i] + len(grad)] = grad
    return updated(comm, params, np.split(row, ends[1:-1]), states, rule)


def updated(comm, params, rows, states, rule):
    pairs = [
        layer_step(comm, p, comm.reduce_scatter(rows[i], "mean"), states[i], rule)
        for i, p in enumerate(params)
    ]
    return [p for p, _ in pairs], [s for _, s in pairs]


@pytest.mark.parametrize("answer", [copies, one_row])
def test_copies_of_whole_gradients_are_whole_gradients(answer):
    assert verdict_on("zero2_step", answer).slip == "gradients kept whole"


def test_a_gradient_reduced_in_time_and_kept_is_told_as_that():
    def kept(comm, params, backward, states, rule):
        params, states, grads = list(params), list(states), []
        for i, grad in backward:
            grads.append(grad)
            mean = comm.reduce_scatter(padded(grad, comm.world_size), "mean")
            params[i], states[i] = layer_step(comm, params[i], mean, states[i], rule)
        return params, states

    verdict = verdict_on("zero2_step", kept)
    assert verdict.slip == "gradients reduced, and kept"
    assert "reduce them after backward" not in verdict.message


def unpadded_one(comm, param, grad, state, rule):
    old = block(param, comm)
    mean = block(comm.all_reduce(grad, "mean"), comm)
    delta, state = rule.update(mean, state or rule.init(old), old)
    return comm.all_gather(old - delta)[: len(param)], state


def unpadded_two(comm, params, backward, states, rule):
    params, states = list(params), list(states)
    for i, grad in backward:
        mean = block(comm.all_reduce(grad, "mean"), comm)
        params[i], states[i] = layer_step(comm, params[i], mean, states[i], rule)
    return params, states


@pytest.mark.parametrize(("name", "answer"), [("zero1_step", unpadded_one), ("zero2_step", unpadded_two)])
def test_an_all_reduce_without_padding_is_told_by_the_same_sentence(name, answer):
    verdict = verdict_on(name, answer)
    padded_slip = next(s for s in ALL[name].slips if s.name == "all-reduce instead of reduce-scatter")
    assert verdict.slip == "all-reduce of the unpadded gradients"
    assert padded_slip.sentence in verdict.message


def test_plain_data_parallelism_is_told_by_name_without_padding_too():
    def ddp(comm, param, grad, state, rule):
        delta, state = rule.update(comm.all_reduce(grad, "mean"), state or rule.init(param), param)
        return param - delta, state

    assert "plain data parallelism" in verdict_on("zero1_step", ddp).message


def ignored(comm, param, grad, state, rule):
    old = block(param, comm)
    state = rule.init(old) if state is None else state
    delta, _ = rule.update(comm.reduce_scatter(padded(grad, comm.world_size), "mean"), state, old)
    return comm.all_gather(old - delta)[: len(param)], state


def begun_anew(comm, params, backward, states, rule):
    params, states = list(params), list(states)
    for i, grad in backward:
        mean = comm.reduce_scatter(padded(grad, comm.world_size), "mean")
        params[i], states[i] = layer_step(comm, params[i], mean, rule.init(block(params[i], comm)), rule)
    return params, states


@pytest.mark.parametrize(("name", "answer"), [("zero1_step", ignored), ("zero2_step", begun_anew)])
def test_a_memory_that_is_lost_either_way_is_told_so_that_both_ways_fit(name, answer):
    message = verdict_on(name, answer).message
    assert "make" in message
    assert "or you" in message


@pytest.mark.parametrize("guarded", ["the weights", "both"])
def test_a_shard_of_zeros_is_no_layer_of_zeros(guarded):
    def lamb_under_zero(comm, weights, update, lr):
        w, u = np.sqrt(comm.all_reduce(np.array([weights @ weights, update @ update])))
        there = weights.any() and (guarded == "the weights" or update.any())
        return lr * (w / u if there and w and u else 1.0) * update

    assert verdict_on("lamb_under_zero", lamb_under_zero).slip == "the shard's zeros guarded"


@pytest.mark.parametrize("clamped", ["norm", "ratio"])
def test_a_clamp_at_ten_is_seen(clamped):
    def lamb_under_zero(comm, weights, update, lr):
        w, u = np.sqrt(comm.all_reduce(np.array([weights @ weights, update @ update])))
        w = min(w, 10.0) if clamped == "norm" else w
        ratio = w / u if w and u else 1.0
        return lr * (min(ratio, 10.0) if clamped == "ratio" else ratio) * update

    assert verdict_on("lamb_under_zero", lamb_under_zero).status == "failed"


def test_lr_left_out_is_not_called_a_number_of_examples():
    def lamb_under_zero(comm, weights, update, lr):
        w, u = np.sqrt(comm.all_reduce(np.array([weights @ weights, update @ update])))
        return (w / u if w and u else 1.0) * update

    verdict = verdict_on("lamb_under_zero", lamb_under_zero)
    assert verdict.slip == "lr forgotten"
    assert "examples" not in str(verdict)
    assert "that is 1/lr" in str(verdict)


def test_zeros_in_float64_are_blamed_where_they_are_made():
    def shard(x, world_size, rank):
        row = np.append(x.reshape(-1), np.zeros(-x.size % world_size))
        return row.reshape(world_size, -1)[rank]

    assert "np.append of zeros make float64" in str(verdict_on("shard", shard))


def test_float64_on_the_wire_is_told_as_that():
    def zero1_step(comm, param, grad, state, rule):
        n, per = comm.world_size, -(-len(param) // comm.world_size)
        rows = np.zeros((2, n * per))
        rows[:, : len(param)] = param, grad
        old = rows[0].reshape(n, -1)[comm.rank]
        delta, state = rule.update(comm.reduce_scatter(rows[1], "mean"), state or rule.init(old), old)
        return comm.all_gather(old - delta)[: len(param)], state

    assert "you send float64" in verdict_on("zero1_step", zero1_step).message


def test_a_wrong_shape_is_held_against_what_is_there():
    def zero2_step(comm, params, backward, states, rule):
        return [p[:-1] for p in params], states

    message = verdict_on("zero2_step", zero2_step).message
    assert "param's" not in message
    assert "params[0] has shape (3,); it must have the shape that it came with, (4,)" in message
