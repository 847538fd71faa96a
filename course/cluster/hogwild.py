"""Without waiting: stale gradients, as a model that can be computed, and on memory that ranks really share.

A rank that does not wait computes its gradient at parameters that others have changed by the time it steps.
:func:`stale_sgd` is that, with a delay that is always the same. :func:`hogwild` is a rank program: it reads
the shared parameters, computes, and writes, with no lock. Simulated, the ranks take turns between reading
and writing, so every step is late by the same number and the run is the same every time; on real processes
the machine decides.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from course.cluster.communicator import Communicator

__all__ = ["hogwild", "largest_stable_lr", "long_run_factor", "stale_sgd"]

Gradient = Callable[[np.ndarray, int], np.ndarray]


def stale_sgd(gradient: Gradient, start: np.ndarray, lr: float, steps: int, delay: int) -> np.ndarray:
    """Return the path ``theta[t+1] = theta[t] - lr gradient(theta[t - delay], t)``.

    Args:
        gradient: of the parameters and the step. start: ``theta[0]``, which also stands for all before it.
        lr: learning rate. steps: how many. delay: how many steps old the parameters are, >= 0.

    >>> stale_sgd(lambda theta, t: theta, np.array([1.0]), 0.5, 3, delay=1)[:, 0]
    array([ 1.  ,  0.5 ,  0.  , -0.25])
    """
    if delay < 0:
        raise ValueError(f"stale_sgd: delay must be >= 0, not {delay!r}")
    path = [np.array(start)]
    past = deque([path[0]] * (delay + 1), maxlen=delay + 1)
    for t in range(steps):
        seen = past[0]
        path.append(path[-1] - lr * gradient(seen, t))
        past.append(path[-1])
    return np.stack(path)


def long_run_factor(product: float, delay: int, momentum: float = 0.0) -> float:
    """Return the factor per step along a direction, in the long run; at 1 and above it does not converge.

    The largest modulus of the roots of ``z^(d+1) - (1 + momentum) z^d + momentum z^(d-1) + product``.

    Args:
        product: learning rate times curvature. delay: of the gradients, steps. momentum: a heavy ball's.

    >>> [round(long_run_factor(product, delay), 6) for product, delay in ((0.5, 0), (1.0, 1), (0.25, 1))]
    [0.5, 1.0, 0.5]
    """
    terms = np.zeros(max(delay, 1) + 2)
    terms[:3] = 1, -1 - momentum, momentum
    terms[1 + delay] += product
    return float(np.abs(np.roots(terms)).max())


def largest_stable_lr(curvature: float, delay: int) -> float:
    """Return the rate below which stale gradient descent on ``curvature/2 theta^2`` does not diverge.

    ``2 sin(pi / (4 delay + 2)) / curvature``: 2 without a delay, 1 for a delay of one, and in proportion to
    ``1 / (delay + 1/2)`` for large ones. At the limit the recursion ``z^(d+1) = z^d - a`` has a root
    ``exp(i phi)`` on the unit circle, and the smallest ``a`` for which it has one is this.

    >>> [round(largest_stable_lr(1.0, delay), 3) for delay in (0, 1, 2, 10)]
    [2.0, 1.0, 0.618, 0.149]
    """
    if curvature <= 0 or delay < 0:
        raise ValueError(
            f"largest_stable_lr: needs curvature > 0 and delay >= 0, not {curvature} and {delay}"
        )
    return 2 * math.sin(math.pi / (4 * delay + 2)) / curvature


def hogwild(
    comm: Communicator, gradient: Gradient, start: np.ndarray, lr: float, steps: int, name: str = "theta"
) -> np.ndarray:
    """Train shared parameters without locks; return them as they are when all have ended.

    Args:
        comm: this rank's. gradient: of the parameters and the step, where step ``t`` of rank ``r`` is number
            ``t * ranks + r``; zeros are not written, so ranks whose gradients are sparse rarely meet.
        start: where to begin. lr: learning rate. steps: of each rank. name: of the shared memory.

    Source: F. Niu et al. (2011), Hogwild!: A Lock-Free Approach to Parallelizing Stochastic Gradient Descent.
    """
    theta = comm.shared(name, start)  # whole for everyone who sees it: nobody has to wait here
    for t in range(steps):
        seen = np.array(theta)
        comm.pause()
        moved = lr * gradient(seen, t * comm.world_size + comm.rank)
        touched = np.nonzero(moved)
        theta[touched] -= moved[touched]
    comm.barrier()
    return np.array(theta)
