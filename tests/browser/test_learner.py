"""A learner writes Nesterov momentum in lesson 04: told which mistake it is, they mend it and see it pass.

The two pictures that this leaves in artifacts/browser are those of README.md.
"""

from __future__ import annotations

import shutil
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
    # A copy: the other tests meet the lesson as it was delivered.
    shutil.copy(next(server.work.glob("04_*.ipynb")), server.work / "learner_04.ipynb")
    notebook = driver.Notebook(browser, server, "learner_04.ipynb", scale=2)
    try:
        notebook.page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
        said = {}
        for which, source in (("slip", WRONG), ("tick", RIGHT)):
            notebook.write_cell("def nesterov(", source.rstrip())
            notebook.run_all()
            assert notebook.errors() == []
            notebook.show("def nesterov(")
            notebook.picture("def nesterov(", "check(nesterov)", artifacts / f"04_momentum-{which}.png")
            said[which] = notebook.output("check(nesterov)")
        assert "right in all cases" not in said["slip"]
        assert "look-ahead without lr" in said["slip"]
        assert "right in all cases" in said["tick"]
    finally:
        notebook.close()
