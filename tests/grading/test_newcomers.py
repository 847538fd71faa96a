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
    assert dict(verdict.evidence)["so it"] == "should be yes, and is no"


@pytest.mark.parametrize("attempt", range(40))
def test_a_right_shuffle_never_fails_by_chance(attempt):
    """Every way to draw a permutation is right, so no case may depend on which one comes."""

    def minibatches(n, batch_size, rng):
        other = np.random.default_rng([attempt, int(rng.integers(1 << 62))])
        order = other.permutation(n)
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    assert verdict_on("minibatches", minibatches).passed


def turned(order, rng):
    return np.roll(order, int(rng.integers(1, len(order))) if len(order) > 1 else 0)


def half(order, rng):
    return np.concatenate([rng.permutation(order[: len(order) // 2]), order[len(order) // 2 :]])


def few_swaps(order, rng):
    order = order.copy()
    for i, j in rng.integers(0, len(order), (3, 2)):
        order[[i, j]] = order[[j, i]]
    return order


def blocks(order, rng):
    cut = np.split(order, range(3, len(order), 3))
    return np.concatenate([cut[i] for i in rng.permutation(len(cut))])


@pytest.mark.parametrize("mix", [turned, half, few_swaps, blocks], ids=lambda f: f.__name__)
def test_a_poor_shuffle_does_not_pass(mix):
    def minibatches(n, batch_size, rng):
        order = mix(np.arange(n), rng)
        return [order[i : i + batch_size] for i in range(0, n, batch_size)]

    assert verdict_on("minibatches", minibatches).status == "failed"


def test_a_numpy_count_of_steps_is_right_too():
    def heavy_ball(grad, state, param, lr, momentum, dampening):
        first = state["step"] == 0
        buffer = grad.copy() if first else momentum * state["buffer"] + (1 - dampening) * grad
        return lr * buffer, {"buffer": buffer, "step": np.add(state["step"], 1)}

    assert verdict_on("heavy_ball", heavy_ball).passed


def test_another_right_formula_may_round_where_zero_is_exact():
    def optimal_heavy_ball(smallest, largest):
        lr = (2 / (np.sqrt(smallest) + np.sqrt(largest))) ** 2
        return lr, (1 - np.sqrt(lr * smallest)) ** 2

    assert verdict_on("optimal_heavy_ball", optimal_heavy_ball).passed


def test_a_small_difference_is_not_told_as_a_factor_of_one():
    def sgd(grad, state, param, lr, weight_decay):
        return lr * (grad + weight_decay * param) * (1 + 1e-7), state

    text = told(verdict_on("sgd", sgd))
    assert "is 1 times" not in text
    assert "off by a relative 1e-07" in text


@pytest.mark.parametrize(
    ("afterwards", "says"),
    [
        (lambda model, x, y: x.zero_(), "changed the batch"),
        (lambda model, x, y: y.mul_(2), "changed the batch"),
        (lambda model, x, y: model.eval(), "evaluation mode"),
    ],
    ids=["x destroyed", "y scaled", "evaluation mode"],
)
def test_what_a_training_step_leaves_behind(afterwards, says):
    def training_step(model, loss_fn, optimizer, x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        afterwards(model, x, y)
        return loss.item()

    verdict = verdict_on("training_step", training_step)
    assert verdict.status == "failed"
    assert says in verdict.message


def test_a_check_leaves_the_random_state_alone():
    import torch

    before = torch.random.get_rng_state()
    verdict_on("training_step", slip_of("training_step", "no step"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_batches_at_all_are_no_error_of_the_answer():
    outcomes = [
        ALL["minibatches"].run(lambda n, batch_size, rng: [], case) for case in ALL["minibatches"].cases
    ]
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)


def test_a_state_that_came_empty_goes_empty():
    def sgd(grad, state, param, lr, weight_decay):
        return lr * (grad + weight_decay * param), {"velocity": grad * 0}

    verdict = verdict_on("sgd", sgd)
    assert verdict.status == "failed"
    assert "empty" in verdict.message


def test_a_loop_without_end_in_an_edge_costs_that_edge(monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules[judge.__module__], "LIMIT", 0.2)

    def robbins_monro_mean(samples):
        while len(samples) == 0:
            pass
        return np.cumsum(samples) / np.arange(1, len(samples) + 1)

    verdict = verdict_on("robbins_monro_mean", robbins_monro_mean)
    assert verdict.status == "failed"
    assert "did not finish" in verdict.message
    assert 0 < verdict.score < verdict.points


def test_what_an_answer_logs_stays_silent(capfd):
    import logging

    logger = logging.getLogger("an answer")
    logger.addHandler(logging.StreamHandler())

    def step_downhill(theta, gradient, lr):
        logger.warning("here I am")
        return theta - lr * gradient

    assert verdict_on("step_downhill", step_downhill).passed
    assert "here I am" not in capfd.readouterr().err
    logger.warning("and here")
    assert "and here" in capfd.readouterr().err


def test_gradients_averaged_by_hand_are_not_weighed():
    def ddp_step(comm, grad_fn, update, param, state, x, y):
        grad = comm.all_reduce(grad_fn(param, x, y)) / comm.world_size
        delta, state = update(grad, state, param)
        return param - delta, state

    assert verdict_on("ddp_step", ddp_step).slip == "the plain mean of uneven shares"


def test_a_ring_that_passes_whole_arrays_is_told_its_bytes():
    def ring_all_reduce(comm, x):
        total, chunk = x.copy(), x.copy()
        for _ in range(comm.world_size - 1):
            pending = comm.isend(chunk, (comm.rank + 1) % comm.world_size)
            chunk = comm.recv((comm.rank - 1) % comm.world_size)
            pending.wait()
            total += chunk
        return total

    verdict = verdict_on("ring_all_reduce", ring_all_reduce)
    assert (verdict.status, verdict.slip, verdict.score) == ("failed", "whole tensors around the ring", 0)
    assert "bytes that each rank sent" in told(verdict)


def test_a_forgotten_flush_after_the_loop_is_named():
    def bucketed_all_reduce(comm, arrays, bucket_bytes):
        means, held = list(arrays), []
        for i in reversed(range(len(arrays))):
            if held and sum(arrays[j].nbytes for j in held) + arrays[i].nbytes > bucket_bytes:
                row = comm.all_reduce(np.concatenate([arrays[j].ravel() for j in held]), "mean")
                for j in held:
                    means[j] = row[: arrays[j].size].reshape(arrays[j].shape)
                    row = row[arrays[j].size :]
                held = []
            held.append(i)
        return means

    assert verdict_on("bucketed_all_reduce", bucketed_all_reduce).slip == "the last bucket dropped"
