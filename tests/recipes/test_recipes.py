"""The recipes: every figure has a source, the rules and schedules are what the documents say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from course.gradients import ClipByNorm
from course.recipes import RECIPES, Recipe, Source
from course.rules import LAMB, LARS, AdamW, chain
from course.schedules import Cosine

every = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def test_the_recipes_that_the_course_tells_of_are_there():
    assert set(RECIPES) == {
        "Llama 1 65B", "Llama 2 70B", "Llama 3 405B", "DeepSeek LLM 67B", "DeepSeek-V2", "DeepSeek-V3",
        "GPT-3 175B", "BERT-Large with LAMB", "ResNet-50 with LARS",
    }  # fmt: skip


@every
def test_every_figure_has_a_source_and_says_where_it_was_not_read(recipe):
    assert set(recipe.figures()) == set(recipe.sources)
    assert recipe.figures().keys() >= {"lr", "eps", "weight_decay", "warmup", "steps", "pieces", "batch"}
    for name in recipe.figures():
        source = recipe.sources[name]
        assert source.where
        line = next(line for line in str(recipe).splitlines() if line.split()[0] == name)
        assert line.endswith(f"[{source}]")
        assert ("(not checked)" in line) == (not source.checked)
        assert (name in recipe.unchecked()) == (not source.checked)
        if "not stated" in source.where or "stands in" in source.where:
            assert not source.checked


def test_a_recipe_without_a_source_for_a_figure_is_refused():
    llama = RECIPES["Llama 2 70B"]
    with pytest.raises(ValueError, match="Llama 2 70B has no source for batch, lr"):
        replace(llama, sources={n: s for n, s in llama.sources.items() if n not in ("lr", "batch")})
    with pytest.raises(ValueError, match="optimizer must be 'AdamW', 'LAMB' or 'LARS', not 'Lion'"):
        replace(llama, optimizer="Lion")
    assert str(Source("table 1", checked=False)) == "table 1 (not checked)"


def test_the_rules():
    assert RECIPES["Llama 2 70B"].rule() == chain(
        ClipByNorm(1.0), AdamW(lr=1.5e-4, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1)
    )
    assert RECIPES["BERT-Large with LAMB"].rule() == chain(ClipByNorm(1.0), LAMB(lr=6e-3, weight_decay=0.01))
    resnet = LARS(lr=29.0, momentum=0.929, weight_decay=1e-4, adapt_vectors=False)
    assert RECIPES["ResNet-50 with LARS"].rule() == resnet


@every
def test_the_schedule_warms_up_to_the_peak_and_ends_at_the_floor(recipe):
    schedule = recipe.schedule()
    assert schedule(0) == 0
    assert schedule(recipe.warmup / 2) == pytest.approx(recipe.lr / 2)
    assert schedule(recipe.warmup) == pytest.approx(recipe.lr, rel=0.16)  # BERT's drops by 15 % there
    assert schedule(recipe.steps) == pytest.approx(recipe.pieces[-1].to * recipe.lr)
    assert schedule(10 * recipe.steps) == schedule(recipe.steps)


@every
@pytest.mark.parametrize("total", [1, 2, 10, 97, 1000])
def test_it_stretches_over_any_number_of_steps(recipe, total):
    schedule, own = recipe.schedule(total), recipe.schedule()
    rates = [schedule(t) for t in range(total + 3)]
    assert all(0 <= rate <= recipe.lr * (1 + 1e-12) for rate in rates)
    assert rates[-1] == pytest.approx(recipe.pieces[-1].to * recipe.lr, abs=recipe.lr / total)
    if total == 1000:
        # The ends of pieces are rounded to whole steps, so a step or two beside them may differ.
        apart = [abs(schedule(t) - own(t * recipe.steps / total)) for t in range(total + 1)]
        assert np.mean(apart) < 0.003 * recipe.lr


def test_llama_2s_is_the_cosine_to_a_tenth():
    schedule, cosine = RECIPES["Llama 2 70B"].schedule(), Cosine(1.5e-4, 500_000, 2000, floor=1.5e-5)
    for t in (*range(0, 2100, 7), *range(2100, 500_100, 997), 499_999, 500_000):
        assert schedule(t) == pytest.approx(cosine(t), rel=1e-12)


def test_deepseek_v1s_steps():
    recipe = RECIPES["DeepSeek LLM 67B"]
    schedule, total = recipe.schedule(), recipe.steps
    assert schedule(0.79 * total) == 3.2e-4
    assert schedule(0.81 * total) == pytest.approx(0.316 * 3.2e-4)
    assert schedule(0.91 * total) == pytest.approx(3.2e-5)


def test_deepseek_v3s_schedule_by_tokens():
    recipe = RECIPES["DeepSeek-V3"]
    schedule = recipe.schedule()

    def at(tokens):
        return schedule(tokens * 1e12 / 14.8e12 * recipe.steps)

    assert at(5.0) == at(9.99) == 2.2e-4
    assert at(12.15) == pytest.approx((2.2e-4 + 2.2e-5) / 2, rel=1e-3)  # halfway down the cosine
    assert at(14.4) == pytest.approx(2.2e-5)
    assert at(14.7) == pytest.approx(7.3e-6)
    assert recipe.batch == pytest.approx(62.9e6, rel=1e-3)


def test_gpt_3_stays_at_a_tenth_after_260_billion_tokens():
    schedule = RECIPES["GPT-3 175B"].schedule()
    assert schedule(260e9 / 3.2e6 + 1) == schedule(93_750) == pytest.approx(0.6e-5)
    assert schedule(130e9 / 3.2e6) > 0.3e-4


def test_resnets_rate_falls_with_the_square_of_what_is_left():
    recipe = RECIPES["ResNet-50 with LARS"]
    half = recipe.warmup + (recipe.steps - recipe.warmup) // 2
    assert recipe.schedule()(half) == pytest.approx(29 / 4, rel=1e-3)


@every
def test_a_tiny_run_trains_and_follows_the_schedule(recipe):
    """The rule with the schedule inside is the rule at each step's rate."""
    rng = np.random.default_rng(0)
    start = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=3)}
    grads = [{n: rng.normal(size=x.shape) for n, x in start.items()} for _ in range(20)]
    whole, schedule = recipe.rule(total_steps=20), recipe.schedule(20)
    theta, state = start, whole.init(start)
    if recipe.optimizer == "LARS":  # lr stands in its buffer, so the two are not the same rule there
        theta, state = whole.step(grads[0], state, theta)
        assert all((theta[n] == start[n]).all() for n in start)
        return
    other = recipe.rule()
    mine, own = start, other.init(start)
    for t, g in enumerate(grads):
        theta, state = whole.step(g, state, theta)
        mine, own = other.with_hyperparameters(lr=schedule(t)).step(g, own, mine)
        for n in start:
            np.testing.assert_allclose(theta[n], mine[n], rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("total", [0, -1, 2.5, "10", True])
def test_a_bad_number_of_steps_is_refused(total):
    with pytest.raises(ValueError, match="total_steps must be a whole number > 0, not") as caught:
        RECIPES["Llama 2 70B"].schedule(total)
    assert "\n" not in str(caught.value)


def test_tokens_and_steps_belong_together():
    for recipe in RECIPES.values():
        assert isinstance(recipe, Recipe)
        if recipe.tokens and recipe.name != "Llama 3 405B":
            assert recipe.steps == pytest.approx(recipe.tokens / recipe.batch, abs=1)
    assert math.isclose(RECIPES["GPT-3 175B"].warmup * 3.2e6, 375e6, rel_tol=5e-3)
