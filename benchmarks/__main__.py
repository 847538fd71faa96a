"""Measure every figure and write benchmarks/README.md: ``make bench``."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path

from benchmarks import clinic, cluster, figures, loopback, slider_latency


def machine() -> str:
    """Say on which machine and with which versions this runs."""
    import numpy
    import torch

    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return (
        f"{system}; Python {platform.python_version()}, NumPy {numpy.__version__}, torch {torch.__version__}"
    )


def latency_rows() -> list[tuple[str, str, str]]:
    """Return a row for each kernel-driven widget, or one that says why there is none."""
    measured = slider_latency.measure()
    if "skipped" in measured:
        return [("key press to picture", "not measured", measured["skipped"])]
    return [
        (
            f"key press to picture, `{name}`",
            f"{times['median_ms']:.0f} ms",
            f"median of {times['presses']:.0f} presses; goal 60 ms",
        )
        for name, times in measured.items()
    ]


def clinic_rows() -> list[tuple[str, str, str]]:
    """Return what being watched costs, a row for each loop."""
    return [
        (f"`clinic.watch`, {name}", f"{100 * (ratio - 1):.0f} %", f"of a step of {alone:.1f} ms; goal 25 %")
        for name, (alone, ratio) in clinic.measure().items()
    ]


def cluster_rows() -> list[tuple[str, str, str]]:
    """Return the simulation's times, and the loopback's bytes over the ledger's."""
    found = [
        (what, f"{seconds:.2f} s", f"64 simulated ranks; goal {goal:g} s")
        for what, (seconds, goal) in cluster.measure().items()
    ]
    counted = loopback.measure()
    if not counted:
        return [*found, ("bytes on the loopback", "not measured", "no network namespaces here")]
    name = max(counted, key=lambda name: counted[name][1] / counted[name][0])
    over = 100 * (counted[name][1] / counted[name][0] - 1)
    return [
        *found,
        ("bytes on the loopback over the ledger's, most", f"{over:.1f} %", f"{name}; 4 ranks; goal 2 %"),
    ]


def rows() -> list[tuple[str, str, str]]:
    """Measure, the whole test run last, and return ``(what, figure, note)``."""
    imports, checks = figures.import_times(), figures.check_times()
    mutants, killed, equivalent = figures.mutation_score()
    found = [
        (
            "`import course`",
            f"{imports['course']:.2f} s",
            f"of it {imports['numpy']:.2f} s for NumPy; goal 0.15 s",
        ),
        (
            "a check, median",
            f"{1000 * checks['median']:.1f} ms",
            "every solution and every slip; goal 300 ms",
        ),
        ("a check, slowest", f"{1000 * checks['largest']:.0f} ms", "with the references' results at hand"),
        ("a check, the very first", f"{checks['first']:.2f} s", "imports torch"),
        (
            "mutation score",
            f"{100 * killed / (mutants - equivalent):.1f} %",
            _mutants(mutants, killed, equivalent),
        ),
        *latency_rows(),
        *clinic_rows(),
        *cluster_rows(),
    ]
    seconds, closing = figures.test_run()
    return [*found, ("`make test`, installed", f"{seconds / 60:.1f} min", closing)]


def _mutants(mutants: int, killed: int, equivalent: int) -> str:
    return f"{killed} of {mutants - equivalent} wrong versions refused; {equivalent} more are right answers"


def main() -> None:
    """Write the table."""
    table = "\n".join(f"| {what} | {figure} | {note} |" for what, figure, note in rows())
    text = (
        "# Figures\n\n"
        "Measured by `make bench`, which writes this page. Times are of one run on one machine; "
        "the goals are those that the course sets itself.\n\n"
        f"{datetime.datetime.now(tz=datetime.UTC).date()}: {machine()}\n\n"
        f"| what | figure | note |\n|---|---|---|\n{table}\n"
    )
    (Path(__file__).parent / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
