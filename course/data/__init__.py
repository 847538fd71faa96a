"""Real data without a network: the UCI optical digits, which ship with the course, and Python's own prose."""

from __future__ import annotations

from importlib import resources

import numpy as np

from course.data.text import Topics, load_topics, prose

__all__ = ["Topics", "load_digits", "load_topics", "prose"]


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the UCI optical digits: 1797 handwritten digits from 13 people.

    Returns:
        images: float32, shape (1797, 8, 8), each pixel the inked fraction of a 4x4 block, 0 to 1.
        labels: int64, shape (1797,), the digit, 0 to 9.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, doi:10.24432/C50P49, CC BY 4.0; see ``course/data/LICENSE``.

    >>> images, labels = load_digits()
    >>> images.shape, labels.shape, float(images.max())
    ((1797, 8, 8), (1797,), 1.0)
    """
    with resources.as_file(resources.files(__name__) / "digits.csv.gz") as path:
        table = np.loadtxt(path, delimiter=",", dtype=np.float32)
    return table[:, :64].reshape(-1, 8, 8) / np.float32(16), table[:, 64].astype(np.int64)
