"""The parameter update, from scratch: rules, checks that name the mistake, and lessons.

``import course`` needs NumPy only. Everything else loads when it is first used (PEP 562), so that a
script that needs one rule does not pay for torch or for the widgets.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Where each public name lives. A name maps to its module; a module maps to itself.
_HOME = {
    "check": "course.grading",
    "hint": "course.grading",
    "passed": "course.grading",
    "progress": "course.grading",
    "reset": "course.grading",
    "written": "course.grading",
    "predict": "course.widgets",
    "reveal": "course.widgets",
}
_MODULES = {
    "arrays",
    "authoring",
    "averaging",
    "catalogue",
    "clinic",
    "cluster",
    "conventions",
    "data",
    "exercises",
    "gradients",
    "grading",
    "landscapes",
    "microscope",
    "oracle",
    "recipes",
    "references",
    "rules",
    "schedules",
    "torch_bridge",
    "trees",
    "widgets",
}
__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"course.{name}")
    raise AttributeError(f"module 'course' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
