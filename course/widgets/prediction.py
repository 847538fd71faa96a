"""Commit to a prediction before the reveal: what one has guessed wrongly, one remembers."""

from __future__ import annotations

import asyncio
import html
import math
from collections.abc import Sequence
from typing import Any

from course.widgets.card import html_card, keyboard, stylesheet

__all__ = ["Prediction", "Reveal", "compare", "predict", "reveal"]

# A number counts as foreseen within this factor: a prediction is an estimate, not a calculation.
CLOSE = 1.1
# Seconds between the click and the lock. While the kernel is busy, ipywidgets holds the last choice back and
# sends the click first: without the wait an earlier choice would be locked.
SETTLE = 0.2
# What was committed in this kernel: where no file can be written, a prediction still meets its reveal.
_SESSION: dict[str, str] = {}
# What was chosen in this kernel and not committed: the reveal says so.
_CHOSEN: dict[str, str] = {}


def predict(name: str, question: str, options: Sequence[str] | None = None) -> Prediction:
    """Ask for a prediction; it is locked once committed, and remembered for ``reveal(name, ...)``.

    Args:
        name: under which it is remembered, the same as in ``reveal``.
        question: what to foresee, with the unit where the answer is a number.
        options: the answers to choose from; without them a number is asked for.
    """
    return Prediction(name, question, options)


def reveal(name: str, answer: str | float, why: str = "") -> Reveal:
    """Set the computed ``answer`` beside the prediction of that name; without one, show it all the same.

    Args:
        name: as in ``predict``.
        answer: the option that turned out right, or the number.
        why: a sentence that explains it.
    """
    return Reveal(answer, _recall(name), why, chosen=_CHOSEN.get(name))


def _remember(name: str, answer: str) -> None:
    from course.exercises.store import remember_prediction

    _SESSION[name] = answer
    remember_prediction(name, answer)


def _recall(name: str) -> str | None:
    from course.exercises.store import recall_prediction

    stored = recall_prediction(name)
    return stored if stored is not None else _SESSION.get(name)


class Prediction:
    """The question with its buttons; see ``predict``."""

    def __init__(self, name: str, question: str, options: Sequence[str] | None = None) -> None:
        import ipywidgets as widgets

        self.name, self.question = name, question
        self.options = list(options) if options is not None else None
        self.prompt = widgets.HTML(
            f'{stylesheet("live.css")}<div class="pu-head">{html.escape(question)}</div>'
        )
        if self.options is None:
            self.entry: Any = widgets.Text(placeholder="a number", layout=widgets.Layout(width="180px"))
        else:
            self.entry = widgets.RadioButtons(
                options=self.options, value=None, layout=widgets.Layout(width="auto", max_width="46rem")
            )
        self.button = widgets.Button(
            description="Commit", button_style="primary", tooltip="Lock this prediction"
        )
        self.status = widgets.HTML()
        self.box = widgets.VBox([self.prompt, self.entry, self.button, self.status, keyboard()])
        for kind in ("pu-card", "pu-text", "pu-predict"):
            self.box.add_class(kind)
        self.button.on_click(lambda _button: self._clicked())
        _CHOSEN.pop(name, None)
        self.entry.observe(self._choose, names="value")
        earlier = _recall(name)
        if earlier is not None:
            self._lock(earlier)

    def _choose(self, change: dict[str, Any]) -> None:
        answer = _entered(change["new"], self.options)
        if answer is None:
            _CHOSEN.pop(self.name, None)
        else:
            _CHOSEN[self.name] = answer

    def _clicked(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel: nothing is on its way
            self.commit()
        else:
            loop.call_later(SETTLE, self.commit)

    def commit(self) -> None:
        """Take what is entered as the prediction, remember it and lock it; say so if nothing fits."""
        if self.entry.disabled:  # clicked twice
            return
        answer = _entered(self.entry.value, self.options)
        if answer is None:
            self._say("Choose one first." if self.options else "Write a number first, for example 0.9.")
            return
        _remember(self.name, answer)
        self._lock(answer)

    def _lock(self, answer: str) -> None:
        if self.options is None or answer in self.options:
            self.entry.value = answer
        self.entry.disabled = self.button.disabled = True
        self.button.description = "Committed"
        self._say(f"Your prediction: {answer}. Read on; the answer comes below.")

    def _say(self, text: str) -> None:
        self.status.value = f'<div class="pu-body" role="status">{html.escape(text)}</div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = dict(self.box._repr_mimebundle_() or {})
        choices = "".join(f"<li>{html.escape(option)}</li>" for option in self.options or [])
        bundle["text/html"] = html_card(
            "pu-question",
            html.escape(self.question),
            f"<ul>{choices}</ul>Run this cell to commit to an answer.",
        )
        bundle["text/plain"] = repr(self)
        return bundle

    def __repr__(self) -> str:
        choices = " / ".join(self.options) if self.options else "a number"
        return f"Predict: {self.question} [{choices}]"


class Reveal:
    """The prediction and the answer, side by side; see ``reveal``."""

    def __init__(
        self, answer: str | float, prediction: str | None, why: str = "", chosen: str | None = None
    ) -> None:
        self.answer, self.prediction, self.why, self.chosen = answer, prediction, why, chosen

    @property
    def verdict(self) -> str:
        """How the prediction and the answer stand to each other, or what is known in place of one."""
        return compare(self.prediction, self.answer, self.chosen)

    def __repr__(self) -> str:
        return " ".join(part for part in (self.verdict, self.why) if part)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        verdict = html.escape(self.verdict)
        card = html_card("pu-reveal", verdict, html.escape(self.why))
        return {"text/html": card, "text/plain": repr(self)}


def compare(prediction: str | None, answer: str | float, chosen: str | None = None) -> str:
    """Return one kind sentence or two on how the prediction and the answer stand to each other.

    Without a prediction, ``chosen`` is what was chosen and not committed.

    >>> compare("2", 2.05)
    'You predicted 2; it is 2.05. Well foreseen.'
    >>> compare("faster", "slower")
    'You predicted: faster. It turned out: slower. Worth a second look: what did you expect to happen?'
    """
    shown = answer if isinstance(answer, str) else f"{answer:z.4g}"
    if prediction is None and chosen is not None:
        return f"You chose {chosen}, and did not commit it. The answer: {shown}."
    if prediction is None:
        return f"You made no prediction here. The answer: {shown}."
    guess = _number(prediction)
    if isinstance(answer, str) or guess is None:
        if prediction == shown:
            return f"You predicted: {prediction}. That is what happens."
        second_look = "Worth a second look: what did you expect to happen?"
        return f"You predicted: {prediction}. It turned out: {shown}. {second_look}"
    return f"You predicted {prediction}; it is {shown}. {_distance(guess, float(answer))}"


def _distance(guess: float, answer: float) -> str:
    if guess == answer:
        return "Exactly right."
    if guess == 0 or answer == 0:
        return f"Off by {abs(guess - answer):.3g}."
    if guess * answer < 0:
        return "The other sign: worth a second look."
    factor = max(guess / answer, answer / guess)
    if factor <= CLOSE:
        return "Well foreseen."
    side = "high" if abs(guess) > abs(answer) else "low"
    return f"Too {side} by a factor of {factor:.3g}."


def _entered(value: Any, options: list[str] | None) -> str | None:
    """Return what the learner entered as text, or None where it is no answer."""
    if options is not None:
        return value if value in options else None
    text = str(value).strip().replace(",", ".")
    return text if _number(text) is not None else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
