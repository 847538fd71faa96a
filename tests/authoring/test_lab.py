"""The learner's folder: brought up to date, and never a stroke of theirs lost; then the server on it."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from course.authoring import AuthoringError, lab
from course.authoring.workfolder import Report, prepare

NAME = "04_momentum.ipynb"
BESIDE = "04_momentum.new.ipynb"


def write(path: Path, *sources: str, ran: bool = False) -> None:
    notebook = nbformat.v4.new_notebook()
    for number, source in enumerate(sources, 1):
        cell = nbformat.v4.new_code_cell(source, id=f"cell-{number}")
        if ran:
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text="out\n")]
        notebook.cells.append(cell)
    path.parent.mkdir(exist_ok=True)
    path.write_text(nbformat.writes(notebook), encoding="utf-8")


def sources(path: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


class Folder:
    """A release's notebooks, and the learner's folder."""

    def __init__(self, root: Path) -> None:
        self.notebooks, self.work = root / "notebooks", root / "work"
        self.release("first")

    def release(self, source: str) -> None:
        write(self.notebooks / "00_start_here.ipynb", "hello")
        write(self.notebooks / NAME, source, "check(x)")

    def edit(self, source: str, name: str = NAME) -> None:
        write(self.work / name, source, "check(x)", ran=True)

    def prepare(self) -> Report:
        return prepare(self.work, self.notebooks)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.work.glob("*.ipynb"))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_first_delivery_then_nothing(folder: Folder) -> None:
    assert folder.prepare().delivered == ["00_start_here.ipynb", NAME]
    again = folder.prepare()
    assert again.kept == ["00_start_here.ipynb", NAME]
    assert not again.notes
    assert json.loads((folder.work / ".course" / "manifest.json").read_text())["files"].keys() == {
        "00_start_here.ipynb",
        NAME,
    }


def test_untouched_notebook_is_replaced_even_if_it_was_run(folder: Folder) -> None:
    folder.prepare()
    folder.edit("first")
    folder.release("second")
    report = folder.prepare()
    assert report.replaced == [NAME]
    assert len(report.notes) == 1
    assert sources(folder.work / NAME)[0] == "second"
    assert folder.names() == ["00_start_here.ipynb", NAME]


def test_edited_notebook_stays_and_the_new_one_lies_beside_it(folder: Folder) -> None:
    folder.prepare()
    folder.edit("mine")
    assert folder.prepare().notes == [], "no new release: nothing to say"
    folder.release("second")
    report = folder.prepare()
    assert report.beside == [BESIDE]
    assert report.notes == [f"{NAME} is yours and stays; the new version lies beside it as {BESIDE}"]
    assert sources(folder.work / NAME)[0] == "mine"
    assert sources(folder.work / BESIDE)[0] == "second"
    assert folder.prepare().notes == []


def test_untouched_new_version_gives_way_to_a_newer_one(folder: Folder) -> None:
    folder.prepare()
    folder.edit("mine")
    for source in ("second", "third"):
        folder.release(source)
        folder.prepare()
    assert folder.names() == ["00_start_here.ipynb", NAME, BESIDE]
    assert sources(folder.work / BESIDE)[0] == "third"


def test_edited_new_version_stays_too(folder: Folder) -> None:
    folder.prepare()
    folder.edit("mine")
    folder.release("second")
    folder.prepare()
    folder.edit("mine too", BESIDE)
    folder.release("third")
    assert folder.prepare().beside == ["04_momentum.new-2.ipynb"]
    assert [sources(folder.work / name)[0] for name in (NAME, BESIDE, "04_momentum.new-2.ipynb")] == [
        *("mine", "mine too", "third")
    ]
    assert folder.prepare().notes == []


def test_new_version_that_was_taken_away_does_not_come_back(folder: Folder) -> None:
    folder.prepare()
    folder.edit("mine")
    folder.release("second")
    folder.prepare()
    (folder.work / BESIDE).unlink()
    assert folder.prepare().notes == []
    assert BESIDE not in folder.names()


def test_deleted_notebook_is_delivered_again(folder: Folder) -> None:
    folder.prepare()
    (folder.work / NAME).unlink()
    assert folder.prepare().notes == [f"{NAME} was missing: delivered again"]
    assert sources(folder.work / NAME)[0] == "first"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3}', '{"version": 1}'])
def test_damaged_manifest_means_that_everything_is_edited(folder: Folder, text: str) -> None:
    folder.prepare()
    (folder.work / ".course" / "manifest.json").write_text(text)
    folder.release("second")
    report = folder.prepare()
    assert "counts as edited" in report.notes[0]
    assert report.beside == [BESIDE]
    assert sources(folder.work / NAME)[0] == "first"


@pytest.mark.parametrize("content", [b"", b"not json", b"\xff\xfe", b'{"cells": 3}'])
def test_file_that_is_no_notebook_any_more_is_left_alone(folder: Folder, content: bytes) -> None:
    folder.prepare()
    (folder.work / NAME).write_bytes(content)
    folder.release("second")
    assert folder.prepare().beside == [BESIDE]
    assert (folder.work / NAME).read_bytes() == content


def test_folder_that_was_there_before_is_not_overwritten(folder: Folder) -> None:
    folder.work.mkdir()
    folder.edit("something of mine")
    assert folder.prepare().beside == [BESIDE]
    assert sources(folder.work / NAME)[0] == "something of mine"


def test_missing_notebooks_and_unwritable_folder_are_one_line(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(AuthoringError, match=r"^no notebooks in .*: run this in a checkout of the course$"):
        prepare(folder.work, tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for work in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(AuthoringError, match=r"^cannot write to .*: \w[\w ]+$"):
            prepare(work, folder.notebooks)


def test_taken_port_is_said_and_otherwise_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind((lab.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AuthoringError, match=rf"^port {port} is taken: choose another"):
            lab.free_port(port)
    assert lab.free_port(port) == port
    assert lab.free_port(None) >= lab.FIRST_PORT


def test_server_command_keeps_to_the_folder(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/elsewhere")
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    folder.prepare()
    argv, environment = lab.server_command(folder.work, port=8899, token="secret", extra=["--more"])
    assert argv[-1] == "--more"
    assert f"--ServerApp.root_dir={folder.work}" in argv
    assert "--LabApp.default_url=/lab/tree/00_start_here.ipynb" in argv
    assert "--allow-root" not in argv
    assert not any("secret" in word for word in argv)
    first, *rest = environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert rest == ["/elsewhere"]
    page = json.loads(Path(first, "labconfig", "page_config.json").read_text())
    assert page["disabledExtensions"] == {"@jupyterlab/apputils-extension:announcements": True}
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert "--allow-root" in lab.server_command(folder.work, port=8899, token="secret")[0]


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="a signal cannot be sent to one process alone on Windows")
def test_server_starts_quietly_and_ends_on_ctrl_c(folder: Folder) -> None:
    port = lab.free_port(None)
    script = (
        "import sys; from pathlib import Path; from course.authoring.lab import run;"
        "sys.exit(run(Path(sys.argv[1]), Path(sys.argv[2]), browser=False, port=int(sys.argv[3])))"
    )
    command = [sys.executable, "-c", script, str(folder.work), str(folder.notebooks), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as course:
        assert course.stdout is not None
        address = ""
        while not address:
            line = course.stdout.readline()
            assert line, "the command ended without an address"
            address = line.strip() if line.strip().startswith("http://") else ""
        with urllib.request.urlopen(address, timeout=30) as page:
            assert "announcements" in page.read().decode()
        began = time.monotonic()
        course.send_signal(signal.SIGINT)
        rest, _ = course.communicate(timeout=30)
        assert course.returncode == 0, rest
        assert "Traceback" not in rest
        assert time.monotonic() - began < 15
    assert lab.free_port(port) == port, "the server outlived the command"


def test_a_delivered_notebook_names_the_python_that_will_open_it(tmp_path: Path) -> None:
    """JupyterLab fills the version in otherwise, and every notebook opens with unsaved changes."""
    from course.authoring.tree import find_root

    lab.prepare(tmp_path / "work", find_root() / "notebooks")
    for path in sorted((tmp_path / "work").glob("*.ipynb")):
        info = json.loads(path.read_text(encoding="utf-8"))["metadata"]["language_info"]
        assert info["version"] == platform.python_version()
