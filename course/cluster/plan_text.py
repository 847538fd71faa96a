"""What ``course plan`` prints."""

from __future__ import annotations

from course.cluster.plan import GB, Layout, Plan
from course.cluster.published import RUNS, compare

__all__ = ["describe", "list_of", "published"]


def describe(plan: Plan) -> str:
    """Return a plan in full: memory, bytes and time, the bubble, the bound and the next bottleneck."""
    job, layout = plan.job, plan.layout
    lines = [
        f"{job.params:.4g} parameters ({job.layers} layers of width {job.hidden:,}), "
        f"{job.batch:,} sequences of {job.seq:,} tokens a step",
        f"{layout.ranks:,} x {plan.hardware.name}",
        f"{_named(layout)}",
        f"{plan.micros} micro-batches a step, {plan.held:.3g} held at a time",
        "",
        "memory a rank               GB",
        *(_row(kind, size / GB) for kind, size in plan.memory.items()),
        _row("together", sum(plan.memory.values()) / GB),
        "",
        "sent by a rank a step       GB    messages",
        *(f"{_row(kind, size / GB)}{plan.messages[kind]:12,}" for kind, size in plan.sent.items()),
        "",
        "time of a step               s        part",
        *(f"{_row(cause, time, 3)}{time / plan.step:12.1%}" for cause, time in plan.seconds.items()),
        f"{_row('together', plan.step, 3)}   (an estimate)",
        "",
        f"{job.batch * job.seq / plan.step:,.0f} tokens a second; "
        f"{plan.flops / 1e12:.0f} teraflop/s a device, {plan.utilization:.0%} of its peak",
        f"bubble: {plan.bubble:.1%} of the pipeline's time",
        f"bound by {plan.bound}; most is lost to: {', then '.join(plan.bottlenecks[:2]) or 'nothing'}",
        f"assumed: matrix products reach {plan.hardware.matmul:.0%} of the peak, the wire "
        f"{plan.hardware.wire:.0%}; a message costs {plan.hardware.alpha_inside * 1e6:g} us in a node, "
        f"{plan.hardware.alpha_outside * 1e6:g} us between nodes",
        *(f"note: {note}" for note in plan.notes),
    ]
    return "\n".join(lines)


def list_of(plans: list[Plan], count: int) -> str:
    """Return the fastest layouts, a line each."""
    lines = ["  step s   peak  memory GB  layout"]
    for plan in plans[:count]:
        memory = sum(plan.memory.values()) / GB
        lines.append(f"{plan.step:8.2f} {plan.utilization:6.1%} {memory:10.1f}  {_named(plan.layout)}")
    return "\n".join(lines)


def published() -> str:
    """Return the published runs beside the plan: teraflop/s a device, and how far off."""
    lines = [f"{'run':28}{'reported':>10}{'plan':>7}{'off':>7}{'plan, GB':>10}  assumed"]
    for run in RUNS:
        expected, off, memory = compare(run)
        lines.append(
            f"{run.name:28}{run.teraflops:10.0f}{expected:7.0f}{off:+7.0%}{memory / GB:10.0f}  {run.assumed}"
        )
    lines += ["", *sorted({run.source for run in RUNS})]
    lines += [
        "All of them ran on 80 GB. Where the plan asks for more, it is too pessimistic: its activations are",
        "those of the plain formula, and Llama's report says that tensors no longer needed were freed early.",
        "It is half again too hopeful for ZeRO 3 where wire and arithmetic take about equally long: it hides",
        "all of one behind the other.",
    ]
    return "\n".join(lines)


def _named(layout: Layout) -> str:
    text = f"tensor {layout.tensor} x pipeline {layout.pipeline} x data {layout.data}, ZeRO {layout.zero}"
    text += f", micro-batch {layout.micro}, {layout.recompute} recomputation"
    return text + (f", {layout.interleave} chunks a stage" if layout.interleave > 1 else "")


def _row(name: str, value: float, digits: int = 2) -> str:
    return f"  {name:18}{value:10,.{digits}f}"
