"""Python's own prose: the same each time, each paragraph once, and a bag of words that is true to it."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from course.data import load_topics, prose
from course.data.text import SECTIONS


@pytest.fixture(scope="module")
def data():
    return load_topics()


def test_shapes_dtypes_and_values(data):
    assert (data.words.dtype, data.labels.dtype) == (np.float32, np.int64)
    assert data.words.shape == (len(data.labels), len(data.vocabulary))
    assert set(np.unique(data.words)) == {0.0, 1.0}
    assert data.sections == SECTIONS
    assert (np.bincount(data.labels, minlength=len(SECTIONS)) >= 40).all(), "a section is all but empty"


def test_there_is_enough_of_it_and_it_is_sparse(data):
    paragraphs, words = data.words.shape
    assert paragraphs > 500
    assert words > 1000
    assert data.words.mean() < 0.05
    seen = data.words.sum(axis=0)
    assert seen.min() >= 2
    assert np.median(seen) <= 5
    assert seen.max() > paragraphs / 2


def test_each_column_is_where_its_word_stands(data):
    """Counted again by another way: paragraphs of one section, as the text itself has them."""
    from pydoc_data.topics import topics

    for word in ("debugger", "__getattr__", "breakpoint"):
        section = "debugger" if word != "__getattr__" else "specialnames"
        wanted = {
            " ".join(found)
            for block in re.split(r"\n\s*\n", topics[section])
            if len(found := re.findall("[a-z_]{2,}", block.lower())) >= 8 and word in found
        }
        column = data.words[data.labels == SECTIONS.index(section), data.vocabulary.index(word)]
        assert column.sum() == len(wanted) > 1


def test_no_paragraph_is_there_twice():
    text = prose()
    paragraphs = text.split("\n\n")
    assert len(paragraphs) == len(set(paragraphs)) > 2000
    assert all(p.strip() for p in paragraphs)
    assert len(text) > 200_000
    assert "yield" in text


def test_it_is_the_same_in_another_process(data):
    """Sets of words come in another order in each process: the columns must not."""
    code = (
        "import hashlib; from course.data import load_topics, prose; d = load_topics();"
        "print(hashlib.md5(d.words.tobytes() + d.labels.tobytes() + prose().encode()).hexdigest())"
    )
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert done[0] == done[1]


def test_each_call_returns_its_own_arrays(data):
    other = load_topics()
    other.words[:] = 7
    assert data.words.max() == 1


def test_a_python_without_the_text_says_so_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(ImportError, match="comes without pydoc_data"):
        load_topics()
    with pytest.raises(ImportError, match="comes without pydoc_data"):
        prose()


def test_a_manual_without_a_section_says_which(monkeypatch):
    from pydoc_data import topics

    monkeypatch.delitem(topics.topics, "debugger")
    with pytest.raises(ValueError, match="lacks debugger"):
        load_topics()
