"""The slips of LossScaler: each is a whole class, wrong in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from course.exercises.base import Slips

__all__ = ["Right", "scaler_slips"]

Array = np.ndarray
scaler_slips = Slips()


class Right:
    """A right answer, of which each slip changes one method."""

    def __init__(self, init_scale: float, growth_factor: float, backoff_factor: float, growth_interval: int):
        self.factor = init_scale
        self.growth_factor = growth_factor
        self.backoff_factor = backoff_factor
        self.growth_interval = growth_interval
        self.good_steps = 0
        self.finite = True

    def scale(self, loss: float) -> Any:
        """Return the loss for backward."""
        return loss * self.factor

    def unscale(self, grads: list[Array]) -> Any:
        """Return the gradients of the loss, in float32; look whether they are finite."""
        self.finite = all(np.isfinite(g).all() for g in grads)
        return [g.astype(np.float32) / self.factor for g in grads]

    def step(self, take_step: Callable[[], None]) -> None:
        """Call ``take_step`` where all was finite."""
        if self.finite:
            take_step()

    def update(self) -> None:
        """Shrink the factor after an overflow; let it grow after enough good steps."""
        if not self.finite:
            self.shrink()
        else:
            self.good_steps += 1
            if self.good_steps == self.growth_interval:
                self.grow()

    def shrink(self) -> None:
        """Back off."""
        self.factor *= self.backoff_factor
        self.good_steps = 0

    def grow(self) -> None:
        """Grow, and begin to count anew."""
        self.factor *= self.growth_factor
        self.good_steps = 0


@scaler_slips(
    "the step taken after an overflow",
    "You take the step although a gradient is infinite or NaN. From then on the weights are too.",
    "step calls take_step only where self.finite is True.",
)
class TheStepTakenAfterAnOverflow(Right):
    def step(self, take_step: Callable[[], None]) -> None:
        take_step()


@scaler_slips(
    "NaN not seen",
    "You look for infinities only. An infinity minus another is a NaN: that is an overflow too.",
    "np.isfinite is False for both kinds.",
)
class NanNotSeen(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = not any(np.isinf(g).any() for g in grads)
        return [g.astype(np.float32) / self.factor for g in grads]


@scaler_slips(
    "infinities not seen",
    "You look for NaN only. What has grown beyond float16 is an infinity first.",
    "np.isfinite is False for both kinds.",
)
class InfinitiesNotSeen(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = not any(np.isnan(g).any() for g in grads)
        return [g.astype(np.float32) / self.factor for g in grads]


@scaler_slips(
    "only the last gradient looked at",
    "You set self.finite anew for each array, so only the last one counts.",
    "One bad array is enough: all of them must be finite.",
)
class OnlyTheLastGradientLookedAt(Right):
    def unscale(self, grads: list[Array]) -> Any:
        for g in grads:
            self.finite = bool(np.isfinite(g).all())
        return [g.astype(np.float32) / self.factor for g in grads]


@scaler_slips(
    "never forgiven",
    "Once a gradient was not finite, self.finite stays False: no step is ever taken again.",
    "unscale must set self.finite at every call, to True as well.",
)
class NeverForgiven(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = self.finite and all(np.isfinite(g).all() for g in grads)
        return [g.astype(np.float32) / self.factor for g in grads]


@scaler_slips(
    "never grown",
    "The scale only ever falls. After one bad step it is too small for the rest of the training.",
    "After growth_interval good steps in a row it is multiplied by growth_factor.",
)
class NeverGrown(Right):
    def grow(self) -> None:
        pass


@scaler_slips(
    "never backed off",
    "After an overflow the scale stays. The next step overflows too, and so on for ever.",
    "Multiply the factor by backoff_factor where the gradients were not finite.",
)
class NeverBackedOff(Right):
    def shrink(self) -> None:
        self.good_steps = 0


@scaler_slips(
    "good steps counted on after an overflow",
    "The scale falls after an overflow, but the count of good steps goes on from where it was.",
    "The good steps must come in a row: begin to count anew.",
)
class GoodStepsCountedOnAfterAnOverflow(Right):
    def shrink(self) -> None:
        self.factor *= self.backoff_factor


@scaler_slips(
    "good steps not cleared after growth",
    "The scale grows once, and the count goes on: it never equals growth_interval again.",
    "Set the count to 0 when the scale grows.",
)
class GoodStepsNotClearedAfterGrowth(Right):
    def grow(self) -> None:
        self.factor *= self.growth_factor


@scaler_slips(
    "grown at every good step",
    "The scale grows after each good step; growth_interval is not looked at.",
    "Count the good steps, and grow when there are growth_interval of them.",
)
class GrownAtEveryGoodStep(Right):
    def update(self) -> None:
        if self.finite:
            self.grow()
        else:
            self.shrink()


@scaler_slips(
    "one good step too late",
    "The scale grows one good step late. Either you count a good step only when the scale does not grow, or "
    "you ask whether the count is larger than growth_interval.",
    "Count this step first, then ask. With growth_interval 3 it grows at the third good step.",
)
class OneGoodStepTooLate(Right):
    def update(self) -> None:
        if not self.finite:
            self.shrink()
            return
        self.good_steps += 1
        if self.good_steps > self.growth_interval:
            self.grow()


@scaler_slips(
    "divided in float16",
    "You divide the float16 gradients as they are. In float16 the quotient underflows, and what the scale "
    "saved is lost again; widening it afterwards comes too late.",
    "Widen first, by g.astype(np.float32), then divide.",
)
class DividedInFloat(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = all(np.isfinite(g).all() for g in grads)
        with np.errstate(all="ignore"):
            return [g / np.float16(self.factor) for g in grads]


@scaler_slips(
    "not unscaled",
    "unscale looks at the gradients but returns them as they are: the step would be as many times too large "
    "as the scale says.",
    "The loss was multiplied by self.factor, so its gradients were too.",
)
class NotUnscaled(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = all(np.isfinite(g).all() for g in grads)
        return [g.astype(np.float32) for g in grads]


@scaler_slips(
    "multiplied once more",
    "unscale multiplies by the scale. The gradients hold it already, once.",
    "unscale undoes what scale did.",
)
class MultipliedOnceMore(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = all(np.isfinite(g).all() for g in grads)
        return [g.astype(np.float32) * self.factor for g in grads]


@scaler_slips(
    "the scale changed before unscaling",
    "You adapt the scale first and divide by the new one. These gradients were made with the old one.",
    "The scale changes at the end of the step, in update.",
)
class TheScaleChangedBeforeUnscaling(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = all(np.isfinite(g).all() for g in grads)
        Right.update(self)
        return [g.astype(np.float32) / self.factor for g in grads]

    def update(self) -> None:
        pass


@scaler_slips(
    "the loss not scaled",
    "scale returns the loss as it is, so nothing is saved from underflow, and unscale divides for nothing.",
    "The loss times self.factor.",
)
class TheLossNotScaled(Right):
    def scale(self, loss: float) -> Any:
        return loss


@scaler_slips(
    "good and bad exchanged",
    "You step, and count, where the gradients are not finite, and back off where they are.",
    "self.finite is True when all is well.",
)
class GoodAndBadExchanged(Right):
    def unscale(self, grads: list[Array]) -> Any:
        self.finite = not all(np.isfinite(g).all() for g in grads)
        return [g.astype(np.float32) / self.factor for g in grads]
