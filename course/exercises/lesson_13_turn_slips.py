"""The slips of ``one_f_one_b``: wrong warm-ups, wrong orders, work lost or done twice."""

from __future__ import annotations

from course.exercises.base import Slips
from course.exercises.lesson_13_orders import (
    LOST,
    ONE,
    SWAPPED,
    Pair,
    Plan,
    all_first,
    forwards,
    in_turn,
    turns,
)

__all__ = ["turn_slips"]

turn_slips = Slips()


def _one_number(warm: int, micros: int, rest: range) -> list[Pair]:
    """After the warm-up F and B of the same number; at the end the rest."""
    pairs = [(kind, i) for i in range(warm, micros) for kind in "FB"]
    return forwards(min(warm, micros)) + pairs + [("B", i) for i in rest if i < micros]


@turn_slips(
    "all forwards first",
    "This is GPipe: it runs, with the same bubble, but every stage holds all micro-batches at once.",
    "Begin with as many forwards as there are later stages, then one of each in turn.",
)
def _(stages: int, micros: int) -> Plan:
    return all_first(stages, micros)


@turn_slips(
    "warm-up one too short",
    "Your stages begin to alternate one forward too early. It runs, but then each waits for the next.",
    "Stage s has stages - s - 1 later stages: so many forwards, then a forward and a backward in turn.",
)
def _(stages: int, micros: int) -> Plan:
    return [turns(max(stages - s - 2, 0), micros) for s in range(stages)]


@turn_slips(
    "warm-up one too long",
    "Your stages alternate one forward too late. Nothing gets faster, and each holds one micro-batch more.",
    "Stage s has stages - s - 1 later stages; the last one has none, and begins with F0 B0.",
)
def _(stages: int, micros: int) -> Plan:
    return [turns(stages - s, micros) for s in range(stages)]


@turn_slips(
    "the same warm-up at every stage",
    "Every stage does as many forwards first as the first one needs. The last could go back at once.",
    "The warm-up depends on the stage: the later, the shorter.",
)
def _(stages: int, micros: int) -> Plan:
    return [turns(stages - 1, micros) for _ in range(stages)]


@turn_slips(
    "warm-up counted from the wrong end",
    "Your first stage has no warm-up and your last the longest. Each waits for the other: it never runs.",
    "Stage 0 must feed all stages after it, so it has the most forwards first.",
)
def _(stages: int, micros: int) -> Plan:
    return [turns(s, micros) for s in range(stages)]


@turn_slips(
    "no warm-up",
    "Forward and backward in turn from the start, at every stage: only one stage works at a time.",
    "Stage s needs stages - s - 1 forwards first, to fill the stages after it.",
)
def _(stages: int, micros: int) -> Plan:
    return [turns(0, micros) for _ in range(stages)]


@turn_slips(
    "backward before its forward",
    "In your turns the backward comes first. At the last stage that is B0 before F0, which can never run.",
    "One forward, then one backward: the name says the order.",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for s in range(stages):
        warm = min(stages - s - 1, micros)
        order = forwards(warm)
        for i in range(micros):
            order += [("B", i), *forwards(micros)[warm + i : warm + i + 1]]
        plan.append(order)
    return plan


@turn_slips(
    "last in, first out",
    "Your backward takes the micro-batch that was forwarded last. Those before it are held to the end.",
    "The backwards come in order too: B0, B1, B2 ...",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for works in in_turn(stages, micros):
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
    for s, works in enumerate(in_turn(stages, micros)):
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
    for s, works in enumerate(in_turn(stages, micros)):
        more = [("F", i) for i in range(micros, stages - s - 1)]
        at = min(stages - s - 1, micros)
        plan.append(works[:at] + more + works[at:])
    return plan


@turn_slips(
    "forward and backward of one number",
    "After the warm-up you pair a forward with its own backward: F and B of the same number. The next stages "
    "are still at work on that one; what can go back is the oldest that you hold.",
    "When F of warm + i is done, B of i is due.",
)
def _(stages: int, micros: int) -> Plan:
    return [_one_number(stages - s - 1, micros, range(stages - s - 1)) for s in range(stages)]


@turn_slips(
    "F and B of one number, the last B twice",
    "After the warm-up you pair a forward with its own backward: F and B of the same number. At the end "
    "these go back once more, and the first micro-batches never do.",
    "When F of warm + i is done, B of i is due.",
)
def _(stages: int, micros: int) -> Plan:
    warm = [min(stages - s - 1, micros) for s in range(stages)]
    return [_one_number(w, micros, range(micros - w, micros)) for w in warm]


@turn_slips(
    "the last backwards reversed",
    "When no forward is left, your backwards go on from the last micro-batch down. The next stage sends "
    "their gradients in order, and each of yours waits for the one that comes at the end.",
    "In order, to the end: the oldest first.",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for s, works in enumerate(in_turn(stages, micros)):
        at = len(works) - min(stages - s - 1, micros)
        plan.append(works[:at] + works[at:][::-1])
    return plan


@turn_slips(
    "backwards below zero",
    "With fewer micro-batches than stages, micros minus your warm-up is negative: your backwards begin "
    "below 0.",
    "Cap the warm-up where you compute it, and use that number from there on.",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for s in range(stages):
        warm = stages - s - 1
        order = forwards(warm)
        for i in range(micros - warm):
            order += [("F", warm + i), ("B", i)]
        plan.append(order + [("B", i) for i in range(micros - warm, micros)])
    return plan


@turn_slips(
    "backwards below zero, forwards capped",
    "With fewer micro-batches than stages you cap the forwards, but micros minus the uncapped warm-up is "
    "negative: your backwards begin below 0.",
    "Cap the warm-up where you compute it, and use that number from there on.",
)
def _(stages: int, micros: int) -> Plan:
    plan = []
    for s in range(stages):
        warm = stages - s - 1
        order = forwards(min(warm, micros))
        for i in range(micros - warm):
            order += [("F", warm + i), ("B", i)]
        plan.append(order + [("B", i) for i in range(micros - warm, micros)])
    return plan


@turn_slips("stages and micro-batches swapped", SWAPPED, "The outer list has `stages` entries.")
def _(stages: int, micros: int) -> Plan:
    return in_turn(micros, stages)


@turn_slips("a micro-batch lost", LOST, "range(micros) has micros numbers, from 0 on.")
def _(stages: int, micros: int) -> Plan:
    return in_turn(stages, micros - 1)


@turn_slips("micro-batches counted from one", ONE, "The first is 0.")
def _(stages: int, micros: int) -> Plan:
    return [[(kind, i + 1) for kind, i in works] for works in in_turn(stages, micros)]
