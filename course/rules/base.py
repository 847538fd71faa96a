"""What every rule shares: the form, the refusal of bad input, and trees of parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

from course.arrays import Array, is_array, is_floating

State = dict[str, Any]

__all__ = ["Rule", "State", "require"]


def require(rule: object, field: str, allowed: bool, what: str) -> None:
    """Raise ``ValueError`` naming the rule, the field, its value and the allowed range."""
    if not allowed:
        raise ValueError(f"{type(rule).__name__}: {field} must be {what}, not {getattr(rule, field)!r}")


@dataclass(frozen=True)
class Rule:
    """An update rule: frozen hyperparameters, ``init`` and a pure ``update``.

    ``delta, state = rule.update(grad, state, param)`` and then ``param = param - delta``: the one line
    that all rules share. A parameter is one array, or a mapping of names to parameters; then the state
    and the delta are mappings with the same names.

    A subclass writes ``init_leaf`` and ``update_leaf`` for one array. It may lean on what is checked
    here before: the gradient has the parameter's shape and a floating dtype, the state is its own.
    """

    # The names that ``init_leaf`` gives its state; a state with other names belongs to another rule.
    state_names: ClassVar[frozenset[str]] = frozenset()

    def init(self, param: Any) -> State:
        """Return the state before the first step: named arrays of the parameter's shape and dtype.

        Raises:
            TypeError: ``param`` is no floating array (or mapping of them).
        """
        if isinstance(param, Mapping):
            return {name: self.init(leaf) for name, leaf in param.items()}
        self._check_floating("param", param)
        return self.init_leaf(param)

    def update(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return ``(delta, state)``: the amount to subtract and the state after this step.

        Args:
            grad: the gradient of the loss, of the parameter's shape and dtype.
            state: what ``init`` or the last ``update`` returned. It is not changed.
            param: the parameter. It is not changed.

        Raises:
            TypeError: an input is no floating array, or a mapping meets an array.
            ValueError: shapes differ, or the state belongs to another rule or parameter.
        """
        if isinstance(param, Mapping):
            return self._update_tree(grad, state, param)
        self._check_floating("param", param)
        self._check_floating("grad", grad)
        self._check_library("grad", grad, param)
        if grad.dtype != param.dtype:
            raise TypeError(
                f"{self._name}: grad has dtype {grad.dtype}, param has {param.dtype}; they must be equal"
            )
        if tuple(grad.shape) != tuple(param.shape):
            raise ValueError(
                f"{self._name}: grad has shape {tuple(grad.shape)}, param has {tuple(param.shape)}; "
                "they must be equal (nothing is broadcast)"
            )
        self._check_state(state, param)
        return self.update_leaf(grad, state, param)

    def init_leaf(self, param: Array) -> State:
        """Return the state for one array. A rule without memory keeps this one: no state."""
        return {}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array; each rule writes its formula here."""
        raise NotImplementedError(f"{self._name} has no update_leaf")

    def hyperparameters(self) -> dict[str, Any]:
        """Return the fields that may be changed between steps, by name (a schedule changes ``lr``)."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_hyperparameters(self, **changes: Any) -> Self:
        """Return the same rule with some hyperparameters changed (and checked again)."""
        return replace(self, **changes)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _update_tree(self, grad: Any, state: State, param: Mapping[str, Any]) -> tuple[Any, State]:
        for what, tree in (("grad", grad), ("state", state)):
            if not isinstance(tree, Mapping):
                raise TypeError(f"{self._name}: param is a mapping, so {what} must be one too")
            if set(tree) != set(param):
                odd = sorted(map(str, set(tree) ^ set(param)))
                raise ValueError(f"{self._name}: {what} and param differ in the names {', '.join(odd)}")
        pairs = {name: self.update(grad[name], state[name], param[name]) for name in param}
        return {name: d for name, (d, _) in pairs.items()}, {name: s for name, (_, s) in pairs.items()}

    def _check_floating(self, what: str, x: Any) -> None:
        if not is_array(x):
            raise TypeError(f"{self._name}: {what} must be an array, not {type(x).__name__}")
        if not is_floating(x):
            raise TypeError(f"{self._name}: {what} has dtype {x.dtype}; it must be a floating dtype")

    def _check_state(self, state: Any, param: Array) -> None:
        names = set(state) if isinstance(state, Mapping) else None
        if names != self.state_names:
            has = "no mapping" if names is None else ", ".join(sorted(map(str, names))) or "nothing"
            wants = ", ".join(sorted(self.state_names)) or "nothing"
            raise ValueError(
                f"{self._name}: this state is not mine: it holds {has}, I keep {wants}; "
                "start with rule.init(param)"
            )
        for name, value in state.items():
            if not is_array(value):
                continue
            self._check_library(f"state {name!r}", value, param)
            if tuple(value.shape) != tuple(param.shape):
                raise ValueError(
                    f"{self._name}: state {name!r} has shape {tuple(value.shape)}, "
                    f"param has {tuple(param.shape)}; start with rule.init(param)"
                )

    def _check_library(self, what: str, x: Array, param: Array) -> None:
        if hasattr(x, "detach") != hasattr(param, "detach"):
            kinds = f"{what} is a {type(x).__name__}, param a {type(param).__name__}"
            raise TypeError(f"{self._name}: {kinds}; both must come from one array library")

    def _require_rate(self, field: str, most: float = math.inf, least: float = 0.0) -> None:
        """Refuse a field that is not a finite number in ``[least, most]``.

        NumPy's numbers become Python's: ``np.float64(0.1)`` would turn float32 arrays into float64 ones.
        """
        value = getattr(self, field)
        number = (isinstance(value, int | float) and not isinstance(value, bool)) or _is_zero_dim(value)
        text = "a finite number" + (f" >= {least:g}" if least > -math.inf else "")
        text += f" and <= {most:g}" if most < math.inf else ""
        require(self, field, bool(number and math.isfinite(value) and least <= value <= most), text)
        if is_array(value) and not hasattr(value, "detach"):
            object.__setattr__(self, field, float(value))


def _is_zero_dim(value: Any) -> bool:
    return is_array(value) and getattr(value, "ndim", None) == 0
