"""``check``, ``hint``, ``progress``, ``reset``: what they record, what they show, and nbgrader's way."""

from __future__ import annotations

import html
import inspect
import json
import sys
import types

import numpy as np
import pytest

from course.exercises import ALL, store
from course.grading import CourseError, Verdict, ZeroPoints, check, hint, progress, reset, stub, written


def right(grad, state, param, lr, weight_decay):
    return lr * (grad + weight_decay * param), state


def no_decay(grad, state, param, lr, weight_decay):
    return lr * grad, state


def float64_always(grad, state, param, lr, weight_decay):
    return np.asarray(lr * (grad + weight_decay * param), np.float64), state


def in_place(grad, state, param, lr, weight_decay):
    grad += weight_decay * param
    return lr * grad, state


def no_empty(grad, state, param, lr, weight_decay):
    if param.size == 0:
        raise ValueError("empty")
    return lr * (grad + weight_decay * param), state


def constant_lr():
    seen = []

    def sgd(grad, state, param, lr, weight_decay):
        seen.append(lr)
        return (0.1 if lr == 0.2 else lr) * (grad + weight_decay * param), state

    return sgd


def stubbed(*args):
    raise NotImplementedError("write sgd")


def as_sgd(function):
    twin = types.FunctionType(
        function.__code__, function.__globals__, "sgd", function.__defaults__, function.__closure__
    )
    return twin


def entry():
    return store.read()["exercises"].get("sgd")


def test_a_right_answer():
    verdict = check(as_sgd(right))
    assert (verdict.status, verdict.score, verdict.points, verdict.slip) == ("passed", 5, 5, None)
    assert str(verdict) == "sgd: right in all cases, 5 of 5 points"
    assert entry() == {"checks": 1, "score": 5, "status": "passed"}


@pytest.mark.parametrize(
    ("function", "score"),
    [(right, 5), (no_decay, 0), (float64_always, 4), (in_place, 4), (no_empty, 4), (constant_lr(), 4)],
)
def test_points_are_given_part_by_part(function, score):
    verdict = check(as_sgd(function))
    assert verdict.score == score
    assert verdict.passed == (score == 5)
    assert f"{score} of 5 points" in str(verdict)


def test_the_best_result_is_kept():
    for function in (no_decay, in_place, right, no_decay):
        check(as_sgd(function))
    kept = entry()
    assert (kept["score"], kept["status"], kept["checks"]) == (5, "passed", 4)
    assert sum(kept["slips"].values()) >= 2


def test_a_stub_is_not_attempted_and_not_recorded():
    for answer in (as_sgd(stubbed), types.FunctionType(compile_stub().__code__, {}, "sgd")):
        verdict = check(answer)
        assert (verdict.status, verdict.score) == ("not attempted", 0)
        assert 'hint("sgd")' in verdict.nudge
    assert entry() is None
    assert not store.path().exists()


def compile_stub():
    space = {}
    exec(stub("sgd"), space)
    return space["sgd"]


@pytest.mark.parametrize("name", ALL)
def test_every_exercise_has_a_stub_that_is_not_attempted(name, capsys):
    space = {}
    exec(stub(name), space)
    assert check(space[name]).status == "not attempted"
    assert written(space[name]) is False
    assert capsys.readouterr().out.count("\n") == 1


def test_written():
    assert written(as_sgd(right)) is True
    assert written(as_sgd(no_decay)) is True


def test_hints_come_one_by_one_and_the_last_stays():
    texts = [hint("sgd").text for _ in range(5)]
    assert texts == [*ALL["sgd"].hints, *[ALL["sgd"].hints[-1]] * 2][:5]
    assert "This is the last one." in repr(hint("sgd"))
    assert "hint 1 of 3" in repr(hint("step_downhill"))
    assert hint(as_sgd(right)).number == 3


def test_hints_go_on_where_nothing_can_be_stored(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file" / "x"))
    assert [hint("sgd").number for _ in range(3)] == [1, 2, 3]
    assert check(as_sgd(right)).passed
    assert progress().passed == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_hints_are_escaped():
    page = hint("heavy_ball")._repr_html_()
    assert "<div" in page
    assert html.escape(ALL["heavy_ball"].hints[0], quote=False) in page


def test_progress_shows_every_exercise():
    assert progress().passed == 0
    check(as_sgd(right))
    check(types.FunctionType(no_decay.__code__, globals(), "sgd"))
    hint("nesterov")
    shown = progress()
    assert [row[1] for row in shown.rows] == list(ALL)
    assert shown.passed == 1
    line = next(line for line in str(shown).splitlines() if " sgd " in line)
    assert line.split() == ["03", "sgd", "solved", "5", "of", "5", "2"]
    assert f"1 of {len(ALL)} exercises solved" in str(shown)
    assert shown._repr_html_().count("<tr>") == 1 + len(ALL)


def test_progress_survives_a_damaged_file(capsys):
    store.path().write_text('{"exercises": {"sgd": {"score": "many"}}, "predictions": {}}')
    assert progress().passed == 0
    assert capsys.readouterr().err.count("\n") == 1


class Shell:
    """As much of IPython's kernel shell as reset uses."""

    kernel = object()

    def __init__(self, cell: str) -> None:
        self.user_ns = {"In": ["", cell]}
        self.asked = None

    def set_next_input(self, text, replace=False):
        self.asked = (text, replace)


@pytest.mark.parametrize(
    ("cell", "replaced"),
    [
        ('reset("sgd")', True),
        ('course.reset("sgd")\n', True),
        ('reset("sgd");', True),
        ('x = 1\nreset("sgd")', False),
        ('reset("sgd")\nx = 1', False),
        ('r = reset("sgd")', False),
        ("for n in names: reset(n)", False),
        ('# my notes\nreset("sgd")', False),
        ('reset("sgd")  # again', False),
        ('print(reset("sgd"))', False),
        ("get_ipython().run_cell_magic('time', '', 'reset(\"sgd\")\\nmy_work()')", False),
        ("", False),
        ("reset(", False),
    ],
)
def test_reset_replaces_only_a_call_that_stands_alone(monkeypatch, cell, replaced):
    shell = Shell(cell)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    check(as_sgd(right))
    hint("sgd")
    hint("nesterov")
    reset("sgd")
    assert shell.asked == (stub("sgd"), replaced)
    assert entry()["status"] == "passed"  # what was earned stays
    assert "hints" not in entry()
    assert "nesterov" in store.read()["exercises"]  # the others keep theirs


def test_reset_outside_a_notebook_prints_the_stub(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    reset("sgd")
    out = capsys.readouterr().out
    assert out.strip() == stub("sgd")
    assert out.startswith("def sgd(grad, state, param, lr, weight_decay):")


def test_stubs_are_those_of_the_catalogue():
    from importlib import resources

    stubs = json.loads((resources.files("course.exercises") / "stubs.json").read_text())
    assert set(stubs) == set(ALL)
    for name, source in stubs.items():
        space: dict = {}
        exec(source, space)
        if source.startswith(f"def {name}("):  # the other kind is a class
            assert tuple(inspect.signature(space[name]).parameters) == ALL[name].arguments
        else:
            assert source.startswith(f"class {name}:")
        assert ALL[name].misfit(space[name]) is None


# ---------------------------------------------------------------- nbgrader
@pytest.fixture
def grading(monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")


@pytest.mark.parametrize(("function", "score"), [(right, "5"), (in_place, "4"), (no_empty, "4")])
def test_under_nbgrader_the_text_is_the_score(grading, function, score):
    verdict = check(as_sgd(function))
    assert repr(verdict) == score
    assert isinstance(verdict, Verdict)
    assert not store.path().exists()


@pytest.mark.parametrize("function", [no_decay, stubbed])
def test_under_nbgrader_zero_raises_one_line(grading, function):
    with pytest.raises(ZeroPoints) as caught:
        check(as_sgd(function))
    line = str(caught.value)
    assert line.startswith("sgd: 0 of 5 points (")
    assert "\n" not in line
    assert caught.value._render_traceback_() == [line]
    assert isinstance(caught.value, AssertionError)


def test_without_nbgrader_the_text_is_the_verdict():
    assert repr(check(as_sgd(no_decay))) == str(check(as_sgd(no_decay)))


# ---------------------------------------------------------------- a real IPython
@pytest.fixture
def shell(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.run_cell("from course import check, hint, reset, progress, written")
    capsys.readouterr()
    yield shell
    shell.history_manager.end_session()


@pytest.mark.parametrize(
    "call",
    [
        "check(3)", "check('sgd')", "check(lambda: 0)", "hint('nestorov')", "reset('zzz')", "written(None)",
        "def nestorov(): pass\ncheck(nestorov)",
    ],
)  # fmt: skip
def test_in_ipython_a_wrong_call_shows_one_line(shell, capsys, call):
    result = shell.run_cell(call)
    assert isinstance(result.error_in_exec, CourseError)
    shown = capsys.readouterr()
    text = (shown.out + shown.err).strip()
    assert text == str(result.error_in_exec)
    assert "\n" not in text


def test_in_ipython_the_learners_line_is_told(shell, capsys):
    result = shell.run_cell(
        "def sgd(grad, state, param, lr, weight_decay):\n    v = gradd\n    return v, state\ncheck(sgd)"
    )
    assert result.error_in_exec is None
    assert dict(result.result.evidence)["in"] == "line 2: v = gradd"
    assert "NameError: name 'gradd' is not defined" in capsys.readouterr().out


def test_in_ipython_zero_points_are_one_line(shell, capsys, grading):
    result = shell.run_cell(
        "def sgd(grad, state, param, lr, weight_decay):\n    return lr * grad, state\ncheck(sgd)"
    )
    assert isinstance(result.error_in_exec, ZeroPoints)
    shown = capsys.readouterr()
    assert (shown.out + shown.err).strip().count("\n") == 0
