"""What goes to real ranks and comes back: functions of a notebook, their classes, the lines of its cells."""

from __future__ import annotations

import linecache
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from course import cluster
from course.cluster import RankError, shipping

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="ranks are forked"),
    pytest.mark.thorough,  # real processes, which import torch
    pytest.mark.usefixtures("nothing_stays"),
]
ROOT = Path(__file__).resolve().parents[2]


def test_a_notebooks_functions_and_classes_reach_the_ranks():
    cell = """
        import numpy as np
        from dataclasses import dataclass

        scale = 3.0

        @dataclass
        class Answer:
            rank: int
            value: float

            def doubled(self):
                return scaled(self.value) * 2 / scale

        class Deeper(Answer):
            def doubled(self):
                return super().doubled() + 1

        def scaled(x, by=None):
            return x * (by or scale)

        def counted(n):
            return 0 if n == 0 else 1 + counted(n - 1)

        def outer(offset):
            def program(comm):
                return Deeper(comm.rank, comm.all_reduce(scaled(1.0)) + offset + counted(3))
            return program
    """
    script = textwrap.dedent(cell) + textwrap.dedent("""
        from course import cluster
        before = Answer.doubled, Deeper.doubled
        found = cluster.run(outer(0.5), 2, "gloo").results
        assert all(isinstance(one, Answer) for one in found), found
        assert (Answer.doubled, Deeper.doubled) == before, "the class was overwritten by its copy"
        print([(one.rank, float(one.value), float(one.doubled())) for one in found])
    """)
    done = subprocess.run([sys.executable, "-"], input=script, capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout == "[(0, 9.5, 20.0), (1, 9.5, 20.0)]\n"


def test_what_cannot_be_sent_is_said():
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"cannot be sent to another process: cannot pickle '_thread\.lock'"):
        cluster.run(lambda comm: lock, 2, "gloo")


def test_shipping_keeps_what_makes_a_function():
    def outer(a):
        def inner(b, c=2, *, d=4):
            """Add."""
            return a + b + c + d

        inner.note = "kept"
        return inner

    made = shipping.loads(shipping.dumps(outer(1)))
    assert (made(1), made.__doc__, made.note) == (8, "Add.", "kept")
    assert made.__qualname__.endswith("outer.<locals>.inner")
    assert shipping.loads(shipping.dumps(np.linalg.norm)) is np.linalg.norm
    assert shipping.loads(shipping.dumps(lambda: os.sep))() == os.sep


def test_the_traceback_shows_a_notebooks_cell():
    name, source = "<cell 7>", "def program(comm):\n    raise KeyError(comm.rank)  # as in the cell\n"
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), space)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        with pytest.raises(RankError) as caught:
            cluster.run(space["program"], 2, "gloo")
    finally:
        del linecache.cache[name]
    assert "# as in the cell" in caught.value.text


def test_ranks_find_each_other_in_a_folder_of_any_name(tmp_path):
    folder = tmp_path / "a b%20ä"
    folder.mkdir()
    # Python's own sockets stay where they are: a socket's path may have about a hundred letters only.
    script = f"""
import multiprocessing.util, tempfile
from course import cluster
multiprocessing.util.get_temp_dir()
tempfile.tempdir = {str(folder)!r}
print(cluster.run(lambda comm: comm.all_reduce(1.0), 2, "gloo").results[0])
"""
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == "2.0\n", done.stderr


def test_a_temporary_folder_too_deep_for_a_socket_is_told_in_one_line(tmp_path):
    folder = tmp_path / ("d" * 100)
    folder.mkdir()
    script = "from course import cluster; cluster.run(lambda comm: comm.rank, 2, 'gloo')"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert "ClusterError: cluster.run: the temporary folder" in done.stderr.splitlines()[-1]
    assert "TMPDIR" in done.stderr.splitlines()[-1]
