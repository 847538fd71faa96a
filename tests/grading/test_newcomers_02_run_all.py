"""Run All on lesson 02 with wrong answers in it: every later cell runs, and says what it did instead."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch

from course.authoring.lesson import read_lesson
from course.authoring.tree import find_root
from course.exercises import ALL

WRONG = {
    "update_to_weight_ratio": """
def update_to_weight_ratio(before, after):
    return [abs(after[name] - before[name]).sum() for name in before]
""",
    "find_missing_parameters": """
def find_missing_parameters(model, optimizer):
    held = [p for group in optimizer.param_groups for p in group["params"]]
    return [name for name, p in model.named_parameters() if p not in held]
""",
    "patient_a": """
def patient_a(x, y, steps):
    model = nn.Linear(1, 1)
    los.backward()
""",
    "patient_b": """
def patient_b(x, y, steps):
    raise ValueError
""",
    "patient_c": """
def patient_c(x, y, steps):
    return nn.Linear(1, 1)
""",
}


@pytest.fixture
def lesson(monkeypatch, tmp_path):
    """The cells of the lesson, with the course's files and torch's threads kept apart from it."""
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    backend, threads = matplotlib.get_backend(), torch.get_num_threads()
    matplotlib.use("Agg")
    yield read_lesson(find_root() / "solutions" / "02_why_no_update.py", ALL)
    torch.set_num_threads(threads)
    matplotlib.use(backend)


def test_wrong_answers_stop_no_cell(lesson, capsys):
    names = {"__name__": "lesson"}
    for cell in lesson.cells:
        if cell.kind == "code" and not cell.check and not cell.source.startswith("illnesses"):
            source = WRONG.get(cell.exercise or "", cell.source)
            exec(compile(source, f"<{cell.title}>", "exec"), names)
    said = capsys.readouterr().out
    assert said.count("is not right yet: this cell goes on without it.") == 2
    assert "missing in the example with [:-1]: last.bias" in said
    assert "stopped by NameError: name 'los' is not defined" in said
    assert said.count("stopped by") == 3
