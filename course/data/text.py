"""Real prose that ships with Python: the help texts of ``pydoc_data.topics``.

Nothing is downloaded and nothing is copied: the text is read from the Python that runs (its documentation,
under the PSF licence). It differs a little from one Python version to the next, so no figure that is made
from it can be the same everywhere.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import numpy as np

__all__ = ["SECTIONS", "Topics", "load_topics", "prose"]

# Long sections of the manual that do not repeat each other.
SECTIONS = ("types", "specialnames", "compound", "string-methods", "debugger", "typesseq")

_WORD = re.compile(r"[a-z_]{2,}")
_SHORTEST = 8  # words; below that a paragraph is a heading or a line of code


class Topics(NamedTuple):
    """A bag of words: which words occur in which paragraph, and which section each one comes from.

    Attributes:
        words: float32, shape (paragraphs, vocabulary), 1 where the word occurs in the paragraph.
        labels: int64, shape (paragraphs,), the section, as an index into ``sections``.
        vocabulary: the word of each column, in alphabetical order; each occurs in two paragraphs or more.
        sections: the names of the sections.
    """

    words: np.ndarray
    labels: np.ndarray
    vocabulary: list[str]
    sections: tuple[str, ...]


def prose() -> str:
    """Return the prose of Python's help topics as one string, each paragraph once, blank lines between.

    The topics repeat each other (the text on ``if`` is a part of that on compound statements), so that a
    paragraph held back for testing could also stand in the training text. Here it cannot.

    >>> text = prose()
    >>> len(text) > 200_000, "\\n\\n\\n" in text
    (True, False)
    """
    topics = _topics()
    return "\n\n".join(dict.fromkeys(p for name in sorted(topics) for p in _paragraphs(topics[name])))


def load_topics() -> Topics:
    """Return paragraphs of six sections of Python's manual as a bag of words, to tell the section from.

    A word counts once a paragraph, in lower case; underscores belong to it. Paragraphs of fewer than 8 words
    are left out, and one that occurs twice counts once.

    Returns:
        :class:`Topics`; in Python 3.11 about 850 paragraphs and 1,470 words.

    >>> data = load_topics()
    >>> data.words.shape == (len(data.labels), len(data.vocabulary))
    True
    """
    topics = _topics()
    absent = [name for name in SECTIONS if name not in topics]
    if absent:
        raise ValueError(f"pydoc_data.topics of this Python lacks {', '.join(absent)}")
    seen: set[str] = set()
    bags: list[frozenset[str]] = []
    labels: list[int] = []
    for label, name in enumerate(SECTIONS):
        for paragraph in _paragraphs(topics[name]):
            words = _WORD.findall(paragraph.lower())
            if len(words) >= _SHORTEST and (text := " ".join(words)) not in seen:
                seen.add(text)
                bags.append(frozenset(words))
                labels.append(label)
    count = Counter(word for bag in bags for word in bag)
    vocabulary = sorted(word for word, times in count.items() if times >= 2)
    column = {word: i for i, word in enumerate(vocabulary)}
    matrix = np.zeros((len(bags), len(vocabulary)), dtype=np.float32)
    for row, bag in enumerate(bags):
        matrix[row, [column[word] for word in bag if word in column]] = 1
    return Topics(matrix, np.array(labels, dtype=np.int64), vocabulary, SECTIONS)


def _paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text, without the blank lines between them."""
    return [p.strip("\n").rstrip() for p in re.split(r"\n\s*\n", text) if p.strip()]


def _topics() -> dict[str, str]:
    """Return Python's help topics by name."""
    try:
        from pydoc_data.topics import topics
    except ImportError as missing:
        raise ImportError("this Python comes without pydoc_data, the text of its help topics") from missing
    return dict(topics)
