"""The slips of ``gpipe_schedule``: other orders, work lost, lists in the wrong places."""

from __future__ import annotations

from course.exercises.base import Slips
from course.exercises.lesson_13_orders import (
    LOST,
    ONE,
    SWAPPED,
    Pair,
    Plan,
    all_first,
    backwards,
    forwards,
    in_turn,
)

__all__ = ["gpipe_slips"]

gpipe_slips = Slips()


@gpipe_slips(
    "one micro-batch at a time",
    "Each micro-batch goes forward and back before the next one starts: one stage works, all others wait.",
    "First the forwards of all micro-batches, then the backwards.",
)
def _(stages: int, micros: int) -> Plan:
    return [[(kind, i) for i in range(micros) for kind in "FB"] for _ in range(stages)]


@gpipe_slips(
    "this is 1F1B",
    "You begin with backwards before all forwards are done. That is one forward, one backward.",
    "GPipe is simpler: all forwards, then all backwards, the same on every stage.",
)
def _(stages: int, micros: int) -> Plan:
    return in_turn(stages, micros)


@gpipe_slips(
    "last in, first out",
    "Your backwards start with the last micro-batch. That can run as well, but here they come in order.",
    "Both ways from micro-batch 0 on.",
)
def _(stages: int, micros: int) -> Plan:
    return [forwards(micros) + backwards(micros)[::-1] for _ in range(stages)]


@gpipe_slips(
    "backward before its forward",
    "You put the backwards first. They need what the forwards leave behind: no stage can ever begin.",
    "All forwards, then all backwards.",
)
def _(stages: int, micros: int) -> Plan:
    return [backwards(micros) + forwards(micros) for _ in range(stages)]


@gpipe_slips("stages and micro-batches swapped", SWAPPED, "The outer list has `stages` entries.")
def _(stages: int, micros: int) -> Plan:
    return all_first(micros, stages)


@gpipe_slips("a micro-batch lost", LOST, "range(micros) has micros numbers, from 0 on.")
def _(stages: int, micros: int) -> Plan:
    return all_first(stages, micros - 1)


@gpipe_slips("micro-batches counted from one", ONE, "The first is 0.")
def _(stages: int, micros: int) -> Plan:
    return [[(kind, i + 1) for kind, i in works] for works in all_first(stages, micros)]


@gpipe_slips(
    "no backwards",
    "Your schedule goes forward only. Training needs a backward for each forward.",
    "After the forwards, ('B', i) for each micro-batch.",
)
def _(stages: int, micros: int) -> Plan:
    return [forwards(micros) for _ in range(stages)]


@gpipe_slips(
    "one list for all stages",
    "You return one stage's work. Each stage needs its own list, though here they are all alike.",
    "A list of `stages` lists.",
)
def _(stages: int, micros: int) -> list[Pair]:
    return forwards(micros) + backwards(micros)


@gpipe_slips(
    "only the stage's own number",
    "Each stage works on one micro-batch only, that of its own number. All stages work on all of them.",
    "The number in a pair is that of a micro-batch; the place in the outer list is the stage.",
)
def _(stages: int, micros: int) -> Plan:
    return [[("F", s), ("B", s)] for s in range(stages)]
