"""Each test has its own progress folder, and no nbgrader around it."""

from __future__ import annotations

import pytest

from course.exercises import store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    monkeypatch.setattr(store, "_told", set())
    monkeypatch.setattr(store, "_unsaved", {})
    return tmp_path
