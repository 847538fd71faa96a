"""The table of all rules, as ``course rules`` prints it."""

from __future__ import annotations

from course import catalogue, oracle
from course.references import Missing, Peer
from course.rules import ALL, Adam, Lion


def test_every_rule_has_a_row_under_its_gate():
    rows = catalogue.rows()
    assert [row[0] for row in rows] == list(ALL)
    for name, year, _, size, source, reference, *figures in rows:
        assert 1950 < int(year) < 2030
        assert 0 <= int(size) <= 12
        assert year in source
        assert reference != "none"
        for figure, dtype in zip(figures, oracle.GATES, strict=True):
            assert figure == "not installed" or float(figure) <= oracle.gate(ALL[name](), dtype)


def test_a_rule_of_torch_has_torch_for_its_reference():
    found = catalogue.deviations(Adam)
    assert list(found) == ["torch.optim.Adam"]
    assert set(found["torch.optim.Adam"]) == {"float64", "float32"}


def test_a_missing_package_leaves_no_figure(monkeypatch):
    def missing(*_):
        raise Missing("no")

    monkeypatch.setattr(catalogue, "PEERS", (Peer(Lion, "nobody.Lion", "nobody", missing),))
    assert catalogue.deviations(Lion) == {"nobody.Lion": {}}
    assert next(row for row in catalogue.rows() if row[0] == "Lion")[-2:] == (
        "not installed",
        "not installed",
    )


def test_columns_stand_under_each_other():
    assert catalogue.aligned(("a", "bb"), [("ccc", "d")]) == "a    bb\nccc  d"
