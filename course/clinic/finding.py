"""What the clinic says: one finding, and the list of everything it can find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CODES", "SEVERITIES", "Finding", "Severity", "finding"]

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

# Every code, in the order of causes: what stands earlier explains what stands later. With it, what it means
# in one sentence, and the lesson that teaches it.
CODES: dict[str, tuple[str, int]] = {
    "non-scalar-loss": ("backward() was called on a tensor of several values", 1),
    "stale-optimizer": ("the optimizer holds parameters that the model no longer has", 2),
    "not-registered": ("a tensor that should be trained belongs to no module", 2),
    "frozen": ("parameters have requires_grad=False", 2),
    "no-grad-mode": ("the forward pass ran with gradients switched off", 2),
    "detached": ("the loss is cut off from parameters that should be trained", 2),
    "no-backward": ("backward() was never called", 1),
    "zero-grad-before-step": ("gradients are cleared before the step can use them", 1),
    "non-finite": ("infinity or NaN appears", 7),
    "skipped-by-scaler": ("the gradient scaler skips the steps", 7),
    "no-step": ("optimizer.step() was never called", 1),
    "not-in-optimizer": ("the optimizer was never given these parameters", 2),
    "zero-lr": ("the learning rate is zero", 3),
    "schedule-reached-zero": ("the schedule has taken the learning rate to zero", 9),
    "overwritten": ("something resets the parameters between the steps", 2),
    "no-zero-grad": ("gradients of earlier steps are never cleared", 1),
    "optimizer-in-loop": ("a new optimizer is made at every step, and the state of the last is lost", 4),
    "tied-twice": ("a parameter is updated more than once a step", 2),
    "broadcast-loss": ("prediction and target have different shapes, and the loss broadcasts them", 2),
    "probabilities-in-loss": ("probabilities go into a loss that expects scores or logarithms", 2),
    "inputs-not-normalised": ("the inputs are far from zero mean and unit scale", 2),
    "accumulation-not-divided": ("accumulated gradients are summed, not averaged", 7),
    "clip-before-unscale": ("gradients are clipped while they are still scaled", 7),
    "clip-too-tight": ("clipping leaves almost nothing of the gradient", 7),
    "exploding-gradient": ("the gradient is far larger than the weights", 7),
    "lr-too-large": ("the learning rate is too large", 3),
    "saturated": ("activations are stuck where their slope is zero", 2),
    "dead-units": ("units output zero for every example", 2),
    "vanishing-gradient": ("the gradient dies on its way to the early layers", 2),
    "lost-to-rounding": ("the updates are smaller than the weights can resolve", 7),
    "lr-too-small": ("the learning rate is too small", 3),
    "scheduler-order": ("the scheduler steps before the optimizer", 9),
    "eval-mode": ("the model is trained in evaluation mode", 2),
    "decay-only": ("parameters move though their gradient is zero", 6),
    "unused": ("parameters take no part in the forward pass", 2),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training loop.

    Args:
        code: what it is, one of ``CODES``.
        severity: ``"error"`` (it does not train as meant), ``"warning"`` (it probably does not), ``"note"``.
        where: the parameter, module, optimizer or line of code, by name.
        evidence: the figures that prove it.
        fix: one line of code.
        lesson: the number of the lesson that teaches it.
    """

    code: str
    severity: Severity
    where: str
    evidence: str
    fix: str
    lesson: int

    @property
    def meaning(self) -> str:
        """What the code means, in one sentence."""
        return CODES[self.code][0]

    def __str__(self) -> str:
        return f"{self.code} ({self.where}): {self.meaning}. {self.evidence} Fix: {self.fix}"


def finding(code: str, severity: Severity, where: str, evidence: str, fix: str) -> Finding:
    """Return a finding, with its lesson filled in."""
    return Finding(code, severity, where, evidence, fix, CODES[code][1])
