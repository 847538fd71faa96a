"""Walks autograd's graph back from a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from course.clinic.recorder import Recorder

__all__ = ["leaves_of", "reach_of"]


def leaves_of(roots: list[torch.Tensor]) -> dict[int, torch.Tensor]:
    """Return the leaves that a backward pass from these tensors reaches, by id."""
    found: dict[int, torch.Tensor] = {}
    todo = [root.grad_fn for root in roots if root.grad_fn is not None]
    seen = set(todo)
    while todo:
        node = todo.pop()
        variable = getattr(node, "variable", None)
        if variable is not None:
            found[id(variable)] = variable
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                todo.append(following)
    return found


def reach_of(tensors: list[torch.Tensor], recorder: Recorder) -> frozenset[str]:
    """Return the names of the parameters that these tensors depend on."""
    own = {id(t): t for t in tensors if t.is_leaf}
    keys = [*leaves_of(tensors), *own]
    return frozenset(recorder.tracked[key].facts.name for key in keys if key in recorder.tracked)
