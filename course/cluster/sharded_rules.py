"""Update rules on shards: elementwise ones as they are, LARS and LAMB with their norms all-reduced.

A rank owns a block of a row in which many parameters stand one after the other, so it may own a piece of a
parameter only. Nothing changes for a rule that goes element by element. A rule that asks for the norm of a
whole parameter must ask all ranks: each sums the squares of its piece, and one small all-reduce adds them up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from course.arrays import Array, minimum, to_numpy, zeros_like
from course.cluster.communicator import Communicator
from course.rules import LAMB, LARS, Rule
from course.rules.adam import adam
from course.rules.chain import Chain
from course.rules.lars import ratio

__all__ = ["ShardedRule", "is_elementwise"]


def is_elementwise(rule: Rule) -> bool:
    """Say whether the rule may be run on any cut of a parameter."""
    return all(map(is_elementwise, rule.stages)) if isinstance(rule, Chain) else rule.elementwise


class ShardedRule:
    """A rule for this rank's pieces of the parameters.

    Args:
        comm: the ranks that own the other pieces. rule: elementwise, or LARS or LAMB.
        blocks: for each row, this rank's block of it.
        pieces: for each row, the places of the parameters in the block.
        axes: how many axes each whole parameter has.

    Raises:
        ValueError: the rule needs the whole of a parameter (Muon, Adafactor).
    """

    def __init__(
        self,
        comm: Communicator,
        rule: Rule,
        blocks: list[Array],
        pieces: list[dict[str, slice]],
        axes: Mapping[str, int],
    ) -> None:
        if not isinstance(rule, Rule):
            raise TypeError(f"cluster: rule must be a course rule such as AdamW(), not {rule!r}")
        self.norms = isinstance(rule, LARS | LAMB)
        if not (self.norms or is_elementwise(rule)):
            raise ValueError(
                f"cluster: {type(rule).__name__} needs whole parameters and cannot run on shards; "
                "use data_parallel, or an elementwise rule, LARS or LAMB"
            )
        self.comm, self.rule, self.pieces, self.axes = comm, rule, pieces, axes
        self.names = sorted(axes)
        self.states = [rule.init(block) for block in blocks]

    def update(self, gradients: list[Array], blocks: list[Array]) -> list[Array]:
        """Return what is to be subtracted from each block."""
        if not self.norms:
            return [
                self._elementwise(i, g, block)
                for i, (g, block) in enumerate(zip(gradients, blocks, strict=True))
            ]
        if isinstance(self.rule, LAMB):
            return self._lamb(self.rule, gradients, blocks)
        assert isinstance(self.rule, LARS)
        return self._lars(self.rule, gradients, blocks)

    def _elementwise(self, i: int, gradient: Array, block: Array) -> Array:
        delta, self.states[i] = self.rule.update(gradient, self.states[i], block)
        return delta

    def _lars(self, rule: LARS, gradients: list[Array], blocks: list[Array]) -> list[Array]:
        below, sign = gradients, -1 if rule.maximize else 1
        if rule.joint_norm:
            pairs = zip(gradients, blocks, strict=True)
            below = [sign * g + rule.weight_decay * x for g, x in pairs]
        weights, others = self._all_norms(blocks, below)
        deltas = []
        for i, (g, x) in enumerate(zip(gradients, blocks, strict=True)):
            delta, buffer = zeros_like(x), zeros_like(x)
            for name, place in self.pieces[i].items():
                under = others[name] if rule.joint_norm else others[name] + rule.weight_decay * weights[name]
                trust = _as(ratio(_box(weights[name]), _box(under + rule.eps), rule.trust_coefficient), x)
                known = trust if rule.adapts(self.axes[name]) else None
                state = {"buffer": self.states[i]["buffer"][place]}
                delta[place], after = rule.update_with(known, g[place], state, x[place])
                buffer[place] = after["buffer"]
            self.states[i] = {"buffer": buffer}
            deltas.append(delta)
        return deltas

    def _lamb(self, rule: LAMB, gradients: list[Array], blocks: list[Array]) -> list[Array]:
        if rule.max_grad_norm is not None:
            total = math.sqrt(
                float(self.comm.all_reduce(sum(self._squares(gradients).values()), label="norms"))
            )
            factor = min(1.0, rule.max_grad_norm / total) if total != 0 else 1.0
            gradients = [factor * g for g in gradients]
        (beta1, beta2), raw = rule.betas, []
        for i, (g, x) in enumerate(zip(gradients, blocks, strict=True)):
            state = self.states[i]
            t = state["step"] + 1
            c1, c2 = (1 - beta1**t, 1 - beta2**t) if rule.bias_correction else (1.0, 1.0)
            g = -g if rule.maximize else g
            step, m, v = adam(g, state["m"], state["v"], 1.0, beta1, beta2, c1, c2, rule.eps, 0.0)
            self.states[i] = {"m": m, "v": v, "step": t}
            raw.append(step + rule.weight_decay * x)
        weights, others = self._all_norms(blocks, raw)
        deltas = []
        for i, u in enumerate(raw):
            delta = zeros_like(u)
            for name, place in self.pieces[i].items():
                above = minimum(_box(weights[name]), rule.max_weight_norm)
                trust = _as(ratio(above, _box(others[name] + rule.trust_eps)), u)
                delta[place] = rule.lr * trust * u[place]
            deltas.append(delta)
        return deltas

    def _squares(self, blocks: list[Array]) -> dict[str, float]:
        """Return the sum of the squares of this rank's piece of each parameter."""
        sums = dict.fromkeys(self.names, 0.0)
        for pieces, block in zip(self.pieces, blocks, strict=True):
            for name, place in pieces.items():
                sums[name] += float((block[place] * block[place]).sum())
        return sums

    def _all_norms(
        self, first: list[Array], second: list[Array]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return two norms of each whole parameter, by one all-reduce of two numbers a parameter."""
        sums = [*self._squares(first).values(), *self._squares(second).values()]
        norms = np.sqrt(self.comm.all_reduce(np.array(sums), label="norms")).tolist()
        count = len(self.names)
        return dict(zip(self.names, norms[:count], strict=True)), dict(
            zip(self.names, norms[count:], strict=True)
        )


def _box(value: float) -> Any:
    return np.asarray(value)


def _as(value: Any, like: Array) -> Any:
    """Return a number as one of the array's own dtype: it must not widen what it multiplies."""
    return like.new_tensor(float(value)) if hasattr(like, "new_tensor") else like.dtype.type(to_numpy(value))
