"""Numbers as a learner reads them: no exponents, and a word where a number says nothing more."""

from __future__ import annotations

import math

__all__ = ["OUT_OF_RANGE", "percent", "plain"]

OUT_OF_RANGE = "out of range"


def percent(share: float) -> str:
    """Return a share as percent; what has run away, or has all but vanished, is said in words.

    >>> percent(0.0414), percent(2.5), percent(0.0), percent(1e-9), percent(9.99e6)
    ('4.14 %', '250 %', '0 %', 'below 0.001 %', 'out of range')
    """
    text = plain(100 * share)
    return text if text == OUT_OF_RANGE else f"{text} %"


def plain(value: float) -> str:
    """Return a number to three digits without an exponent, from a thousandth up to a thousand.

    >>> plain(-0.5), plain(999.7), plain(-0.0), plain(-2e-16), plain(float("inf"))
    ('−0.5', '1000', '0', 'below 0.001', 'out of range')
    """
    size = abs(value)
    if not math.isfinite(value) or size > 1000:
        return OUT_OF_RANGE
    if size < 1e-3:
        return "below 0.001" if size else "0"
    text = f"{size:.0f}" if size >= 100 else f"{size:.3g}"
    return ("−" if value < 0 else "") + text
