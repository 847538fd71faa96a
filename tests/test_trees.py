"""Trees: their leaves, functions over them, and what is no tree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course.trees import floating_leaves, leaves, tree_map

TREE = {"a": 1, "b": [2, None, (3, {"c": 4})], "d": {}}


def test_leaves_come_in_order_without_the_nones():
    assert list(leaves(TREE)) == [1, 2, 3, 4]
    assert list(leaves(None)) == []
    assert list(leaves(7)) == [7]


def test_a_map_keeps_the_form():
    doubled = tree_map(lambda x: 2 * x, TREE)
    assert doubled == {"a": 2, "b": [4, None, (6, {"c": 8})], "d": {}}
    assert isinstance(doubled["b"][2], tuple)
    assert tree_map(lambda x, y, z: x + y + z, TREE, TREE, doubled)["b"][0] == 8
    assert tree_map(lambda x: x, None) is None


@pytest.mark.parametrize(
    "other",
    [
        {"a": 1},
        [1],
        1,
        None,
        {**TREE, "a": [1]},
        {**TREE, "b": [2, None]},
        {**TREE, "e": 1},
        {**TREE, "b": 2},
    ],
)
def test_trees_of_another_form_are_refused(other):
    with pytest.raises(ValueError, match="trees differ") as caught:
        tree_map(lambda x, y: x, TREE, other)
    assert "\n" not in str(caught.value)


def test_floating_leaves():
    assert len(floating_leaves("f", [np.ones(2), None, {"x": np.float32(1)}])) == 2
    for tree, words in (
        ([1.0], "f: a tree holds arrays and None, not float"),
        ("text", "not str"),
        ([np.array([1])], "dtype int64"),
        ([np.array([True])], "dtype bool"),
        ([np.ones(1), torch.ones(1)], "one array library"),
    ):
        with pytest.raises(TypeError, match=words):
            floating_leaves("f", tree)
