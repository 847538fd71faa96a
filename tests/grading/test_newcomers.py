"""What newcomers wrote, and what the check must say of it: each of these was told wrongly once."""

import numpy as np
import pytest

from course.exercises import ALL
from course.grading import judge


def verdict_on(name, answer):
    return judge(ALL[name], answer)


def told(verdict):
    return str(verdict)


def slip_of(name, slip):
    return next(s.answer for s in ALL[name].slips if s.name == slip)


@pytest.mark.parametrize(
    ("exercise", "slip", "factor"),
    [
        ("ema_to_sum_form", "lr unchanged", "1/(1 - beta)"),
        ("heavy_ball", "an average instead of a sum", "1 - momentum"),
        ("heavy_ball", "lr inside the buffer", "lr"),
        ("linear_gradients", "sum instead of mean for the bias", "the number of examples"),
    ],
)
def test_a_factor_is_named_by_what_it_is_in_all_cases(exercise, slip, factor):
    assert told(verdict_on(exercise, slip_of(exercise, slip))).count(f"that is {factor}\n") == 1


@pytest.mark.parametrize(
    ("exercise", "slip"),
    [("sgd", "decay with the wrong sign"), ("optimal_heavy_ball", "swapped"), ("ema_to_sum_form", "swapped")],
)
def test_a_factor_that_fits_by_chance_has_no_name(exercise, slip):
    assert "that is" not in told(verdict_on(exercise, slip_of(exercise, slip)))


def test_a_factor_is_named_for_a_mistake_without_a_name_too():
    def sgd(grad, state, param, lr, weight_decay):
        return (1 - lr) * lr * (grad + weight_decay * param), state

    verdict = verdict_on("sgd", sgd)
    assert verdict.slip is None
    assert "that is 1 - lr" in verdict.message


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_buffer_of_zeros_is_not_the_first_step(one_by_one):
    def heavy_ball(grad, state, param, lr, momentum, dampening):
        later = momentum * state["buffer"] + (1 - dampening) * grad
        empty = state["buffer"] == 0
        buffer = np.where(empty if one_by_one else empty.all(), grad, later)
        return lr * buffer, {"buffer": buffer, "step": state["step"] + 1}

    assert verdict_on("heavy_ball", heavy_ball).status == "failed"


def test_a_loss_that_minds_the_order_of_its_arguments_is_tried():
    def training_step(model, loss_fn, optimizer, x, y):
        optimizer.zero_grad()
        loss = loss_fn(y, model(x))
        loss.backward()
        optimizer.step()
        return loss.item()

    verdict = verdict_on("training_step", training_step)
    assert verdict.status == "failed"
    assert dict(verdict.evidence)["case"] == "cross entropy"


def test_a_tensor_is_refused_as_what_it_is():
    import torch

    def sgd(grad, state, param, lr, weight_decay):
        return torch.from_numpy(lr * (grad + weight_decay * param)), state

    def step_downhill(theta, gradient, lr):
        return torch.tensor(theta - lr * gradient)

    for verdict in (verdict_on("sgd", sgd), verdict_on("step_downhill", step_downhill)):
        assert verdict.status == "failed"
        assert "torch tensor" in verdict.message


def test_nobody_is_asked_to_type():
    def step_downhill(theta, gradient, lr):
        return theta - float(input("lr?")) * gradient

    verdict = verdict_on("step_downhill", step_downhill)
    assert "input() waits for somebody to type" in verdict.message


def test_an_early_floor_is_named_although_the_edges_differ():
    def steps_to_tolerance(condition, tolerance):
        return int(np.log(tolerance) / np.log((condition - 1) / (condition + 1)))

    assert verdict_on("steps_to_tolerance", steps_to_tolerance).slip == "rounded down"


def test_drawing_with_replacement_is_named_however_it_is_drawn():
    def minibatches(n, batch_size, rng):
        drawn = rng.choice(n, size=n, replace=True)
        return [drawn[i : i + batch_size] for i in range(0, n, batch_size)]

    assert verdict_on("minibatches", minibatches).slip == "drawn with replacement"


def test_nesterovs_case_is_told_in_the_words_of_the_exercise():
    verdict = verdict_on("nesterov", slip_of("nesterov", "look-ahead without lr"))
    given = dict(verdict.evidence)["with"]
    assert given.startswith("grad_fn(theta) = ")
    assert "curvature" not in given
    assert "steps" not in given


def test_a_count_is_told_by_how_many():
    verdict = verdict_on("steps_to_tolerance", slip_of("steps_to_tolerance", "one step too many"))
    assert dict(verdict.evidence)["so it"] == "is 1 too many"


def test_yes_and_no_are_told_as_such():
    verdict = verdict_on("minibatches", slip_of("minibatches", "not shuffled"))
    assert dict(verdict.evidence)["so it"] == "is no; it should be yes"


@pytest.mark.parametrize("attempt", range(40))
def test_a_right_shuffle_never_fails_by_chance(attempt):
    """Every way to draw a permutation is right, so no case may depend on which one comes."""

    def minibatches(n, batch_size, rng):
        other = np.random.default_rng([attempt, int(rng.integers(1 << 62))])
        order = other.permutation(n)
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    assert verdict_on("minibatches", minibatches).passed
