"""The patients are scripts that go wrong: they are run by the tests, not collected."""

collect_ignore = ["patients"]
