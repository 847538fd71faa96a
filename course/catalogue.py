"""All rules in one table: what each costs, where it comes from, and how far it is from its reference."""

from __future__ import annotations

import textwrap

import numpy as np

from course import oracle
from course.references import PEERS, Missing, rule_path, switched
from course.rules import ALL, Rule, Sophia
from course.rules.card import card

__all__ = ["HEAD", "aligned", "deviations", "rows"]

HEAD = ("rule", "year", "state", "bytes", "source", "reference", "float64", "float32")
STEPS, LR = 200, 0.05


def deviations(rule: type[Rule]) -> dict[str, dict[str, float]]:
    """Measure the rule beside each of its references: name, then the worst deviation in each dtype.

    A reference whose package is missing has no figures.
    """
    if rule in oracle.IN_TORCH:
        return {f"torch.optim.{oracle.IN_TORCH[rule][0]}": {d: _beside_torch(rule, d) for d in oracle.GATES}}
    found: dict[str, dict[str, float]] = {}
    for peer in PEERS:
        if peer.rule is rule:
            mine = switched(_at(rule), peer)
            found[peer.name] = {}
            for dtype in oracle.GATES:
                start, grads, hessians = _data(mine, dtype)
                try:
                    reference = peer.run(mine, start, grads, hessians)
                except Missing:
                    break
                path = rule_path(mine, start, grads, hessians)
                found[peer.name][dtype] = oracle.deviation(path, reference)
    return found


def _at(make: type[Rule]) -> Rule:
    # Rule itself has no lr, so far as types know; all those of ALL do.
    return make().with_hyperparameters(lr=LR)


def _beside_torch(make: type[Rule], dtype: str) -> float:
    rule = _at(make)
    report = oracle.beside(rule, param=oracle.start(rule).astype(dtype), steps=STEPS)
    return oracle.deviation(report.path, report.reference)


def _data(rule: Rule, dtype: str) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    start = oracle.start(rule).reshape(4, 6).astype(dtype)
    grads = list(oracle.gradients(start.shape, STEPS, dtype))
    if not isinstance(rule, Sophia):
        return start, grads, []
    return start, grads, [0 * start, *(g * g for g in grads[:-1])]


def rows() -> list[tuple[str, ...]]:
    """Return a row for each rule, measured now; the figure is the worst over all its references."""
    table = []
    for name, rule in ALL.items():
        facts, found = card(rule), deviations(rule)
        worst = [
            max((figures[dtype] for figures in found.values() if figures), default=None)
            for dtype in oracle.GATES
        ]
        shown = [f"{w:.0e}" if w is not None else "not installed" for w in worst]
        source = textwrap.shorten(facts.sections["Source"], 64, placeholder=" ...")
        where = ", ".join(found) or "none"
        table.append(
            (name, str(facts.year), facts.state, str(facts.bytes_per_parameter), source, where, *shown)
        )
    return table


def aligned(head: tuple[str, ...], table: list[tuple[str, ...]]) -> str:
    """Return the table as text, its columns one under the other."""
    lines = [head, *table]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
