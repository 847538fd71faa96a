"""Mistakes of lesson 08 as newcomers write them, each told as what it is."""

from __future__ import annotations

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(answer):
    return judge(ALL[answer.__name__], answer)


def layers(name, arguments, lines):
    """Return a rule of layers whose loop is written in ``lines``, with ``w``, ``g`` and ``s`` at hand."""
    head = f"def {name}(grads, state, params, {arguments}):\n"
    loop = "    deltas, new = {}, {}\n    for k in params:\n"
    body = ["w, g, s = params[k], grads[k], state[k]", *lines]
    source = head + loop + "".join(f"        {line}\n" for line in body) + "    return deltas, new"
    space = {"np": np}
    exec(source, space)
    return space[name]


def lars(ratio):
    lines = (
        "a = np.linalg.norm(w)",
        "b = np.linalg.norm(g) + weight_decay * a",
        f"ratio = {ratio}",
        "deltas[k] = momentum * s['buffer'] + lr * ratio * (g + weight_decay * w)",
        "new[k] = {'buffer': deltas[k]}",
    )
    return layers("lars", "lr, momentum, weight_decay, trust_coefficient", lines)


@pytest.mark.parametrize(
    ("ratio", "slip"),
    [
        ("trust_coefficient * a / b if a > 0 and b > 0 else 1.0", None),
        ("trust_coefficient * a / b if b > 0 else 1.0", "guarded below only"),
        ("trust_coefficient * a / b if a > 0 else 1.0", "guarded above only"),
        (
            "trust_coefficient * (a / b if a > 0 and b > 0 else 1.0)",
            "the coefficient where the ratio is 1",
        ),
        ("a / b if a > 0 and b > 0 else 1.0", "trust_coefficient missing"),
    ],
)
def test_the_guard_of_lars_is_told_by_its_half(ratio, slip):
    verdict = verdict_on(lars(ratio))
    assert (verdict.passed, verdict.slip) == (slip is None, slip)


def lamb(**spoiled):
    parts = {
        "g": "g",
        "t": "s['step'] + 1",
        "m": "beta1 * s['m'] + (1 - beta1) * g",
        "v": "beta2 * s['v'] + (1 - beta2) * g**2",
        "u": "m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * w",
        "a": "np.linalg.norm(w)",
        "b": "np.linalg.norm(u)",
        "ratio": "a / b if a > 0 and b > 0 else 1.0",
    } | spoiled
    lines = [f"{name} = {value}" for name, value in parts.items()]
    lines += ["deltas[k] = lr * ratio * u", "new[k] = {'m': m, 'v': v, 'step': t}"]
    return layers("lamb", "lr, beta1, beta2, eps, weight_decay", lines)


ADAM = "m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)"


@pytest.mark.parametrize(
    ("spoiled", "slip"),
    [
        ({}, None),
        ({"ratio": "a / b if b > 0 else 1.0"}, "guarded below only"),
        ({"ratio": "a / b if a > 0 else 1.0"}, "guarded above only"),
        ({"ratio": "a / b"}, "no guard for zero norms"),
        ({"g": "g + weight_decay * w", "u": ADAM}, "L2 decay in the gradient"),
        ({"g": "g + weight_decay * w"}, "decay counted twice"),
        (
            {
                "a": "np.abs(w)",
                "b": "np.abs(u)",
                "ratio": "np.where(a * b > 0, a / np.where(b > 0, b, 1), 1)",
            },
            "a ratio for each element",
        ),
        ({"u": "m / (np.sqrt(v) + eps) + weight_decay * w"}, "no bias correction"),
    ],
    ids=lambda x: (x or "right").replace(" ", "-") if not isinstance(x, dict) else "",
)
def test_a_spoiled_lamb_is_told_what_spoils_it(spoiled, slip):
    verdict = verdict_on(lamb(**spoiled))
    assert (verdict.passed, verdict.slip) == (slip is None, slip)


@pytest.mark.parametrize(("above", "slip"), [(np.greater, "negative"), (np.greater_equal, "positive")])
def test_a_sign_of_two_cases_is_told_by_what_it_makes_of_zero(above, slip):
    def lion(grad, state, param, lr, beta1, beta2, weight_decay):
        c = beta1 * state["m"] + (1 - beta1) * grad
        step = np.where(above(c, 0), 1, -1)
        return lr * (step + weight_decay * param), {"m": beta2 * state["m"] + (1 - beta2) * grad}

    assert verdict_on(lion).slip == f"zero counted as {slip}"


def sophia_of(curvature):
    """Return sophia whose h comes from ``curvature(state, ask, due, beta2)``."""

    def sophia(grad, state, param, hessian_vector, probe, lr, beta1, beta2, rho, weight_decay, every):
        h = curvature(state, lambda: probe * hessian_vector(probe), state["step"] % every == 0, beta2)
        m = beta1 * state["m"] + (1 - beta1) * grad
        step = np.clip(m / np.maximum(h, 1e-12), -rho, rho)
        return lr * (step + weight_decay * param), {"m": m, "h": h, "step": state["step"] + 1}

    return sophia


def fading(state, ask, due, beta2):
    return beta2 * state["h"] + ((1 - beta2) * ask() if due else 0)


def test_a_curvature_that_fades_is_told():
    assert verdict_on(sophia_of(fading)).slip == "curvature fading without an estimate"


def always_asked(state, ask, due, beta2):
    estimate = ask()
    return beta2 * state["h"] + (1 - beta2) * estimate if due else state["h"]


def asked_twice(state, ask, due, beta2):
    return beta2 * state["h"] + (1 - beta2) * (ask() + ask()) / 2 if due else state["h"]


@pytest.mark.parametrize(
    ("curvature", "says"), [(always_asked, "where no estimate is due"), (asked_twice, "twice or more")]
)
def test_right_numbers_by_needless_products_cost_a_point_and_are_told(curvature, says):
    verdict = verdict_on(sophia_of(curvature))
    assert (verdict.status, verdict.slip) == ("failed", None)
    assert verdict.score == verdict.points - 1
    assert says in verdict.message
    assert "costs a backward pass" in verdict.message


def test_a_waste_does_not_hide_the_name_of_a_mistake():
    def sophia(grad, state, param, hessian_vector, probe, lr, beta1, beta2, rho, weight_decay, every):
        estimate, h = probe * hessian_vector(probe), state["h"]
        if state["step"] % every == 0:
            h = beta2 * h + (1 - beta2) * estimate
        m = beta1 * state["m"] + (1 - beta1) * grad
        after = {"m": m, "h": h, "step": state["step"] + 1}
        return lr * (m / np.maximum(h, 1e-12) + weight_decay * param), after

    assert verdict_on(sophia).slip == "not clipped"


def test_a_norm_inside_the_loop_is_told_however_the_loop_is_written():
    def newton_schulz(matrix, steps):
        x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
        for _ in range(steps):
            x = x / max(np.linalg.norm(x), 1e-7)
            gram = x @ x.T
            x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
        return x.T if matrix.shape[0] > matrix.shape[1] else x

    assert verdict_on(newton_schulz).slip == "normalised at every step"


def test_without_a_norm_the_limit_is_where_the_slip_says():
    def ends(s, steps=60):
        for _ in range(steps):
            s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
            if abs(s) > 10:
                return False
        return True

    sentence = next(s.sentence for s in ALL["newton_schulz"].slips if s.name == "no normalisation")
    limit = float(sentence.split("above ")[1].split(" ")[0])
    assert all(ends(s) for s in np.linspace(0.01, limit - 0.01, 200))
    assert not ends(limit + 0.02)


def test_a_whole_quotient_in_muon_is_told():
    def muon(grad, state, param, orthogonalize, lr, momentum, weight_decay):
        buffer = momentum * state["buffer"] + (1 - momentum) * grad
        step = orthogonalize(momentum * buffer + (1 - momentum) * grad)
        rows, columns = param.shape
        return lr * (max(1, rows // columns) ** 0.5 * step + weight_decay * param), {"buffer": buffer}

    assert verdict_on(muon).slip == "factor of whole numbers"
