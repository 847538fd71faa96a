"""Has anything but the optimizer written to the parameters? A few elements of each bear witness."""

from __future__ import annotations

import numpy as np
import torch

from course.clinic.recorder import Tracked, WatchedOptimizer

__all__ = ["compare_witness", "on_cpu", "take_witness"]

WITNESSES, SAMPLES = 24, 16


class Witness:
    """Some elements of one parameter: at the start, before its last step, and after it."""

    def __init__(self, tracked: Tracked) -> None:
        self.tracked = tracked
        self.start = self.before = self.after = b""
        self._address = 0
        self._view: np.ndarray | None = None

    def read(self) -> bytes:
        """Return the elements as they are now; b"" where they cannot be read."""
        param = self.tracked.param
        if param.data_ptr() != self._address:
            self._address, self._view = param.data_ptr(), None
        if self._view is None:
            value = param.detach()
            if not value.is_contiguous() or value.numel() == 0 or value.is_complex():
                return b""
            some = value.view(-1)[:: max(1, value.numel() // SAMPLES)][:SAMPLES]
            if value.device.type != "cpu":
                return some.cpu().view(torch.uint8).numpy().tobytes()
            whole = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
            self._view = whole.view(-1).numpy()[:: max(1, value.numel() // SAMPLES)][:SAMPLES]
        return self._view.tobytes()

    def is_setback(self, now: bytes) -> bool:
        """Whether the value was put back to an old one, or nearly so, or thrown far away."""
        if not self.before:
            return False
        values = (
            torch.frombuffer(bytearray(b), dtype=self.tracked.param.dtype)
            for b in (now, self.after, self.before)
        )
        here, after, before = (value.double() for value in values)
        changed = here[here != after]
        if not bool(torch.isfinite(here).all()) or bool(
            ((changed == here.max()) | (changed == here.min())).all()
        ):
            return False  # clamped, as in a Wasserstein GAN
        if any(old and now == old and self.after != old for old in (self.start, self.before)):
            return True
        jump, stride = float((here - after).norm()), float((after - before).norm())
        thrown = jump > 10 * stride and jump > 0.3 * float(here.norm())
        undone = float((here - before).norm()) < 0.1 * stride
        return stride > 0 and (thrown or undone)


def on_cpu(watched: WatchedOptimizer) -> bool:
    """Whether reading a value is free of a synchronisation."""
    return bool(watched.tracked) and watched.tracked[0].param.device.type == "cpu"


def _witnesses(watched: WatchedOptimizer) -> list[Witness]:
    chosen = watched.tracked[:: max(1, -(-len(watched.tracked) // WITNESSES))]
    if len(watched.witness) != len(chosen):
        watched.witness = [Witness(tracked) for tracked in chosen]
    return watched.witness


def take_witness(watched: WatchedOptimizer) -> None:
    """Remember what a step has left behind."""
    for witness in _witnesses(watched):
        witness.after = witness.read()


def compare_witness(watched: WatchedOptimizer) -> None:
    """Compare what a step finds with what the last one has left behind."""
    reverted = False
    for witness in _witnesses(watched):
        now = witness.read()
        if now and witness.after and now != witness.after and witness.is_setback(now):
            reverted = True
            watched.facts.written_what = witness.tracked.facts.name
        witness.start = witness.start or now
        witness.before = now
    if watched.facts.steps:
        watched.facts.pairs += 1
        watched.facts.reverted += reverted
