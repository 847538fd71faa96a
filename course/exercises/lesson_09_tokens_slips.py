"""The slips of ``tokens_per_step``: a factor forgotten, divided by, or added."""

from __future__ import annotations

from typing import Any

from course.exercises.base import Slips

__all__ = ["tokens_slips"]

tokens_slips = Slips()


@tokens_slips(
    "accumulation forgotten",
    "You count one micro-batch. A step sees as many of them as are accumulated.",
    "How often does each rank run backward before it steps?",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * sequence * ranks


@tokens_slips(
    "ranks forgotten",
    "You count one rank. All of them put their gradients together for the same step.",
    "How many copies of the model read texts of their own?",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * sequence * accumulation


@tokens_slips(
    "one rank's micro-batch",
    "You count the micro-batch of one rank. A step sees all that is accumulated, on all ranks.",
    "How often does each rank run backward before it steps, and how many ranks are there?",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * sequence


@tokens_slips(
    "sequences, not tokens",
    "You count sequences. Each has many tokens.",
    "Which argument says how long a sequence is?",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * accumulation * ranks


@tokens_slips(
    "one token less in each sequence",
    "You take one token off each sequence. Here a sequence is what the loss is taken over: all of it counts.",
    "Multiply by the sequence length as it is.",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * (sequence - 1) * accumulation * ranks


@tokens_slips(
    "added, not multiplied",
    "You add numbers that count nested things: sequences in a micro-batch, micro-batches in a window.",
    "Three boxes with four things each: how many things?",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * sequence * (accumulation + ranks)


@tokens_slips(
    "divided by the accumulation",
    "You divide by the accumulation. It makes the step larger: the micro-batch is what one backward sees.",
    "Does a step see more or fewer tokens than one micro-batch?",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * sequence * ranks // accumulation


@tokens_slips(
    "divided by the ranks",
    "You divide by the number of ranks. The micro-batch is that of each rank, so that more ranks read more.",
    "Does a step see more or fewer tokens than one rank?",
)
def _(micro_batch: int, sequence: int, accumulation: int, ranks: int) -> Any:
    return micro_batch * sequence * accumulation // ranks
