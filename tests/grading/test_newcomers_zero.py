"""Lesson 12 as newcomers write it: other right programs pass, and what moves too much is told by name."""

import math

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def by_concatenation(x, world_size, rank):
    flat = np.ravel(x)
    per = math.ceil(flat.size / world_size)
    full = np.concatenate([flat, np.zeros(per * world_size - flat.size, flat.dtype)])
    return full[rank * per : (rank + 1) * per]


def by_all_to_all(comm, param, grad, state, rule):
    """The reduce-scatter as an exchange and a local sum, which moves as much as a ring."""
    n, per = comm.world_size, math.ceil(len(param) / comm.world_size)
    padded = np.zeros((2, n * per), param.dtype)
    padded[:, : len(param)] = param, grad
    mean = comm.all_to_all(padded[1]).reshape(n, per).sum(axis=0) / n
    own = padded[0, comm.rank * per : (comm.rank + 1) * per]
    state = rule.init(own) if state is None else state
    delta, new_state = rule.update(mean, state, own)
    full = comm.all_gather(own - delta)
    return full[: param.size], new_state


def gathering_deltas(comm, param, grad, state, rule):
    """Gather what is to be subtracted, and subtract it everywhere."""
    missing = -len(param) % comm.world_size
    mean = comm.reduce_scatter(np.append(grad, np.zeros(missing, grad.dtype))) / comm.world_size
    own = np.append(param, np.zeros(missing, param.dtype)).reshape(comm.world_size, -1)[comm.rank]
    delta, state = rule.update(mean, state or rule.init(own), own)
    return param - comm.all_gather(delta)[: len(param)], state


def updating_after_backward(comm, params, backward, states, rule):
    """Collect the means of the blocks, which are small, and update when all are there."""
    n, means = comm.world_size, {}
    for i, g in backward:
        means[i] = comm.reduce_scatter(np.pad(g, (0, -g.size % n)), "mean")
    new, kept = [], []
    for i, p in enumerate(params):
        own = np.pad(p, (0, -p.size % n)).reshape(n, -1)[comm.rank]
        delta, s = rule.update(means[i], states[i], own)
        new.append(comm.all_gather(own - delta)[: p.size])
        kept.append(s)
    return new, kept


def with_helpers(comm, shards, states, model, x, rule):
    def gather(i):
        return comm.all_gather(shards[i])[: model.sizes[i]]

    acts = [x]
    for i in range(len(model.sizes)):
        acts.append(model.forward(i, gather(i), acts[-1]))
    d, new = model.loss(acts.pop()), []
    for i in range(len(model.sizes) - 1, -1, -1):
        d, g = model.backward(i, gather(i), acts.pop(), d)
        g = np.concatenate([g, np.zeros(-len(g) % comm.world_size)])
        g = comm.reduce_scatter(g) / comm.world_size
        delta, s = rule.update(g, states[i], shards[i])
        new.insert(0, (shards[i] - delta, s))
    return [a for a, _ in new], [s for _, s in new]


def the_last_layer_gathered_once(comm, shards, states, model, x, rule):
    """Its backward comes right after its forward, so the weights are still there."""
    shards, states, inputs, last = list(shards), list(states), [], len(shards) - 1
    for i in range(last + 1):
        w = comm.all_gather(shards[i])[: model.sizes[i]]
        inputs.append(x)
        x = model.forward(i, w, x)
    dy = model.loss(x)
    for i in range(last, -1, -1):
        if i < last:
            w = comm.all_gather(shards[i])[: model.sizes[i]]
        dy, g = model.backward(i, w, inputs[i], dy)
        g = comm.reduce_scatter(np.pad(g, (0, -len(g) % comm.world_size)), "mean")
        delta, states[i] = rule.update(g, states[i], shards[i])
        shards[i] = shards[i] - delta
    return shards, states


def whole_weights_copied(comm, shards, states, model, x, rule):
    """Copies of what was gathered, one layer at a time, are as good."""
    shards, states, inputs = list(shards), list(states), []
    for i, own in enumerate(shards):
        weights = np.array(comm.all_gather(own.copy()))[: model.sizes[i]].copy()
        inputs.append(x)
        x = model.forward(i, weights, x)
    dy = model.loss(x)
    for i in reversed(range(len(shards))):
        weights = comm.all_gather(shards[i])[: model.sizes[i]].copy()
        dy, grad = model.backward(i, weights, inputs[i], dy)
        row = np.pad(grad, (0, -len(grad) % comm.world_size))
        mean = comm.all_to_all(row).reshape(comm.world_size, -1).mean(axis=0)
        delta, states[i] = rule.update(mean, states[i], shards[i])
        shards[i] = shards[i] - delta
    return shards, states


def two_reductions(comm, shard, update, lr):
    w = math.sqrt(comm.all_reduce(float(np.sum(shard**2))))
    u = math.sqrt(comm.all_reduce(float(np.sum(update**2))))
    return update * (lr * w / u if w > 0 and u > 0 else lr)


def mean_of_the_squares(comm, shard, update, lr):
    """The factor 1/N stands above and below, and cancels."""
    w, u = comm.all_reduce(np.array([(shard**2).sum(), (update**2).sum()]), "mean")
    return lr * update * (np.sqrt(w) / np.sqrt(u) if w and u else 1)


RIGHT = [
    ("shard", by_concatenation),
    (
        "model_states_per_rank",
        lambda p, n, s, k=12: p * (2 / n ** (s > 2) + 2 / n ** (s > 1) + k / n ** (s > 0)),
    ),
    ("zero1_step", by_all_to_all),
    ("zero1_step", gathering_deltas),
    ("zero2_step", updating_after_backward),
    ("zero3_step", with_helpers),
    ("zero3_step", the_last_layer_gathered_once),
    ("zero3_step", whole_weights_copied),
    ("lamb_under_zero", two_reductions),
    ("lamb_under_zero", mean_of_the_squares),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=lambda x: getattr(x, "__name__", ""))
def test_other_right_programs_pass(name, answer):
    verdict = verdict_on(name, answer)
    assert verdict.passed, str(verdict)


def test_a_step_by_broadcasts_moves_too_much_and_is_told_of_its_bytes():
    def broadcasts(comm, param, grad, state, rule):
        n = comm.world_size
        mean = comm.all_reduce(np.pad(grad, (0, -len(grad) % n)), "mean").reshape(n, -1)[comm.rank]
        own = np.pad(param, (0, -len(param) % n)).reshape(n, -1)[comm.rank]
        delta, state = rule.update(mean, state or rule.init(own), own)
        parts = [comm.broadcast(own - delta, root) for root in range(n)]
        return np.concatenate(parts)[: len(param)], state

    verdict = verdict_on("zero1_step", broadcasts)
    assert (verdict.status, verdict.slip) == ("failed", None)
    assert "bytes sent" in str(verdict)
    assert "1.5 times" in str(verdict)


def test_an_all_reduce_is_told_by_name():
    def ddp_and_gather(comm, param, grad, state, rule):
        n, size = comm.world_size, len(param)
        total = comm.all_reduce(np.pad(grad, (0, -size % n)))
        per = len(total) // n
        mine = slice(comm.rank * per, (comm.rank + 1) * per)
        own = np.pad(param, (0, -size % n))[mine]
        delta, state = rule.update(total[mine] / n, state or rule.init(own), own)
        return comm.all_gather(own - delta)[:size], state

    verdict = verdict_on("zero1_step", ddp_and_gather)
    assert verdict.slip == "all-reduce instead of reduce-scatter"
    assert "3 Psi instead of 2" in verdict.message


def test_a_list_of_all_gradients_is_told_by_name():
    def collects(comm, params, backward, states, rule):
        return updating_after_backward(comm, params, list(backward), states, rule)

    assert verdict_on("zero2_step", collects).slip == "gradients kept whole"


def test_keeping_the_weights_for_the_backward_is_told_by_name():
    def keeps(comm, shards, states, model, x, rule):
        whole = [comm.all_gather(s)[:n] for s, n in zip(shards, model.sizes, strict=True)]
        acts = [x]
        for i, w in enumerate(whole):
            acts.append(model.forward(i, w, acts[-1]))
        d, shards, states = model.loss(acts[-1]), list(shards), list(states)
        for i in reversed(range(len(whole))):
            d, g = model.backward(i, whole[i], acts[i], d)
            g = comm.reduce_scatter(np.pad(g, (0, -len(g) % comm.world_size)), "mean")
            delta, states[i] = rule.update(g, states[i], shards[i])
            shards[i] = shards[i] - delta
        return shards, states

    assert verdict_on("zero3_step", keeps).slip == "weights not freed"


def test_a_rank_that_reduces_alone_is_told_who_waits():
    def alone(comm, shard, update, lr):
        if comm.rank == 0:
            comm.all_reduce(np.ones(2))
        return update

    assert "waits in all_reduce" in str(verdict_on("lamb_under_zero", alone))
