"""Lesson 14 as newcomers get it wrong: each of the usual mistakes gets its sentence."""

from __future__ import annotations

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge

right = {name: exercise.reference for name, exercise in ALL.items()}


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def negative_index(gradient, start, lr, steps, delay):
    path = np.zeros((steps + 1, *start.shape), start.dtype)
    path[0] = start
    for t in range(steps):
        path[t + 1] = path[t] - lr * gradient(path[t - delay], t)
    return path


def gradients_in_a_queue(gradient, start, lr, steps, delay):
    theta, path, waiting = start, [start], []
    for t in range(steps):
        waiting.append(gradient(theta, t))
        if len(waiting) > delay:
            theta = theta - lr * waiting.pop(0)
        path.append(theta)
    return np.stack(path)


def aliased(gradient, start, lr, steps, delay):
    theta = start + 0
    path = []
    path.append(theta)
    for t in range(steps):
        theta[...] = theta - lr * gradient(path[max(t - delay, 0)], t)
        path.append(theta)
    return np.stack(path)


def private(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start).copy()
    for t in range(steps):
        comm.pause()
        theta -= lr * gradient(theta.copy(), t * comm.world_size + comm.rank)
    comm.barrier()
    return theta


def put_back(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        mine = theta.copy()
        comm.pause()
        mine -= lr * gradient(mine, t * comm.world_size + comm.rank)
        theta[...] = mine
    comm.barrier()
    return theta.copy()


def synchronous(comm, gradient, start, lr, steps):
    theta = np.array(start)
    for t in range(steps):
        g = gradient(theta, t * comm.world_size + comm.rank)
        theta -= lr * comm.all_reduce(g)
    return theta


def in_place(gradient, start, lr, steps, delay):
    theta = start
    path = [theta]
    for t in range(steps):
        theta -= lr * gradient(path[max(0, t - delay)], t)
        path.append(theta)
    return np.array(path)


def from_the_end(gradient, start, lr, steps, delay):
    path = [start]
    for t in range(steps):
        seen = path[-delay] if t >= delay else path[0]
        path.append(path[-1] - lr * gradient(seen, t))
    return np.array(path)


def from_one(gradient, start, lr, steps, delay):
    path = [start]
    for t in range(1, steps + 1):
        path.append(path[-1] - lr * gradient(path[max(t - 1 - delay, 0)], t))
    return np.array(path)


def solved_wrongly(curvature, delay):
    phi = 2 * np.pi / (2 * delay + 1)
    return 2 * np.sin(phi / 2) / curvature


def a_two_lost(curvature, delay):
    phi = np.pi / (delay + 1)
    return 2 * np.sin(phi / 2) / curvature


def a_sign_lost(curvature, delay):
    phi = np.pi / (2 * delay - 1)
    return 2 * np.sin(phi / 2) / curvature


def two_pauses(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        comm.pause()
        seen = theta.copy()
        comm.pause()
        moved = lr * gradient(seen, t * comm.world_size + comm.rank)
        theta[np.nonzero(moved)] -= moved[np.nonzero(moved)]
    comm.barrier()
    return theta.copy()


def dealing_steps(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for n in range(comm.rank, steps, comm.world_size):
        seen = theta.copy()
        comm.pause()
        theta -= lr * gradient(seen, n)
    comm.barrier()
    return theta.copy()


def rank_added(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        theta -= lr * gradient(seen, t + comm.rank)
    comm.barrier()
    return theta.copy()


def waiting_in_between(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.barrier()
        theta -= lr * gradient(seen, t * comm.world_size + comm.rank)
    comm.barrier()
    return theta.copy()


def start_returned(comm, gradient, start, lr, steps):
    right["hogwild"](comm, gradient, start, lr, steps)
    return start


def summed_onto_the_shared(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        g = comm.all_reduce(gradient(seen, t * comm.world_size + comm.rank))
        theta[g != 0] -= lr * g[g != 0]
    comm.barrier()
    return theta.copy()


WRONG = [
    ("stale_sgd", in_place, "all rows the start itself"),
    ("stale_sgd", from_the_end, "path[-delay]"),
    ("stale_sgd", from_one, "the steps counted from 1"),
    ("largest_stable_lr_with_delay", solved_wrongly, "twice the angle"),
    ("largest_stable_lr_with_delay", a_two_lost, "phi = pi/(d + 1)"),
    ("largest_stable_lr_with_delay", a_sign_lost, "phi = pi/(2d - 1)"),
    (
        "largest_stable_lr_with_delay",
        lambda curvature, delay: right["largest_stable_lr_with_delay"](curvature, max(delay, 1) - 1),
        "one step too fresh",
    ),
    ("hogwild", two_pauses, "all ranks in step"),
    ("hogwild", dealing_steps, "the steps dealt out, not the numbers"),
    ("hogwild", rank_added, "the rank added to the step"),
    ("hogwild", waiting_in_between, "a barrier for the pause"),
    ("hogwild", start_returned, "returns the start"),
    ("hogwild", summed_onto_the_shared, "an all-reduce that every rank writes"),
    ("stale_sgd", negative_index, "zeros before the start"),
    ("stale_sgd", aliased, "all rows the same array"),
    ("hogwild", private, "nothing is shared"),
    ("hogwild", put_back, "the whole array written back"),
    ("hogwild", synchronous, "an all-reduce at each step"),
]


@pytest.mark.parametrize(("name", "answer", "slip"), WRONG, ids=lambda x: getattr(x, "__name__", ""))
def test_the_usual_mistakes_are_named(name, answer, slip):
    verdict = verdict_on(name, answer)
    assert (verdict.status, verdict.slip) == ("failed", slip), str(verdict)


@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("stale_sgd", in_place, "changes the caller's array"),
        ("largest_stable_lr_with_delay", solved_wrongly, "or your phi is twice too large itself"),
        ("hogwild", two_pauses, "and so does a second pause"),
    ],
    ids=["in place", "solved wrongly", "two pauses"],
)
def test_the_sentence_fits_the_other_ways_to_the_same_mistake(name, answer, words):
    assert words in str(verdict_on(name, answer))


def test_a_list_asked_for_a_point_before_its_start_is_told_where_the_oldest_is():
    def no_maximum(gradient, start, lr, steps, delay):
        path = [start]
        for t in range(steps):
            path.append(path[t] - lr * gradient(path[t - delay], t))
        return np.stack(path)

    text = str(verdict_on("stale_sgd", no_maximum))
    assert "Before there are delay points, t - delay is below 0: the oldest stands at index 0" in text
    assert "path.append(path[t] - lr * gradient(path[t - delay], t))" in text  # where it was raised


def test_an_index_error_that_has_nothing_to_do_with_a_delay_is_told_as_it_is():
    text = str(verdict_on("stale_sgd", lambda gradient, start, lr, steps, delay: [][delay - 1]))
    assert "IndexError" in text
    without = find_case(delay=0)
    outcome = ALL["stale_sgd"].run(lambda gradient, start, lr, steps, delay: [][0], without)
    assert str(outcome.error) == "list index out of range"


def find_case(**wanted):
    return next(
        case
        for case in ALL["stale_sgd"].cases
        if all(case.inputs[name] == value for name, value in wanted.items())
    )


def test_gradients_that_wait_in_a_queue_are_another_model():
    assert verdict_on("stale_sgd", gradients_in_a_queue).status == "failed"


def test_a_list_is_told_to_be_stacked():
    verdict = verdict_on("stale_sgd", lambda *args: list(right["stale_sgd"](*args)))
    assert "np.stack(...) makes an array of it" in str(verdict)


def test_float64_rows_for_a_float32_start_cost_the_point_for_clean_work():
    def careless(gradient, start, lr, steps, delay):
        return right["stale_sgd"](gradient, start, lr, steps, delay).astype(float)

    verdict = verdict_on("stale_sgd", careless)
    assert (verdict.status, verdict.score, verdict.points) == ("failed", 3, 4)
    assert "keep the dtype" in str(verdict)


def test_a_step_number_that_is_no_whole_number_is_told():
    def halves(comm, gradient, start, lr, steps):
        gradient(start, comm.rank / comm.world_size)

    assert "takes a whole number" in str(verdict_on("hogwild", halves))


def test_who_waits_alone_is_told():
    def alone(comm, gradient, start, lr, steps):
        if comm.rank == 0:
            comm.barrier()
        return start

    verdict = verdict_on("hogwild", alone)
    assert verdict.status == "failed"
    assert "deadlock" in str(verdict)


def test_none_is_told():
    assert "None" in str(verdict_on("hogwild", lambda comm, gradient, start, lr, steps: None))
