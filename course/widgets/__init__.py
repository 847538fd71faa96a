"""The interactive pictures of the lessons.

Three layers, apart: *models* (plain NumPy, no picture), *views* (the player for precomputed paths, the
blitted picture for what the kernel must compute) and *wiring* (sliders to pictures). Names load when first
used, so that ``import course.widgets`` costs neither matplotlib nor ipywidgets.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "alt": "course.widgets.style",
    "batch_size_noise": "course.widgets.batches",
    "drag_a_step": "course.widgets.first_steps",
    "effective_decay": "course.widgets.decay",
    "illnesses": "course.widgets.patients",
    "learning_rate_on_a_ravine": "course.widgets.ravine",
    "line_of_numbers": "course.widgets.number_line",
    "memory_bars": "course.widgets.zero",
    "momentum_phase_diagram": "course.widgets.phase_diagram",
    "momentum_slider": "course.widgets.momentum",
    "race_of_rules": "course.widgets.race",
    "pipeline_chart": "course.widgets.pipeline",
    "predict": "course.widgets.prediction",
    "recipe_explorer": "course.widgets.recipes",
    "reveal": "course.widgets.prediction",
    "ring_in_motion": "course.widgets.ring",
    "rotate_the_ravine": "course.widgets.turned",
    "small_gradients": "course.widgets.eps",
    "staleness_map": "course.widgets.staleness",
    "the_cliff": "course.widgets.cliff",
    "trust_ratio_by_batch": "course.widgets.trust",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'course.widgets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
