"""The slips of ``bubble_fraction``: another whole, another count of the waiting, chunks misplaced."""

from __future__ import annotations

from course.exercises.base import Slips

__all__ = ["bubble_slips"]

bubble_slips = Slips()


@bubble_slips(
    "share of the ideal time",
    "You divide the idle time by the time without a bubble, as the paper on Megatron's schedules states it. "
    "Asked for is the share of the whole time.",
    "The whole is the work and the waiting: chunks * micros + stages - 1 pieces.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (stages - 1) / (chunks * micros)


@bubble_slips(
    "all stages counted as waiting",
    "You count one piece too many: a stage waits for the others, not for itself.",
    "stages - 1 above, and in the whole time below.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return stages / (chunks * micros + stages)


@bubble_slips(
    "one too many below",
    "The idle part is right, the whole is one piece too long.",
    "chunks * micros pieces of work and stages - 1 of waiting are the whole time.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (stages - 1) / (chunks * micros + stages)


@bubble_slips(
    "chunks forgotten",
    "Your bubble is that of one chunk a stage. With more, each piece is shorter, and so is the waiting.",
    "A stage has chunks * micros pieces to do.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (stages - 1) / (micros + stages - 1)


@bubble_slips(
    "chunks make it longer",
    "Your bubble grows with the chunks. A stage waits for stages - 1 pieces, and pieces get shorter.",
    "Multiply the work by the chunks, not the waiting.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return chunks * (stages - 1) / (micros + chunks * (stages - 1))


@bubble_slips(
    "the share divided by the chunks",
    "You divide the share of one chunk by the chunks. The idle time is divided by them, but then the whole "
    "time is shorter as well.",
    "Count pieces: chunks * micros of work, stages - 1 of waiting.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (stages - 1) / (micros + stages - 1) / chunks


@bubble_slips(
    "chunks counted as stages",
    "You take stages * chunks for the length of the pipeline. A rank works on its other chunks meanwhile.",
    "What is waited for is stages - 1 pieces, however many chunks there are.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (stages * chunks - 1) / (chunks * micros + stages * chunks - 1)


@bubble_slips(
    "the busy share",
    "This is the share of the time in which a stage works.",
    "The bubble is the rest.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return chunks * micros / (chunks * micros + stages - 1)


@bubble_slips(
    "stages and micro-batches swapped",
    "Your bubble grows with the micro-batches. They are what it is spread over.",
    "stages - 1 above.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (micros - 1) / (chunks * stages + micros - 1)


@bubble_slips(
    "waiting counted twice",
    "You count stages - 1 pieces of waiting at the start and as many at the end. Each piece of your whole is "
    "a forward and a backward, so the waiting at both ends is one piece a stage.",
    "A stage waits for stages - 1 forwards and stages - 1 backwards: that is stages - 1 pieces of both.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return 2 * (stages - 1) / (chunks * micros + 2 * (stages - 1))


@bubble_slips(
    "a percentage",
    "Your value is 100 times too large: a percentage.",
    "A fraction lies between 0 and 1.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return 100 * (stages - 1) / (chunks * micros + stages - 1)


@bubble_slips(
    "a whole division",
    "// drops what follows the point: a share below 1 becomes 0.",
    "/ divides.",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (stages - 1) // (chunks * micros + stages - 1)


@bubble_slips(
    "parentheses missing above",
    "Division comes before subtraction: you divide 1 alone, and take the result from the stages.",
    "(stages - 1) / (...).",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return stages - 1 / (chunks * micros + stages - 1)


@bubble_slips(
    "parentheses missing below",
    "Division comes before addition: you divide by the work alone, and then add what belongs below.",
    "... / (chunks * micros + stages - 1).",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return (stages - 1) / (chunks * micros) + stages - 1


@bubble_slips(
    "parentheses missing above and below",
    "Division comes first: you divide 1 by the work alone. What is above and what is below need parentheses.",
    "(...) / (...).",
)
def _(stages: int, micros: int, chunks: int = 1) -> float:
    return stages - 1 / (chunks * micros) + stages - 1
