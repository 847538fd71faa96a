"""The report: text for a terminal, a card for a notebook."""

from __future__ import annotations

import html as escaping
import textwrap
from collections.abc import Sequence

from course.clinic.facts import Facts
from course.clinic.finding import SEVERITIES, Finding
from course.clinic.signs.words import count

__all__ = ["html", "text"]

WIDTH = 100


def headline(findings: Sequence[Finding], facts: Facts) -> str:
    """Say in one line what was watched and how much was found."""
    size = sum(p.numel for p in facts.params)
    who = ", ".join(dict.fromkeys(o.name for o in facts.optimizers)) or "no optimizer"
    what = ", ".join(facts.roots) or "no model"
    watched = f"{count(facts.steps, 'step')} of {who} on {what} ({size:,} values)"
    counts = {name: sum(f.severity == name for f in findings) for name in SEVERITIES}
    said = ", ".join(count(n, name) for name, n in counts.items() if n)
    if facts.trouble and not said:
        if facts.blind:
            return f"clinic: could not look at {watched}: {facts.trouble[0]}"
        return f"clinic: stumbled, and found nothing in what it saw of {watched}"
    return f"clinic: {said or 'nothing found'} in {watched}"


def text(findings: Sequence[Finding], facts: Facts) -> str:
    """Return the report as lines of text."""
    lines = [headline(findings, facts)]
    for one in findings:
        lines.append("")
        lines.append(f"{one.severity}: {one.code} ({one.where})")
        lines += _wrapped(f"{one.meaning[0].upper()}{one.meaning[1:]}.")
        lines += _wrapped(one.evidence)
        lines.append(f"    fix: {one.fix}")
        lines.append(f"    lesson {one.lesson:02d}")
    return "\n".join([*lines, *_stumbles(findings, facts)])


def _stumbles(findings: Sequence[Finding], facts: Facts) -> list[str]:
    """Tell the clinic's own errors, unless the headline does."""
    if facts.blind and not findings:
        return []
    return [f"the clinic itself stumbled: {problem}" for problem in facts.trouble]


def _wrapped(paragraph: str) -> list[str]:
    return textwrap.wrap(paragraph, WIDTH, initial_indent="    ", subsequent_indent="    ")


def html(findings: Sequence[Finding], facts: Facts) -> str:
    """Return the report as HTML."""
    rows = "".join(
        f"<tr><td>{one.severity}</td><td><b>{one.code}</b><br>{escaping.escape(one.where)}</td>"
        f"<td style='text-align:left'>{escaping.escape(one.meaning)}. {escaping.escape(one.evidence)}<br>"
        f"<code>{escaping.escape(one.fix)}</code> (lesson {one.lesson:02d})</td></tr>"
        for one in findings
    )
    stumbles = "".join(f"<p>{escaping.escape(line)}</p>" for line in _stumbles(findings, facts))
    return f"<p>{escaping.escape(headline(findings, facts))}</p><table>{rows}</table>{stumbles}"
