"""Broken loops, as people write them: each script is run as ``course doctor`` runs it, and the first finding
must be its true cause. Its first line names the cause, and what else must be found.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from course.clinic import CODES
from course.clinic.doctor import examine

PATIENTS = sorted((Path(__file__).parent / "patients").glob("*.py"))


def expected(script: Path) -> list[str]:
    first = script.read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("# expect: ").split(", ")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", PATIENTS, ids=[p.stem for p in PATIENTS])
def test_patient_is_diagnosed_by_its_cause(script: Path) -> None:
    visit = examine(script, seconds=None)
    codes = [f.code for f in visit.findings]
    cause, *others = expected(script)
    assert codes[:1] == [cause], visit.exam.text
    assert set(others) <= set(codes), visit.exam.text
    assert visit.exam.facts.trouble == []
    first = visit.findings[0]
    assert first.severity in ("error", "warning")
    assert first.where
    assert (
        any(letter.isdigit() for letter in first.evidence) or visit.trouble
    )  # figures, or torch's own words
    assert "\n" not in first.fix
    assert first.lesson == CODES[cause][1]


def test_patients_are_many_and_have_every_illness() -> None:
    assert len(PATIENTS) >= 40
    assert {expected(p)[0] for p in PATIENTS} == set(CODES) - {"unused"}
    assert sum(len(expected(p)) > 1 for p in PATIENTS) >= 3
    bodies = {p.read_text(encoding="utf-8").split("\n", 1)[1] for p in PATIENTS}
    assert len(bodies) == len(PATIENTS)
