"""Where torch, optax, Keras and the papers differ, rule by rule, each with a computed figure.

The course's rules are torch's, or the paper's where torch has none. A :class:`Convention` names what another
implementation does differently, and which of the rule's options does the same. Both are run for 200 steps
from the same start, on the same gradients, in float64; the figure is how far apart they end up.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from course import oracle, rules
from course.conventions.lines import CONVENTIONS, STEPS, Convention, estimates
from course.references import Grads, Missing, rule_path
from course.rules import Rule

__all__ = ["CONVENTIONS", "Convention", "Measured", "figures", "measure", "missing", "page", "table"]


@dataclass(frozen=True)
class Measured:
    """A convention with its figures: how far apart both end up, and what is left with the option switched."""

    convention: Convention
    apart: float
    left: float | None


def measure(convention: Convention) -> Measured:
    """Run both and return the figures.

    Raises:
        Missing: the other implementation is not installed.
    """
    rule, other = convention.rule, None
    start = np.random.default_rng(0).normal(size=(6, 4))
    grads = [convention.scale * g for g in oracle.gradients(start.shape, STEPS)]
    hessians: Sequence[np.ndarray] = []
    if isinstance(rule, rules.Sophia):
        hessians = estimates(start, grads)
    if convention.switched is not None:
        other = _walk(
            rule.with_hyperparameters(**convention.switched), start, grads, hessians, convention.halved
        )
    theirs = convention.theirs(start, grads) if convention.theirs is not None else other
    mine = _walk(rule, start, grads, hessians, convention.halved)
    if theirs is None:
        raise ValueError(f"a convention of {convention.where} has neither an option nor an implementation")
    left = None if other is None else oracle.deviation(other, theirs)
    return Measured(convention, oracle.deviation(mine[-1], theirs[-1]), left)


def _walk(rule: Rule, start: np.ndarray, grads: Grads, hessians: Grads, halved: bool) -> np.ndarray:
    if not halved:
        return rule_path(rule, start, grads, hessians)
    theta, state, points = start, rule.init(start), [start]
    for t, g in enumerate(grads):
        now = rule if t < len(grads) // 2 else rule.with_hyperparameters(lr=rule.hyperparameters()["lr"] / 2)
        delta, state = now.update(g, state, theta)
        theta = theta - delta
        points.append(theta)
    return np.stack(points)


def missing() -> list[str]:
    """Return the packages that a figure needs and that are not installed."""
    needed = ("optax", "jax", "keras", "pytorch_optimizer")
    return [name for name in needed if importlib.util.find_spec(name) is None]


def table(known: Mapping[tuple[str, ...], str] | None = None) -> list[tuple[str, ...]]:
    """Measure every convention and return rows: rule, where, what, apart, the option that does the same.

    Args:
        known: figures by rule, where and what, for those whose package is missing; else they are a dash.
    """
    rows: list[tuple[str, ...]] = []
    for convention in CONVENTIONS:
        line = (type(convention.rule).__name__, convention.where, convention.what)
        try:
            apart = f"{measure(convention).apart:.1e}"
        except Missing:
            apart = (known or {}).get(line, "-")
        told = convention.switched
        option = (
            "none" if told is None else ", ".join(f"{n}={_short(v)}" for n, v in told.items()) or "by default"
        )
        rows.append((*line, apart, option))
    return rows


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def page(before: str = "") -> str:
    """Return the page course/rules/CONVENTIONS.md, its figures measured now.

    Args:
        before: the page as it was; where a package is missing, the figure is taken over from it.

    Raises:
        Missing: there is a figure that neither can be measured nor stands on the page.
    """
    rows = table(figures(before))
    for rule, where, what, apart, _ in rows:
        if apart == "-":
            raise Missing(f"no figure for {rule}, {where}: {what}")
    return "\n".join([*_HEAD, *("| " + " | ".join(_cell(x) for x in row) + " |" for row in rows), ""])


def figures(page: str) -> dict[tuple[str, ...], str]:
    """Return the figures of a page by rule, where and what."""
    lines = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    rows = [tuple(cell.strip().replace("\\|", "|") for cell in line) for line in lines[1:]]
    return {row[:3]: row[3] for row in rows}


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


_HEAD = f"""\
# Where libraries and papers differ

Made by `course conventions --write`; `tests/test_conventions.py` measures the figures anew.

The course's rules compute what torch computes, or the paper's own code where torch has no such rule. Others
do otherwise, often under the same name. Each line was run: {STEPS} steps from the same start on the same
gradients (magnitudes 1e-5 to 0.1), in float64, with the same hyperparameters. *Apart* is how far both ended
up from each other, as a share of the parameter (the metric of `course.oracle.deviation`). With the option in
the last column the rule takes the other's path, to rounding; where a package computes it, a test holds it to
that.

| rule | who | does what | apart | the same here |
|---|---|---|---|---|""".split("\n")
