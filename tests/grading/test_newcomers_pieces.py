"""Lesson 13's mistakes as a newcomer made them: each is told as what it is, in words that help."""

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def in_texts(stages, micros):
    return [[f"F{i}" for i in range(micros)] + [f"B{i}" for i in range(micros)] for _ in range(stages)]


def in_lines(stages, micros):
    return [" ".join(works) for works in in_texts(stages, micros)]


def with_dots(stages, micros):
    return [["."] * s + [("F", i) for i in range(micros)] for s in range(stages)]


@pytest.mark.parametrize("name", ["gpipe_schedule", "one_f_one_b"])
@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (in_texts, "must be a pair like ('F', 0) or ('B', 0); one of yours is 'F0'"),
        (in_lines, "yours is a list of texts, and each piece of work must be a pair like ('F', 0)"),
        (with_dots, "one of yours is '.' (waiting is not written down"),
    ],
)
def test_texts_in_a_schedule_are_no_missing_list(name, answer, told):
    verdict = verdict_on(name, answer)
    assert verdict.slip is None
    assert told in str(verdict)


def test_one_flat_list_is_still_told_as_that():
    def gpipe_schedule(stages, micros):
        works = []
        for kind in "FB":
            works += [[kind, i] for i in range(micros)]
        return works

    assert verdict_on("gpipe_schedule", gpipe_schedule).slip == "one list for all stages"


def turns(stages, micros, steady, rest, cap=True):
    plan = []
    for s in range(stages):
        w = min(stages - s - 1, micros) if cap else stages - s - 1
        row = [("F", i) for i in range(w)]
        for i in range(micros - w):
            row += [("F", w + i), ("B", steady(w, i))]
        row += [("B", i) for i in rest(w, micros)]
        plan.append(row)
    return plan


@pytest.mark.parametrize(
    ("steady", "rest", "cap", "slip"),
    [
        (lambda w, i: w + i, lambda w, m: range(w), True, "forward and backward of one number"),
        (
            lambda w, i: w + i,
            lambda w, m: range(m - w, m),
            True,
            "F and B of one number, the last B twice",
        ),
        (lambda w, i: i, lambda w, m: range(m - 1, m - w - 1, -1), True, "the last backwards reversed"),
        (lambda w, i: i, lambda w, m: range(m - w, m), False, "backwards below zero"),
    ],
)
def test_the_turns_of_1f1b_are_told(steady, rest, cap, slip):
    assert verdict_on("one_f_one_b", lambda s, m: turns(s, m, steady, rest, cap)).slip == slip


def test_an_order_of_ten_is_shown():
    def gpipe_schedule(stages, micros):
        works = right(stages, micros)
        return works if micros != 5 else [[row[1], row[0], *row[2:]] for row in works]

    text = str(verdict_on("gpipe_schedule", gpipe_schedule))
    assert "[2, 1, 3, 4, 5, -1, -2, -3, -4, -5]" in text
    assert "array of shape" not in text
    assert "order of stage 0 (F0 as 1, B0 as -1)" in text


def right(stages, micros):
    return [[(kind, i) for kind in "FB" for i in range(micros)] for _ in range(stages)]


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (lambda p, m, v=1: p - 1 / (v * m + p - 1), "parentheses missing above"),
        (lambda p, m, v=1: (p - 1) / (v * m) + p - 1, "parentheses missing below"),
        (lambda p, m, v=1: p - 1 / v * m + p - 1, None),
        (lambda p, m, v=1: (p - 1) // (v * m + p - 1), "a whole division"),
    ],
)
def test_what_python_makes_of_a_fraction_is_told(answer, slip):
    verdict = verdict_on("bubble_fraction", answer)
    assert (verdict.status, verdict.slip) == ("failed", slip)


def a_stage(ask=None, weigh=None, hand=None, scale=1.0, wait=True):
    """Return a stage as a newcomer writes it, with one piece in another way."""

    def pipeline_stage(comm, works, forward, backward, loss, inputs):
        first, last = comm.rank == 0, comm.rank == comm.world_size - 1
        rows = [len(x) for x in inputs]
        share = weigh or (lambda i: rows[i] / sum(rows))
        acts, outs, sends, grad = {}, {}, [], None
        for kind, i in works:
            if kind == "F":
                y, acts[i] = forward(inputs[i] if first else comm.recv(comm.rank - 1))
                outs[i] = y
                if not last:
                    sends.append(comm.isend(y, comm.rank + 1))
            else:
                if last:
                    dy = ask(loss, i, outs, y) if ask else loss(i, outs.pop(i))
                    dy = dy * (share(i) if scale is None else scale)
                else:
                    dy = comm.recv(comm.rank + 1)
                dx, g = hand(backward, acts.pop(i), dy) if hand else backward(acts.pop(i), dy)
                g = g * (rows[i] / len(inputs) if weigh == "count" else share(i))
                grad = g if grad is None else grad + g
                if not first:
                    sends.append(comm.isend(dx, comm.rank - 1))
        for one in sends:
            one.wait() if wait else None
        return grad

    return pipeline_stage


def test_the_stage_of_these_tests_is_right():
    verdict = verdict_on("pipeline_stage", a_stage())
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize(
    "ask", [lambda loss, i, outs, y: loss(outs.pop(i), i), lambda loss, i, outs, y: loss(y, y)]
)
def test_swapped_arguments_of_the_loss_are_told_and_no_order(ask):
    verdict = verdict_on("pipeline_stage", a_stage(ask=ask))
    assert verdict.slip is None
    assert "Loss takes (i, y)" in str(verdict) or "loss takes (i, y)" in str(verdict)
    assert "sort the works" not in str(verdict)


def test_a_wrong_output_for_the_loss_is_no_order_either():
    verdict = verdict_on("pipeline_stage", a_stage(ask=lambda loss, i, outs, y: loss(i, outs)))
    assert verdict.slip is None
    assert "was given a dict as y; the output of micro-batch 0 has shape" in str(verdict)


@pytest.mark.parametrize(
    ("hand", "given"),
    [
        (lambda backward, saved, dy: backward(dy, saved), "yours gave it an array of shape"),
        (lambda backward, saved, dy: backward((dy, saved), dy), "yours gave it a tuple"),
    ],
)
def test_swapped_arguments_of_the_backward_are_told(hand, given):
    verdict = verdict_on("pipeline_stage", a_stage(hand=hand))
    assert verdict.slip is None
    assert "backward takes (saved, dy)" in str(verdict).replace("Backward", "backward")
    assert given in str(verdict)


def test_an_order_that_was_seen_is_still_told():
    def pipeline_stage(comm, works, forward, backward, loss, inputs):
        acts = {}
        works = sorted(works)
        for kind, i in works:
            if kind == "F":
                y, acts[i] = forward(inputs[i] if comm.rank == 0 else comm.recv(comm.rank - 1))
                acts[i] = acts[i], y
            elif comm.rank == comm.world_size - 1:
                backward(acts.get(i), loss(i, acts.get(i)))
            else:
                backward(acts.get(i), comm.recv(comm.rank + 1))
        return np.zeros(1)

    assert verdict_on("pipeline_stage", pipeline_stage).slip == "backward before its forward"


@pytest.mark.parametrize(
    ("answer", "slip"),
    [
        (a_stage(scale=None), "weighed at both ends"),
        (a_stage(weigh="count"), "rows over micro-batches"),
        (a_stage(ask=lambda loss, i, outs, y: loss(i, y)), "the newest output"),
        (a_stage(wait=False), "sends never waited for"),
    ],
)
def test_wrong_weights_and_outputs_are_told(answer, slip):
    assert verdict_on("pipeline_stage", answer).slip == slip


def test_sends_that_nobody_waits_for_are_said_to_come_to_a_standstill():
    assert "comes to a standstill" in str(verdict_on("pipeline_stage", a_stage(wait=False)))
