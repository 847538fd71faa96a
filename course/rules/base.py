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

    A NaN in a gradient is neither hidden nor refused: it makes NaN of its own element, from then on where
    the rule keeps a state; where the rule takes a norm over the array, it makes NaN of the whole array.

    A subclass writes ``init_leaf`` and ``update_leaf`` for one array. It may lean on what is checked
    here before: the gradient has the parameter's shape and a floating dtype, the state is its own.
    """

    # The names that ``init_leaf`` gives its state; a state with other names belongs to another rule.
    state_names: ClassVar[frozenset[str]] = frozenset()
    # Whether each element goes its way alone, so that a parameter may be cut up or reordered.
    elementwise: ClassVar[bool] = True
    # Whether the rule is made for matrices and refuses every other shape.
    only_matrices: ClassVar[bool] = False
    # Whether its state has another dtype than the parameter on purpose, to be kept when it is loaded.
    own_precision: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse a switch that is neither on nor off: ``maximize="no"`` would climb."""
        for field in fields(self):
            if isinstance(field.default, bool):
                self._require_one_of(field.name, True, False)

    def init(self, param: Any) -> State:
        """Return the state before the first step: named arrays of the parameter's shape and dtype.

        Raises:
            TypeError: ``param`` is no floating array (or mapping of them).
        """
        if isinstance(param, Mapping):
            return {name: self.init(leaf) for name, leaf in param.items()}
        self._check_param(param)
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
        return self._leaf_by_leaf(grad, state, param)

    def _leaf_by_leaf(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Check and update each array alone; a rule that looks at all of them calls this from its update."""
        if isinstance(param, Mapping):
            return self._update_tree(grad, state, param)
        self._check_param(param)
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

    def step(self, grad: Any, state: State, param: Any) -> tuple[Any, State]:
        """Return ``(param - delta, state)``, leaf by leaf where the parameter is a mapping.

        A rule whose new parameter cannot be written as a difference in the parameter's own precision
        (one that keeps a finer copy of it) writes its own; then this, not ``update``, is its interface.
        """
        delta, after = self.update(grad, state, param)
        return _less(param, delta), after

    def init_leaf(self, param: Array) -> State:
        """Return the state for one array. A rule without memory keeps this one: no state."""
        return {}

    def update_leaf(self, grad: Array, state: State, param: Array) -> tuple[Array, State]:
        """Return ``(delta, state)`` for one array; each rule writes its formula here."""
        raise NotImplementedError(f"{self._name} has no update_leaf")

    def state_shapes(self, shape: tuple[int, ...]) -> dict[str, tuple[int, ...] | None]:
        """Return the shape of each state array of a parameter of this shape; None for a plain number.

        A rule whose state depends on its options or on the shape writes its own.
        """
        return {name: None if name == "step" else shape for name in self.state_names}

    def hyperparameters(self) -> dict[str, Any]:
        """Return the fields that may be changed between steps, by name (a schedule changes ``lr``)."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def with_hyperparameters(self, **changes: Any) -> Self:
        """Return the same rule with some hyperparameters changed (and checked again)."""
        return replace(self, **changes)

    @property
    def across(self) -> bool:
        """Whether it looks at all arrays of a tree together, so that none may be stepped alone."""
        return False

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
        pairs = {name: self._leaf_by_leaf(grad[name], state[name], param[name]) for name in param}
        return {name: d for name, (d, _) in pairs.items()}, {name: s for name, (_, s) in pairs.items()}

    def _check_floating(self, what: str, x: Any) -> None:
        if not is_array(x):
            raise TypeError(f"{self._name}: {what} must be an array, not {type(x).__name__}")
        if not is_floating(x):
            raise TypeError(f"{self._name}: {what} has dtype {x.dtype}; it must be a floating dtype")

    def _check_param(self, param: Any) -> None:
        self._check_floating("param", param)
        if self.only_matrices and len(param.shape) != 2:
            shape = tuple(param.shape)
            raise ValueError(f"{self._name}: param has shape {shape}; this rule is for matrices only")

    def _check_state(self, state: Any, param: Array) -> None:
        shapes = self.state_shapes(tuple(param.shape))
        names = set(state) if isinstance(state, Mapping) else None
        if names != set(shapes):
            has = "no mapping" if names is None else ", ".join(sorted(map(str, names))) or "nothing"
            wants = ", ".join(sorted(shapes)) or "nothing"
            raise ValueError(
                f"{self._name}: this state is not mine: it holds {has}, I keep {wants}; "
                "start with rule.init(param)"
            )
        for name, value in state.items():
            self._check_entry(f"state {name!r}", value, shapes[name], param)

    def _check_entry(self, what: str, value: Any, shape: tuple[int, ...] | None, param: Array) -> None:
        if shape is None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{self._name}: {what} must be a plain number, not {value!r}")
            return
        self._check_floating(what, value)
        self._check_library(what, value, param)
        if tuple(value.shape) != shape:
            raise ValueError(
                f"{self._name}: {what} has shape {tuple(value.shape)}, not {shape} as belongs to a param of "
                f"shape {tuple(param.shape)}; start with rule.init(param)"
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
        text = "a finite number" + (f" >= {least:g}" if least > -math.inf else "")
        text += f" and <= {most:g}" if most < math.inf else ""
        require(self, field, _is_number(value) and least <= value <= most, text)
        if is_array(value) and not hasattr(value, "detach"):
            object.__setattr__(self, field, float(value))

    def _require_betas(self, field: str = "betas") -> None:
        """Refuse a field that is not a pair of numbers in ``[0, 1)``; a list becomes a tuple."""
        value = getattr(self, field)
        pair = isinstance(value, tuple | list) and len(value) == 2
        right = pair and all(_is_number(beta) and 0 <= beta < 1 for beta in value)
        require(self, field, right, "a pair of finite numbers >= 0 and < 1")
        object.__setattr__(self, field, tuple(_plain(beta) for beta in value))

    def _require_one_of(self, field: str, *allowed: Any) -> None:
        """Refuse a field that is none of the values ``allowed`` (True is not 1 here)."""
        value = getattr(self, field)
        known = any(type(value) is type(a) and value == a for a in allowed)
        require(self, field, known, "one of " + ", ".join(map(repr, allowed)))


def _less(param: Any, delta: Any) -> Any:
    if isinstance(param, Mapping):
        return {name: _less(leaf, delta[name]) for name, leaf in param.items()}
    return param - delta


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return bool((plain or _is_zero_dim(value)) and math.isfinite(value))


def _is_zero_dim(value: Any) -> bool:
    return is_array(value) and getattr(value, "ndim", None) == 0


def _plain(value: Any) -> Any:
    return float(value) if is_array(value) and not hasattr(value, "detach") else value
