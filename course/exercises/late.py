"""Modules under their usual names that load when first used: the catalogue must not cost PyTorch's import."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["F", "clinic", "nn", "torch"]


class _Late:
    """Stands for a module until one of its names is asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # questions of inspect and doctest, which are no use of the module
            raise AttributeError(name)
        return getattr(importlib.import_module(self._module), name)


torch: Any = _Late("torch")
nn: Any = _Late("torch.nn")
F: Any = _Late("torch.nn.functional")
clinic: Any = _Late("course.clinic")
