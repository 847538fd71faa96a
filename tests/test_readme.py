"""What the README and the changelog count is what there is."""

import re

from course.authoring.tree import Tree, find_root
from course.exercises import ALL

ROOT = find_root()
README = (ROOT / "README.md").read_text(encoding="utf-8")
SLIPS = sum(len(exercise.slips) for exercise in ALL.values())


def test_the_readme_counts_exercises_and_slips():
    assert f"knows {SLIPS} wrong answers to its {len(ALL)} exercises" in " ".join(README.split())


def test_the_changelog_counts_them_too():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"{len(ALL)} exercises with {SLIPS} known slips" in " ".join(text.split())


def test_every_lesson_and_exercise_has_its_row():
    for source in Tree(ROOT).sources():
        assert f"| {source.name[:2]} |" in README, f"lesson {source.name[:2]} has no row in the README"
    for name in ALL:
        assert f"`{name}`" in README


def test_what_the_readme_links_to_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_figure_was_measured():
    measured = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    table = README.split("## Figures")[1].split("Measured by")[0]
    figures = re.findall(r"[0-9.]+ (?:s|ms|min|%)(?= )", table)
    assert len(figures) >= 5
    for figure in figures:
        assert f"| {figure} |" in measured, figure
