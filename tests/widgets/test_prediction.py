"""Predictions: asked once, locked, remembered, and kindly compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from course.widgets import prediction
from course.widgets.prediction import compare, predict, reveal


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.setattr(prediction, "_SESSION", {})
    monkeypatch.setattr(prediction, "_CHOSEN", {})
    return tmp_path


def test_without_a_prediction_the_answer_is_shown_all_the_same() -> None:
    shown = reveal("t.none", "slower", "It zigzags.")
    assert repr(shown) == "You made no prediction here. The answer: slower. It zigzags."
    assert "slower" in shown._repr_mimebundle_()["text/html"]


def test_a_choice_is_committed_locked_and_remembered() -> None:
    asked = predict("t.choice", "Faster or slower?", ["faster", "slower"])
    asked.button.click()
    assert "Choose one first" in asked.status.value
    asked.entry.value = "faster"
    asked.button.click()
    assert asked.entry.disabled
    assert asked.button.disabled
    again = predict("t.choice", "Faster or slower?", ["faster", "slower"])
    assert again.entry.value == "faster"
    assert again.entry.disabled
    assert repr(reveal("t.choice", "faster")) == "You predicted: faster. That is what happens."


def test_a_choice_without_a_commit_is_told_as_that() -> None:
    asked = predict("t.chosen", "Faster or slower?", ["faster", "slower"])
    asked.entry.value = "faster"
    assert (
        repr(reveal("t.chosen", "slower")) == "You chose faster, and did not commit it. The answer: slower."
    )
    asked.button.click()
    assert repr(reveal("t.chosen", "faster")) == "You predicted: faster. That is what happens."
    predict("t.again", "How many?").entry.value = "2"
    assert "You chose 2" in repr(reveal("t.again", 3.0))
    predict("t.again", "How many?")
    assert "no prediction" in repr(reveal("t.again", 3.0))


@pytest.mark.parametrize("text", ["", "about two", "nan", "inf"])
def test_only_a_number_is_taken_as_a_number(text: str) -> None:
    asked = predict("t.number", "How many?")
    asked.entry.value = text
    asked.button.click()
    assert not asked.entry.disabled
    assert "Write a number first" in asked.status.value


def test_a_number_with_a_decimal_comma_is_one() -> None:
    asked = predict("t.comma", "How many?")
    asked.entry.value = " 0,5 "
    asked.button.click()
    assert repr(reveal("t.comma", 1.0)) == "You predicted 0.5; it is 1. Too low by a factor of 2."


def test_where_nothing_can_be_written_the_session_remembers(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = home / "file"
    blocked.write_text("")
    monkeypatch.setenv("COURSE_HOME", str(blocked / "below"))
    asked = predict("t.readonly", "Faster or slower?", ["faster", "slower"])
    asked.entry.value = "slower"
    asked.button.click()
    assert "slower" in repr(reveal("t.readonly", "slower"))
    assert repr(reveal("t.readonly", "slower")).startswith("You predicted")


@pytest.mark.parametrize(
    ("guess", "answer", "words"),
    [
        ("2", 2.0, "Exactly right"),
        ("2", 2.1, "Well foreseen"),
        ("10", 2.0, "Too high by a factor of 5"),
        ("-3", -1.0, "Too high by a factor of 3"),
        ("-1", 2.0, "The other sign"),
        ("0", 0.25, "Off by 0.25"),
        ("1", 0.0, "Off by 1"),
    ],
)
def test_numbers_are_compared_in_words(guess: str, answer: float, words: str) -> None:
    assert words in compare(guess, answer)


def test_what_a_learner_types_is_escaped() -> None:
    shown = prediction.Reveal("a", "<b>", "<i>")
    assert "<b><" not in shown._repr_mimebundle_()["text/html"]
    assert "&lt;i&gt;" in shown._repr_mimebundle_()["text/html"]


def test_the_question_is_there_without_a_kernel() -> None:
    bundle = predict("t.static", "Faster or slower?", ["faster", "slower"])._repr_mimebundle_()
    assert bundle["text/plain"] == "Predict: Faster or slower? [faster / slower]"
    assert "<li>faster</li>" in bundle["text/html"]
