"""Parameters in one row: what buckets, shards and their padding are made of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from array_api_compat import array_namespace

from course.arrays import Array, copy, is_floating
from course.cluster.rings import empty

__all__ = ["Collector", "Naming", "Unit", "as_dtype", "own_block"]


class Unit:
    """Some parameters laid into one row, with zeros at its end until it divides among the ranks.

    >>> import numpy as np
    >>> unit = Unit({"w": np.ones((2, 2)), "b": np.ones(1)}, ranks=4)
    >>> unit.size, unit.padded
    (5, 8)
    """

    def __init__(self, params: Mapping[str, Array], ranks: int) -> None:
        self.names = list(params)
        self.shapes = {name: tuple(param.shape) for name, param in params.items()}
        self.places: dict[str, slice] = {}
        end = 0
        for name, shape in self.shapes.items():
            self.places[name] = slice(end, end + math.prod(shape))
            end += math.prod(shape)
        self.size, self.ranks = end, ranks
        self.padded = math.ceil(end / ranks) * ranks

    def flatten(self, params: Mapping[str, Array]) -> Array:
        """Return the parameters in one new row, padding included."""
        first = params[self.names[0]]
        row = empty(first.reshape(-1), self.padded)
        row[self.size :] = 0
        for name, place in self.places.items():
            row[place] = params[name].reshape(-1)
        return row

    def views(self, row: Array) -> dict[str, Array]:
        """Return each parameter's part of a row, in its shape; padding is left out."""
        return {name: row[place].reshape(self.shapes[name]) for name, place in self.places.items()}

    def block(self, rank: int) -> slice:
        """Return the part of the row that a rank owns."""
        length = self.padded // self.ranks
        return slice(rank * length, (rank + 1) * length)

    def pieces(self, rank: int) -> dict[str, slice]:
        """Return what a rank owns of each parameter, as places in its own block."""
        block, found = self.block(rank), {}
        for name, place in self.places.items():
            start, stop = max(place.start, block.start), min(place.stop, block.stop)
            if start < stop:
                found[name] = slice(start - block.start, stop - block.start)
        return found


class Naming:
    """Names for the parameters of a layered model; one array in several layers has one name.

    Attributes:
        params: each parameter by its name, ``layer.name`` of the first layer that uses it.
        uses: for each layer, the name of each of its parameters.
        frozen: those that are not trained.
    """

    def __init__(self, layers: Sequence[Mapping[str, Array]], frozen: Collection[str] = ()) -> None:
        self.params: dict[str, Array] = {}
        self.uses: list[dict[str, str]] = []
        known: dict[int, str] = {}
        for i, layer in enumerate(layers):
            self.uses.append({})
            for local, param in layer.items():
                name = known.setdefault(id(param), f"{i}.{local}")
                self.params[name] = param
                self.uses[i][local] = name
        unknown = [name for name in frozen if name not in self.params]
        if unknown:
            raise ValueError(f"cluster: frozen names {unknown[0]!r}; there are {', '.join(self.params)}")
        odd = [name for name, param in self.params.items() if not is_floating(param)]
        if odd:
            raise TypeError(
                f"cluster: parameter {odd[0]!r} has dtype {self.params[odd[0]].dtype}, no floating one"
            )
        kinds = {str(param.dtype): name for name, param in self.params.items()}
        if len(kinds) > 1:
            (one, first), (other, second) = list(kinds.items())[:2]
            raise TypeError(
                f"cluster: parameters must share a dtype: {first!r} is {one}, {second!r} is {other}"
            )
        self.frozen = set(frozen)
        self.counts = Counter(name for uses in self.uses for name in uses.values())

    def layers(self, params: Mapping[str, Array]) -> list[dict[str, Array]]:
        """Return the parameters of each layer by their local names."""
        return [{local: params[name] for local, name in uses.items()} for uses in self.uses]

    def buckets(self, ranks: int, most: float) -> list[Unit]:
        """Return the trained parameters, the last first, in units of ``most`` bytes or one parameter."""
        groups: list[dict[str, Array]] = []
        for name in reversed(self.params):
            if name in self.frozen:
                continue
            size = sum(int(p.nbytes) for p in groups[-1].values()) if groups else math.inf
            if size + self.params[name].nbytes > most or not groups:
                groups.append({})
            groups[-1][name] = self.params[name]
        return [Unit(dict(reversed(group.items())), ranks) for group in groups]


class Collector:
    """Lays gradients into the rows of their units as they come, and hands on each row that is full.

    Args:
        units: the rows. naming: whose parameters they are. share: what each gradient counts.
        ready: called with a unit and its row as soon as the unit's last gradient has come.
    """

    def __init__(
        self,
        units: Iterable[Unit],
        naming: Naming,
        share: float,
        ready: Callable[[Unit, Array], None],
    ) -> None:
        self.naming, self.share, self.ready = naming, share, ready
        self.home = {name: unit for unit in units for name in unit.names}
        self.left = {name: naming.counts[name] for name in self.home}
        self.rows: dict[int, Array] = {}

    def add(self, layer: int, gradients: Mapping[str, Array]) -> None:
        """Take the gradients of a layer's parameters."""
        for local, name in self.naming.uses[layer].items():
            if name in self.naming.frozen:
                continue
            if local not in gradients:
                raise ValueError(f"cluster: no gradient came for {name!r}; name it in frozen if it has none")
            unit = self.home[name]
            gradient = gradients[local].reshape(-1)
            if id(unit) not in self.rows:
                self.rows[id(unit)] = empty(gradient, unit.padded)
                self.rows[id(unit)][unit.size :] = 0
            if self.left[name] == self.naming.counts[name]:
                self.rows[id(unit)][unit.places[name]] = gradient
            else:
                self.rows[id(unit)][unit.places[name]] += gradient
            self.left[name] -= 1
            if not any(self.left[one] for one in unit.names):
                row = self.rows.pop(id(unit))
                row *= self.share
                self.ready(unit, row)


def own_block(unit: Unit, row: Array, rank: int, dtype: str | None = None) -> Array:
    """Return a rank's block of a row as an array of its own, in another dtype if one is named."""
    return as_dtype(copy(row[unit.block(rank)]), dtype)


def as_dtype(x: Array, dtype: Any) -> Array:
    """Return ``x`` in this dtype, a name or a dtype of its library; None leaves it as it is."""
    if dtype is None:
        return x
    space: Any = array_namespace(x)
    return space.astype(x, getattr(space, dtype) if isinstance(dtype, str) else dtype)
