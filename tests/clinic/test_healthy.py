"""A healthy loop gives no error and no warning, and does not notice that it is watched."""

from __future__ import annotations

import contextlib
import inspect
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from course import clinic
from course.clinic.doctor import examine
from tests.clinic import healthy, healthy_more, healthy_others

LOOPS = healthy.LOOPS


def run(name: str, watched: bool) -> tuple[list[torch.Tensor], list[clinic.Exam]]:
    exams: list[clinic.Exam] = []

    def watch(*args: Any, **kwargs: Any) -> Any:
        if not watched:
            return contextlib.nullcontext()
        exams.append(clinic.watch(*args, quiet=True, **kwargs))
        return exams[-1]

    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    return LOOPS[name](watch), exams


def test_no_loop_hides_another_of_its_name() -> None:
    sources = [inspect.getsource(module) for module in (healthy, healthy_more, healthy_others)]
    assert len(LOOPS) == sum(source.count("\n@healthy\n") for source in sources) >= 25


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", LOOPS)
def test_healthy_loop_is_silent_and_bit_identical(name: str) -> None:
    plain, _ = run(name, watched=False)
    seen, (exam,) = run(name, watched=True)
    assert [f for f in exam.findings if f.severity != "note"] == []
    assert exam.facts.trouble == []
    assert exam.facts.steps > 0
    assert len(plain) == len(seen) > 1
    for a, b in zip(plain, seen, strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a.to_dense(), b.to_dense())


ROBUST = sorted((Path(__file__).parent / "robust").glob("*.py"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("script", ROBUST, ids=[p.stem for p in ROBUST])
def test_healthy_script_of_another_kind_is_silent(script: Path) -> None:
    visit = examine(script, seconds=None)
    assert [f for f in visit.findings if f.severity != "note"] == [], visit.exam.text
    assert (visit.code, visit.trouble, visit.exam.facts.trouble) == (0, "", [])
    assert visit.exam.facts.steps > 0 or script.stem == "sam"  # which steps by methods of its own
