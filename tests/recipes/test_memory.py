"""Memory and batches: figures that papers state, and every rule's own docstring."""

from __future__ import annotations

import math

import numpy as np
import pytest

from course.averaging import MasterWeights
from course.gradients import ClipByNorm, Scaled
from course.recipes import (
    PRECISIONS,
    Precision,
    accumulation_for,
    gibibytes,
    gigabytes,
    memory,
    state_numbers,
    tokens_per_step,
)
from course.rules import ALL, Adafactor, Adam, AdamW, RMSProp, chain
from course.rules.card import card

GB = 10**9


def test_gpt_2_takes_24_gb_18_of_them_adams_states_and_the_master_copy():
    """Rajbhandari et al. (2020), ZeRO, section 3.1: 16 bytes for each of 1.5 billion parameters."""
    gpt2 = memory(1.5e9, AdamW(), "mixed")
    assert (gpt2.weights, gpt2.gradients, gpt2.master, gpt2.states) == (3 * GB, 3 * GB, 6 * GB, 12 * GB)
    assert gpt2.master + gpt2.states == 18 * GB
    assert gpt2.total == 24 * GB == 16 * 1.5e9


def test_70_and_405_billion():
    llama2 = memory(70e9, "Adam", "float32")
    assert (llama2.weights, llama2.states, llama2.master) == (280 * GB, 560 * GB, 0)
    assert memory(405e9, "AdamW").total == 6480 * GB
    assert gibibytes(memory(405e9, "AdamW").total) == "6,035.0 GiB"
    v3 = memory(671e9, "AdamW", "float8, bfloat16 states")
    assert v3.total == 671e9 * (1 + 4 + 4 + 2 * 2)


@pytest.mark.parametrize("name", ALL)
def test_each_rules_states_are_what_its_docstring_says(name):
    shape = (64, 64) if ALL[name].only_matrices else (4096,)
    assert 4 * state_numbers(name, shape) == card(ALL[name]).bytes_per_parameter
    for width, precision in ((4, "float32"), (2, "bfloat16")):
        states = memory(1000, name, precision, shape).states
        assert states == 1000 * card(ALL[name]).bytes_per_parameter / 4 * width


@pytest.mark.parametrize("rule", [*ALL.values(), lambda: RMSProp(momentum=0.9, centered=True)])
def test_it_is_what_the_states_really_take(rule):
    param = np.zeros((8, 6), np.float32)
    held = sum(x.nbytes for x in rule().init(param).values() if isinstance(x, np.ndarray))
    assert memory(48, rule(), "float32", (8, 6)).states == held


def test_of_a_chain_all_states_count_and_a_wrapper_counts_as_its_rule():
    assert state_numbers(chain(ClipByNorm(), AdamW())) == 2
    assert state_numbers(MasterWeights(Scaled(chain(ClipByNorm(), AdamW())))) == 2
    assert memory(10, MasterWeights(Adam()), "mixed") == memory(10, Adam(), "mixed")


def test_adafactor_on_a_matrix_keeps_a_row_and_a_column():
    assert state_numbers(Adafactor(), (4096, 1024)) == pytest.approx((4096 + 1024) / (4096 * 1024))


def test_a_precision_of_ones_own():
    assert memory(10, "SGD", Precision(weight=1, gradient=2, master=3, state=4)).total == 60
    assert set(PRECISIONS) >= {"float32", "mixed", "bfloat16"}


@pytest.mark.parametrize(
    ("count", "decimal", "binary"),
    [
        (24e9, "24.0 GB", "22.4 GiB"), (2**30, "1.1 GB", "1.0 GiB"), (0, "0.0 GB", "0.0 GiB"),
        (6.48e12, "6,480.0 GB", "6,035.0 GiB"), (80 * 2**30, "85.9 GB", "80.0 GiB"),
    ],
)  # fmt: skip
def test_gb_and_gib_are_told_apart(count, decimal, binary):
    assert (gigabytes(count), gibibytes(count)) == (decimal, binary)


def test_tokens_of_a_step():
    assert tokens_per_step(4, 2048, 8, 64) == 4 * 2048 * 8 * 64 == 2**22
    assert tokens_per_step(15360, 4096) == 62_914_560
    for tokens in (1, 2**22 - 1, 2**22, 2**22 + 1):
        k = accumulation_for(tokens, 4, 2048, 64)
        assert tokens_per_step(4, 2048, k, 64) >= tokens
        assert k == 1 or tokens_per_step(4, 2048, k - 1, 64) < tokens


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: memory(0, "Adam"), "parameters must be a finite number > 0, not 0"),
        (lambda: memory(math.nan, "Adam"), "parameters must be a finite number"),
        (lambda: memory("7B", "Adam"), "parameters must be a finite number > 0, not '7B'"),
        (lambda: memory(10, "Adm"), "rule must be one of SGD, .*, not 'Adm'"),
        (lambda: memory(10, 3), "rule must be a rule, its class or its name, not 3"),
        (lambda: memory(10, "Adam", "float12"), "precision must be one of float32, .*, not 'float12'"),
        (lambda: memory(10, "Adam", 16), "precision must be a name or a Precision, not 16"),
        (lambda: tokens_per_step(0, 10), "micro_batch must be a whole number > 0, not 0"),
        (lambda: tokens_per_step(1, 2.5), "sequence must be a whole number > 0, not 2.5"),
        (lambda: tokens_per_step(1, 2, 3, True), "ranks must be a whole number > 0, not True"),
        (lambda: accumulation_for(-1, 1, 1), "tokens must be a whole number > 0"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
