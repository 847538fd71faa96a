"""Trees of arrays: dicts and lists of them, nested as one likes, with None where there is no gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from course.arrays import Array, is_array, is_floating

Tree = Any  # an array, None, or a dict, list or tuple of trees

__all__ = ["Tree", "floating_leaves", "leaves", "tree_map"]


def leaves(tree: Tree) -> Iterator[Any]:
    """Yield what the tree holds, in its order, without the Nones.

    >>> list(leaves({"a": 1, "b": [2, None, (3,)]}))
    [1, 2, 3]
    """
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for branch in tree:
            yield from leaves(branch)
    elif tree is not None:
        yield tree


def floating_leaves(who: str, tree: Tree) -> list[Array]:
    """Return the arrays of the tree.

    Raises:
        TypeError: a leaf is no floating array, or they come from two libraries; the message begins with
            ``who``.
    """
    found = list(leaves(tree))
    for leaf in found:
        if not is_array(leaf):
            raise TypeError(f"{who}: a tree holds arrays and None, not {type(leaf).__name__}")
        if not is_floating(leaf):
            raise TypeError(f"{who}: an array has dtype {leaf.dtype}; it must be a floating dtype")
        if hasattr(leaf, "detach") != hasattr(found[0], "detach"):
            kinds = f"{type(found[0]).__name__} and {type(leaf).__name__}"
            raise TypeError(f"{who}: one tree holds {kinds}; all must come from one array library")
    return found


def tree_map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Return a tree of the same form that holds ``function(leaf, *leaves of the others)``; None stays None.

    >>> tree_map(lambda x, y: x + y, {"a": 1, "b": [2, None]}, {"b": [20, None], "a": 10})
    {'a': 11, 'b': [22, None]}

    Raises:
        ValueError: the trees differ in form.
    """
    if isinstance(tree, Mapping):
        for other in others:
            if not isinstance(other, Mapping) or set(other) != set(tree):
                raise ValueError(f"trees differ: one has the names {_names(tree)}, one {_names(other)}")
        return {name: tree_map(function, leaf, *(o[name] for o in others)) for name, leaf in tree.items()}
    if isinstance(tree, list | tuple):
        for other in others:
            if not isinstance(other, list | tuple) or len(other) != len(tree):
                raise ValueError(f"trees differ: one has {len(tree)} branches, one {_names(other)}")
        return type(tree)([tree_map(function, *branches) for branches in zip(tree, *others, strict=True)])
    if any(isinstance(other, Mapping | list | tuple) for other in others):
        raise ValueError("trees differ: one has a leaf where one has a branch")
    return None if tree is None else function(tree, *others)


def _names(tree: Tree) -> str:
    if isinstance(tree, Mapping):
        return ", ".join(sorted(map(str, tree))) or "of nothing"
    return f"{len(tree)}" if isinstance(tree, list | tuple) else f"a {type(tree).__name__}"
