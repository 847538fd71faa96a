"""Lesson 08 as newcomers write it: other ways to be right pass, near misses are told what they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(answer):
    return judge(ALL[answer.__name__], answer)


def lars_of(norm, guard):
    """Return lars with a norm and a guard ``(top, bottom) -> ratio`` of one's own."""

    def lars(grads, state, params, lr, momentum, weight_decay, trust_coefficient):
        new = {}
        for name in grads:
            w, g = params[name], grads[name]
            trust = guard(trust_coefficient * norm(w), norm(g) + weight_decay * norm(w))
            local = lr * trust
            new[name] = {"buffer": momentum * state[name]["buffer"] + local * g + local * weight_decay * w}
        return {name: new[name]["buffer"] for name in new}, new

    return lars


def if_else(top, bottom):
    return 1.0 if top == 0 or bottom == 0 else top / bottom


def where(top, bottom):
    return np.where((top > 0) & (bottom > 0), top / np.where(bottom > 0, bottom, 1), 1).astype(top.dtype)


@pytest.mark.parametrize("guard", [if_else, where])
@pytest.mark.parametrize(
    "norm",
    [np.linalg.norm, lambda x: np.sqrt((x**2).sum()), lambda x: np.linalg.norm(x.ravel())],
    ids=["linalg", "by hand", "flattened"],
)
def test_lars_written_otherwise_is_right(norm, guard):
    verdict = verdict_on(lars_of(norm, guard))
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize(
    ("eps", "says"),
    [(1e-8, "stays at zero for ever"), (1e-12, "case a layer of zeros"), (1e-6, "a small term too many")],
)
def test_a_small_number_below_the_ratio_is_no_guard(eps, says):
    verdict = verdict_on(lars_of(np.linalg.norm, lambda top, bottom: top / (bottom + eps)))
    assert verdict.status == "failed"
    assert says in " ".join(str(verdict).split())


@pytest.mark.parametrize("joined", [np.concatenate, np.hstack])
def test_a_norm_over_all_layers_is_named(joined):
    def lars(grads, state, params, lr, momentum, weight_decay, trust_coefficient):
        everything = np.linalg.norm(joined([w.ravel() for w in params.values()]))
        slope = np.linalg.norm(joined([g.ravel() for g in grads.values()]))
        below = slope + weight_decay * everything
        trust = trust_coefficient * everything / below if everything and below else 1.0
        new = {
            k: {"buffer": momentum * state[k]["buffer"] + lr * trust * (grads[k] + weight_decay * w)}
            for k, w in params.items()
        }
        return {k: s["buffer"] for k, s in new.items()}, new

    assert verdict_on(lars).slip == "one ratio for all layers"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda deltas, state: (deltas["first"], state), "deltas must be a dict of layers"),
        (lambda deltas, state: ([*deltas.values()], state), "must be a dict of layers; yours is a list"),
        (lambda deltas, state: ({}, state), "deltas must hold the layers 'first'; yours holds nothing"),
        (lambda deltas, state: (deltas, {}), "state must hold the layers 'first'"),
        (lambda deltas, state: (deltas, {k: s["buffer"] for k, s in state.items()}), "must be a dict"),
        (lambda deltas, state: (deltas, {k: {} for k in state}), "state['first'] must hold 'buffer'"),
        (lambda deltas, state: deltas, "must `return deltas, state`"),
    ],
    ids=["bare array", "list", "empty", "state lost", "state without names", "buffer lost", "no pair"],
)  # fmt: skip
def test_what_is_no_dict_of_layers_is_told_in_a_line(spoil, says):
    right = lars_of(np.linalg.norm, if_else)

    def lars(grads, state, params, lr, momentum, weight_decay, trust_coefficient):
        return spoil(*right(grads, state, params, lr, momentum, weight_decay, trust_coefficient))

    verdict = verdict_on(lars)
    assert verdict.status == "failed"
    assert says in verdict.message


def test_inputs_are_told_under_the_names_that_the_function_gives_them():
    def lars(grads, state, params, lr, momentum, weight_decay, trust_coefficient):
        return params, state

    assert dict(verdict_on(lars).evidence)["with"].startswith("grads = {'first': [")

    def sophia(grad, state, param, hessian_vector, probe, lr, beta1, beta2, rho, weight_decay, every):
        return param, state

    told = dict(verdict_on(sophia).evidence)["with"]
    assert "hessian_vector(v) = [[8]] @ v, probe = [" in told
    assert "hessian =" not in told


def test_lamb_written_otherwise_is_right():
    def lamb(grads, state, params, lr, beta1, beta2, eps, weight_decay):
        out, new = {}, {}
        for k, g in grads.items():
            s = dict(state[k])
            s["step"] += 1
            s["m"] = s["m"] + (1 - beta1) * (g - s["m"])
            s["v"] = s["v"] * beta2 + np.square(g) * (1 - beta2)
            root = np.sqrt(s["v"]) / math.sqrt(1 - beta2 ** s["step"]) + eps
            u = s["m"] / (root * (1 - beta1 ** s["step"])) + weight_decay * params[k]
            length, weights = np.linalg.norm(u), np.linalg.norm(params[k])
            out[k] = lr * u * (weights / length) if weights * length else lr * u
            new[k] = s
        return out, new

    verdict = verdict_on(lamb)
    assert verdict.passed, str(verdict)


def test_lion_by_cases_is_right_only_with_zero_as_a_case():
    def answer(zero):
        def lion(grad, state, param, lr, beta1, beta2, weight_decay):
            c = state["m"] * beta1 + grad * (1 - beta1)
            step = np.where(c > 0, 1.0, np.where(c < 0, -1.0, zero)).astype(param.dtype)
            m = state["m"] - (1 - beta2) * (state["m"] - grad)
            return lr * step + lr * weight_decay * param, {"m": m}

        return lion

    assert verdict_on(answer(0.0)).passed
    assert verdict_on(answer(-1.0)).status == "failed"


def test_sophia_clipped_by_hand_is_right():
    def sophia(grad, state, param, hessian_vector, probe, lr, beta1, beta2, rho, weight_decay, every):
        state = dict(state)
        state["m"] = beta1 * state["m"] + (1 - beta1) * grad
        if not state["step"] % every:
            estimate = hessian_vector(probe) * probe
            state["h"] = beta2 * state["h"] + (1 - beta2) * estimate
        size = np.minimum(np.abs(state["m"]) / np.maximum(state["h"], 1e-12), rho)
        state["step"] = state["step"] + 1
        return lr * np.sign(state["m"]) * size + lr * weight_decay * param, state

    verdict = verdict_on(sophia)
    assert verdict.passed, str(verdict)


def test_sophia_is_told_what_the_hessian_is_multiplied_with():
    def sophia(grad, state, param, hessian_vector, probe, lr, beta1, beta2, rho, weight_decay, every):
        return grad, {**state, "h": hessian_vector(2.0)}

    assert "hessian_vector was given a float; it takes an array" in verdict_on(sophia).message

    def with_shape(grad, state, param, hessian_vector, probe, lr, beta1, beta2, rho, weight_decay, every):
        return grad, {**state, "h": hessian_vector(np.ones(7))}

    with_shape.__name__ = "sophia"
    assert "of shape (7,); param has (1,)" in verdict_on(with_shape).message


@pytest.mark.parametrize("side", ["as it is", "always transposed", "from the right", "in one product"])
def test_newton_schulz_on_either_side_is_right(side):
    def newton_schulz(matrix, steps):
        x = matrix.copy().T if side == "always transposed" else matrix.copy()
        x = x / np.maximum(np.linalg.norm(x, "fro"), 1e-7)
        a, b, c = 3.4445, -4.7750, 2.0315
        for _ in range(steps):
            if side == "from the right":
                gram = x.T @ x
                x = a * x + x @ (b * gram + c * gram @ gram)
            elif side == "in one product":
                gram = x @ x.T
                x = (a * np.eye(len(gram), dtype=x.dtype) + b * gram + c * gram @ gram) @ x
            else:
                cube = x @ x.T @ x
                x = a * x + b * cube + c * x @ x.T @ cube
        return x.T if side == "always transposed" else x

    verdict = verdict_on(newton_schulz)
    assert verdict.passed, str(verdict)


def test_muon_by_other_roads_is_right():
    def muon(grad, state, param, orthogonalize, lr, momentum, weight_decay):
        buffer = state["buffer"] + (1 - momentum) * (grad - state["buffer"])
        ahead = grad + momentum * (buffer - grad)
        size = math.sqrt(max(1.0, grad.shape[0] / grad.shape[1]))
        delta = lr * size * orthogonalize(ahead)
        return param - ((1 - lr * weight_decay) * param - delta), {"buffer": buffer}

    verdict = verdict_on(muon)
    assert verdict.passed, str(verdict)


def test_a_root_that_turns_float32_into_float64_is_told():
    def muon(grad, state, param, orthogonalize, lr, momentum, weight_decay):
        buffer = momentum * state["buffer"] + (1 - momentum) * grad
        step = orthogonalize(momentum * buffer + (1 - momentum) * grad)
        return lr * (np.sqrt(max(1, param.shape[0] / param.shape[1])) * step + weight_decay * param), {
            "buffer": buffer
        }

    verdict = verdict_on(muon)
    assert verdict.status == "failed"
    assert "float64 where the inputs are float32" in verdict.message
    assert verdict.score == verdict.points - 1


def test_muon_is_told_what_it_handed_to_orthogonalize():
    def muon(grad, state, param, orthogonalize, lr, momentum, weight_decay):
        return orthogonalize(None), state

    assert "orthogonalize was given None; it takes an array" in verdict_on(muon).message
