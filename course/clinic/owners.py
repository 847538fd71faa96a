"""Whose tensor is this? Names for tensors that no watched model registers, and what else a model holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from course.clinic.recorder import Recorder

__all__ = ["hidden_in", "moody_in", "owner_of"]

DEPTH, WIDTH = 3, 64


def owner_of(leaf: torch.Tensor, recorder: Recorder) -> tuple[str, str]:
    """Return the name of a tensor, and the class of the unwatched module that owns it ("" if none does)."""
    for label, model in recorder.models.items():
        for path, module in model.named_modules():
            for name, tensor in hidden_in(module):
                if tensor is leaf:
                    return f"{path}.{name}" if path else f"{label}.{name}", ""
    for reference in recorder.strangers.values():
        stranger = reference()
        if stranger is not None:
            for name, param in stranger.named_parameters():
                if param is leaf:
                    return name, type(stranger).__name__
    return f"a tensor of shape {tuple(leaf.shape)}", ""


def hidden_in(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return the tensors that require a gradient, but that the module holds without knowing: by name.

    They stand in plain attributes, lists, tuples and dicts, or belong to modules that stand there.
    """
    found: list[tuple[str, torch.Tensor]] = []
    for name, value in vars(module).items():
        if not name.startswith("_") or name[1:2] != "_":
            if name in ("_parameters", "_buffers", "_modules") or name.endswith("_hooks"):
                continue
            _search(name, value, DEPTH, found)
    return found


def _search(name: str, value: Any, depth: int, found: list[tuple[str, torch.Tensor]]) -> None:
    if isinstance(value, torch.Tensor):
        if value.requires_grad:
            found.append((name, value))
    elif isinstance(value, nn.Module):
        found += [
            (f"{name}.{inner}", param) for inner, param in value.named_parameters() if param.requires_grad
        ]
    elif depth and isinstance(value, list | tuple):
        for index, item in enumerate(value[:WIDTH]):
            _search(f"{name}[{index}]", item, depth - 1, found)
    elif depth and isinstance(value, dict):
        for key, item in list(value.items())[:WIDTH]:
            _search(f"{name}[{key!r}]", item, depth - 1, found)


def moody_in(model: nn.Module) -> tuple[str, ...]:
    """Return the modules that behave otherwise in evaluation mode."""
    kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)
    return tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, kinds)
        and float(getattr(module, "p", 1.0)) > 0
        and getattr(module, "track_running_stats", True)
    )
