"""What the whole suite shares: the table of mutation scores at the end of a run."""

from course.authoring.proof import table


def pytest_terminal_summary(terminalreporter):
    rows = [
        tuple(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "mutation"
    ]
    if rows:
        terminalreporter.section("mutants of the solutions, judged by the checks")
        terminalreporter.write_line(table(sorted(rows)))
