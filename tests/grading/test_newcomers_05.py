"""Lesson 05 as newcomers write it: other right forms pass, and what is nearly right is told as what it is."""

import math

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def efficient(grad, state, param, lr, beta1, beta2, eps):
    """The form at the end of the paper's section 2, with the eps that makes it the first form."""
    t = state["step"] + 1
    m = state["m"] + (1 - beta1) * (grad - state["m"])
    v = state["v"] + (1 - beta2) * (np.square(grad) - state["v"])
    rate = lr * math.sqrt(1 - beta2**t) / (1 - beta1**t)
    return rate * m / (np.sqrt(v) + eps * math.sqrt(1 - beta2**t)), {"m": m, "v": v, "step": t}


def as_torch_does(grad, state, param, lr, beta1, beta2, eps):
    state = dict(state)
    state["step"] = state["step"] + 1
    state["m"] = beta1 * state["m"] + grad * (1 - beta1)
    state["v"] = beta2 * state["v"] + grad * grad * (1 - beta2)
    denominator = np.sqrt(state["v"]) / math.sqrt(1 - beta2 ** state["step"]) + eps
    return lr / (1 - beta1 ** state["step"]) * (state["m"] / denominator), state


def on_copies(grad, state, param, lr, beta1, beta2, eps):
    m, v = state["m"].copy(), state["v"].copy()
    m *= beta1
    m += (1 - beta1) * grad
    v *= beta2
    v += (1 - beta2) * np.power(grad, 2)
    t = state["step"] + 1
    return lr * (m / (1 - pow(beta1, t))) / (eps + (v / (1 - pow(beta2, t))) ** 0.5), {
        "step": t,
        "v": v,
        "m": m,
    }


@pytest.mark.parametrize("adam", [efficient, as_torch_does, on_copies], ids=lambda f: f.__name__)
def test_other_right_forms_of_adam_pass(adam):
    verdict = verdict_on("adam", adam)
    assert verdict.passed, str(verdict)


def test_other_right_forms_of_the_short_rules_pass():
    def adagrad(grad, state, param, lr, eps):
        state = {**state, "sum": np.add(state["sum"], grad * grad)}
        return grad * (lr / (state["sum"] ** 0.5 + eps)), state

    def rmsprop(grad, state, param, lr, alpha, eps):
        mean = state["square_avg"] - (1 - alpha) * (state["square_avg"] - np.abs(grad) ** 2)
        return lr * (grad / (eps + np.sqrt(mean))), {"square_avg": mean}

    for answer in (adagrad, rmsprop):
        assert verdict_on(answer.__name__, answer).passed


def test_the_first_step_by_the_long_way_passes():
    def first_step_size(grad, lr, beta1, beta2, eps):
        m, v = (1 - beta1) * grad, (1 - beta2) * grad**2
        m_hat, v_hat = m / (1 - beta1**1), v / (1 - beta2**1)
        return abs(lr * m_hat / (np.sqrt(v_hat) + eps))

    assert verdict_on("first_step_size", first_step_size).passed


def test_a_numpy_scalar_that_widens_the_step_costs_no_more_than_that():
    def adam(grad, state, param, lr, beta1, beta2, eps):
        t = state["step"] + 1
        m = beta1 * state["m"] + (1 - beta1) * grad
        v = beta2 * state["v"] + (1 - beta2) * grad**2
        root = np.sqrt(1 - beta2**t)
        return lr * root / (1 - beta1**t) * m / (np.sqrt(v) + eps * root), {"m": m, "v": v, "step": t}

    verdict = verdict_on("adam", adam)
    assert verdict.score == verdict.points - 1
    assert "delta comes out as float64 where the inputs are float32" in verdict.message


def adam_with(**spoiled):
    """Return Adam as a newcomer writes it, with parts of it replaced by expressions of theirs."""
    parts = {
        "t": "state['step'] + 1",
        "m": "beta1 * state['m'] + (1 - beta1) * grad",
        "v": "beta2 * state['v'] + (1 - beta2) * grad ** 2",
        "m_hat": "m / (1 - beta1 ** t)",
        "v_hat": "v / (1 - beta2 ** t)",
        "delta": "lr * m_hat / (np.sqrt(v_hat) + eps)",
        "after": "{'m': m, 'v': v, 'step': t}",
    } | spoiled
    lines = "\n".join(f"    {name} = {value}" for name, value in parts.items())
    space = {"np": np}
    exec(f"def adam(grad, state, param, lr, beta1, beta2, eps):\n{lines}\n    return delta, after", space)
    return space["adam"]


def test_the_unspoiled_form_passes():
    assert verdict_on("adam", adam_with()).passed


@pytest.mark.parametrize(
    ("spoiled", "slip"),
    [
        ({"delta": "lr * m_hat / np.sqrt(v_hat + eps)"}, "eps inside the root"),
        ({"delta": "lr * m_hat / np.sqrt(v_hat) + eps"}, "eps added to the step"),
        ({"delta": "lr * m_hat / np.sqrt(v_hat)"}, "no eps"),
        ({"delta": "lr * m_hat / (v_hat + eps)"}, "root missing"),
        ({"delta": "lr * grad / (np.sqrt(v_hat) + eps)"}, "step by the gradient, not by m"),
        ({"delta": "lr * m / (np.sqrt(v) + eps)"}, "no bias correction"),
        ({"m_hat": "m"}, "only v corrected"),
        ({"v_hat": "v"}, "only m corrected"),
        ({"t": "state['step']", "after": "{'m': m, 'v': v, 'step': t + 1}"}, "correction with t - 1"),
        ({"m_hat": "m / (1 - beta1)", "v_hat": "v / (1 - beta2)"}, "correction without the power"),
        ({"m_hat": "m / (1 - beta1 * t)", "v_hat": "v / (1 - beta2 * t)"}, "beta times t"),
        ({"m_hat": "m * (1 - beta1 ** t)", "v_hat": "v * (1 - beta2 ** t)"}, "multiplied instead of divided"),
        ({"v": "beta2 * state['v'] + (1 - beta2) * m ** 2"}, "v from the new m"),
        ({"v": "(beta2 * state['v'] + (1 - beta2) * grad) ** 2"}, "squared after averaging"),
        ({"v": "beta2 * state['v'] + (1 - beta2) * param ** 2"}, "v from the parameter"),
        ({"v": "beta2 * state['v'] + grad ** 2"}, "v as a sum"),
        ({"m": "beta1 * state['m'] + grad"}, "m as a sum"),
        ({"after": "{'m': m_hat, 'v': v_hat, 'step': t}"}, "corrected means kept"),
        ({"after": "{'m': m, 'v': v, 'step': state['step']}"}, "steps not counted"),
        ({"m_hat": "m / (1 - beta1) ** t", "v_hat": "v / (1 - beta2) ** t"}, "the power of the difference"),
        ({"m_hat": "state['m'] / (1 - beta1 ** t)"}, "step from the old m"),
        ({"v": "beta2 * state['v'] + ((1 - beta2) * grad) ** 2"}, "shares squared too"),
        ({"delta": "lr * m_hat / (np.sqrt(v_hat + eps) + eps)"}, "eps inside and outside"),
        (
            {"delta": "param - lr * m_hat / (np.sqrt(v_hat) + eps)"},
            "the new parameter instead of the update",
        ),
        ({"after": "state"}, "old state returned"),
        ({"after": "state.update(m=m, v=v, step=t) or state"}, "state changed in place"),
        (
            {
                "delta": "lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t) * m / (v ** 0.5 + eps)",
            },
            "eps before the bias correction",
        ),
    ],
    ids=lambda x: x.replace(" ", "-") if isinstance(x, str) else "",
)
def test_a_spoiled_adam_is_told_what_spoils_it(spoiled, slip):
    verdict = verdict_on("adam", adam_with(**spoiled))
    assert (verdict.status, verdict.slip) == ("failed", slip)


@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam"])
def test_a_state_that_grows_in_place_is_told_as_that(name):
    """``state["sum"] += grad**2`` changes the caller's array, also where the dict that is returned is new."""

    def adagrad(grad, state, param, lr, eps):
        s = state["sum"]
        s += grad**2
        return lr * grad / (np.sqrt(s) + eps), {"sum": s}

    def rmsprop(grad, state, param, lr, alpha, eps):
        state["square_avg"] *= alpha
        state["square_avg"] += (1 - alpha) * grad**2
        return lr * grad / (np.sqrt(state["square_avg"]) + eps), state

    def adam(grad, state, param, lr, beta1, beta2, eps):
        m, v, t = state["m"], state["v"], state["step"] + 1
        m += (1 - beta1) * (grad - m)
        v += (1 - beta2) * (grad**2 - v)
        return lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps), {"m": m, "v": v, "step": t}

    verdict = verdict_on(name, locals()[name])
    assert (verdict.status, verdict.slip) == ("failed", "state changed in place")
    assert verdict.score == verdict.points - 1


def test_what_is_right_only_without_zeros_fails():
    def adagrad(grad, state, param, lr, eps):
        total = state["sum"] + grad**2
        return np.where(total > 0, lr * grad / np.sqrt(np.where(total > 0, total, 1)), 0), {"sum": total}

    verdict = verdict_on("adagrad", adagrad)
    assert verdict.status == "failed"
    assert "eps" in dict(verdict.evidence)["with"]


def short(name, mean, delta, after):
    """Return adagrad or rmsprop as a newcomer writes it in three lines."""
    more, key = ("", "sum") if name == "adagrad" else ("alpha, ", "square_avg")
    lines = f"    s = {mean}\n    delta = {delta}\n    return delta, {{{key!r}: {after}}}"
    space = {"np": np}
    exec(f"def {name}(grad, state, param, lr, {more}eps):\n{lines}", space)
    return space[name]


SUM, STEP = "state['sum'] + grad**2", "lr * grad / (np.sqrt(s) + eps)"


@pytest.mark.parametrize(
    ("parts", "slip"),
    [
        ((SUM, "param - " + STEP, "s"), "the new parameter instead of the update"),
        ((SUM, "lr * grad / (np.sqrt(s.sum()) + eps)", "s"), "one root for all parameters"),
        ((SUM, "lr * grad / (np.linalg.norm(np.sqrt(s)) + eps)", "s"), "one root for all parameters"),
        (("state['sum'] + np.linalg.norm(grad) ** 2", STEP, "s"), "one sum for all parameters"),
        ((SUM, STEP, "np.sqrt(s)"), "the root kept"),
        ((SUM, "lr * grad / (np.sqrt(s + eps) + eps)", "s"), "eps inside and outside"),
    ],
)
def test_a_spoiled_adagrad_is_told_what_spoils_it(parts, slip):
    assert verdict_on("adagrad", short("adagrad", *parts)).slip == slip


MEAN = "alpha * state['square_avg'] + (1 - alpha) * grad**2"


@pytest.mark.parametrize(
    ("parts", "slip"),
    [
        (("alpha * state['square_avg'] + ((1 - alpha) * grad)**2", STEP, "s"), "the share squared too"),
        ((MEAN, "param - " + STEP, "s"), "the new parameter instead of the update"),
        ((MEAN, "lr * grad / (np.sqrt(s.sum()) + eps)", "s"), "one root for all parameters"),
        ((MEAN, "lr * grad / (np.sqrt(s + eps) + eps)", "s"), "eps inside and outside"),
        ((MEAN, STEP, "np.sqrt(s)"), "the root kept"),
    ],
)
def test_a_spoiled_rmsprop_is_told_what_spoils_it(parts, slip):
    verdict = verdict_on("rmsprop", short("rmsprop", *parts))
    assert (verdict.status, verdict.slip) == ("failed", slip)
