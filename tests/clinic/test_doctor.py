"""The command ``course doctor``: exit codes, one line for scripts that cannot be examined, nothing left."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
import torch

from course import cli
from course.clinic.doctor import examine

HEALTHY = """
    import sys
    import torch
    from torch import nn
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(50, 3)
    y = x.sum(1, keepdim=True)
    for step in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("done", step)
"""
ENDLESS = HEALTHY.replace("for step in range(int(sys.argv[1]) if len(sys.argv) > 1 else 20):", "while True:")


def write(folder: Path, text: str, name: str = "train.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def doctor(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = cli.main(["doctor", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_healthy_script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = doctor(capsys, write(tmp_path, HEALTHY), "7")
    assert (code, err) == (0, "")
    assert out == "done 6\nclinic: nothing found in 7 steps of SGD on model (4 values)\n"


def test_error_finding_is_exit_1_and_a_warning_is_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = doctor(capsys, write(tmp_path, HEALTHY.replace("lr=0.1", "lr=0.0")))
    assert (code, err) == (1, "")
    assert "error: zero-lr (SGD, train.py:7)" in out
    assert "lesson 03" in out
    warm = HEALTHY.replace("nn.Linear(3, 1)", "nn.Sequential(nn.Linear(3, 1), nn.Dropout(0.1)).eval()")
    code, out, _ = doctor(capsys, write(tmp_path, warm))
    assert code == 0
    assert "warning: eval-mode (model)" in out


def test_words_after_the_script_are_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = write(tmp_path, "import sys; print(sys.argv[1:], __name__, __file__)")
    code, out, err = doctor(capsys, script, "--steps", "3", "--lr=1")
    assert code == 1
    assert out == f"['--steps', '3', '--lr=1'] __main__ {script}\n"
    assert err == f"course doctor: {script} built no optimizer: there is nothing to examine\n"


def test_script_imports_its_neighbours(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(tmp_path, "LR = 0.0", "settings_of_the_neighbour.py")
    script = write(
        tmp_path, "from settings_of_the_neighbour import LR\n" + textwrap.dedent(HEALTHY).replace("0.1", "LR")
    )
    assert "zero-lr" in doctor(capsys, script)[1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\nraise KeyError('lost')\n", "{}:2: KeyError: 'lost'"),
        ("import nothing_of_this_name", "{}:1: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("name = input('your name? ')", "{} reads input: give it its answers as arguments"),
        (
            "import sys\nfor line in sys.stdin: print(line)",
            "{} reads input: give it its answers as arguments",
        ),
        ("import sys\nsys.exit(3)", "{} left with exit code 3"),
        ("import sys\nsys.exit('no data')", "{} left with exit code no data"),
        ("print(1)", "{} built no optimizer: there is nothing to examine"),
    ],
)
def test_script_that_cannot_be_examined_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, line: str
) -> None:
    script = write(tmp_path, text)
    code, out, err = doctor(capsys, script)
    assert code == 1
    assert err == f"course doctor: {line.format(script)}\n"
    assert "clinic:" not in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["none.py"], "there is no file none.py"),
        (["."], ". is a folder: give the script that trains"),
        (
            ["--steps", "0", "a.py"],
            "argument --steps: '0' is no number of steps: give a whole number from 1 on",
        ),
        (["--seconds", "-1", "a.py"], "argument --seconds: '-1' is no time: give seconds, or 0 for no limit"),
        (
            ["--seconds", "nan", "a.py"],
            "argument --seconds: 'nan' is no time: give seconds, or 0 for no limit",
        ),
        ([], "the following arguments are required: script"),
    ],
)
def test_wrong_use_is_exit_2(capsys: pytest.CaptureFixture[str], words: list[str], line: str) -> None:
    code, out, err = doctor(capsys, *words)
    assert (code, out) == (2, "")
    assert line in err
    assert err.count("\n") == 1


def test_file_that_is_no_python_is_exit_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = write(tmp_path, "x = 1\ny = = 2\n")
    assert doctor(capsys, script) == (2, "", f"course doctor: {script}:2 is no Python: invalid syntax\n")


def test_endless_script_stops_after_steps(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = doctor(capsys, "--steps", "12", write(tmp_path, ENDLESS))
    assert (code, err) == (0, "course doctor: stopped after 12 steps, as asked\n")
    assert out == "clinic: nothing found in 12 steps of SGD on model (4 values)\n"


@pytest.mark.parametrize(
    "loop", ["while True: pass", "while True:\n        try: pass\n        except Exception: pass"]
)
def test_endless_script_stops_after_seconds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, loop: str
) -> None:
    code, out, err = doctor(capsys, "--seconds", "0.2", write(tmp_path, HEALTHY + f"\n    {loop}"))
    assert (code, err) == (0, "course doctor: stopped after 0.2 s: give --seconds or --steps for more\n")
    assert "20 steps of SGD" in out


def test_one_step_is_one_step(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = doctor(capsys, "--steps", "1", write(tmp_path, ENDLESS))
    assert (code, err) == (0, "course doctor: stopped after 1 step, as asked\n")
    assert out == "clinic: nothing found in 1 step of SGD on model (4 values)\n"


def test_crash_in_the_loop_is_explained(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = write(tmp_path, HEALTHY.replace("loss.backward()", "loss.detach().backward()"))
    code, out, err = doctor(capsys, script)
    assert code == 1
    assert err.startswith(
        f"course doctor: {script}:13: RuntimeError: element 0 of tensors does not require grad"
    )
    assert err.count("\n") == 1
    assert "error: detached (all 2 parameters, cut at train.py:13)" in out


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    main, path, argv, stdin = sys.modules["__main__"], sys.path[:], sys.argv[:], sys.stdin
    init = torch.optim.Optimizer.__init__
    torch.set_grad_enabled(True)
    for text in (HEALTHY, "import torch\ntorch.set_grad_enabled(False)\nraise ValueError"):
        examine(write(tmp_path, text))
    assert (sys.modules["__main__"], sys.path, sys.argv, sys.stdin) == (main, path, argv, stdin)
    assert torch.optim.Optimizer.__init__ is init
    assert torch.is_grad_enabled()


def test_model_in_a_function_has_its_name(tmp_path: Path) -> None:
    text = """
        import torch
        from torch import nn
        def main():
            net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
            optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
            for _ in range(4):
                loss = net.forward(torch.randn(8, 3)).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        main()
    """
    (first, *_) = examine(write(tmp_path, text)).findings
    assert (first.code, first.where) == ("not-in-optimizer", "net.0")


def test_tensors_without_a_model_have_their_names(tmp_path: Path) -> None:
    text = """
        import torch
        torch.manual_seed(0)
        w, b = torch.zeros(3, requires_grad=True), torch.zeros(1, requires_grad=True)
        x = torch.randn(40, 3)
        y = x.sum(1)
        optimizer = torch.optim.SGD([w, b], lr=0.1)
        for _ in range(6):
            loss = ((x @ w + b.detach() - y) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    """
    (first,) = examine(write(tmp_path, text)).findings
    assert (first.code, first.where) == ("detached", "b, cut at train.py:9")
    assert examine(write(tmp_path, text.replace("b.detach()", "b"))).findings == []


def test_tensors_that_had_gradients_before_their_optimizer_was_made_are_held(tmp_path: Path) -> None:
    text = """
        import torch
        torch.manual_seed(0)
        w = torch.zeros(3, requires_grad=True)
        x = torch.randn(40, 3)
        y = x.sum(1)
        for _ in range(2):
            ((x @ w - y) ** 2).mean().backward()
        optimizer = torch.optim.SGD([w], lr=0.1)
        for _ in range(6):
            loss = ((x @ w - y) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    """
    assert examine(write(tmp_path, text)).findings == []
