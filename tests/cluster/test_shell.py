"""``python -m course.cluster``, alone and under torchrun."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shell(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env={**os.environ, "TORCH_CPP_LOG_LEVEL": "ERROR", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


PROGRAM = (
    "import numpy as np\ndef mean(comm):\n    return comm.all_reduce(np.ones(3) * comm.rank, 'mean')[0]\n"
)


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="gloo by torchrun is tried on Linux and macOS")
def test_torchrun_runs_the_same_program(tmp_path):
    (tmp_path / "mine.py").write_text(PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])  # free a moment later
    words = ("--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", port)
    started = shell("torch.distributed.run", *words, "-m", "course.cluster", "mine:mean", cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    here = shell("course.cluster", "mine:mean", "--ranks", "2", cwd=tmp_path)
    assert here.returncode == 0, here.stderr
    assert started.stdout == here.stdout
    assert here.stdout.splitlines()[:2] == ["rank 0: 0.5", "rank 1: 0.5"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("mine", "'mine' does not name a program: write module:function"),
        ("a/mine.py:main", "'a/mine.py' is a file: from its folder, write mine:main"),
        ("nowhere:main", "there is no module 'nowhere'"),
        ("json:nothing", "module 'json' has no function 'nothing'"),
    ],
)
def test_a_program_that_is_not_there(capsys, word, message):
    from course.cluster.__main__ import main

    assert main([word]) == 2
    assert message in capsys.readouterr().err
