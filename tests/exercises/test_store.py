"""The progress file: written whole or not at all, by two at once, and never lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from course.exercises import store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(store, "_told", set())
    monkeypatch.setattr(store, "_unsaved", {})
    return tmp_path / "home"


def mark(name: str, **what):
    return lambda data: data["exercises"].update({name: what})


def test_a_first_change_makes_the_folder_and_the_file(home, capsys):
    assert store.read() == {"version": 1, "exercises": {}, "predictions": {}}
    assert not home.exists()  # reading writes nothing
    assert store.change(mark("sgd", score=5))
    assert store.path() == home / "progress.json"
    assert json.loads(store.path().read_text()) == {
        "version": 1,
        "exercises": {"sgd": {"score": 5}},
        "predictions": {},
    }
    assert store.read()["exercises"] == {"sgd": {"score": 5}}
    assert capsys.readouterr() == ("", "")


def test_without_course_home_it_stands_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert store.path().name == "progress.json"
    assert "parameter-update" in str(store.path())


def test_a_tilde_means_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("COURSE_HOME", "~/mine")
    assert store.path() == tmp_path / "mine" / "progress.json"


def test_a_home_that_nobody_has_is_said_and_the_usual_folder_taken(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_HOME", "~nobody-has-this-name/x")
    monkeypatch.setattr(store.platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path / "usual"))
    assert store.change(mark("sgd", score=1))
    assert store.read()["exercises"] == {"sgd": {"score": 1}}
    assert store.path() == tmp_path / "usual" / "progress.json"
    assert capsys.readouterr().err.count("\n") == 1


def test_the_first_prediction_counts():
    assert store.recall_prediction("q") is None
    store.remember_prediction("q", "up")
    store.remember_prediction("q", "down")
    assert store.recall_prediction("q") == "up"


def test_what_a_newer_release_wrote_is_kept(home):
    home.mkdir()
    newer = {"version": 2, "exercises": {"adam": {"score": 1}}, "predictions": {}, "badges": ["x"]}
    store.path().write_text(json.dumps(newer))
    store.change(mark("sgd", score=5))
    kept = json.loads(store.path().read_text())
    assert (kept["version"], kept["badges"]) == (2, ["x"])
    assert set(kept["exercises"]) == {"adam", "sgd"}


@pytest.mark.parametrize("where", ["os.replace", "json.dump", "os.fsync"])
@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_crash_while_writing_leaves_the_old_file_whole(home, monkeypatch, capsys, where, problem):
    store.change(mark("sgd", score=5))
    before = store.path().read_bytes()

    def crash(*args, **kwargs):
        if where == "json.dump":
            args[1].write('{"exercises": {"hal')
        raise problem

    with monkeypatch.context() as patch:
        patch.setattr(f"course.exercises.store.{where}", crash)
        if isinstance(problem, OSError):
            assert store.change(mark("nesterov", score=1)) is False
            assert "Progress is not saved" in capsys.readouterr().err
        else:
            with pytest.raises(KeyboardInterrupt):
                store.change(mark("nesterov", score=1))
    assert store.path().read_bytes() == before
    assert {p.name for p in home.iterdir()} <= {"progress.json", "progress.json.lock"}
    assert store.change(mark("nesterov", score=2))  # and the lock is free again


def test_an_edit_that_fails_changes_nothing():
    store.change(mark("sgd", score=5))
    with pytest.raises(ZeroDivisionError):
        store.change(lambda data: data["exercises"].clear() or 1 / 0)
    assert store.read()["exercises"] == {"sgd": {"score": 5}}


WRITER = """
import sys
from course.exercises import store
for i in range(50):
    assert store.change(lambda data: data["exercises"].setdefault(f"{sys.argv[1]}{i}", {}))
    assert store.change(lambda data: data.update(count=data.get("count", 0) + 1))
"""


def test_two_processes_at_once_lose_nothing(home):
    both = [subprocess.Popen([sys.executable, "-c", WRITER, name], stderr=subprocess.PIPE) for name in "ab"]
    for process in both:
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, b"")
    data = store.read()
    assert set(data["exercises"]) == {f"{name}{i}" for name in "ab" for i in range(50)}
    assert data["count"] == 100
    assert {p.name for p in home.iterdir()} <= {"progress.json", "progress.json.lock"}


DAMAGED = {
    "empty": b"",
    "cut off": b'{"version": 1, "exercises": {"sgd": {"sco',
    "binary": b"\xff\xfe\x00\x01",
    "another json": b'{"name": "someone else"}',
    "a list": b"[1, 2]",
    "a number": b"7",
    "wrong kinds": b'{"version": 1, "exercises": [], "predictions": {}}',
    "wrong entries": b'{"version": 1, "exercises": {"sgd": 3}, "predictions": {}}',
    "wrong figures": b'{"version": 1, "exercises": {"sgd": {"score": "many"}}, "predictions": {}}',
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize(
    "use", [store.read, lambda: store.change(mark("sgd", score=1))], ids=["read", "change"]
)
def test_a_damaged_file_is_set_aside_and_said_once(home, capsys, content, use):
    home.mkdir()
    store.path().write_bytes(content)
    use()
    aside = home / "progress.damaged-1.json"
    assert aside.read_bytes() == content
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "was damaged" in said
    assert str(aside) in said
    store.change(mark("nesterov", score=2))
    store.read()
    assert capsys.readouterr().err == ""
    assert "nesterov" in store.read()["exercises"]
    assert aside.read_bytes() == content


def test_a_second_damaged_file_gets_its_own_name(home):
    home.mkdir()
    for content in (b"one", b"two"):
        store.path().write_bytes(content)
        store.read()
    assert [(home / f"progress.damaged-{n}.json").read_bytes() for n in (1, 2)] == [b"one", b"two"]


def test_a_file_that_cannot_be_read_is_not_overwritten(home, monkeypatch, capsys):
    store.change(mark("sgd", score=5))
    before = store.path().read_bytes()
    with monkeypatch.context() as patch:

        def denied(self, *args, **kwargs):
            raise PermissionError(13, "Permission denied")

        patch.setattr(Path, "read_text", denied)
        assert store.change(mark("nesterov", score=1)) is False
        store.read()
    assert capsys.readouterr().err.count("\n") == 1
    assert store.path().read_bytes() == before
    assert list(home.glob("progress.damaged*")) == []


def impossible(tmp_path: Path, kind: str) -> str:
    if kind == "a file in the way":
        (tmp_path / "file").write_text("")
        return str(tmp_path / "file")
    if kind == "below a file":
        (tmp_path / "file").write_text("")
        return str(tmp_path / "file" / "deeper")
    if kind == "a folder in the place of the file":
        (tmp_path / "progress.json").mkdir()
        return str(tmp_path)
    if kind == "read-only":
        (tmp_path / "shut").mkdir(mode=0o500)
        return str(tmp_path / "shut")
    return "/proc/nowhere"


@pytest.mark.parametrize(
    "kind",
    [
        "a file in the way",
        "below a file",
        "a folder in the place of the file",
        pytest.param(
            "no device", marks=pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc")
        ),
        pytest.param(
            "read-only",
            marks=pytest.mark.skipif(
                not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
            ),
        ),
    ],
)
def test_where_nothing_can_be_written_the_course_goes_on_and_says_so_once(
    tmp_path, monkeypatch, capsys, kind
):
    monkeypatch.setenv("COURSE_HOME", impossible(tmp_path, kind))
    for score in (1, 2):
        assert store.change(mark("sgd", score=score)) is False
        assert store.read()["exercises"] == {"sgd": {"score": score}}  # for as long as the session lasts
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert "Traceback" not in said
    assert "not saved" in said


def test_a_lock_that_is_held_is_waited_for_but_not_for_ever(monkeypatch, capsys, home):
    monkeypatch.setattr(store, "_PATIENCE", 0.05)
    home.mkdir()
    with store.filelock.FileLock(f"{store.path()}.lock"):
        assert store.change(mark("sgd", score=1)) is False
    assert "another program holds" in capsys.readouterr().err
    assert store.change(mark("nesterov", score=2))
    assert set(json.loads(store.path().read_text())["exercises"]) == {"sgd", "nesterov"}  # both are saved now
