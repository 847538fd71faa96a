"""Lesson 14: what the drivers see, and what the solutions are equal to."""

from __future__ import annotations

import numpy as np
import pytest

from course import cluster
from course.authoring.proof import function_from, solution_source
from course.cluster.hogwild import largest_stable_lr
from course.exercises import find
from course.grading import judge


@pytest.fixture(scope="module")
def solutions():
    names = ("stale_sgd", "largest_stable_lr_with_delay", "hogwild")
    return {name: function_from(solution_source(name), name) for name in names}


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_hogwild_in_turns_is_a_delay_of_the_other_ranks(solutions, ranks):
    rng = np.random.default_rng(ranks)
    pull, push = rng.uniform(0.1, 0.5, 4), rng.normal(size=(10 * ranks, 4))
    start = rng.normal(size=4)

    def gradient(theta, n):
        return pull * theta + push[n]

    run = cluster.run(solutions["hogwild"], ranks=ranks, args=(gradient, start, 0.5, 10))
    path = solutions["stale_sgd"](gradient, start, 0.5, 10 * ranks, ranks - 1)
    for result in run.results:
        np.testing.assert_array_equal(result, path[-1])
    assert run.ledger.sent() == 0


def test_the_limit_is_the_librarys(solutions):
    for delay in range(30):
        assert solutions["largest_stable_lr_with_delay"](0.3, delay) == pytest.approx(
            largest_stable_lr(0.3, delay), rel=1e-14
        )


def test_the_references_limit_is_found_without_the_formula():
    reference = find("largest_stable_lr_with_delay").reference
    for delay in (0, 1, 2, 9, 40):
        assert reference(2.0, delay) == pytest.approx(largest_stable_lr(2.0, delay), rel=1e-12)


@pytest.mark.parametrize("ranks", [1, 2, 4, 16])
@pytest.mark.parametrize("barriers", [0, 1, 2])
def test_in_the_order_of_its_steps_any_right_answer_is_a_stale_path(solutions, ranks, barriers):
    """So the lesson may print that the bits are the same, wherever a learner waits before the loop."""
    rng = np.random.default_rng(ranks)
    pull, push, order = rng.uniform(0.1, 0.5, 4), rng.normal(size=(32, 4)), []

    def gradient(theta, n):
        return pull * theta + push[n]

    def noted(theta, n):
        order.append(n)
        return gradient(theta, n)

    def patient(comm):
        comm.shared("theta", np.ones(4))
        for _ in range(barriers):
            comm.barrier()
        return solutions["hogwild"](comm, noted, np.ones(4), 0.25, 32 // ranks)

    run = cluster.run(patient, ranks=ranks)
    path = solutions["stale_sgd"](lambda theta, t: gradient(theta, order[t]), np.ones(4), 0.25, 32, ranks - 1)
    assert sorted(order) == list(range(32))
    for result in run.results:
        np.testing.assert_array_equal(result, path[-1])


@pytest.mark.parametrize("barriers", [0, 1, 2])
def test_barriers_before_the_loop_change_no_number(solutions, barriers):
    """Without the driver's turns a barrier would change which rank reads first."""
    exercise = find("hogwild")

    def patient(comm, gradient, start, lr, steps):
        for _ in range(barriers):
            comm.barrier()
        return solutions["hogwild"](comm, gradient, start, lr, steps)

    assert judge(exercise, patient).passed


def test_a_rank_that_is_ahead_sees_fewer_writes():
    """Two ranks, one number, two steps each, rate 1/2, start 1: by hand 1, .5, 0, -.25, -.25."""
    exercise = find("hogwild")
    case = exercise.cases[1]
    seen = {s.name: s.value for s in exercise.run(exercise.reference, case).seen}
    assert seen["theta on rank 0"] == seen["theta on rank 1"] == -0.25
    np.testing.assert_array_equal(seen["bytes that each rank sent"], [0, 0])


def test_what_a_rank_returns_is_looked_at_when_it_returns():
    """Who returns the shared array too early would otherwise be saved by those who write later."""

    def early(comm, gradient, start, lr, steps):
        theta = comm.shared("theta", start)
        for t in range(steps):
            seen = theta.copy()
            comm.pause()
            theta -= lr * gradient(seen, t * comm.world_size + comm.rank)
        return theta

    verdict = judge(find("hogwild"), early)
    assert (verdict.status, verdict.slip) == ("failed", "the barrier forgotten")


def test_ranks_that_pause_differently_do_not_hang():
    def uneven(comm, gradient, start, lr, steps):
        theta = comm.shared("theta", start)
        for _ in range(3 * comm.rank):
            comm.pause()
        comm.all_reduce(1.0)
        return theta.copy()

    assert judge(find("hogwild"), uneven).status == "failed"


def test_the_cases_tell_what_the_gradient_is_made_of():
    def fresh(gradient, start, lr, steps, delay):
        path = [start]
        for t in range(steps):
            path.append(path[-1] - lr * gradient(path[-1], t))
        return np.stack(path)

    verdict = judge(find("stale_sgd"), fresh)
    assert verdict.slip == "no delay at all"
    assert "pull = [1], push = 0, start = [1], lr = 0.5, steps = 2, delay = 1" in str(verdict)
