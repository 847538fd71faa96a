"""Lesson 13's references against one process on all the data, their bytes against theory, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course import cluster
from course.authoring.proof import function_from, solution_source
from course.cluster.schedules import Work, gpipe, one_f_one_b, timeline
from course.exercises import ALL
from course.exercises.drive_pipeline import Stage, drawn, order_of
from course.exercises.drive_tensor import BACKWARD, FORWARD, cut
from course.exercises.lesson_13_cases import pairs

LAYERS = ("column_parallel", "row_parallel")


def expected(name):
    exercise = ALL[name]
    return [pytest.param(c, e, id=c.label) for c, e in zip(exercise.cases, exercise.expected, strict=True)]


def seen(outcome, name):
    return next(s.value for s in outcome.seen if s.name == name)


@pytest.mark.parametrize("name", ["gpipe_schedule", "one_f_one_b"])
@pytest.mark.parametrize(("stages", "micros"), [(1, 1), (2, 3), (3, 7), (5, 2), (4, 12)])
def test_schedules_hold_what_theory_says_and_have_one_bubble(name, stages, micros):
    plan = [[Work(*pair) for pair in works] for works in ALL[name].reference(stages, micros)]
    run = timeline(plan)
    held = [micros] * stages if name == "gpipe_schedule" else [min(stages - s, micros) for s in range(stages)]
    assert run.held == held
    assert run.bubble == pytest.approx((stages - 1) / (micros + stages - 1))
    assert run.bubble == pytest.approx(ALL["bubble_fraction"].reference(stages, micros))


@pytest.mark.parametrize(("case", "outcome"), expected("bubble_fraction"))
def test_the_bubble_is_the_closed_formula(case, outcome):
    stages, micros, chunks = (case.inputs.get(name, 1) for name in ("stages", "micros", "chunks"))
    formula = (stages - 1) / (chunks * micros + stages - 1)
    assert seen(outcome, "bubble") == pytest.approx(formula, abs=1e-14)


@pytest.mark.parametrize(("case", "outcome"), expected("pipeline_stage"))
def test_the_stages_gradients_are_autograds_on_the_whole_batch(case, outcome):
    weights, inputs, targets = drawn(case)
    params = [torch.tensor(w, requires_grad=True) for w in weights]
    y, target = torch.tensor(np.concatenate(inputs)), torch.tensor(np.concatenate(targets))
    for param in params:
        y = torch.tanh(y @ param)
    gradients = torch.autograd.grad(0.5 * ((y - target) ** 2).sum() / len(y), params)
    tolerance = 1e-5 if case.inputs["dtype"] == "float32" else 1e-12
    for s, gradient in enumerate(gradients):
        np.testing.assert_allclose(
            seen(outcome, f"gradient of stage {s}"), gradient.numpy(), rtol=tolerance, atol=0
        )


@pytest.mark.parametrize(("case", "outcome"), expected("pipeline_stage"))
def test_each_stage_sends_one_activation_on_and_one_gradient_back(case, outcome):
    widths, rows = case.inputs["widths"], sum(case.inputs["rows"])
    size = np.dtype(case.inputs["dtype"]).itemsize
    onwards = [rows * width * size for width in widths[1:-1]]
    np.testing.assert_array_equal(seen(outcome, "bytes sent onwards"), [*onwards, 0])
    np.testing.assert_array_equal(seen(outcome, "bytes sent back"), [0, *onwards])
    assert not seen(outcome, "other bytes").any()
    assert not seen(outcome, "kept after use").any()
    for s, works in enumerate(case.inputs["schedule"]):
        order = [(micro + 1) * (1 if kind == "F" else -1) for kind, micro in works]
        np.testing.assert_array_equal(seen(outcome, order_of(s)), order)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("at", range(7))
def test_a_layer_cut_up_is_autograds_whole_layer(name, at):
    case, outcome = ALL[name].cases[at], ALL[name].expected[at]
    x, weight, bias = (torch.tensor(case.inputs[n], requires_grad=True) for n in ("x", "weight", "bias"))
    y = x @ weight + bias
    gradients = torch.autograd.grad(y, (x, weight, bias), torch.tensor(case.inputs["dy"]))
    whole = dict(zip(("dx", "dweight", "dbias"), (g.numpy() for g in gradients), strict=True))
    whole["y"] = y.detach().numpy()
    axes = {"y": 1, "dweight": 1, "dbias": 0} if name == "column_parallel" else {"dx": 1, "dweight": 0}
    for what, right in whole.items():
        parts, axis = seen(outcome, what), axes.get(what)
        held = [right] * len(parts) if axis is None else np.split(right, len(parts), axis)
        np.testing.assert_allclose(parts, held, rtol=1e-5 if right.dtype == "float32" else 1e-12)


@pytest.mark.parametrize(("name", "talks", "silent"), [("column_parallel", "backward", "forward"),
                                                      ("row_parallel", "forward", "backward")])  # fmt: skip
def test_a_pair_costs_one_all_reduce_each_way(name, talks, silent):
    for case, outcome in zip(ALL[name].cases, ALL[name].expected, strict=True):
        n, array = case.inputs["ranks"], case.inputs["dy" if talks == "forward" else "x"]
        block = -(-array.size // n) * array.itemsize
        assert (seen(outcome, f"bytes sent in the {talks}") == 2 * (n - 1) * block).all()
        assert not seen(outcome, f"bytes sent in the {silent}").any()


def test_a_schedule_that_can_never_run_is_told_with_the_stage_that_waits():
    def never(stages, micros):
        return [[("B", 0), ("F", 0)] for _ in range(stages)]

    outcome = ALL["one_f_one_b"].run(never, ALL["one_f_one_b"].cases[0])
    assert outcome.stopped.kind == "schedule"
    assert "stage 0 waits in B0 for F0 of stage 0, B0 of stage 1" in outcome.stopped.message


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "returned None"),
        ("F0", "a list for each stage; yours is a str"),
        ([("F", 0), ("B", 0)], "one list of pairs"),
        ([["F0"], ["B0"]], "must be a pair like ('F', 0) or ('B', 0); one of yours is 'F0'"),
        (["F0 B0", "F0 B0"], "yours is a list of texts, and each piece of work must be a pair"),
        ([["F0", "."], []], "must be a pair like ('F', 0)"),
        ([[("F", 0), "."], []], "one of yours is '.' (waiting is not written down"),
        ([[("F", 0), None], []], "one of yours is None (waiting is not written down"),
        ([[("F", 0.5)], []], "must be a pair like ('F', 0)"),
        ([[("F", True)], []], "must be a pair like ('F', 0)"),
        ([[("G", 0)], []], "must be a pair like ('F', 0)"),
        ([[("F", 0)]], "each of the 2 stages; yours has 1"),
    ],
)
def test_what_is_no_schedule_is_told_in_one_line(result, told):
    exercise = ALL["gpipe_schedule"]
    stopped = exercise.run(lambda stages, micros: result, exercise.cases[0]).stopped
    assert told in stopped.message
    assert "\n" not in stopped.message


def test_two_blocking_sends_are_told_who_waits():
    exercise = ALL["pipeline_stage"]
    slip = next(slip for slip in exercise.slips if slip.name == "send waits for its receiver")
    stops = [exercise.run(slip.answer, case).stopped for case in exercise.cases]
    told = [stop.message for stop in stops if stop and stop.kind == "deadlock"]
    assert any("rank 0 waits in send" in line and "rank 1 waits in send" in line for line in told)


def test_activations_that_stay_are_counted_and_a_spent_variable_is_not():
    stage = Stage(np.ones((2, 2)), [np.zeros((1, 2))] * 6)
    keep = []
    for i in range(6):
        y, saved = stage.forward(np.ones((1, 2)))
        stage.backward(saved, stage.loss(i, y))
    assert stage.kept == 0
    for i in range(6):
        y, saved = stage.forward(np.ones((1, 2)))
        keep.append(saved)
        stage.backward(saved, stage.loss(i, y))
    assert stage.kept >= 3


def _on_gloo(comm, stage, column, row):
    """Run the three rank programs on a real process; the caller compares with the simulation."""
    case = ALL["pipeline_stage"].cases[1]
    weights, inputs, targets = drawn(case)
    own = Stage(weights[comm.rank], targets)
    comm.step = 10
    found = [
        stage(comm, pairs(one_f_one_b(2, 5))[comm.rank], own.forward, own.backward, own.loss, inputs),
        stage(comm, pairs(gpipe(2, 5))[comm.rank], own.forward, own.backward, own.loss, inputs),
    ]
    for by, layer in (("column", column), ("row", row)):
        given = cut(ALL[f"{by}_parallel"].cases[0].inputs, by, comm.rank)
        dy = given.pop("dy")
        comm.step = FORWARD
        y, backward = layer(comm, **given)
        comm.step = BACKWARD
        found += [y, *backward(dy)]
    return found


@pytest.mark.thorough
def test_the_solutions_are_the_same_on_real_processes():
    programs = [function_from(solution_source(name), name) for name in ("pipeline_stage", *LAYERS)]
    real = cluster.run(_on_gloo, 2, engine="gloo", args=programs, timeout=20)
    simulated = cluster.run(_on_gloo, 2, args=programs)
    for mine, theirs in zip(real.results, simulated.results, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
    for rank in (0, 1):
        assert real.ledger.sent(rank=rank) == simulated.ledger.sent(rank=rank)
