"""What an answer raises, prints and warns while it is checked: told in one line, and the session goes on."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from course.grading import check


def boom(kind, *args):
    def sgd(grad, state, param, lr, weight_decay):
        raise kind(*args)

    return sgd


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (ValueError, "Your function raised ValueError: two lines."),
        (SystemExit, "Your function raised SystemExit: two lines."),
        (MemoryError, "Your function raised MemoryError"),
        (StopIteration, "Your function raised StopIteration"),
        (GeneratorExit, "Your function raised GeneratorExit"),
        (type("Odd", (BaseException,), {}), "Your function raised Odd"),
        (Hostile, "Your function raised Hostile"),
    ],
)
def test_exceptions_are_reported_with_the_learners_line(kind, says):
    verdict = check(boom(kind, "two\nlines"))
    assert says in verdict.message
    assert dict(verdict.evidence)["in"] == "line 2: raise kind(*args)"
    assert (verdict.status, verdict.score) == ("failed", 0)


def test_the_line_is_the_learners_own_where_numpy_raised():
    def sgd(grad, state, param, lr, weight_decay):
        two = np.ones(2)
        return np.dot(two, np.ones(3)), state

    verdict = check(sgd)
    assert dict(verdict.evidence)["in"] == "line 3: return np.dot(two, np.ones(3)), state"
    assert "raised ValueError: shapes (2,) and (3,) not aligned" in verdict.message


def test_exit_and_recursion_do_not_end_the_session():
    def sgd(grad, state, param, lr, weight_decay):
        sys.exit(3)

    assert "SystemExit: 3" in check(sgd).message

    def sgd(grad, state, param, lr, weight_decay):
        return sgd(grad, state, param, lr, weight_decay)

    verdict = check(sgd)
    assert "RecursionError" in verdict.message
    assert dict(verdict.evidence)["in"].startswith("line 2: return sgd(")


def test_the_interrupt_key_passes_through():
    with pytest.raises(KeyboardInterrupt):
        check(boom(KeyboardInterrupt))


def test_what_an_answer_prints_and_warns_is_not_shown(capfd, recwarn):
    def sgd(grad, state, param, lr, weight_decay):
        print("debug")
        print("error", file=sys.stderr)
        warnings.warn("careful", stacklevel=1)
        np.log(-np.ones(1))
        return lr * (grad + weight_decay * param), state

    assert check(sgd).passed

    def sgd(grad, state, param, lr, weight_decay):
        print("debug")
        return 1.37 * lr * (grad + weight_decay * param), state

    assert check(sgd).status == "failed"
    assert capfd.readouterr() == ("", "")
    assert not list(recwarn)
