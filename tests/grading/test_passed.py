"""``passed``: what a lesson asks before it runs an answer where a wrong one would stop the notebook."""

import pytest

from course import passed
from course.exercises import store


def right(x, world_size, rank):
    row = list(x.reshape(-1)) + [0] * (-x.size % world_size)
    per = len(row) // world_size
    return x.dtype.type(row[rank * per : (rank + 1) * per])


def wrong(x, world_size, rank):
    return x.reshape(-1)[rank::world_size]


def stubbed(x, world_size, rank):
    raise NotImplementedError("write shard")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (right, ""),
        (wrong, "Your shard is not right yet: this cell goes on without it.\n"),
        (stubbed, "This cell uses your shard. Write it above, then run this cell again.\n"),
    ],
)
def test_a_lesson_learns_in_a_line_whether_an_answer_is_right(answer, line, capsys, monkeypatch):
    monkeypatch.setattr(answer, "__name__", "shard")
    before = store.read()
    assert passed(answer) is (answer is right)
    assert capsys.readouterr().out == line
    assert store.read() == before  # asking is no attempt
