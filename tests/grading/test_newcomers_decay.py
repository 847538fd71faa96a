"""What newcomers write in lesson 06: right in another way, or wrong, and then told which mistake it is."""

import math

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def moments(grad, state, beta1, beta2):
    m = beta1 * state["m"] + (1 - beta1) * grad
    v = beta2 * state["v"] + (1 - beta2) * np.square(grad)
    return m, v, state["step"] + 1


def shrink_then_step(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    m, v, t = moments(grad, state, beta1, beta2)
    new = param * (1 - lr * weight_decay)
    new = new - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return param - new, {"m": m, "v": v, "step": t}


def as_torch_writes_it(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    m, v, t = moments(grad, state, beta1, beta2)
    denominator = np.sqrt(v) / (1 - beta2**t) ** 0.5 + eps
    return lr * weight_decay * param + lr / (1 - beta1**t) * m / denominator, dict(state, m=m, v=v, step=t)


def one_factor_for_both_corrections(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    m, v, t = moments(grad, state, beta1, beta2)
    root = math.sqrt(1 - beta2**t)
    step = m / (np.sqrt(v) + eps * root) * root / (1 - beta1**t)
    return lr * (weight_decay * param + step), state | {"m": m, "v": v, "step": t}


def a_copy_changed_in_place(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    new = param.copy()
    new *= 1 - lr * weight_decay
    m, v, t = moments(grad, state, beta1, beta2)
    new -= lr * m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps)
    return param - new, {"step": t, "v": v, "m": m}


@pytest.mark.parametrize(
    "adamw",
    [shrink_then_step, as_torch_writes_it, one_factor_for_both_corrections, a_copy_changed_in_place],
    ids=lambda f: f.__name__,
)
def test_other_ways_to_write_adamw_are_right(adamw):
    verdict = judge(ALL["adamw"], adamw)
    assert verdict.passed, str(verdict)


def test_a_numpy_scalar_that_makes_float64_of_float32_costs_one_point_and_is_told():
    def adamw(grad, state, param, lr, beta1, beta2, eps, weight_decay):
        m, v, t = moments(grad, state, beta1, beta2)
        denominator = np.sqrt(v) / np.sqrt(1 - beta2**t) + eps
        return lr * (weight_decay * param + m / (1 - beta1**t) / denominator), {"m": m, "v": v, "step": t}

    verdict = judge(ALL["adamw"], adamw)
    assert verdict.points - verdict.score == 1
    assert "np.sqrt" in verdict.message


@pytest.mark.parametrize("adamw", [as_torch_writes_it, one_factor_for_both_corrections])
def test_the_penalty_before_any_right_adam_is_adam_l2(adamw):
    def adam_l2(grad, state, param, lr, beta1, beta2, eps, weight_decay):
        return adamw(grad + param * weight_decay, state, param, lr, beta1, beta2, eps, 0.0)

    assert judge(ALL["adam_l2"], adam_l2).passed


def adam(grad, state, lr, beta1, beta2, eps):
    return as_torch_writes_it(grad, state, grad, lr, beta1, beta2, eps, 0.0)


def shrinks_its_own_name(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    param = param - lr * weight_decay * param
    return adam(grad, state, lr, beta1, beta2, eps)


def shrinks_the_callers_array(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    param -= lr * weight_decay * param
    return adam(grad, state, lr, beta1, beta2, eps)


def steps_first(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    delta, after = adam(grad, state, lr, beta1, beta2, eps)
    theta = param - delta
    theta = theta - lr * weight_decay * theta
    return param - theta, after


def pulls_outwards(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    delta, after = adam(grad, state, lr, beta1, beta2, eps)
    return param - (param * (1 + lr * weight_decay) - delta), after


def adds_it_under_the_fraction(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    m, v, t = moments(grad, state, beta1, beta2)
    numerator = m / (1 - beta1**t) + weight_decay * param
    return lr * numerator / (np.sqrt(v / (1 - beta2**t)) + eps), {"m": m, "v": v, "step": t}


def adds_to_the_callers_gradient(grad, state, param, lr, beta1, beta2, eps, weight_decay):
    grad += weight_decay * param
    return adam(grad, state, lr, beta1, beta2, eps)


@pytest.mark.parametrize(
    ("exercise", "answer", "slip"),
    [
        ("adamw", shrinks_its_own_name, "no weight decay"),
        ("adamw", shrinks_the_callers_array, "parameter shrunk in place"),
        ("adamw", steps_first, "decay of the new parameter"),
        ("adamw", pulls_outwards, "decay with the wrong sign"),
        ("adamw", adds_it_under_the_fraction, "decay divided by the root"),
        ("adam_l2", adds_it_under_the_fraction, "decay past the moments"),
        ("adam_l2", adds_to_the_callers_gradient, "gradient changed in place"),
        ("adam_l2", shrink_then_step, "decoupled instead of L2"),
    ],
)
def test_a_mistake_is_named_however_it_is_written(exercise, answer, slip):
    assert judge(ALL[exercise], answer).slip == slip


def nearly_right(change):
    """Return adamw with its decay changed by a little: what a loose check would let pass."""

    def adamw(grad, state, param, lr, beta1, beta2, eps, weight_decay):
        delta, after = adam(grad, state, lr, beta1, beta2, eps)
        return delta + change(lr * weight_decay, param, delta), after

    return adamw


@pytest.mark.parametrize(
    "change",
    [
        lambda rate, param, delta: -np.expm1(-rate) * param,  # exp(-lr wd) for 1 - lr wd
        lambda rate, param, delta: rate / (1 + rate) * param,  # the implicit form
        lambda rate, param, delta: rate * np.abs(param),
        lambda rate, param, delta: rate * np.sign(param),
        lambda rate, param, delta: rate * np.where(delta == 0, 0.0, param),
        lambda rate, param, delta: rate * param * (np.ndim(param) >= 2),
    ],
    ids=["exponential", "implicit", "size", "sign", "not at rest", "matrices only"],
)
def test_a_decay_that_is_nearly_right_fails(change):
    assert judge(ALL["adamw"], nearly_right(change)).status == "failed"


# ---------------------------------------------------------------- decay_groups
def by_identity(named_parameters, weight_decay):
    unique = list({id(p): p for _, p in list(named_parameters) if p.requires_grad}.values())
    rest = {"weight_decay": 0, "params": [p for p in unique if p.ndim < 2]}
    return [{"weight_decay": weight_decay, "params": [p for p in unique if len(p.shape) > 1]}, rest]


def by_the_parameters_themselves(named_parameters, weight_decay):
    seen, groups = set(), {True: [], False: []}
    for _name, p in named_parameters:
        if p in seen or not p.requires_grad:
            continue
        seen.add(p)
        groups[p.dim() >= 2].append(p)
    return [{"params": groups[m], "weight_decay": weight_decay * m} for m in (True, False)]


RIGHT = (by_identity, by_the_parameters_themselves)


@pytest.mark.parametrize("answer", RIGHT, ids=lambda f: f.__name__)
def test_other_ways_to_sort_parameters_are_right(answer):
    verdict = judge(ALL["decay_groups"], answer)
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda groups: groups[::-1], "in the other order"),
        (lambda groups: tuple(groups), "into a list, as asked for; yours is a tuple"),
        (lambda groups: [g for g in groups if g["params"]], "also where one is empty; yours are 1"),
        (lambda groups: [g | {"lr": 0.1} for g in groups], "yours has 'lr' too"),
        (lambda groups: [g | {"params": tuple(g["params"])} for g in groups], "yours is a tuple"),
        (lambda groups: [g | {"params": iter(g["params"])} for g in groups], '"params" must be a list'),
        (lambda groups: [g | {"params": [("n", p) for p in g["params"]]} for g in groups], "pairs"),
        (lambda groups: [g if g["params"] else {"params": []} for g in groups], 'key "weight_decay"'),
    ],
    ids=["reversed", "tuple", "no empty group", "lr", "tuples", "iterators", "names", "no decay if empty"],
)
def test_groups_of_another_form_than_asked_for_are_told_so(spoil, says):
    verdict = judge(ALL["decay_groups"], lambda pairs, decay: spoil(by_identity(pairs, decay)))
    assert (verdict.status, verdict.score) == ("failed", verdict.points - 1)
    assert says in verdict.message


@pytest.mark.parametrize("seen_in", ["one list", "its own list"])
def test_a_tensor_looked_for_in_a_list_is_told_as_a_comparison(seen_in):
    def decay_groups(named_parameters, weight_decay):
        decayed, rest, seen = [], [], []
        for _, p in named_parameters:
            group = decayed if p.dim() >= 2 else rest
            if p.requires_grad and p not in (seen if seen_in == "one list" else group):
                seen.append(p)
                group.append(p)
        return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]

    verdict = judge(ALL["decay_groups"], decay_groups)
    assert verdict.slip == ("tensors compared" if seen_in == "one list" else None)
    assert "compare" in verdict.message


def test_two_comprehensions_over_the_pairs_are_told_that_these_can_be_walked_only_once():
    def decay_groups(named_parameters, weight_decay):
        decayed = [p for n, p in named_parameters if p.dim() >= 2]
        rest = [p for n, p in named_parameters if p.dim() < 2]
        return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]

    assert "can be walked only once" in judge(ALL["decay_groups"], decay_groups).message


def two(pick):
    """Return an answer that puts ``pick(name, parameter)`` into the groups, by the right shapes."""

    def decay_groups(named_parameters, weight_decay):
        pairs = list({id(p): (name, p) for name, p in named_parameters if p.requires_grad}.values())
        return [
            {"params": [pick(n, p) for n, p in pairs if (p.dim() >= 2) is matrix], "weight_decay": decay}
            for matrix, decay in ((True, weight_decay), (False, 0.0))
        ]

    return decay_groups


@pytest.mark.parametrize(
    "pick",
    [lambda n, p: n, lambda n, p: p.data, lambda n, p: p.detach().clone()],
    ids=["name", "data", "clone"],
)
def test_what_is_no_parameter_is_refused_as_that(pick):
    verdict = judge(ALL["decay_groups"], two(pick))
    assert verdict.status == "failed"
    assert "none of the parameters" in verdict.message


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda named_parameters, weight_decay: None, "returned None"),
        (lambda named_parameters, weight_decay: {"params": []}, "yours is a dict"),
        (lambda named_parameters, weight_decay: [[], []], "no such dict"),
        (
            lambda named_parameters, weight_decay: [{"params": [p]} for _, p in named_parameters] * 2,
            "holds 4",
        ),
        (
            lambda named_parameters, weight_decay: [{"params": {p for _, p in named_parameters}}],
            "refuses a set",
        ),
    ],
)
def test_what_is_no_pair_of_groups_is_told_in_words(answer, says):
    verdict = judge(ALL["decay_groups"], answer)
    assert verdict.status == "failed"
    assert says in verdict.message


def test_a_lost_parameter_is_told_by_its_name():
    def decay_groups(named_parameters, weight_decay):
        groups = two(lambda n, p: p)(named_parameters, weight_decay)
        groups[1]["params"] = groups[1]["params"][:-1]
        return groups

    assert "layer.bias" in judge(ALL["decay_groups"], decay_groups).message


def test_whoever_changes_the_parameters_is_told():
    def decay_groups(named_parameters, weight_decay):
        pairs = list(named_parameters)
        groups = two(lambda n, p: p)(pairs, weight_decay)
        for _, p in pairs:
            p.requires_grad_(True)
        return groups

    assert "changed the parameters" in judge(ALL["decay_groups"], decay_groups).message


def test_walking_twice_over_a_list_is_no_slip_and_over_the_generator_is_one():
    def decay_groups(named_parameters, weight_decay):
        decayed = {id(p): p for _, p in named_parameters if p.requires_grad and p.dim() >= 2}
        rest = {id(p): p for _, p in named_parameters if p.requires_grad and p.dim() < 2}
        return [
            {"params": list(decayed.values()), "weight_decay": weight_decay},
            {"params": list(rest.values()), "weight_decay": 0.0},
        ]

    assert judge(ALL["decay_groups"], decay_groups).slip == "the generator read twice"

    def listed(named_parameters, weight_decay):
        return decay_groups(list(named_parameters), weight_decay)

    assert judge(ALL["decay_groups"], listed).passed


def test_the_check_leaves_torchs_random_state_alone():
    import torch

    before = torch.random.get_rng_state()
    judge(ALL["decay_groups"], by_identity)
    assert torch.equal(torch.random.get_rng_state(), before)
