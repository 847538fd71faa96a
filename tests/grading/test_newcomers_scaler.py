"""What newcomers write for LossScaler, an exercise that is a class: right otherwise, or wrong and told."""

import numpy as np
import pytest

from course.exercises import ALL
from course.exercises.lesson_07_scaler_slips import Right
from course.grading import attempted, check, judge, written


def judged(name, answer):
    return judge(ALL[name], answer)


class OwnNames:
    """Other attributes, early returns, powers of the factor."""

    def __init__(self, init_scale=1.0, growth_factor=2.0, backoff_factor=0.5, growth_interval=1):
        self.s, self.up, self.down, self.every = init_scale, growth_factor, backoff_factor, growth_interval
        self.left, self.bad = growth_interval, False

    def scale(self, loss):
        return self.s * loss

    def unscale(self, grads):
        wide = [np.asarray(g, dtype=np.float32) for g in grads]
        self.bad = bool(sum(np.sum(~np.isfinite(g)) for g in wide))
        return [g * np.float32(1 / self.s) for g in wide]

    def step(self, take_step):
        return None if self.bad else take_step()

    def update(self):
        self.left = self.every if self.bad else self.left - 1
        self.s *= self.down if self.bad else 1
        if self.left == 0:
            self.s, self.left = self.s * self.up, self.every


def test_a_scaler_with_its_own_names_is_right():
    verdict = judged("LossScaler", OwnNames)
    assert verdict.passed, str(verdict)


class Summing(Right):
    """The old trick: one bad element makes the whole sum bad."""

    def unscale(self, grads):
        with np.errstate(all="ignore"):
            self.finite = bool(np.isfinite(sum(g.astype(np.float64).sum() for g in grads)))
        return [g.astype(np.float32) / self.factor for g in grads]


def test_a_sum_that_tells_infinities_and_nan_is_right():
    assert judged("LossScaler", Summing).passed


def named(answer):
    answer.__name__ = "LossScaler"
    return answer


def test_a_class_is_checked_by_its_name():
    assert check(named(type("Other", (Right,), {}))).passed
    assert written(named(type("Other", (Right,), {})))


def test_a_class_with_methods_left_to_write_is_not_attempted_yet():
    class LossScaler(Right):
        def update(self):
            raise NotImplementedError("write LossScaler.update")

    assert judged("LossScaler", LossScaler).status == "not attempted"
    assert not attempted(ALL["LossScaler"], LossScaler)


def test_an_error_is_told_with_the_method_and_the_line():
    class LossScaler(Right):
        def update(self):
            self.factor = self.factor * self.grow_factor

    verdict = judged("LossScaler", LossScaler)
    assert "grow_factor" in verdict.message
    assert dict(verdict.evidence)["in"].startswith("update, line 2: self.factor")


def test_a_missing_method_is_told():
    class LossScaler(Right):
        unscale = None

    assert "NoneType" in judged("LossScaler", LossScaler).message


def test_another_set_of_parameters_is_told():
    class LossScaler(Right):
        def __init__(self, init_scale):
            pass

    assert "LossScaler takes (init_scale, growth_factor" in judged("LossScaler", LossScaler).message


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scale": lambda self, loss: None}, "returned None for scale(loss)"),
        ({"unscale": lambda self, grads: None}, "unscale(grads) is None"),
        ({"unscale": lambda self, grads: (grads, True)}, "must be an array"),
        ({"scale": lambda self, loss: np.ones(3)}, "must be one number"),
    ],
)
def test_what_is_no_number_and_no_list_is_told(changes, says):
    assert says in judged("LossScaler", type("LossScaler", (Right,), changes)).message
