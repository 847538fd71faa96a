"""Any rule as a ``torch.optim.Optimizer``, for real PyTorch training loops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch

from course.rules import Rule
from course.trees import tree_map

__all__ = ["RuleOptimizer"]

# What a group may hold beside hyperparameters; a schedule that is resumed brings its initial_lr.
_TORCHS_OWN = ("params", "param_names", "initial_lr")


class RuleOptimizer(torch.optim.Optimizer):
    """A course rule in the place of a torch optimizer.

    The rule's hyperparameters become the defaults of the parameter groups, by name, so that LR schedulers
    and per-group settings work as for torch's own. The state of each parameter is the rule's state.

    Args:
        params: parameters, or groups: ``[{"params": ..., "lr": ...}, ...]``.
        rule: the rule, or a chain.

    Raises:
        TypeError: ``rule`` is no rule. ValueError: a group names a hyperparameter the rule lacks, or the rule
            looks at all parameters together (a norm over all of them), while here each is stepped alone.
        RuntimeError: a gradient is sparse.

    >>> from course.rules import HeavyBall
    >>> w = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = RuleOptimizer([w], HeavyBall(lr=0.1))
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    tensor([0.8000])
    """

    def __init__(self, params: Iterable[Any], rule: Rule) -> None:
        if not isinstance(rule, Rule):
            raise TypeError(f"RuleOptimizer: rule must be a course rule such as SGD(lr=0.1), not {rule!r}")
        if rule.across:
            raise ValueError(
                f"RuleOptimizer: {type(rule).__name__} looks at all parameters together and here each is "
                "stepped alone; clip or unscale before step(), as with torch's own optimizers"
            )
        self.rule = rule
        super().__init__(params, rule.hyperparameters())

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its hyperparameters must be ones that the rule has, and in range."""
        known = self.rule.hyperparameters()
        for name in param_group:
            if name not in known and name not in _TORCHS_OWN:
                raise ValueError(f"RuleOptimizer: {self.rule!r} has no hyperparameter {name!r}")
        self.rule.with_hyperparameters(**{n: v for n, v in param_group.items() if n in known})
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy or a pickle keeps: torch's own three parts, and the rule."""
        return {**super().__getstate__(), "rule": self.rule}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what ``state_dict`` returned; a master copy stays in its own dtype.

        torch casts every state to its parameter's dtype, which would round that copy to 16 bits.
        """
        super().load_state_dict(state_dict)
        if self.rule.own_precision:
            saved = [key for group in state_dict["param_groups"] for key in group["params"]]
            params = [param for group in self.param_groups for param in group["params"]]
            for key, param in zip(saved, params, strict=True):
                if key in state_dict["state"]:
                    self.state[param] = _on(param.device, state_dict["state"][key])

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step: ``theta <- theta - delta`` for every parameter that has a gradient.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            rule = self._rule_of(group)
            for param in group["params"]:
                if param.grad is not None:
                    self._step_one(rule, param)
        return loss

    def _step_one(self, rule: Rule, param: torch.Tensor) -> None:
        if param.grad is None:
            return
        if param.grad.is_sparse:
            raise RuntimeError("RuleOptimizer: sparse gradients are not supported; use sparse=False")
        # Looking a key up in torch's defaultdict would create it, and state_dict would then carry it.
        state = self.state[param] if param in self.state else rule.init(param.detach())
        new, after = rule.step(param.grad, state, param.detach())
        param.copy_(new)
        if after:
            self.state[param] = after

    def _rule_of(self, group: dict[str, Any]) -> Rule:
        """Return the rule with this group's hyperparameters, which a scheduler may have changed."""
        return self.rule.with_hyperparameters(**{n: group[n] for n in self.rule.hyperparameters()})


def _on(device: torch.device, state: Any) -> Any:
    def placed(value: Any) -> Any:
        return value.detach().to(device, copy=True) if isinstance(value, torch.Tensor) else value

    return tree_map(placed, state)
