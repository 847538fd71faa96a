"""A learner writes Nesterov momentum in lesson 04: told which mistake it is, they mend it and see the tick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.browser import driver

WRONG = """def nesterov(grad_fn, state, param, lr, momentum):
    look_ahead = param - momentum * state["velocity"]
    velocity = momentum * state["velocity"] + grad_fn(look_ahead)
    return lr * velocity, {"velocity": velocity}
"""
RIGHT = WRONG.replace("param - momentum", "param - lr * momentum")


def test_a_slip_is_named_and_the_mended_rule_passes(
    browser: Any, server: driver.Server, artifacts: Path
) -> None:
    name = next(server.work.glob("04_*.ipynb")).name
    notebook = driver.Notebook(browser, server, name)
    try:
        said = {}
        for which, source in (("slip", WRONG), ("tick", RIGHT)):
            notebook.write_cell("def nesterov(", source)
            notebook.run_all()
            assert notebook.errors() == []
            notebook.show("def nesterov(")
            notebook.page.wait_for_timeout(500)  # scrolling and typesetting settle; only for the screenshot
            notebook.page.screenshot(path=artifacts / f"04_momentum-{which}.png")
            said[which] = notebook.output("check(nesterov)")
        print(said)
        assert "passed" not in said["slip"]
        assert "look" in said["slip"]
        assert "passed" in said["tick"]
    finally:
        notebook.close()
