"""Three descriptions of the environment say the same: pyproject.toml, constraints.txt, environment.yml."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from course.authoring.tree import find_root

ROOT = find_root()
# What conda-forge calls a package where it is not what PyPI calls it.
CONDA = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def conda() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]
    assert all(re.fullmatch(r"==[^,*]+", str(pin.specifier)) for pin in pinned), (
        "a constraint pins one version"
    )
    return {canonicalize_name(pin.name): Version(str(pin.specifier)[2:]) for pin in pinned}


def test_conda_takes_the_same_ranges(project: dict[str, Any], conda: dict[str, Any]) -> None:
    listed = [Requirement(item) for item in conda["dependencies"] if isinstance(item, str)]
    ranges = {item.name: item.specifier for item in listed}
    wanted = {"python": Requirement(f"python{project['requires-python']}").specifier}
    wanted["pip"] = Requirement("pip").specifier
    for item in map(Requirement, project["dependencies"]):
        wanted[CONDA.get(item.name, item.name)] = item.specifier
    assert ranges == wanted


def test_conda_installs_the_course_itself(project: dict[str, Any], conda: dict[str, Any]) -> None:
    assert conda["name"] == project["name"]
    assert conda["channels"] == ["conda-forge"]
    assert conda["dependencies"][-1] == {"pip": ["-e ."]}


def test_every_direct_dependency_is_pinned_within_its_range(
    project: dict[str, Any], pins: dict[str, Version]
) -> None:
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    for item in (Requirement(text) for group in groups for text in group):
        name = canonicalize_name(item.name)
        assert name in pins, f"{item.name} is not pinned in constraints.txt"
        assert pins[name] in item.specifier, f"{name}=={pins[name]} is outside {item.specifier}"


def test_version_is_stated_once_and_alike(project: dict[str, Any]) -> None:
    from course import __version__

    assert project["version"] == __version__
