"""Every layout of a job that fits, the fastest first."""

from __future__ import annotations

from collections.abc import Iterator

from course.cluster.plan import RECOMPUTE, Hardware, Impossible, Job, Layout, Plan, make_plan

__all__ = ["search"]


def search(
    job: Job, ranks: int, hardware: Hardware, limit: float | None = None, zero: int | None = None
) -> list[Plan]:
    """Return every layout that fits, the fastest first.

    Raises:
        Impossible: none fits; the message is that of the one that came closest to fitting, if memory was why.
    """
    job, found, refused = job.shaped(), [], []
    for layout in _candidates(job, ranks, hardware, zero):
        try:
            found.append(make_plan(job, layout, hardware, limit))
        except Impossible as error:
            refused.append(str(error))
    if not found:
        memory = [text for text in refused if text.startswith("memory")]
        least = min(memory, key=lambda text: float(text.split()[5]), default=None)
        raise Impossible(least or (refused[0] if refused else f"no layout of {ranks} ranks divides this job"))
    return sorted(found, key=lambda plan: plan.step)


def _candidates(job: Job, ranks: int, hardware: Hardware, zero: int | None) -> Iterator[Layout]:
    tensors = [t for t in range(1, hardware.node + 1) if hardware.node % t == 0]
    for tensor in tensors:
        for pipeline in (p for p in range(1, min(job.layers, ranks) + 1) if ranks % (tensor * p) == 0):
            for stage in (0, 1, 2, 3) if zero is None else (zero,):
                for micro in (1, 2, 4, 8):
                    for interleave in (1, 2, 4) if pipeline > 1 else (1,):
                        for recompute in RECOMPUTE:
                            yield Layout(ranks, tensor, pipeline, stage, micro, interleave, recompute)
