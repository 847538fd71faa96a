"""Orders of work that the slips of ``gpipe_schedule`` and of ``one_f_one_b`` are made of."""

from __future__ import annotations

__all__ = ["LOST", "ONE", "SWAPPED", "Pair", "Plan", "all_first", "backwards", "forwards", "in_turn", "turns"]

Pair = tuple[str, int]
Plan = list[list[Pair]]

SWAPPED = "You have a list for each micro-batch; a schedule has one for each stage."
LOST = "A micro-batch is missing: its rows have no part in the gradient."
ONE = "You count micro-batches from 1."


def forwards(micros: int) -> list[Pair]:
    """Return the forwards in order."""
    return [("F", i) for i in range(micros)]


def backwards(micros: int) -> list[Pair]:
    """Return the backwards in order."""
    return [("B", i) for i in range(micros)]


def turns(warm: int, micros: int) -> list[Pair]:
    """After so many forwards, one forward and one backward in turn."""
    order = forwards(min(warm, micros))
    for i in range(micros):
        order += [*forwards(micros)[warm + i : warm + i + 1], ("B", i)]
    return order


def all_first(stages: int, micros: int) -> Plan:
    """Return GPipe's order."""
    return [forwards(micros) + backwards(micros) for _ in range(stages)]


def in_turn(stages: int, micros: int) -> Plan:
    """Return the order of 1F1B."""
    return [turns(stages - s - 1, micros) for s in range(stages)]
