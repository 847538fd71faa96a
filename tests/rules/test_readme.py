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


pytestmark = pytest.mark.thorough  # it runs pytest in a copy of the course


def blocks(language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [text for name, text in fences if name == language]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the course in which the texts of all five steps stand where the page puts them."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "course", root / "course", ignore=shutil.ignore_patterns("__pycache__"))
    tests = (f"tests/rules/test_{name}.py" for name in ("battery", "refusals", "against_peers"))
    for name in ("pyproject.toml", *tests):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    shutil.copy(ROOT / "tests" / "test_conventions.py", root / "tests")
    file = re.search(r"`(course/rules/\w+\.py)`", README)
    assert file is not None
    (rule, line), (peers, convention) = blocks("python"), blocks("text")
    (root / file[1]).write_text(rule, encoding="utf-8")
    name = line.split()[-1]
    insert(root / "course" / "rules" / "__init__.py", "\n_RULES", f"\n{line}\n_RULES")
    insert(
        root / "course" / "rules" / "__init__.py",
        "    SGD,\n    HeavyBall,",
        f"    {name},\n    SGD,\n    HeavyBall,",
    )
    insert(root / "course" / "rules" / "__init__.py", '    "ALL",\n', f'    "ALL",\n    "{name}",\n')
    start = "PEERS: tuple[Peer, ...] = (\n"
    insert(root / "course" / "references.py", start, start + peers)
    start = "CONVENTIONS: tuple[Convention, ...] = (\n"
    insert(root / "course" / "conventions" / "lines.py", start, start + convention)
    return root


def insert(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(root: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def command(start: str) -> list[str]:
    """Return the words of the page's one command that begins so."""
    (found,) = [line for block in blocks("") for line in block.splitlines() if line.startswith(start)]
    return found.split()


PLAIN = ["-q", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider"]


def passed(copy: Path, *words: str) -> int:
    return int(re.search(r"(\d+) passed", run(copy, *words, *PLAIN))[1])


def test_the_battery_covers_the_new_rule(copy):
    """Step 3: as many tests as another elementwise rule has, and all pass."""
    python, *words = command("python -m pytest tests/rules/test_battery.py")
    assert python == "python"
    counts = [
        passed(copy, *(name if word == "SignDescent" else word for word in words))
        for name in ("SignDescent", "SGD")
    ]
    assert counts[0] == counts[1] > 15


def test_its_doctest_and_its_line_in_the_table(copy):
    run(copy, "-m", "doctest", "course/rules/sign_descent.py")
    shown = run(
        copy,
        "-c",
        "from course.rules import SignDescent, card; print(card.card(SignDescent).year)",
    )
    assert shown == "1993\n"


def test_it_is_held_to_its_references(copy):
    """Step 4: both packages are asked, and the one that is always there agrees in both precisions."""
    assert passed(copy, *command("python -m pytest tests/rules/test_against_peers.py")[1:]) >= 2
    shown = run(
        copy, "-c", "from course.catalogue import rows; print([r for r in rows() if r[0] == 'SignDescent'])"
    )
    assert "pytorch_optimizer.SignSGD, optax.sign_sgd" in shown


def test_its_convention_is_measured(copy):
    """Step 5: the page is written anew with the new line's figure, and its tests pass."""
    run(copy, "-m", "course.cli", *command("course conventions")[1:])
    page = (copy / "course" / "rules" / "CONVENTIONS.md").read_text(encoding="utf-8")
    assert re.search(
        r"\| SignDescent \| pytorch_optimizer \| momentum 0.9 by default \| [\d.e+-]+ \| none \|", page
    )
    passed(copy, *command("python -m pytest tests/test_conventions.py")[1:])


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
