"""Lesson 09 as newcomers write it: other right forms pass, and what is nearly right is told as what it is."""

import math

import numpy as np
import pytest

from course.averaging import round_to_bfloat16
from course.exercises import ALL
from course.grading import judge
from course.rules import AdamW


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def nano(step, peak, warmup, total, floor):
    if step > total:
        return floor
    if warmup and step < warmup:
        return peak * (step / warmup)
    if total == warmup:
        return floor if step >= total else peak
    ratio = (step - warmup) / (total - warmup)
    return floor + 0.5 * (1.0 + math.cos(math.pi * ratio)) * (peak - floor)


def by_the_square_of_a_sine(step, peak, warmup, total, floor):
    up = step / warmup if step < warmup else 1
    share = min(1, max(0, step - warmup) / max(1, total - warmup)) if step < total else 1
    return up * (peak - (peak - floor) * math.sin(math.pi * share / 2) ** 2)


def by_at_least_one_step(step, peak, warmup, total, floor):
    if step < warmup:
        return peak * step / warmup
    if step >= total:
        return floor
    share = (step - warmup) / max(1, total - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(
    "answer", [nano, by_the_square_of_a_sine, by_at_least_one_step], ids=lambda f: f.__name__
)
def test_other_right_schedules_pass(answer):
    assert verdict_on("warmup_cosine", answer).passed, str(verdict_on("warmup_cosine", answer))


def test_a_schedule_that_is_right_but_for_its_end_is_told_which():
    def careless(step, peak, warmup, total, floor):
        if step < warmup:
            return peak * step / warmup
        share = min((step - warmup) / (total - warmup + 1e-12), 1)
        return floor + (peak - floor) * (1 + np.cos(np.pi * share)) / 2

    verdict = verdict_on("warmup_cosine", careless)
    assert (verdict.status, verdict.slip) == ("failed", "peak where the floor wins")
    assert verdict.score == verdict.points - 1


def test_dividing_by_at_least_one_step_is_wrong_where_nothing_else_sees_to_the_end():
    def careless(step, peak, warmup, total, floor):
        if step < warmup:
            return peak * step / max(1, warmup)
        share = min((step - warmup) / max(1, total - warmup), 1)
        return floor + (peak - floor) * (1 + np.cos(np.pi * share)) / 2

    assert verdict_on("warmup_cosine", careless).slip == "peak where the floor wins"


def schedule_with(**spoiled):
    parts = {
        "up": "peak * step / warmup",
        "share": "(step - warmup) / (total - warmup)",
        "down": "floor + (peak - floor) * (1 + np.cos(np.pi * share)) / 2",
        "end": "floor",
        "past": "step >= total",
    } | spoiled
    source = (
        "def warmup_cosine(step, peak, warmup, total, floor):\n"
        f"    if step < warmup:\n        return {parts['up']}\n"
        f"    if {parts['past']}:\n        return {parts['end']}\n"
        f"    share = {parts['share']}\n    return {parts['down']}\n"
    )
    space = {"np": np}
    exec(source, space)
    return space["warmup_cosine"]


def test_the_unspoiled_schedule_passes():
    assert verdict_on("warmup_cosine", schedule_with()).passed


@pytest.mark.parametrize(
    ("spoiled", "slip"),
    [
        ({"up": "peak * (step + 1) / warmup"}, "warmup one step ahead"),
        ({"up": "peak * (step + 1) / (warmup + 1)"}, "warmup in one part more"),
        ({"up": "floor + (peak - floor) * step / warmup"}, "warmup from the floor"),
        ({"share": "(step - warmup) / total"}, "cosine over all steps"),
        ({"share": "step / total"}, "cosine counted from step 0"),
        ({"down": "peak * (1 + np.cos(np.pi * share)) / 2"}, "a jump to the floor"),
        ({"down": "peak * (1 + np.cos(np.pi * share)) / 2", "end": "0.0"}, "floor ignored"),
        ({"down": "max(floor, peak * (1 + np.cos(np.pi * share)) / 2)"}, "floor as a cut"),
        ({"down": "floor + peak * (1 + np.cos(np.pi * share)) / 2"}, "floor on top"),
        ({"down": "floor + (peak - floor) * (1 + np.cos(share)) / 2"}, "pi forgotten"),
        ({"down": "floor + (peak - floor) * (1 + np.cos(180 * share)) / 2"}, "degrees"),
        ({"down": "floor + (peak - floor) * (1 + np.cos(2 * np.pi * share)) / 2"}, "a whole period"),
        ({"down": "floor + (peak - floor) * (1 + np.cos(np.pi * share))"}, "not halved"),
        ({"down": "floor + (peak - floor) * (1 - np.cos(np.pi * share)) / 2"}, "upside down"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_schedules_are_named(spoiled, slip):
    assert verdict_on("warmup_cosine", schedule_with(**spoiled)).slip == slip


def test_bytes_by_a_table_pass_and_a_total_is_told():
    def table(parameters, precision, moments):
        n = float(parameters)
        w, g, c, s = {"float32": (4, 4, 0, 4), "mixed": (2, 2, 4, 4), "bfloat16": (2, 2, 0, 2)}[precision]
        return [n * w, n * g, n * c, n * s * moments]

    assert verdict_on("model_state_bytes", table).passed
    verdict = verdict_on("model_state_bytes", lambda p, precision, moments: 16 * p)
    assert "return weights, gradients, master, states" in verdict.message


def test_tokens_in_floating_point_cost_no_more_than_that():
    verdict = verdict_on("tokens_per_step", lambda m, s, a, r: math.prod([m, s, a, r]))
    assert verdict.passed
    verdict = verdict_on("tokens_per_step", lambda m, s, a, r: float(m * s * a * r))
    assert verdict.score == verdict.points - 1
    assert "whole number" in verdict.message


def with_numpy_all_over(grads, tokens, state, master, schedule, beta1, beta2, eps, weight_decay, max_norm):
    counts = np.array(tokens, np.float32)
    counts /= counts.sum()
    mean = {k: np.zeros_like(x) for k, x in master.items()}
    for w, g in zip(counts, grads, strict=True):
        for k in mean:
            mean[k] += w * g[k]
    norm = np.linalg.norm([np.linalg.norm(g) for g in mean.values()])
    if norm > max_norm:
        mean = {k: g * np.float32(max_norm / norm) for k, g in mean.items()}
    step = state["step"] + 1
    lr = schedule(step - 1)
    bc1, bc2 = 1 - beta1**step, math.sqrt(1 - beta2**step)
    new_m = {k: state["m"][k] + (1 - beta1) * (g - state["m"][k]) for k, g in mean.items()}
    new_v = {k: beta2 * state["v"][k] + (1 - beta2) * np.square(g) for k, g in mean.items()}
    new = {}
    for k, p in master.items():
        p = p * (1 - lr * weight_decay) if p.ndim > 1 else p
        new[k] = p - (lr / bc1) * new_m[k] / (np.sqrt(new_v[k]) / bc2 + eps)
    return {k: round_to_bfloat16(p) for k, p in new.items()}, new, {"step": step, "m": new_m, "v": new_v}


def with_the_rule(grads, tokens, state, master, schedule, beta1, beta2, eps, weight_decay, max_norm):
    total = sum(tokens)
    mean = {k: sum(g[k] * (n / total) for g, n in zip(grads, tokens, strict=True)) for k in master}
    norm = math.sqrt(sum(float(np.sum(g.astype(np.float64) ** 2)) for g in mean.values()))
    scale = max_norm / max(norm, max_norm)
    new, m, v = {}, dict(state["m"]), dict(state["v"])
    for k in master:
        decay = weight_decay * (master[k].ndim >= 2)
        rule = AdamW(schedule(state["step"]), (beta1, beta2), eps, decay)
        held = {"m": m[k], "v": v[k], "step": state["step"]}
        delta, held = rule.update(np.asarray(mean[k] * scale, np.float32), held, master[k])
        new[k], m[k], v[k] = master[k] - delta, held["m"], held["v"]
    weights = {k: round_to_bfloat16(x) for k, x in new.items()}
    return weights, new, {"m": m, "v": v, "step": state["step"] + 1}


@pytest.mark.parametrize("answer", [with_numpy_all_over, with_the_rule], ids=lambda f: f.__name__)
def test_other_right_forms_of_the_whole_step_pass(answer):
    verdict = verdict_on("llm_step", answer)
    assert verdict.passed, str(verdict)


def step_with(**spoiled):
    """Return the whole step as a newcomer writes it, with parts of it replaced by expressions of theirs."""
    parts = {
        "mean": "{k: sum(n * g[k] for g, n in zip(grads, tokens)) / sum(tokens) for k in master}",
        "norm": "sum((g ** 2).sum() for g in mean.values()) ** 0.5",
        "factor": "min(1.0, max_norm / (norm + 1e-6))",
        "g": "{k: factor * mean[k] for k in master}",
        "lr": "schedule(state['step'])",
        "t": "state['step'] + 1",
        "m": "{k: beta1 * state['m'][k] + (1 - beta1) * g[k] for k in master}",
        "v": "{k: beta2 * state['v'][k] + (1 - beta2) * g[k] ** 2 for k in master}",
        "adam": "{k: m[k] / (1 - beta1**t) / (np.sqrt(v[k] / (1 - beta2**t)) + eps) for k in master}",
        "wd": "{k: weight_decay if master[k].ndim >= 2 else 0.0 for k in master}",
        "new": "{k: p - lr * adam[k] - lr * wd[k] * p for k, p in master.items()}",
        "weights": "{k: round_to_bfloat16(p) for k, p in new.items()}",
        "result": "weights, new, {'m': m, 'v': v, 'step': t}",
    } | spoiled
    arguments = ", ".join(ALL["llm_step"].arguments)
    lines = "\n".join(f"    {name} = {value}" for name, value in parts.items())
    space = {"np": np, "round_to_bfloat16": round_to_bfloat16}
    exec(f"def llm_step({arguments}):\n{lines}\n    return result", space)
    return space["llm_step"]


def test_the_unspoiled_step_passes():
    assert verdict_on("llm_step", step_with()).passed


@pytest.mark.parametrize(
    ("spoiled", "slip"),
    [
        (
            {"mean": "{k: sum(g[k] for g in grads) / len(grads) for k in master}"},
            "every micro-batch counts the same",
        ),
        ({"mean": "{k: sum(g[k] for g in grads) for k in master}"}, "gradients summed, not averaged"),
        ({"mean": "grads[-1]"}, "only the last micro-batch"),
        ({"factor": "1.0"}, "not clipped"),
        ({"factor": "max_norm / (norm + 1e-6)"}, "short gradients made longer"),
        ({"norm": "sum((g ** 2).sum() for g in mean.values())"}, "root of the norm forgotten"),
        (
            {"g": "{k: min(1.0, max_norm / (np.linalg.norm(x) + 1e-6)) * x for k, x in mean.items()}"},
            "clipped tensor by tensor",
        ),
        ({"g": "{k: np.clip(x, -max_norm, max_norm) for k, x in mean.items()}"}, "clipped by value"),
        ({"lr": "schedule(state['step'] + 1)"}, "schedule asked one step late"),
        ({"lr": "schedule(0)"}, "schedule restarted at every call"),
        ({"wd": "{k: weight_decay for k in master}"}, "decay on vectors too"),
        ({"wd": "{k: 0.0 for k in master}"}, "no decay"),
        ({"new": "{k: p - lr * adam[k] - wd[k] * p for k, p in master.items()}"}, "decay without lr"),
        ({"adam": "{k: m[k] / (np.sqrt(v[k]) + eps) for k in master}"}, "no bias correction"),
        (
            {"adam": "{k: m[k] / (1 - beta1**t) / (np.sqrt(v[k]) + eps) for k in master}"},
            "no bias correction of v",
        ),
        (
            {"adam": "{k: m[k] / (np.sqrt(v[k] / (1 - beta2**t)) + eps) for k in master}"},
            "no bias correction of m",
        ),
        (
            {"adam": "{k: m[k] / (1 - beta1**t) / np.sqrt(v[k] / (1 - beta2**t) + eps) for k in master}"},
            "eps inside the root",
        ),
        (
            {"v": "{k: beta2 * state['v'][k] + (1 - beta2) * mean[k] ** 2 for k in master}"},
            "v from the unclipped gradient",
        ),
        ({"result": "new, weights, {'m': m, 'v': v, 'step': t}"}, "weights and master copy swapped"),
        ({"weights": "new"}, "weights not rounded"),
        ({"weights": "{k: p.astype(np.float16) for k, p in new.items()}"}, "float16, not bfloat16"),
        ({"result": "weights, weights, {'m': m, 'v': v, 'step': t}"}, "master copy rounded"),
        ({"result": "weights, new, {'m': m, 'v': v, 'step': state['step']}"}, "step not counted"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_steps_are_named(spoiled, slip):
    assert verdict_on("llm_step", step_with(**spoiled)).slip == slip


def test_a_float64_among_the_numbers_is_told_where_it_is_rounded():
    verdict = verdict_on("llm_step", step_with(factor="np.float64(min(1.0, max_norm / (norm + 1e-6)))"))
    assert verdict.status == "failed"
    assert "float64; it must be float32" in verdict.message
