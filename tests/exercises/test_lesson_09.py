"""What the cases of lesson 09 must see to, beyond what holds for every exercise."""

from __future__ import annotations

import numpy as np
import torch

from course.averaging import round_to_bfloat16
from course.exercises import ALL
from course.exercises.base import Outcome
from course.exercises.lesson_09_llm import drive_llm


def test_no_master_copy_lies_where_bfloat16_rounds_up_in_one_answer_and_down_in_another():
    exercise = ALL["llm_step"]
    near = []
    for case, outcome in zip(exercise.cases, exercise.expected, strict=True):
        for seen in outcome.seen:
            if seen.name.startswith("master"):
                # Another order of the same operations parts by 1e-7 or so: a hundredfold is far enough.
                low, high = (round_to_bfloat16(np.float32(seen.value * (1 + e))) for e in (-1e-5, 1e-5))
                near += [case.label] * int((low != high).sum())
    assert near == []


def test_the_reference_is_what_torch_does():
    exercise = ALL["llm_step"]
    case = next(case for case in exercise.cases if case.label == "the usual hyperparameters")
    inputs = case.inputs
    params = {n: torch.nn.Parameter(torch.from_numpy(x.copy())) for n, x in inputs["master"].items()}
    groups = [
        {"params": [p], "weight_decay": inputs["weight_decay"] * (p.dim() >= 2)} for p in params.values()
    ]
    betas = (inputs["beta1"], inputs["beta2"])
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=betas, eps=inputs["eps"])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, inputs["schedule"])
    seen = {(s.step, s.name): s.value for s in exercise.expected[exercise.cases.index(case)].seen}
    for step, (grads, tokens) in enumerate(zip(inputs["grads"], inputs["tokens"], strict=True), start=1):
        for name, p in params.items():
            p.grad = torch.zeros_like(p)
            for grad, count in zip(grads, tokens, strict=True):
                p.grad += torch.from_numpy(grad[name]) * (count / sum(tokens))
        torch.nn.utils.clip_grad_norm_(list(params.values()), inputs["max_norm"])
        optimizer.step()
        scheduler.step()
        for name, p in params.items():
            np.testing.assert_allclose(seen[step, f"master[{name!r}]"], p.detach(), rtol=2e-6, atol=2e-6)
            rounded = p.detach().bfloat16().float()
            np.testing.assert_array_equal(seen[step, f"weights[{name!r}]"], rounded)


def told(answer):
    outcome = Outcome()
    exercise = ALL["llm_step"]
    outcome = exercise.run(answer, exercise.cases[0])
    return outcome.stopped.message if outcome.stopped else outcome.faults[0].message


def test_what_is_no_answer_at_all_is_told_in_a_line():
    reference = ALL["llm_step"].reference
    assert "returned None" in told(lambda *given: None)
    assert "weights, master, state" in told(lambda *given: reference(*given)[:2])
    assert '"m", "v" and "step"' in told(lambda *given: (*reference(*given)[:2], {"step": 1}))
    assert "names of master: w" in told(lambda *given: ({}, *reference(*given)[1:]))

    def flat(*given):
        weights, master, state = reference(*given)
        return {name: x.ravel() for name, x in weights.items()}, master, state

    assert "has shape (1,)" in told(flat)

    def tensors(*given):
        weights, master, state = reference(*given)
        return {name: torch.from_numpy(x) for name, x in weights.items()}, master, state

    assert "must be a NumPy array" in told(tensors)


def test_a_change_of_a_gradient_or_of_the_master_copy_is_seen():
    reference = ALL["llm_step"].reference

    def spoils(what):
        def answer(grads, tokens, state, master, *rest):
            result = reference(grads, tokens, state, master, *rest)
            {"grads": grads[0], "master": master, "state": state["m"]}[what]["w"][...] += 1
            return result

        return answer

    for what in ("grads", "master", "state"):
        assert f"changed its input {what}" in told(spoils(what))


def test_the_driver_lets_the_answers_own_state_go_into_its_next_step():
    exercise, calls = ALL["llm_step"], []
    case = next(case for case in exercise.cases if case.label == "five steps with a schedule")

    def answer(grads, tokens, state, master, *rest):
        calls.append((state["step"], float(master["b"][0])))
        weights, new, after = exercise.reference(grads, tokens, state, master, *rest)
        return weights, {name: x + 1 for name, x in new.items()}, after | {"step": after["step"] + 10}

    drive_llm(answer, case, Outcome())
    assert [step for step, _ in calls] == [0, 11, 22, 33, 44]
    assert calls[4][1] > calls[0][1] + 2
