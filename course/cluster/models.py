"""Models in layers, as the strategies need them: one layer's forward or backward at a time.

A layered model has ``layers``, the parameters of each layer by name, and three functions of arrays that hold
no parameters themselves: so a strategy may gather a layer's parameters just before it is used, and drop them
after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from array_api_compat import array_namespace

from course.arrays import Array

__all__ = ["MLP", "Layered", "TorchLayers", "backward", "forward"]

Params = Mapping[str, Array]


class Layered(Protocol):
    """What a strategy needs of a model. An array that stands in two layers is a tied parameter."""

    layers: Sequence[Params]

    def forward(self, i: int, params: Params, x: Array) -> tuple[Array, Any]:
        """Return layer ``i``'s output, and what its backward needs (activations, no parameters)."""

    def backward(self, i: int, params: Params, saved: Any, dy: Array) -> tuple[Array, dict[str, Array]]:
        """Return the gradients in the layer's input and in its parameters."""

    def loss(self, out: Array, target: Array) -> tuple[float, Array]:
        """Return the mean loss over the rows, and its gradient in ``out``."""


class MLP:
    """Linear layers with tanh between them, and half the mean squared error.

    Args:
        layers: ``{"weight": (inputs, outputs), "bias": (outputs,)}`` of each layer. One array may stand in
            several layers.

    >>> model = MLP.of_sizes([3, 5, 2])
    >>> [params["weight"].shape for params in model.layers]
    [(3, 5), (5, 2)]
    """

    def __init__(self, layers: Sequence[Params]) -> None:
        self.layers = [dict(params) for params in layers]

    @classmethod
    def of_sizes(cls, sizes: Sequence[int], seed: int = 0, dtype: str = "float64") -> MLP:
        """Return a model of these widths with drawn weights."""
        rng = np.random.default_rng(seed)
        return cls(
            [
                {
                    "weight": (rng.normal(size=(m, n)) / m**0.5).astype(dtype),
                    "bias": (0.1 * rng.normal(size=n)).astype(dtype),
                }
                for m, n in pairwise(sizes)
            ]
        )

    def forward(self, i: int, params: Params, x: Array) -> tuple[Array, Any]:
        """Return ``tanh(x W + b)``, without the tanh in the last layer."""
        y = x @ params["weight"] + params["bias"]
        if i + 1 < len(self.layers):
            y = array_namespace(y).tanh(y)
        return y, (x, y)

    def backward(self, i: int, params: Params, saved: Any, dy: Array) -> tuple[Array, dict[str, Array]]:
        """Return the gradients, by the chain rule."""
        dx, kept = self.backward_input(i, params, saved, dy)
        return dx, self.backward_weight(i, kept)

    def backward_input(self, i: int, params: Params, saved: Any, dy: Array) -> tuple[Array, Any]:
        """Return the gradient in the input, and what :meth:`backward_weight` needs, which may wait."""
        x, y = saved
        if i + 1 < len(self.layers):
            dy = dy * (1 - y * y)
        return dy @ params["weight"].T, (x, dy)

    def backward_weight(self, i: int, kept: Any) -> dict[str, Array]:
        """Return the gradients in the parameters."""
        x, dy = kept
        return {"weight": x.T @ dy, "bias": dy.sum(0)}

    def loss(self, out: Array, target: Array) -> tuple[float, Array]:
        """Return half the mean over the rows of the squared distance; 0 for no rows."""
        rows = max(out.shape[0], 1)
        apart = out - target
        return 0.5 * float((apart * apart).sum()) / rows, apart / rows


class TorchLayers:
    """torch modules, one a layer, by autograd; a layer's backward runs its forward again.

    That is activation checkpointing: between forward and backward only the input is kept, so a strategy may
    drop the parameters in between.

    Args:
        modules: called in order. loss: of output and target, a mean over the rows.
    """

    def __init__(self, modules: Sequence[Any], loss: Any) -> None:
        self.modules, self.loss_function = list(modules), loss
        self.layers = [
            {name: param.detach() for name, param in module.named_parameters()} for module in self.modules
        ]
        known: dict[int, Array] = {}  # a tied parameter is one object in torch: so also here
        for module, params in zip(self.modules, self.layers, strict=True):
            for name, param in module.named_parameters():
                params[name] = known.setdefault(id(param), params[name])

    def forward(self, i: int, params: Params, x: Array) -> tuple[Array, Any]:
        """Return the module's output for these parameters."""
        import torch

        with torch.no_grad():
            return torch.func.functional_call(self.modules[i], dict(params), (x,)), x

    def backward(self, i: int, params: Params, saved: Any, dy: Array) -> tuple[Array, dict[str, Array]]:
        """Return the gradients, by autograd."""
        import torch

        own = {name: param.detach().requires_grad_() for name, param in params.items()}
        x = saved.detach()
        inputs = [x.requires_grad_()] if x.is_floating_point() else []
        with torch.enable_grad():
            y = torch.func.functional_call(self.modules[i], own, (x,))
            found = torch.autograd.grad(y, [*inputs, *own.values()], dy)
        dx = found[0] if inputs else dy
        return dx, dict(zip(own, found[len(inputs) :], strict=True))

    def loss(self, out: Array, target: Array) -> tuple[float, Array]:
        """Return the loss and its gradient, by autograd."""
        import torch

        out = out.detach().requires_grad_()
        with torch.enable_grad():
            value = self.loss_function(out, target) if len(out) else out.sum()
            return float(value.detach()), torch.autograd.grad(value, out)[0]


def forward(model: Layered, layers: Sequence[Params], x: Array) -> tuple[Array, list[Any]]:
    """Run all layers; return the output and what each layer saved."""
    saved = []
    for i, params in enumerate(layers):
        x, kept = model.forward(i, params, x)
        saved.append(kept)
    return x, saved


def backward(
    model: Layered, layers: Sequence[Params], saved: list[Any], dy: Array
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Yield each layer's place and gradients, the last layer first, as they become known."""
    for i in reversed(range(len(layers))):
        dy, gradients = model.backward(i, layers[i], saved.pop(), dy)
        yield i, gradients
