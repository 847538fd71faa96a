"""The command ``course``: help, exit codes, and one clear line for whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from course import __version__, cli, references
from course.grading.verdict import CourseError


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(words)
    out, err = capsys.readouterr()
    return code, out, err


def test_alone_it_prints_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert all(word in out for word in ("lab", "progress", "build"))


@pytest.mark.parametrize("command", ["lab", "progress", "rules", "conventions", "doctor", "plan", "build"])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert out.startswith(f"usage: course {command}")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"course {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["biuld"], "there is no command 'biuld'; did you mean 'build'?"),
        (
            ["zzz"],
            "there is no command 'zzz'; there are lab, progress, rules, conventions, doctor, plan, build",
        ),
        (["--versoin"], "there is no option '--versoin'; did you mean '--version'?"),
        (["build", "--froce"], "there is no option '--froce'; did you mean '--force'?"),
        (["lab", "--no-browsr=1"], "there is no option '--no-browsr'; did you mean '--no-browser'?"),
        (["lab", "04"], "does not know what to do with '04'"),
        (["lab", "--port", "x"], "argument --port: 'x' is not a port: give a number from 1 to 65535"),
        (["lab", "--port", "70000"], "argument --port: '70000' is not a port"),
        (["lab", "--port"], "argument --port: expected one argument"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_failure_is_one_line_and_exit_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words in (["build"], ["build", "--check"]):
        code, out, err = run(capsys, *words, "--root", str(tmp_path))
        assert (code, out) == (1, "")
        assert err == f"course build: no lessons: there is no solutions/NN_topic.py in {tmp_path}\n"


def test_folder_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_a.ipynb").write_text('{"cells": []}')
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("course.authoring.tree.find_root", lambda: tmp_path)
    code, _, err = run(capsys, "lab", "--no-browser", "--dir", str(tmp_path / "file"))
    assert code == 1
    assert err.startswith(f"course lab: cannot write to {tmp_path / 'file'}: ")
    assert err.count("\n") == 1


def test_progress_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "progress")
    assert (code, err) == (0, "")
    assert "nesterov" in out


def test_progress_folder_in_trouble_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> str:
        raise CourseError("the progress folder cannot be read")

    monkeypatch.setattr("course.grading.progress_text", fail)
    assert run(capsys, "progress") == (1, "", "course progress: the progress folder cannot be read\n")


def test_rules_prints_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    from course.rules import ALL

    code, out, err = run(capsys, "rules")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1 : 1 + len(ALL)]] == list(ALL)
    assert "torch.optim.AdamW" in out


def test_conventions_prints_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    from course.conventions import CONVENTIONS

    code, out, err = run(capsys, "conventions")
    assert (code, err) == (0, "")
    assert all(c.what in out for c in CONVENTIONS)


def test_conventions_write_keeps_what_cannot_be_measured_and_refuses_what_is_unknown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from course import conventions, rules
    from course.conventions import lines

    def none(name: str) -> None:
        raise references.Missing(f"{name} is not installed")

    monkeypatch.setattr(lines, "load", none)
    monkeypatch.setattr(conventions, "missing", lambda: ["optax"])
    monkeypatch.setattr(
        conventions, "CONVENTIONS", [c for c in conventions.CONVENTIONS if c.where == "optax"]
    )
    page = Path(rules.__file__).with_name("CONVENTIONS.md").read_text(encoding="utf-8")
    monkeypatch.setattr(rules, "__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "CONVENTIONS.md").write_text(page, encoding="utf-8")
    code, out, err = run(capsys, "conventions", "--write")
    assert (code, err) == (0, "")
    assert out.endswith("kept the figures that need optax\n")
    written = (tmp_path / "CONVENTIONS.md").read_text(encoding="utf-8")
    assert set(conventions.figures(written).items()) <= set(conventions.figures(page).items())
    assert len(conventions.figures(written)) == len(conventions.CONVENTIONS) > 5

    unknown = "\n".join(line for line in page.splitlines() if "| RAdam |" not in line)
    (tmp_path / "CONVENTIONS.md").write_text(unknown, encoding="utf-8")
    code, out, err = run(capsys, "conventions", "--write")
    assert (code, out) == (1, "")
    assert err.startswith(
        "course conventions: no figure for RAdam, optax: eps after the bias correction; nothing"
    )
    assert "Install optax: pip install" in err
    assert (tmp_path / "CONVENTIONS.md").read_text(encoding="utf-8") == unknown


def test_check_of_a_small_checkout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "90_small.py").write_text("# %%\nprint(1)\n", encoding="utf-8")
    root = ["--root", str(tmp_path)]
    code, _, err = run(capsys, "build", "--check", *root)
    assert code == 1
    assert "mend it with: course build 90" in err
    assert run(capsys, "build", "90", *root)[0] == 0
    assert run(capsys, "build", *root) == (0, "everything is up to date\n", "")
    assert run(capsys, "build", "--check", *root) == (0, "every notebook is what its source gives\n", "")


def test_command_line_loads_nothing_heavy() -> None:
    heavy = "torch jupytext nbformat nbclient ipywidgets matplotlib course.grading numpy"
    script = f"import course.cli, sys; print([name for name in {heavy.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error on Windows")
def test_unread_output_is_no_error() -> None:
    script = "import sys; from course.cli import main; sys.exit(main([]))"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as course:
        assert course.stdout is not None
        assert course.stderr is not None
        course.stdout.close()
        assert course.stderr.read() == ""


def test_it_runs_as_a_module_too() -> None:
    """``make test`` calls it like this; a module that did nothing would let stale notebooks pass."""
    done = subprocess.run([sys.executable, "-m", "course.cli", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"course {__version__}")
    done = subprocess.run([sys.executable, "-m", "course.cli", "nonsense"], capture_output=True, text=True)
    assert done.returncode == 2
