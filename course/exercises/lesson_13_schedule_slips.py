"""The slips of ``gpipe_schedule`` and ``one_f_one_b``: wrong warm-ups, wrong orders, work lost."""

from __future__ import annotations

from course.exercises.base import Slips

__all__ = ["gpipe_slips", "turn_slips"]

Pair = tuple[str, int]
Plan = list[list[Pair]]
gpipe_slips, turn_slips = Slips(), Slips()

_SWAPPED = "You have a list for each micro-batch; a schedule has one for each stage."
_LOST = "A micro-batch is missing: its rows have no part in the gradient."
_ONE = "You count micro-batches from 1."


def _f(micros: int) -> list[Pair]:
    return [("F", i) for i in range(micros)]


def _b(micros: int) -> list[Pair]:
    return [("B", i) for i in range(micros)]


def _turns(warm: int, micros: int) -> list[Pair]:
    """After so many forwards, one forward and one backward in turn."""
    order = _f(min(warm, micros))
    for i in range(micros):
        order += [*_f(micros)[warm + i : warm + i + 1], ("B", i)]
    return order


def _gpipe(stages: int, micros: int) -> Plan:
    return [_f(micros) + _b(micros) for _ in range(stages)]


def _right(stages: int, micros: int) -> Plan:
    return [_turns(stages - s - 1, micros) for s in range(stages)]


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
    return _right(stages, micros)


@gpipe_slips(
    "last in, first out",
    "Your backwards start with the last micro-batch. That can run as well, but here they come in order.",
    "Both ways from micro-batch 0 on.",
)
def _(stages: int, micros: int) -> Plan:
    return [_f(micros) + _b(micros)[::-1] for _ in range(stages)]


@gpipe_slips(
    "backward before its forward",
    "You put the backwards first. They need what the forwards leave behind: no stage can ever begin.",
    "All forwards, then all backwards.",
)
def _(stages: int, micros: int) -> Plan:
    return [_b(micros) + _f(micros) for _ in range(stages)]


@gpipe_slips("stages and micro-batches swapped", _SWAPPED, "The outer list has `stages` entries.")
def _(stages: int, micros: int) -> Plan:
    return _gpipe(micros, stages)


@gpipe_slips("a micro-batch lost", _LOST, "range(micros) has micros numbers, from 0 on.")
def _(stages: int, micros: int) -> Plan:
    return _gpipe(stages, micros - 1)


@gpipe_slips("micro-batches counted from one", _ONE, "The first is 0.")
def _(stages: int, micros: int) -> Plan:
    return [[(kind, i + 1) for kind, i in works] for works in _gpipe(stages, micros)]


@gpipe_slips(
    "no backwards",
    "Your schedule goes forward only. Training needs a backward for each forward.",
    "After the forwards, ('B', i) for each micro-batch.",
)
def _(stages: int, micros: int) -> Plan:
    return [_f(micros) for _ in range(stages)]


@gpipe_slips(
    "one list for all stages",
    "You return one stage's work. Each stage needs its own list, though here they are all alike.",
    "A list of `stages` lists.",
)
def _(stages: int, micros: int) -> list[Pair]:
    return _f(micros) + _b(micros)


@gpipe_slips(
    "only the stage's own number",
    "Each stage works on one micro-batch only, that of its own number. All stages work on all of them.",
    "The number in a pair is that of a micro-batch; the place in the outer list is the stage.",
)
def _(stages: int, micros: int) -> Plan:
    return [[("F", s), ("B", s)] for s in range(stages)]


@turn_slips(
    "all forwards first",
    "This is GPipe: it runs, with the same bubble, but every stage holds all micro-batches at once.",
    "Begin with as many forwards as there are later stages, then one of each in turn.",
)
def _(stages: int, micros: int) -> Plan:
    return _gpipe(stages, micros)


@turn_slips(
    "warm-up one too short",
    "Your stages begin to alternate one forward too early. It runs, but then each waits for the next.",
    "Stage s has stages - s - 1 later stages: so many forwards, then a forward and a backward in turn.",
)
def _(stages: int, micros: int) -> Plan:
    return [_turns(max(stages - s - 2, 0), micros) for s in range(stages)]


@turn_slips(
    "warm-up one too long",
    "Your stages alternate one forward too late. Nothing gets faster, and each holds one micro-batch more.",
    "Stage s has stages - s - 1 later stages; the last one has none, and begins with F0 B0.",
)
def _(stages: int, micros: int) -> Plan:
    return [_turns(stages - s, micros) for s in range(stages)]


@turn_slips(
    "the same warm-up at every stage",
    "Every stage does as many forwards first as the first one needs. The last could go back at once.",
    "The warm-up depends on the stage: the later, the shorter.",
)
def _(stages: int, micros: int) -> Plan:
    return [_turns(stages - 1, micros) for _ in range(stages)]


@turn_slips(
    "warm-up counted from the wrong end",
    "Your first stage has no warm-up and your last the longest. Each waits for the other: it never runs.",
    "Stage 0 must feed all stages after it, so it has the most forwards first.",
)
def _(stages: int, micros: int) -> Plan:
    return [_turns(s, micros) for s in range(stages)]


@turn_slips(
    "no warm-up",
    "Forward and backward in turn from the start, at every stage: only one stage works at a time.",
    "Stage s needs stages - s - 1 forwards first, to fill the stages after it.",
)
def _(stages: int, micros: int) -> Plan:
    return [_turns(0, micros) for _ in range(stages)]


@turn_slips(
    "backward before its forward",
    "In your turns the backward comes first. At the last stage that is B0 before F0, which can never run.",
    "One forward, then one backward: the name says the order.",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for s in range(stages):
        warm = min(stages - s - 1, micros)
        order = _f(warm)
        for i in range(micros):
            order += [("B", i), *_f(micros)[warm + i : warm + i + 1]]
        plan.append(order)
    return plan


@turn_slips(
    "last in, first out",
    "Your backward takes the micro-batch that was forwarded last. Those before it are held to the end.",
    "The backwards come in order too: B0, B1, B2 ...",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for works in _right(stages, micros):
        held: list[int] = []
        order: list[Pair] = []
        for kind, i in works:
            if kind == "F":
                held.append(i)
            order.append((kind, i if kind == "F" else held.pop()))
        plan.append(order)
    return plan


@turn_slips(
    "the rest forgotten",
    "You stop after the last forward. The micro-batches of the warm-up still wait for their backwards.",
    "When no forward is left, the backwards go on.",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for s, works in enumerate(_right(stages, micros)):
        warm = min(stages - s - 1, micros)
        plan.append(works[: len(works) - warm])
    return plan


@turn_slips(
    "warm-up longer than the batch",
    "With fewer micro-batches than stages your warm-up forwards some that do not exist.",
    "min(..., micros).",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for s, works in enumerate(_right(stages, micros)):
        more = [("F", i) for i in range(micros, stages - s - 1)]
        at = min(stages - s - 1, micros)
        plan.append(works[:at] + more + works[at:])
    return plan


@turn_slips("stages and micro-batches swapped", _SWAPPED, "The outer list has `stages` entries.")
def _(stages: int, micros: int) -> Plan:
    return _right(micros, stages)


@turn_slips("a micro-batch lost", _LOST, "range(micros) has micros numbers, from 0 on.")
def _(stages: int, micros: int) -> Plan:
    return _right(stages, micros - 1)


@turn_slips("micro-batches counted from one", _ONE, "The first is 0.")
def _(stages: int, micros: int) -> Plan:
    return [[(kind, i + 1) for kind, i in works] for works in _right(stages, micros)]
