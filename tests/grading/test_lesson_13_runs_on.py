"""Lesson 13's cells behind the exercises: they run on, and show what holds, whatever was answered."""

from __future__ import annotations

import numpy as np
import pytest

from course.authoring.lesson import read_lesson
from course.authoring.proof import find_root
from course.exercises import ALL

LESSON = find_root() / "solutions/13_pipeline_and_tensor_parallel.py"
NAMES = [name for name, exercise in ALL.items() if exercise.lesson == "13"]


def of_another_kind(*arguments):
    return "a quarter"


def that_raises(*arguments):
    raise KeyError("F0")


def named(answer, name):
    def function(*arguments):
        return answer(*arguments)

    function.__name__ = name
    return function


def in_two_halves(comm, x, weight, bias):
    """A right column layer whose sum is a reduce-scatter and an all-gather."""

    def backward(dy):
        part = dy @ weight.T
        padded = np.pad(part.reshape(-1), (0, -part.size % comm.world_size))
        whole = comm.all_gather(comm.reduce_scatter(padded))[: part.size]
        return whole.reshape(part.shape), x.T @ dy, dy.sum(axis=0)

    return x @ weight + bias, backward


@pytest.fixture
def cells():
    """Return the lesson's code cells by a piece of their text, and what the first one imports."""
    sources = [cell.source for cell in read_lesson(LESSON, ALL).cells if cell.kind == "code"]
    space = {}
    exec(sources[0], space)

    def run(marker, **answers):
        (source,) = [source for source in sources if marker in source]
        space.update(answers)
        exec(source, space)
        return space

    return run


@pytest.mark.parametrize("answer", [of_another_kind, that_raises])
def test_a_wrong_answer_stops_no_cell(cells, answer, capsys):
    wrong = {name: named(answer, name) for name in NAMES}
    cells("def on_paper", **wrong)
    cells("all_first = gpipe_schedule")
    cells('print(f"{name:3s} is that of one process')
    cells("def doubling")
    space = cells("class Part:")
    assert space["stage_of"] is ALL["pipeline_stage"].reference
    told = capsys.readouterr().out
    for name in set(NAMES) - {"bubble_fraction"}:
        assert f"Your {name} is not right yet: this cell goes on without it." in told


def test_the_prediction_is_settled_by_the_librarys_pair(cells, capsys):
    """A right answer may sum in another way; the pair still needs two all-reduces."""
    cells("def on_paper", **{name: named(ALL[name].reference, name) for name in NAMES})
    capsys.readouterr()
    mine = named(in_two_halves, "column_parallel")
    space = cells('print(f"{name:3s} is that of one process', column_parallel=mine)
    assert space["column"] is mine
    assert [entry.kind for entry in space["reduces"]] == ["all_reduce"] * 2
    assert "['all_reduce', 'reduce_scatter', 'all_gather']" in capsys.readouterr().out


def test_two_sends_that_wait_stand_still_whatever_the_schedule_is(cells, capsys):
    cells("def blocking", in_turn=lambda stages, micros: [["F0"]] * stages)
    assert capsys.readouterr().out.count("waits in send") == 2


def test_one_process_has_the_bits_of_the_librarys_stages(cells, capsys):
    right = {name: named(ALL[name].reference, name) for name in NAMES}
    cells("def on_paper", **right, rng=np.random.default_rng(0))
    space = cells("class Part:")
    space["in_parts"] = space["accumulated"]()
    space["yours"] = [space["in_parts"]]
    cells("has the bits of the library's stages")
    assert "the bits of the library's stages: True" in capsys.readouterr().out
