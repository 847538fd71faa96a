"""course/rules/README.md, followed to the letter in a copy of the course: the battery sees the new rule."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from course.authoring.tree import find_root

ROOT = find_root()
README = (ROOT / "course" / "rules" / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the course in which steps 1 and 2 were done."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "course", root / "course", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tests" / "rules").mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "rules" / "test_battery.py", root / "tests" / "rules")
    file, line = re.search(r"`(course/rules/\w+\.py)`", README), blocks("python")[1]
    assert file is not None
    (root / file[1]).write_text(blocks("python")[0], encoding="utf-8")
    register = root / "course" / "rules" / "__init__.py"
    text = register.read_text(encoding="utf-8")
    name = line.split()[-1]
    text = text.replace("\n_RULES", f"\n{line}\n_RULES", 1).replace(
        "    SGD,\n    HeavyBall,", f"    {name},\n    SGD,\n    HeavyBall,", 1
    )
    register.write_text(text.replace('    "ALL",\n', f'    "ALL",\n    "{name}",\n', 1), encoding="utf-8")
    return root


def run(root: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def test_the_battery_covers_the_new_rule(copy):
    """Step 3: as many tests as another elementwise rule has, and all pass."""
    (command,) = [line.split() for block in blocks("") for line in block.splitlines() if "pytest" in line]
    assert command[0] == "python"
    plain = ["-q", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider"]
    counts = []
    for name in ("SignDescent", "SGD"):
        words = [name if word == "SignDescent" else word for word in command[1:]]
        counts.append(int(re.search(r"(\d+) passed", run(copy, *words, *plain))[1]))
    assert counts[0] == counts[1] > 15


def test_its_doctest_and_its_line_in_the_table(copy):
    run(copy, "-m", "doctest", "course/rules/sign_descent.py")
    shown = run(
        copy,
        "-c",
        "from course.rules import SignDescent, card; print(card.card(SignDescent).year)",
    )
    assert shown == "1993\n"


def test_the_battery_fails_where_the_new_rule_is_wrong(copy):
    """It is no formality: a rule that changes its input or its dtype does not pass."""
    path = copy / "course" / "rules" / "sign_descent.py"
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace("return lr * sign(g)", "g[...] = 0; return lr * sign(g)"), encoding="utf-8")
    try:
        with pytest.raises(AssertionError, match="test_update_changes_no_input"):
            run(
                copy,
                "-m",
                "pytest",
                "tests/rules/test_battery.py",
                "-k",
                "SignDescent",
                "-q",
                "-o",
                "addopts=",
            )
    finally:
        path.write_text(right, encoding="utf-8")


def test_it_is_one_screen_with_five_steps():
    assert re.findall(r"^\*\*(\d)\.", README, re.MULTILINE) == ["1", "2", "3", "4", "5"]
    prose = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    assert len(prose.splitlines()) < 40
    for name in re.findall(r"`((?:course|tests)/[\w/]+\.(?:py|md))`", README):
        assert (ROOT / name).exists() or name.endswith("sign_descent.py"), name
