"""What is kept beside the weights: averages of them, and copies in a higher precision."""

from __future__ import annotations

from course.averaging.average import EMA, SWA
from course.averaging.master import MasterWeights, StochasticRounding
from course.averaging.rounding import round_to_bfloat16, stochastic_round

__all__ = ["EMA", "SWA", "MasterWeights", "StochasticRounding", "round_to_bfloat16", "stochastic_round"]
