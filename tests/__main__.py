"""Run everything that must hold: ``python -m tests all`` is ``make test``, ``quick`` is ``make check``.

Every stage runs, also after one has failed, so that one run tells all that is wrong. The tests come last.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINT = {
    "format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "lint": [sys.executable, "-m", "ruff", "check", "."],
    "types": [sys.executable, "-m", "mypy"],
    "floors": [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"],
    "notebooks are what their sources give": [sys.executable, "-m", "course.cli", "build", "--check"],
}
# Whole files go to one of two workers: the cells of a notebook share a kernel, browser tests a server.
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
TESTS = {
    "all": PYTEST,
    "quick": [*PYTEST, "tests", "course", "-m", "not browser and not thorough", "--ignore=tests/notebooks"],
}


def run(title: str, command: list[str]) -> bool:
    """Run one stage, say how it went, and return whether it passed."""
    print(f"== {title}", flush=True)
    start = time.monotonic()
    passed = subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    print(f"== {title}: {'ok' if passed else 'FAILED'} ({time.monotonic() - start:.0f} s)\n", flush=True)
    return passed


def main(arguments: list[str]) -> int:
    """Run the stages; return 0 when all passed, 1 when one failed, 2 for a wrong call."""
    if len(arguments) != 1 or arguments[0] not in TESTS:
        print("usage: python -m tests all|quick", file=sys.stderr)
        return 2
    failed = [title for title, command in LINT.items() if not run(title, command)]
    print("== tests", flush=True)
    passed = subprocess.run(TESTS[arguments[0]], cwd=ROOT, check=False).returncode == 0
    if failed:
        print(f"failed before the tests: {', '.join(failed)}", file=sys.stderr)
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
