"""The card that every widget of the course is drawn on: one look, in JupyterLab's light and dark theme.

Its colours are JupyterLab's own, with light ones where a page has none; pictures lie on it as white sheets.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

__all__ = ["asset", "html_card", "keyboard", "stylesheet"]


@cache
def asset(name: str) -> str:
    """Return the text of a file beside this one."""
    return resources.files("course.widgets").joinpath(name).read_text(encoding="utf-8").strip()


def stylesheet(*names: str) -> str:
    """Return the card's style, and those named, as an element."""
    return f"<style>{''.join(asset(name) for name in ('card.css', *names))}</style>"


def html_card(kind: str, head: str, body: str) -> str:
    """Return a card of text; ``head`` and ``body`` are HTML."""
    return (
        f'<div class="pu-card pu-text {kind}">{stylesheet()}<div class="pu-head">{head}</div>'
        f'<div class="pu-body">{body}</div></div>'
    )


def keyboard() -> Any:
    """Return an invisible widget that gives the keys pressed in a card to that card; the card's last child.

    An ipywidget cannot bring a script of its own, but an output can.
    """
    import ipywidgets as widgets

    script = {"text/html": f"<script>{asset('keys.js')}</script>", "text/plain": ""}
    output = {"output_type": "display_data", "data": script, "metadata": {}}
    return widgets.Output(outputs=(output,), layout=widgets.Layout(display="none"))
