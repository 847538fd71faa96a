"""Lesson 14 as newcomers write it right, in other ways than the solution: all of it passes."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


# ---------------------------------------------------------------- right, in other ways
def with_a_queue(gradient, start, lr, steps, delay):
    theta, path = start, [start]
    old = deque([start] * (delay + 1), maxlen=delay + 1)
    for t in range(steps):
        theta = theta - lr * gradient(old[0], t)
        old.append(theta)
        path.append(theta)
    return np.array(path)


def into_an_array(gradient, start, lr, steps, delay):
    path = np.zeros((steps + 1, *np.shape(start)), dtype=start.dtype)
    path[0] = start
    for t in range(1, steps + 1):
        then = t - 1 - delay
        path[t] = path[t - 1] - gradient(path[then if then > 0 else 0], t - 1) * lr
    return path


def with_copies(gradient, start, lr, steps, delay):
    theta, path = start.copy(), [start.copy()]
    for t in range(steps):
        theta -= lr * gradient(path[max(0, t - delay)], t)
        path.append(theta.copy())
    return np.stack(path, axis=0)


def by_cosine(curvature, delay):
    return 2 * math.cos(math.pi * delay / (2 * delay + 1)) / curvature


def by_chord(curvature, delay):
    z = np.exp(1j * np.pi / (2 * delay + 1))
    return abs(z - 1) / curvature


def by_bisection(curvature, delay):
    low, high = 0.0, 3.0
    for _ in range(50):
        a = (low + high) / 2
        companion = np.eye(delay + 1, k=-1)
        companion[0, 0] = 1
        companion[0, -1] -= a
        low, high = (a, high) if abs(np.linalg.eigvals(companion)).max() <= 1 else (low, a)
    return low / curvature


def barrier_first(comm, gradient, start, lr, steps):
    params = comm.shared("params", start)
    comm.barrier()
    for i in range(comm.rank, steps * comm.world_size, comm.world_size):
        mine = np.array(params)
        comm.pause()
        np.subtract.at(params, np.nonzero(g := gradient(mine, i)), lr * g[np.nonzero(g)])
    comm.barrier()
    return params


def computed_before_the_pause(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        g = gradient(theta, t * comm.world_size + comm.rank)
        comm.pause()
        mask = g != 0
        theta[mask] = theta[mask] - lr * g[mask]
    comm.barrier()
    return np.array(theta)


def one_by_one(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        g = gradient(seen, comm.rank + comm.world_size * t)
        for i in zip(*np.nonzero(g), strict=True):
            theta[i] -= lr * g[i]
    comm.barrier()
    return theta.copy()


def densely(comm, gradient, start, lr, steps):
    theta = comm.shared("theta", start)
    for t in range(steps):
        seen = theta.copy()
        comm.pause()
        theta -= lr * gradient(seen, t * comm.world_size + comm.rank)
    comm.barrier()
    return theta


RIGHT = [
    ("stale_sgd", with_a_queue),
    ("stale_sgd", into_an_array),
    ("stale_sgd", with_copies),
    ("largest_stable_lr_with_delay", by_cosine),
    ("largest_stable_lr_with_delay", by_chord),
    ("largest_stable_lr_with_delay", by_bisection),
    ("hogwild", barrier_first),
    ("hogwild", computed_before_the_pause),
    ("hogwild", one_by_one),
    ("hogwild", densely),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=lambda x: getattr(x, "__name__", ""))
def test_other_right_answers_pass(name, answer):
    verdict = verdict_on(name, answer)
    assert verdict.passed, str(verdict)
