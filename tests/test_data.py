"""The digits: all there, as their source describes them, with licence and citation."""

from __future__ import annotations

from importlib import resources

import numpy as np

from course.data import load_digits


def test_shapes_dtypes_and_ranges():
    images, labels = load_digits()
    assert (images.shape, images.dtype) == ((1797, 8, 8), np.float32)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(images * 16, np.round(images * 16))


def test_it_is_the_known_data_set():
    """The class counts, sum and first image that scikit-learn's copy of the same file has."""
    images, labels = load_digits()
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert labels[:10].tolist() == list(range(10))
    assert (images[0, 0] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert int((images.astype(np.float64) * 16).sum()) == 561718


def test_each_call_returns_its_own_arrays():
    images, labels = load_digits()
    images[:], labels[:] = 0, 0
    again, digits = load_digits()
    assert again.any()
    assert digits.any()


def test_licence_and_citation_ship_with_it():
    licence = (resources.files("course.data") / "LICENSE").read_text(encoding="utf-8")
    for part in ("CC BY 4.0", "10.24432/C50P49", "Alpaydin"):
        assert part in licence
