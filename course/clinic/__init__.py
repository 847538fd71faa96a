"""Why is my model not updating? Watch a real PyTorch loop, unchanged, and be told the cause.

    from course import clinic

    with clinic.watch(model, optimizer) as exam:
        for x, y in batches:  # your own loop
            ...
    exam.findings  # the cause first

``course doctor train.py`` does the same to a script.
"""

from __future__ import annotations

from course.clinic.facts import Facts
from course.clinic.finding import CODES, Finding
from course.clinic.signs import diagnose
from course.clinic.watch import Exam, watch

__all__ = ["CODES", "Exam", "Facts", "Finding", "diagnose", "watch"]
