"""Lesson 12's references against one process on all the data, and their bytes against theory."""

from __future__ import annotations

import numpy as np
import pytest

from course.exercises import ALL
from course.exercises.base import Case, Outcome
from course.exercises.drive_zero import Layers, one_call, stage_two
from course.rules import LAMB

SIZE = 8  # bytes of a float64


def padded(size, ranks):
    return -(-size // ranks) * ranks


def expected(name):
    exercise = ALL[name]
    return [pytest.param(c, e, id=c.label) for c, e in zip(exercise.cases, exercise.expected, strict=True)]


def seen(outcome, name):
    return [s.value for s in outcome.seen if s.name == name]


@pytest.mark.parametrize(("case", "outcome"), expected("zero1_step"))
def test_stage_one_is_one_process_on_all_the_data_and_sends_two_psi(case, outcome):
    inputs = case.inputs
    theta, rule, n = inputs["param"], inputs["rule"], inputs["ranks"]
    state = rule.init(theta)
    for step, grads in enumerate(inputs["grads"]):
        delta, state = rule.update(np.mean(grads, axis=0, dtype=theta.dtype), state, theta)
        theta = theta - delta
        for held in seen(outcome, "param")[step]:
            np.testing.assert_allclose(held, theta, rtol=1e-5 if theta.dtype == "float32" else 1e-13)
        share = padded(theta.nbytes // theta.itemsize, n) * theta.itemsize * (n - 1) // n
        assert set(seen(outcome, "bytes sent")[step]) == {2 * share}


@pytest.mark.parametrize(("case", "outcome"), expected("zero2_step"))
def test_stage_two_is_one_process_on_all_the_data_and_sends_two_psi(case, outcome):
    inputs = case.inputs
    rule, n, params = inputs["rule"], inputs["ranks"], inputs["params"]
    states = [rule.init(p) for p in params]
    for step, grads in enumerate(inputs["grads"]):
        for i, theta in enumerate(params):
            delta, states[i] = rule.update(np.mean([g[i] for g in grads], axis=0), states[i], theta)
            params = [*params[:i], theta - delta, *params[i + 1 :]]
            for held in seen(outcome, f"params[{i}]")[step]:
                np.testing.assert_allclose(held, params[i], rtol=1e-13)
        share = sum(padded(len(p), n) for p in params) * SIZE * (n - 1) // n
        assert set(seen(outcome, "bytes sent")[step]) == {2 * share}
        assert not seen(outcome, "whole gradients kept")[step].any()


@pytest.mark.parametrize(("case", "outcome"), expected("zero3_step"))
def test_stage_three_is_one_process_on_all_the_data_and_sends_three_psi(case, outcome):
    inputs = case.inputs
    rule, n, weights = inputs["rule"], inputs["ranks"], [w.reshape(-1) for w in inputs["weights"]]
    states = [rule.init(w) for w in weights]
    for step, (x, target) in enumerate(zip(inputs["x"], inputs["target"], strict=True)):
        model = Layers([w.shape for w in inputs["weights"]], np.concatenate(list(target)))
        rows = [np.concatenate(list(x))]
        for i, w in enumerate(weights):
            rows.append(model.forward(i, w, rows[-1]))
        dy = model.loss(rows[-1])
        for i in reversed(range(len(weights))):
            dy, grad = model.backward(i, weights[i], rows[i], dy)
            delta, states[i] = rule.update(grad, states[i], weights[i])
            weights[i] = weights[i] - delta
            whole = seen(outcome, f"shards[{i}]")[step].reshape(-1)
            np.testing.assert_allclose(whole[: len(weights[i])], weights[i], rtol=1e-11)
            assert not whole[len(weights[i]) :].any()
        share = sum(padded(len(w), n) for w in weights) * SIZE * (n - 1) // n
        assert set(seen(outcome, "bytes sent")[step]) == {3 * share}
        assert set(seen(outcome, "whole layers held")[step]) == {1}


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_lamb_on_shards_is_lamb_on_the_layer(ranks):
    rng = np.random.default_rng(3)
    w, g = rng.normal(size=5), rng.normal(size=5)
    rule = LAMB(lr=0.1, eps=1e-6)
    direction = np.sign(g) * np.abs(g) / (np.abs(g) + 1e-6)  # the first step of Adam
    case = Case("a layer", {"ranks": ranks, "param": w, "update": direction, "lr": 0.1})
    out = Outcome()
    one_call(ALL["lamb_under_zero"].reference, case, out)
    whole = rule.update(g, rule.init(w), w)[0]
    np.testing.assert_allclose(out.seen[0].value.reshape(-1)[:5], whole, rtol=1e-9)


def test_ranks_that_wait_for_each_other_are_told():
    def waits(comm, param, grad, state, rule):
        if comm.rank == 0:
            comm.all_reduce(grad)
        return param, {}

    exercise = ALL["zero1_step"]
    outcome = exercise.run(waits, exercise.cases[0])
    assert outcome.stopped.kind == "deadlock"
    assert "rank 0 waits in all_reduce" in outcome.stopped.message


def test_an_exception_in_a_rank_is_the_answers_own():
    def fails(comm, params, backward, states, rule):
        raise KeyError("weights")

    with pytest.raises(KeyError):
        stage_two(fails, ALL["zero2_step"].cases[0], Outcome())


def test_a_gradient_written_into_is_told():
    def writes(comm, param, grad, state, rule):
        grad *= 2
        return param, {}

    assert ALL["zero1_step"].run(writes, ALL["zero1_step"].cases[0]).stopped.kind == "mutated"
