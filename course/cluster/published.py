"""Runs that were published, beside what the plan says of them.

The reports do not say everything that a plan asks for; what is assumed here stands beside each. A plan knows
nothing of stragglers, of failures, or of work that its formulas leave out, so it is mostly too hopeful. It is
most so where ZeRO 3's wire and arithmetic take about equally long (micro-batches of 4): the plan hides all of
one behind the other, as no run does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from course.cluster.plan import HARDWARE, Job, Layout, make_plan

__all__ = ["RUNS", "Run", "compare"]


@dataclass(frozen=True)
class Run:
    """One published run: its layout, the speed that it reached, and what had to be assumed.

    Attributes:
        teraflops: of a device, as reported. recounted: whether the report counts recomputation as work.
    """

    name: str
    job: Job
    layout: Layout
    hardware: str
    teraflops: float
    source: str
    assumed: str
    recounted: bool = False


_LLAMA = "A. Grattafiori et al. (2024), The Llama 3 Herd of Models, table 4"
_MEGATRON = (
    "D. Narayanan et al. (2021), Efficient Large-Scale Language Model Training on GPU Clusters, table 1"
)
_ZERO = _MEGATRON.replace("table 1", "table 2")
_LLAMA_GUESS = "two chunks a stage, ZeRO 1, selective recomputation"
_MEGATRON_GUESS = "no interleaving, no ZeRO, micro-batches of 1, all activations recomputed"
_ZERO_GUESS = "all activations recomputed, 200 Gb/s a device"


def _llama(ranks: int, teraflops: float) -> Run:
    layout = Layout(ranks, tensor=8, pipeline=16, zero=1, interleave=2)
    job = Job(405e9, batch=2048, seq=8192, layers=126, hidden=16384)
    return Run(f"Llama 3 405B, {ranks:,} H100", job, layout, "h100", teraflops, _LLAMA, _LLAMA_GUESS)


def _megatron(
    params: float, hidden: int, layers: int, pipeline: int, ranks: int, batch: int, teraflops: float
) -> Run:
    layout = Layout(ranks, tensor=8, pipeline=pipeline, zero=0, recompute="full")
    job = Job(params, batch=batch, seq=2048, layers=layers, hidden=hidden)
    name = f"Megatron {params / 1e9:,.0f}B, {ranks:,} A100"
    return Run(name, job, layout, "a100", teraflops, _MEGATRON, _MEGATRON_GUESS, recounted=True)


def _zero(
    params: float, hidden: int, layers: int, ranks: int, batch: int, micro: int, teraflops: float
) -> Run:
    layout = Layout(ranks, zero=3, micro=micro, recompute="full")
    job = Job(params, batch=batch, seq=2048, layers=layers, hidden=hidden)
    name = f"ZeRO 3 {params / 1e9:,.0f}B, {ranks:,} A100"
    return Run(name, job, layout, "a100", teraflops, _ZERO, _ZERO_GUESS, recounted=True)


RUNS = (
    _llama(8192, 430),
    _llama(16384, 400),
    _megatron(145.6e9, 12288, 80, 8, 1536, 2304, 148),
    _megatron(310.1e9, 16384, 96, 16, 1920, 2160, 155),
    _megatron(529.6e9, 20480, 105, 35, 2520, 2520, 163),
    _megatron(1008e9, 25600, 128, 64, 3072, 3072, 163),
    _zero(174.6e9, 12288, 96, 384, 1536, 4, 144),
    _zero(174.6e9, 12288, 96, 768, 1536, 2, 88),
    _zero(174.6e9, 12288, 96, 1536, 1536, 1, 44),
    _zero(529.6e9, 20480, 105, 640, 2560, 4, 138),
    _zero(529.6e9, 20480, 105, 1120, 2240, 2, 98),
    _zero(529.6e9, 20480, 105, 2240, 2240, 1, 48),
)


def compare(run: Run) -> tuple[float, float, float]:
    """Return teraflops a device as planned, by what part that is more than reported, and bytes a rank.

    The memory is not held against the device's: where the plan asks for more than there was, it is wrong.
    """
    plan = make_plan(run.job, run.layout, HARDWARE[run.hardware], limit=math.inf)
    expected = plan.flops / 1e12 * (4 / 3 if run.recounted else 1)
    return expected, expected / run.teraflops - 1, sum(plan.memory.values())
