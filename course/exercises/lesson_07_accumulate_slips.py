"""The slips of accumulate: gradients of a large batch put together wrongly, as people write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["accumulate_slips"]

Array = np.ndarray
accumulate_slips = Slips()


def by_window(
    gradients: list[Array], counts: list[int], k: int, make: Callable[[list[Array], list[int]], Any]
) -> list[Any]:
    """Return what ``make`` makes of each window; what counts nothing is left out."""
    starts = range(0, len(gradients), k)
    windows = [
        [(g, n) for g, n in zip(gradients[s : s + k], counts[s : s + k], strict=True) if n] for s in starts
    ]
    return [make([g for g, _ in window], [n for _, n in window]) for window in windows]


def weighted(gradients: list[Array], counts: list[int]) -> Any:
    """Return the sum of ``n * g``."""
    total = 0 * gradients[0]
    for g, n in zip(gradients, counts, strict=True):
        total = total + n * g
    return total


def plain_sum(gradients: list[Array]) -> Any:
    """Return the sum."""
    return weighted(gradients, [1] * len(gradients))


@accumulate_slips(
    "the plain mean of unequal micro-batches",
    "You take the mean over the micro-batches, as if all were of one size. An example in a small one then "
    "counts more than one in a large one.",
    "Weight each gradient by its count; divide by the sum of the counts.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, k, lambda g, n: plain_sum(g) / len(g))


@accumulate_slips(
    "no division",
    "You add the gradients and divide by nothing, as backward does when left to itself. The step is too "
    "large by about the number of micro-batches.",
    "Each gradient is a mean. What is the mean of the whole window?",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, k, lambda g, n: plain_sum(g))


@accumulate_slips(
    "weighted, and not divided",
    "You weight by the counts and leave it at the sum: the gradient of a summed loss, not of its mean.",
    "Divide by the sum of the counts in the window.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, k, weighted)


@accumulate_slips(
    "divided twice",
    "You divide by the counts, and then by the number of micro-batches once more.",
    "The sum of n * g over the sum of n is a mean already.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, k, lambda g, n: weighted(g, n) / sum(n) / len(g))


@accumulate_slips(
    "weighted, and divided by how many there are",
    "You weight by the counts, but divide by how many micro-batches there are.",
    "The weights n must be divided by the sum of the weights.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, k, lambda g, n: weighted(g, n) / len(g))


@accumulate_slips(
    "always divided by k",
    "You divide the sum by k, and so treat all micro-batches alike. In a last window with fewer than k the "
    "gradient comes out too small besides.",
    "Divide by what is really in the window: the sum of its counts.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, k, lambda g, n: plain_sum(g) / k)


@accumulate_slips(
    "the last partial window dropped",
    "Full windows are right, but a last one with fewer than k micro-batches makes no step: its gradients are "
    "lost.",
    "When the micro-batches end, what has been gathered still wants a step.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    full = len(gradients) // k * k
    return by_window(gradients[:full], counts[:full], k, lambda g, n: weighted(g, n) / sum(n))


@accumulate_slips(
    "nothing cleared after a step",
    "The sum and the count run on after a step: each window contains all those before it.",
    "After a step the sum and the count begin at zero again.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    ends = [min(s + k, len(gradients)) for s in range(0, len(gradients), k)]
    return [
        by_window(gradients[:e], counts[:e], max(e, 1), lambda g, n: weighted(g, n) / sum(n))[0] for e in ends
    ]


@accumulate_slips(
    "only the sum cleared",
    "The sum begins at zero in each window, but the count runs on: the divisor grows from window to window.",
    "Clear both after a step.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    steps, count = [], 0
    for start in range(0, len(gradients), k):
        g, n = gradients[start : start + k], counts[start : start + k]
        count += sum(n)
        steps.append(weighted([x for x, m in zip(g, n, strict=True) if m], [m for m in n if m]) / count)
    return steps


@accumulate_slips(
    "one gradient for the whole epoch",
    "You put all micro-batches into one gradient and look at k nowhere.",
    "After every k micro-batches there is a step: return one gradient for each.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, len(gradients), lambda g, n: weighted(g, n) / sum(n))


@accumulate_slips(
    "the last micro-batch alone",
    "You return the gradient of the last micro-batch of each window, as if gradients were cleared before "
    "every backward.",
    "Clear after the step, not after each micro-batch.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(gradients, counts, k, lambda g, n: g[-1])


@accumulate_slips(
    "divided by the counts instead of multiplied",
    "You weight each gradient by one over its count: the smaller the micro-batch, the more it says.",
    "g is a mean over n. What turns it back into a sum?",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return by_window(
        gradients,
        counts,
        k,
        lambda g, n: plain_sum([x / m for x, m in zip(g, n, strict=True)]) / sum(1 / m for m in n),
    )


@accumulate_slips(
    "what counts nothing loses its place",
    "You leave out the micro-batches that count 0 before you cut the windows. All that come later then move "
    "up by one place, into windows that are not theirs.",
    "Cut the windows first. A micro-batch that counts 0 still fills a place in its window.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    left = [(g, n) for g, n in zip(gradients, counts, strict=True) if n]
    return by_window([g for g, _ in left], [n for _, n in left], k, lambda g, n: weighted(g, n) / sum(n))


def closed_early(gradients: list[Array], counts: list[int], k: int) -> tuple[list[Any], Any, int]:
    """Close a window at ``i % k == 0``, with ``i`` from 0; return the steps, and what is left at the end."""
    steps: list[Any] = []
    total: Any = 0.0
    count = 0
    for i, (g, n) in enumerate(zip(gradients, counts, strict=True)):
        if n:
            total, count = total + n * g, count + n
        if i % k == 0:
            steps.append(total / np.float64(count))
            total, count = 0.0, 0
    return steps, total, count


@accumulate_slips(
    "the first window closed after one micro-batch",
    "You count the micro-batches from 0 and step where i % k is 0: that is so at the very first one. All "
    "windows after it are shifted.",
    "The step belongs after the k-th: where (i + 1) % k is 0, with i from 0.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    steps, total, count = closed_early(gradients, counts, k)
    return [*steps, total / count] if count else steps


@accumulate_slips(
    "closed after one micro-batch, the rest lost",
    "You count the micro-batches from 0 and step where i % k is 0: that is so at the very first one. What "
    "comes after the last such step is lost.",
    "The step belongs where (i + 1) % k is 0, with i from 0; and once more at the end, if something is left.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    return closed_early(gradients, counts, k)[0]


@accumulate_slips(
    "a NaN swallowed",
    "You leave out whatever is a NaN, by np.nansum or np.nan_to_num. In a micro-batch that counts, a NaN "
    "says that something broke, and nobody will see it.",
    "Leave out by the count, not by the value: what counts 0, and nothing else.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    starts = range(0, len(gradients), k)
    shown = [np.nan_to_num(g, posinf=np.inf, neginf=-np.inf) for g in gradients]
    return [weighted(shown[s : s + k], counts[s : s + k]) / sum(counts[s : s + k]) for s in starts]


@accumulate_slips(
    "nothing times NaN",
    "A micro-batch that counts 0 has a NaN for its mean. You multiply it by 0, and that is a NaN again.",
    "Leave out what counts nothing.",
)
def _(gradients: list[Array], counts: list[int], k: int) -> Any:
    steps = []
    for start in range(0, len(gradients), k):
        n = counts[start : start + k]
        steps.append(weighted(gradients[start : start + k], n) / sum(n))
    return steps
