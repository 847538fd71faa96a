"""A training run on paper: memory, bytes and time of a layout, before anyone pays for it.

The model is a dense transformer in half precision with Adam. Memory and bytes are counts; time is an estimate
from an alpha-beta model of the network (a message costs ``alpha`` seconds and its bytes over the bandwidth)
and a roofline of the device, with the assumptions of :class:`Hardware`. How far such estimates are from runs
that were published is in :mod:`course.cluster.published`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from course.cluster.zero import model_states

__all__ = ["HARDWARE", "RECOMPUTE", "Hardware", "Impossible", "Job", "Layout", "Plan", "make_plan"]

GB = 1e9


class Impossible(ValueError):
    """The layout cannot be: the message says which constraint broke."""


@dataclass(frozen=True)
class Hardware:
    """A device and its network; speeds as the makers state them, in one direction.

    Attributes:
        flops: half-precision matrix products a second. memory: bytes. stream: bytes a second of that memory.
        inside, outside: bytes a second to a device of the same node, and to another node.
        node: devices in one.
        alpha_inside, alpha_outside: seconds that a message costs however short it is.
        matmul, wire: the part of the stated speeds that real kernels and collectives reach: assumed.
    """

    name: str
    flops: float
    memory: float
    stream: float
    inside: float
    outside: float
    node: int = 8
    alpha_inside: float = 5e-6
    alpha_outside: float = 15e-6
    matmul: float = 0.7
    wire: float = 0.8


HARDWARE = {
    "h100": Hardware("H100 SXM 80 GB, NVLink 450 GB/s, 400 Gb/s network", 989e12, 80e9, 3.35e12, 450e9, 50e9),
    "a100": Hardware("A100 SXM 80 GB, NVLink 300 GB/s, 200 Gb/s network", 312e12, 80e9, 2.04e12, 300e9, 25e9),
}
# Activations of a layer, in bytes a token and unit of width, and the forwards that are run again.
# V. Korthikanti et al. (2022), Reducing Activation Recomputation in Large Transformer Models, table 2.
RECOMPUTE = {"selective": (34.0, 0.0), "full": (2.0, 1.0)}


@dataclass(frozen=True)
class Job:
    """What is trained: parameters, the shape of the model, and the batch in sequences."""

    params: float
    batch: int = 2048
    seq: int = 8192
    layers: int = 0
    hidden: int = 0

    def shaped(self) -> Job:
        """Return the job with layers and width: 12 L d^2 parameters, 128 times as wide as deep by default."""
        layers = self.layers or max(1, round((self.params / (12 * (self.hidden or 1) ** 2)) if self.hidden
                                             else (self.params / (12 * 128**2)) ** (1 / 3)))  # fmt: skip
        hidden = self.hidden or max(128, 128 * round((self.params / (12 * layers)) ** 0.5 / 128))
        return replace(self, layers=layers, hidden=hidden)


@dataclass(frozen=True)
class Layout:
    """How the ranks are used: ``data`` is what tensor and pipeline leave over."""

    ranks: int
    tensor: int = 1
    pipeline: int = 1
    zero: int = 1
    micro: int = 1
    interleave: int = 1
    recompute: str = "selective"

    @property
    def data(self) -> int:
        """How many ranks hold the same part of the model."""
        return self.ranks // (self.tensor * self.pipeline)


@dataclass(frozen=True)
class Plan:
    """What a layout costs a rank and step.

    Attributes:
        memory: bytes by kind. sent: bytes by kind. messages: how many by kind.
        seconds: time by cause; their sum is the time of a step. micros: micro-batches a step.
        held: micro-batches whose activations are held at a time. bound: what the matrix products wait for.
    """

    job: Job
    layout: Layout
    hardware: Hardware
    memory: dict[str, float]
    sent: dict[str, float]
    messages: dict[str, int]
    seconds: dict[str, float]
    micros: int
    held: float
    bound: str
    notes: list[str] = field(default_factory=list)

    @property
    def step(self) -> float:
        """Seconds a step."""
        return sum(self.seconds.values())

    @property
    def bubble(self) -> float:
        """The idle part of the pipeline's time."""
        spent = self.step - self.seconds["data"] - self.seconds["optimizer"]
        return self.seconds["bubble"] / spent

    @property
    def flops(self) -> float:
        """Operations a second and device that the model needs (recomputation is not counted)."""
        return _model_flops(self.job) / self.step / self.layout.ranks

    @property
    def utilization(self) -> float:
        """The part of the device's stated speed that goes into the model (MFU)."""
        return self.flops / self.hardware.flops

    @property
    def bottlenecks(self) -> list[str]:
        """The causes of lost time, the largest first (the matrix products themselves are no loss)."""
        losses = {cause: time for cause, time in self.seconds.items() if cause != "compute" and time > 0}
        return sorted(losses, key=lambda cause: -losses[cause])


def make_plan(job: Job, layout: Layout, hardware: Hardware, limit: float | None = None) -> Plan:
    """Return what the layout costs.

    Args:
        job: what is trained. layout: on which ranks. hardware: of which kind.
        limit: bytes that a rank may hold; the device's memory by default.

    Raises:
        Impossible: a constraint broke.
    """
    job = job.shaped()
    _demand(job, layout)
    micros = job.batch // (layout.data * layout.micro)
    memory, held = _memory(job, layout, micros)
    limit = hardware.memory if limit is None else limit
    total = sum(memory.values())
    if total > limit:
        parts = ", ".join(f"{kind} {size / GB:.1f}" for kind, size in memory.items())
        raise Impossible(f"memory: a rank would hold {total / GB:.1f} GB of {limit / GB:.1f} GB ({parts})")
    sent, messages = _traffic(job, layout, micros)
    seconds, bound = _times(job, layout, hardware, micros, sent, messages, memory)
    notes = []
    if layout.tensor > hardware.node:
        notes.append(f"tensor parallelism of {layout.tensor} leaves the node of {hardware.node}")
    if layout.zero >= 2 and layout.pipeline > 1:
        notes.append("ZeRO 2 and 3 under a pipeline reduce or gather anew for every micro-batch")
    return Plan(job, layout, hardware, memory, sent, messages, seconds, micros, held, bound, notes)


def _demand(job: Job, layout: Layout) -> None:
    t, p, v = layout.tensor, layout.pipeline, layout.interleave
    counts = {**vars(layout), "batch": job.batch, "sequence": job.seq}
    for name in ("ranks", "tensor", "pipeline", "micro", "interleave", "batch", "sequence"):
        if counts[name] < 1:
            raise Impossible(f"{name} must be at least 1, not {counts[name]}")
    if layout.zero not in (0, 1, 2, 3):
        raise Impossible(f"zero must be 0, 1, 2 or 3, not {layout.zero}")
    if layout.recompute not in RECOMPUTE:
        raise Impossible(f"recompute must be one of {', '.join(RECOMPUTE)}, not {layout.recompute!r}")
    if layout.ranks % (t * p):
        raise Impossible(f"ranks: tensor {t} x pipeline {p} does not divide {layout.ranks} ranks")
    if job.hidden % t:
        raise Impossible(f"tensor: a width of {job.hidden} does not divide into {t} parts")
    if job.layers < p * v:
        raise Impossible(f"pipeline: {job.layers} layers do not make {p} stages of {v} chunks")
    if job.batch % (layout.data * layout.micro):
        raise Impossible(
            f"batch: {job.batch} sequences do not divide into {layout.data} data-parallel ranks times "
            f"micro-batches of {layout.micro}"
        )
    if v > 1 and job.batch // (layout.data * layout.micro) % p:
        raise Impossible(f"interleave: the micro-batches of a step do not divide by {p} stages")


def _memory(job: Job, layout: Layout, micros: int) -> tuple[dict[str, float], float]:
    """Return bytes by kind, and how many micro-batches the first stage holds."""
    own, data, zero = job.params / (layout.tensor * layout.pipeline), layout.data, layout.zero
    p, v = layout.pipeline, layout.interleave
    held = min(p, micros) if v == 1 else min(p * (1 + (p - 1) / (p * v)), micros)
    bytes_each, _ = RECOMPUTE[layout.recompute]
    layers = math.ceil(job.layers / p)
    tokens = job.seq * layout.micro
    activations = bytes_each * tokens * job.hidden * layers * held / layout.tensor
    if layout.recompute == "full":  # one layer is whole while it is run again
        activations += RECOMPUTE["selective"][0] * tokens * job.hidden / layout.tensor
    kinds = {"parameters": (2.0, 0.0, 0.0), "gradients": (0.0, 2.0, 0.0), "optimizer": (0.0, 0.0, 12.0)}
    memory = {kind: model_states(own, data, zero, *sizes) for kind, sizes in kinds.items()}
    memory["activations"] = activations
    if zero == 3 and data > 1:  # the layer at work and the one that is fetched meanwhile
        memory["gathered layers"] = 2 * 2 * job.params / job.layers / layout.tensor
    return memory, held


def _traffic(job: Job, layout: Layout, micros: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return bytes and messages that a rank sends in a step, by what they are for."""
    t, p, n = layout.tensor, layout.pipeline, layout.data
    own, layers = 2 * job.params / (t * p), math.ceil(job.layers / p)
    block = 2.0 * job.seq * layout.micro * job.hidden  # the activations of a micro-batch, in half precision
    _, again = RECOMPUTE[layout.recompute]
    reduces = (4 + 2 * again) * layers * micros  # two in the forward, two in the backward
    hops = 2 * layout.interleave * micros if p > 1 else 0
    # Halves of an all-reduce: each moves (N-1)/N of the bytes.
    halves = 2.0
    if layout.zero == 2 and p > 1:
        halves = 1.0 + micros  # gradients leave after every micro-batch; the parameters are gathered once
    if layout.zero == 3:
        halves = 3.0 * micros
    sent = {
        "tensor": reduces * 2 * (t - 1) / t * block,
        "pipeline": hops * block / t,
        "data": halves * (n - 1) / n * own,
    }
    messages = {
        "tensor": int(reduces * 2 * (t - 1)),
        "pipeline": hops,
        "data": int(halves * (n - 1) * layers),
    }
    return sent, messages


def _times(
    job: Job, layout: Layout, hw: Hardware, micros: int,
    sent: dict[str, float], messages: dict[str, int], memory: dict[str, float],
) -> tuple[dict[str, float], str]:  # fmt: skip
    """Return seconds by cause, and what bounds the matrix products."""
    t, p, n = layout.tensor, layout.pipeline, layout.data
    uneven = math.ceil(job.layers / p) * p / job.layers  # the fullest stage sets the pace
    work = _model_flops(job) / layout.ranks * uneven
    products = work / (hw.flops * hw.matmul)
    # Weights are read for the forward and twice for the backward; activations are written and read.
    layers = math.ceil(job.layers / p)
    moved = micros * (
        3 * 2 * job.params / (t * p) + 3 * 34 * job.seq * layout.micro * job.hidden * layers / t
    )
    compute = max(products, moved / hw.stream)
    _, again = RECOMPUTE[layout.recompute]
    recomputed = compute * again / 3
    near = t <= hw.node
    tensor = _wire(hw, sent["tensor"], messages["tensor"], near)
    between = _wire(hw, sent["pipeline"], messages["pipeline"], t * p <= hw.node)
    busy = compute + recomputed + tensor + between
    bubble = busy * (p - 1) / (layout.interleave * micros)
    data = _wire(hw, sent["data"], messages["data"], t * p * n <= hw.node)
    # Gradients leave during the last backward; under ZeRO 3, and stage 2 in a pipeline, during all the work.
    hidden = busy if layout.zero == 3 or (layout.zero == 2 and p > 1) else 2 / 3 * busy / micros
    states = 2 * (memory["optimizer"] + memory["parameters"])
    seconds = {
        "compute": compute,
        "recomputation": recomputed,
        "tensor": tensor,
        "pipeline": between,
        "bubble": bubble,
        "data": max(0.0, data - hidden),
        "optimizer": states / hw.stream,
    }
    return seconds, "arithmetic" if products >= moved / hw.stream else "memory bandwidth"


def _wire(hw: Hardware, size: float, messages: float, near: bool) -> float:
    alpha, speed = (hw.alpha_inside, hw.inside) if near else (hw.alpha_outside, hw.outside)
    return messages * alpha + size / (speed * hw.wire)


def _model_flops(job: Job) -> float:
    """Return the operations of a step: 6 a parameter and token, and the causal attention's scores."""
    tokens = job.batch * job.seq
    return tokens * (6 * job.params + 6 * job.layers * job.hidden * job.seq)
