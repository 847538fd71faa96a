"""One source, three generated files: the same bytes every time, and nothing stale unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from course.authoring import AuthoringError
from course.authoring.build import build
from course.authoring.execute import normalise
from course.authoring.lesson import read_lesson
from course.authoring.stale import check

SOURCE = "solutions/04_double.py"
SOLUTION = "solutions/04_double.ipynb"
LEARNER = "notebooks/04_double.ipynb"
STUBS = "course/exercises/stubs.json"


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def edit(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    assert old in text
    (root / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def edit_notebook(root: Path, name: str, change: Any) -> None:
    notebook = nbformat.read(root / name, as_version=4)
    change(notebook)
    (root / name).write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def never_execute(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a cell was executed")

    monkeypatch.setattr("course.authoring.build.execute", refuse)


def test_forced_second_build_is_byte_identical(tree: Path, catalogue: Any) -> None:
    before = snapshot(tree)
    assert build(tree, force=True, catalogue=catalogue, say=lambda _: None) == []
    assert snapshot(tree) == before


def test_second_build_runs_and_writes_nothing(
    tree: Path, catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_execute(monkeypatch)
    before = {path: path.stat().st_mtime_ns for path in tree.rglob("*")}
    assert build(tree, catalogue=catalogue) == []
    assert {path: path.stat().st_mtime_ns for path in tree.rglob("*")} == before
    assert check(tree, catalogue=catalogue) == []


def test_changed_prose_keeps_outputs_without_running(
    tree: Path, catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_execute(monkeypatch)
    edit(tree, SOURCE, "A formula.", "A better formula.")
    assert {path.name for path in build(tree, catalogue=catalogue)} == {"04_double.ipynb"}
    assert check(tree, catalogue=catalogue) == []
    assert "two times two is 4" in (tree / SOLUTION).read_text(encoding="utf-8")


def test_changed_code_runs_again(tree: Path, catalogue: Any) -> None:
    edit(tree, SOURCE, "2 * 2)", "2 * 2 + 0)")
    assert check(tree, catalogue=catalogue)[0].startswith(f"{SOLUTION} is stale at cell 3 (")
    said: list[str] = []
    build(tree, ["04"], catalogue=catalogue, say=said.append)
    assert said[0].startswith("ran 04_double in ")
    assert check(tree, catalogue=catalogue) == []


def test_solution_notebook_has_stable_outputs_only(tree: Path) -> None:
    notebook = nbformat.read(tree / SOLUTION, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert all(output.get("name") != "stderr" for output in outputs), "a progress bar is left"
    data = [output.data for output in outputs if "data" in output]
    assert {"text/plain": "IntSlider(value=0)"} in data
    assert {"text/plain": "<object at 0x...>"} in data
    assert any("text/html" in kinds for kinds in data)
    assert "widget-view" not in nbformat.writes(notebook)
    assert "version" not in notebook.metadata.language_info
    assert all("execution" not in cell.metadata for cell in code)


def test_learner_notebook_is_blank_and_gradable(tree: Path) -> None:
    notebook = nbformat.read(tree / LEARNER, as_version=4)
    cells = {cell.id: cell for cell in notebook.cells}
    assert all(
        cell.execution_count is None and not cell.outputs for cell in cells.values() if "outputs" in cell
    )
    assert "instructor" not in nbformat.writes(notebook), "a solution-only cell was handed out"
    body = '    # YOUR CODE HERE\n    raise NotImplementedError("write double")'
    assert cells["double"].source == f'def double(x):\n    """Twice x."""\n{body}'
    common = {"schema_version": 3, "task": False}
    exercise = {"grade": False, "solution": True, "locked": False, "grade_id": "double"}
    assert cells["double"].metadata.nbgrader == common | exercise
    check_cell = {"grade": True, "solution": False, "locked": True, "grade_id": "check-double", "points": 3}
    assert cells["check-double"].metadata.nbgrader == common | check_cell
    assert json.loads((tree / STUBS).read_text(encoding="utf-8")) == {"double": cells["double"].source}


def test_ids_are_the_same_in_both_notebooks_and_repeats_are_numbered(tmp_path: Path) -> None:
    path = tmp_path / "05_same.py"
    path.write_text("# %%\nprint(1)\n\n# %%\nprint(1)\n", encoding="utf-8")
    first, second = read_lesson(path, {}).cells
    assert second.id == f"{first.id}-2"
    path.write_text("# %% [markdown]\n# New\n\n# %%\nprint(1)\n", encoding="utf-8")
    assert read_lesson(path, {}).cells[1].id == first.id


def test_two_exercises_cannot_share_a_cell_name(tree: Path, catalogue: Any) -> None:
    text = (tree / SOURCE).read_text(encoding="utf-8")
    begin, end = text.index('# %% exercise="double"'), text.index('# %% check="double"')
    (tree / SOURCE).write_text(text + "\n" + text[begin:end], encoding="utf-8")
    assert "a second cell for 'double'" in check(tree, catalogue=catalogue)[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('# %% check="double"\n', "# %%\n", "exercise 'double' has no check cell"),
        ("check(double)\n", "check(other)\n", "must call check(double)"),
        ('exercise="double"', 'exercise="dubble"', "knows no exercise 'dubble'"),
        ('exercise="double"', 'excercise="double"', "unknown key 'excercise'"),
        ("    ### BEGIN SOLUTION\n", "", "one indented line '### BEGIN SOLUTION', has 0"),
        ("    ### END SOLUTION\n", "", "one indented line '### END SOLUTION', has 0"),
        ("def double(x)", "def twice(x)", "must hold the one function 'double'"),
        ("    ### BEGIN SOLUTION\n", "    y = x\n    ### BEGIN SOLUTION\n", "whole body"),
        ("    ### END SOLUTION\n", "    ### END SOLUTION\n    return x\n", "whole body"),
        ("def double(x):", "def double(x:", "syntax error in line 1"),
    ],
)
def test_breach_of_a_convention_is_one_clear_line(
    tree: Path, catalogue: Any, old: str, new: str, message: str
) -> None:
    edit(tree, SOURCE, old, new)
    problems = check(tree, catalogue=catalogue)
    assert len(problems) == 1
    assert problems[0].startswith("04_double.py: ")
    assert message in problems[0]
    with pytest.raises(AuthoringError, match=r"^04_double\.py: "):
        build(tree, catalogue=catalogue)


def test_exercise_without_a_cell_is_missed(tree: Path, catalogue: Any) -> None:
    more = {**catalogue, "triple": type(catalogue["double"])(1, "04")}
    assert "exercise 'triple' of this lesson has no cell here" in check(tree, catalogue=more)[0]


def test_failing_cell_is_named_and_changes_nothing(tree: Path, catalogue: Any) -> None:
    edit(tree, SOURCE, "import sys\n", "1 / 0\n")
    before = snapshot(tree)
    with pytest.raises(AuthoringError) as failure:
        build(tree, catalogue=catalogue)
    assert str(failure.value).startswith("04_double: cell 4 (")
    assert str(failure.value).endswith("1 / 0): ZeroDivisionError: division by zero")
    assert snapshot(tree) == before


def test_cell_that_promises_an_exception_or_output_must_keep_it(tree: Path, catalogue: Any) -> None:
    source = tree / "solutions" / "05_broken.py"
    source.write_text('# %% tags=["raises-exception"]\nx = 1\n', encoding="utf-8")
    with pytest.raises(AuthoringError, match="tagged raises-exception and raises none"):
        build(tree, ["05"], catalogue=catalogue)
    source.write_text('# %% tags=["nbval-check-output"]\nx = 1\n', encoding="utf-8")
    with pytest.raises(AuthoringError, match="shows nothing to compare"):
        build(tree, ["05"], catalogue=catalogue)


def test_solution_that_fails_its_own_check_is_refused(tree: Path, catalogue: Any) -> None:
    card = "from IPython.display import HTML\ncheck = lambda _: HTML('<div class=\"course-failed\"></div>')\n"
    edit(tree, SOURCE, "import sys\n", card)
    with pytest.raises(AuthoringError, match=r"^04_double: cell 7 .* does not pass its own check$"):
        build(tree, catalogue=catalogue)


def test_output_with_a_path_of_this_machine_is_refused(tree: Path, catalogue: Any) -> None:
    source = tree / "solutions" / "05_path.py"
    source.write_text("# %%\nimport os\nprint(os.getcwd())\n", encoding="utf-8")
    with pytest.raises(AuthoringError, match="path of this machine"):
        build(tree, ["05"], catalogue=catalogue)


def test_stripped_solution_is_stale(tree: Path, catalogue: Any) -> None:
    def strip(notebook: Any) -> None:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None

    edit_notebook(tree, SOLUTION, strip)
    (problem,) = check(tree, catalogue=catalogue)
    assert "cell 3 (" in problem
    assert "has no stored output; mend it with: course build 04" in problem
    assert build(tree, catalogue=catalogue) == [tree / SOLUTION]


@pytest.mark.parametrize("name", [SOLUTION, LEARNER])
def test_hand_edited_notebook_is_stale_and_mended(tree: Path, catalogue: Any, name: str) -> None:
    before = snapshot(tree)
    edit(tree, name, "check(double)", "check(doubles)")
    (problem,) = check(tree, catalogue=catalogue)
    assert problem.startswith(f"{name} is stale at cell ")
    assert "(check-double): check(double); mend it with: course build 04" in problem
    build(tree, catalogue=catalogue)
    assert snapshot(tree) == before


def test_source_and_solution_edited_alike_still_have_old_outputs(tree: Path, catalogue: Any) -> None:
    for name in (SOURCE, SOLUTION):
        edit(tree, name, "doubled_value * 1.0", "doubled_value * 2.0")
    (problem,) = check(tree, catalogue=catalogue)
    assert problem.startswith(f"{SOLUTION}: its outputs are not those of this code")


@pytest.mark.parametrize("name", [SOLUTION, LEARNER, STUBS])
def test_missing_or_damaged_file_is_found_and_mended(tree: Path, catalogue: Any, name: str) -> None:
    before = snapshot(tree)
    for harm in (lambda path: path.unlink(), lambda path: path.write_text('{"cells": 3', encoding="utf-8")):
        harm(tree / name)
        assert len(check(tree, catalogue=catalogue)) == 1
        build(tree, catalogue=catalogue)
        assert snapshot(tree) == before


def test_stale_stub_is_named(tree: Path, catalogue: Any) -> None:
    edit(tree, STUBS, "Twice x", "Thrice x")
    assert check(tree, catalogue=catalogue) == [f"{STUBS} is stale at 'double'; mend it with: course build"]


def test_changed_points_need_no_execution(
    tree: Path, catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_execute(monkeypatch)
    more = {"double": type(catalogue["double"])(5, "04")}
    assert "cell 7 (check-double)" in check(tree, catalogue=more)[0]
    build(tree, catalogue=more)
    assert check(tree, catalogue=more) == []


def test_orphan_notebook_is_found(tree: Path, catalogue: Any) -> None:
    (tree / "notebooks" / "09_gone.ipynb").write_bytes((tree / LEARNER).read_bytes())
    assert check(tree, catalogue=catalogue) == [
        "notebooks/09_gone.ipynb has no source solutions/09_gone.py; delete it"
    ]


def test_broken_lesson_does_not_stop_another(tree: Path, catalogue: Any) -> None:
    (tree / "solutions" / "05_broken.py").write_text('# %% exercise="none"\n1\n', encoding="utf-8")
    edit(tree, SOURCE, "A formula.", "Another.")
    assert len(build(tree, ["4"], catalogue=catalogue)) == 2
    with pytest.raises(AuthoringError, match=r"^no lesson '7'; there are 04, 05$"):
        build(tree, ["7"], catalogue=catalogue)


def test_normalise_joins_streams_that_a_bar_split() -> None:
    cell = nbformat.v4.new_code_cell("x")
    for name, text in (("stdout", "a\n"), ("stderr", "\r 10%|#  | 1/3 [00:00<?, ?it/s]"), ("stdout", "b\n")):
        cell.outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
    cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="careful\n"))
    normalise(nbformat.v4.new_notebook(cells=[cell]))
    assert [(output.name, output.text) for output in cell.outputs] == [
        ("stdout", "a\nb\n"),
        ("stderr", "careful\n"),
    ]


def test_nothing_to_build_is_said(tmp_path: Path) -> None:
    with pytest.raises(AuthoringError, match=r"^no lessons: there is no solutions/NN_topic\.py"):
        build(tmp_path, catalogue={})
