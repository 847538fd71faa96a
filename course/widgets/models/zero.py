"""What a rank holds and sends under each stage of ZeRO: the model behind the memory bars."""

from __future__ import annotations

from dataclasses import dataclass

from course.cluster.wire import ring_factor
from course.cluster.zero import model_states

__all__ = ["PARAMETERS", "RANKS", "STAGES", "Holding", "holding"]

PARAMETERS = 7.5e9  # the model of the ZeRO paper's figure 1
RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
STAGES = ("0", "1", "2", "3")


@dataclass(frozen=True)
class Holding:
    """Decimal GB that a rank holds by kind, and what it sends a step in multiples of Psi, by collective."""

    weights: float
    gradients: float
    states: float
    sent: dict[str, float]

    @property
    def total(self) -> float:
        """All that it holds."""
        return self.weights + self.gradients + self.states


def holding(ranks: int, stage: int, parameters: float = PARAMETERS) -> Holding:
    """Return what one of ``ranks`` holds in 2 + 2 + 12 bytes a parameter, and sends.

    >>> round(holding(64, 1).total, 1)
    31.4
    """
    weights, gradients, states = (
        model_states(parameters, ranks, stage, *sizes) / 1e9 for sizes in ((2, 0, 0), (0, 2, 0), (0, 0, 12))
    )
    once = ring_factor("all_gather", ranks)
    gathers = {"forward": once, "backward": once} if stage == 3 else {"forward": 0.0, "backward": 0.0}
    update = 0.0 if stage == 3 else once
    sent = {**gathers, "gradients": once, "update": update}
    return Holding(weights, gradients, states, sent)
