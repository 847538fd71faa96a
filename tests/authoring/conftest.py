"""A small checkout with one lesson, and a catalogue to go with it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from course.authoring.build import build

LESSON = '''# %% [markdown]
# # Doubling
#
# A formula.

# %% tags=["nbval-check-output"]
print("two times two is", 2 * 2)

# %%
import sys
from IPython.display import HTML
from tqdm import tqdm
import ipywidgets
HTML("<b>bold</b>")

# %% tags=["solution-only"]
"a remark for the instructor only"

# %% exercise="double"
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    doubled_value = x + x  # the sum
    result_to_return = doubled_value * 1.0
    return result_to_return
    ### END SOLUTION

# %% check="double"
check(double)

# %%
for step in tqdm(range(3)):
    print("step", step)
display(ipywidgets.IntSlider())
object()

# %%
object()
'''
HELPER = """# %%
def check(answer):
    return "passed" if answer(2) == 4 else "failed"

"""


@dataclass(frozen=True)
class Points:
    points: int
    lesson: str


@pytest.fixture(scope="session")
def catalogue() -> dict[str, Points]:
    return {"double": Points(3, "04")}


@pytest.fixture(scope="session")
def fresh_build(tmp_path_factory: pytest.TempPathFactory, catalogue: dict[str, Points]) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    (root / "solutions").mkdir()
    (root / "solutions" / "04_double.py").write_text(HELPER + LESSON, encoding="utf-8")
    build(root, catalogue=catalogue)
    return root


@pytest.fixture
def tree(tmp_path: Path, fresh_build: Path) -> Path:
    """A built checkout of one's own."""
    shutil.copytree(fresh_build, tmp_path / "checkout")
    return tmp_path / "checkout"
