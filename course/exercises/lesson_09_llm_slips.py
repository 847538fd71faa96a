"""The slips of ``llm_step``: each part of the recipe left out, in the wrong place, or on the wrong array."""

from __future__ import annotations

from typing import Any

import numpy as np

from course.averaging import round_to_bfloat16
from course.exercises.base import Slips
from course.exercises.lesson_09_llm_wrong import WrongStep

__all__ = ["llm_slips"]

llm_slips = Slips()


def _add(name: str, sentence: str, nudge: str, **wrong: Any) -> None:
    step = WrongStep(**wrong)

    def answer(
        grads: Any, tokens: Any, state: Any, master: Any,
        schedule: Any, beta1: Any, beta2: Any, eps: Any, weight_decay: Any, max_norm: Any,
    ) -> Any:  # fmt: skip
        return step(grads, tokens, state, master, schedule, beta1, beta2, eps, weight_decay, max_norm)

    llm_slips(name, sentence, nudge)(answer)


_add(
    "every micro-batch counts the same",
    "You take the plain mean over the micro-batches. One with more tokens must count more.",
    "Each gradient is a mean over its own tokens. What is the mean over all tokens?",
    mean="by micro-batch",
)
_add(
    "gradients summed, not averaged",
    "You add up the gradients of the micro-batches and divide by nothing.",
    "The result is to be the gradient of the mean loss over all tokens.",
    mean="sum",
)
_add(
    "divided by the tokens, not weighted",
    "You divide the sum of the gradients by all tokens. Each of them is already a mean over its own tokens.",
    "Turn each mean into a sum first.",
    mean="sum of means over tokens",
)
_add(
    "weighted, but not divided",
    "You weigh by tokens and never divide by their sum.",
    "The result is to be the gradient of the mean loss over all tokens.",
    mean="sum by tokens",
)
_add(
    "only the last micro-batch",
    "You step with the gradient of the last micro-batch; the others are lost.",
    "Accumulate: all micro-batches of the window count.",
    mean="last",
)
_add(
    "clipped before accumulation",
    "You clip each micro-batch by itself. What is to be clipped is the gradient of the whole window.",
    "First accumulate, then clip, once.",
    clip="before",
)
_add(
    "clipped after the rule",
    "You clip the step, not the gradient. The moments have seen the long gradient by then.",
    "Clipping comes between accumulation and the rule.",
    clip="after",
)
_add(
    "clipped tensor by tensor",
    "You clip each parameter by its own norm. That turns the gradient.",
    "One norm over all arrays together, one factor for all.",
    clip="each",
)
_add(
    "clipped by value",
    "You cut each element at max_norm. That is clipping by value; here the norm counts.",
    "One norm over all arrays together, one factor for all.",
    clip="by value",
)
_add(
    "short gradients made longer",
    "You bring every gradient to the norm max_norm, short ones too.",
    "The factor is at most 1.",
    clip="always",
)
_add(
    "root of the norm forgotten",
    "You divide by the sum of the squares. The norm is its root.",
    "The norm of (3, 4) is 5.",
    clip="no root",
)
_add("not clipped", "You do not clip the gradient.", "What is max_norm for?", clip="never")
_add(
    "decay on vectors too",
    "Everything decays in your step: biases and gains of norms too.",
    "Decay only what has at least two axes.",
    decays=lambda theta: True,
)
_add(
    "decay on exactly two axes",
    "You decay what has exactly two axes. The kernel of a convolution has more.",
    "Decay only what has at least two axes.",
    decays=lambda theta: theta.ndim == 2,
)
_add("no decay", "Nothing decays in your step.", "What is weight_decay for?", decays=lambda theta: False)
_add(
    "decay on the wrong arrays",
    "You decay vectors and spare matrices.",
    "Decay only what has at least two axes.",
    decays=lambda theta: theta.ndim < 2,
)
_add(
    "decay without lr",
    "Your decay is not multiplied by the learning rate. AdamW as torch has it multiplies by it.",
    "lr times weight_decay times the parameter.",
    decay="without lr",
)
_add(
    "decay with the peak rate",
    "Your decay is multiplied by the schedule's peak. It follows the schedule like the rest of the step.",
    "One rate for the step, asked of the schedule once, and used for both.",
    decay="with the peak",
)
_add(
    "decay inside the gradient",
    "You add the decay to the gradient, so that Adam divides it by the root: that is an L2 penalty.",
    "The moments take the bare gradient. The decay stands beside the step.",
    decay="in the gradient",
)
_add(
    "schedule asked one step late",
    "You ask the schedule after counting the step. It counts from 0: the first update is schedule(0).",
    "How many steps have been taken before this one?",
    rate=lambda schedule, step: schedule(step + 1),
)
_add(
    "schedule restarted at every call",
    "You ask the schedule for step 0 at every call.",
    "How many steps have been taken is in the state.",
    rate=lambda schedule, step: schedule(0),
)
_add(
    "schedule ignored",
    "You take the schedule's peak at every step.",
    "Call schedule with the number of steps taken.",
    rate=lambda schedule, step: schedule.lr,
)
_add(
    "bias correction one step behind",
    "You correct with the number of steps before this one. At the first step that divides by 0.",
    "In the correction the first step is number 1.",
    correct=lambda beta, t: 1 - beta ** (t - 1),
)
_add(
    "no bias correction",
    "You use m and v without correcting them for their start at zero.",
    "Divide each by 1 minus its beta to the power of t.",
    correct=lambda beta, t: 1.0,
)
_add(
    "no bias correction of v",
    "You correct m for its start at zero, and v not. v begins at zero too.",
    "Divide v by 1 - beta2**t before the root.",
    correct_v=lambda beta, t: 1.0,
)
_add(
    "no bias correction of m",
    "You correct v for its start at zero, and m not. m begins at zero too.",
    "Divide m by 1 - beta1**t.",
    correct_m=lambda beta, t: 1.0,
)
_add(
    "eps inside the root",
    "You add eps under the root. It is added to the root.",
    "First the root of the corrected v, then plus eps.",
    eps_inside=True,
)
_add(
    "v from the unclipped gradient",
    "Your v takes the gradient from before clipping; m takes the clipped one. Both take the clipped one.",
    "Clip once, and use that gradient for everything after it.",
    squares="unclipped",
)
_add(
    "stepped from the rounded weights",
    "You take the step from weights rounded to 16 bits. What rounding cut off is then lost at every step.",
    "The master copy is what the step starts from, unrounded.",
    start=round_to_bfloat16,
)
_add(
    "master copy rounded",
    "You return the rounded weights as the master copy. The small steps are lost.",
    "Round a copy for the forward pass; keep the master copy as it is.",
    keep=round_to_bfloat16,
)
_add(
    "weights not rounded",
    "Your weights are the master copy itself, in float32.",
    "Round them: round_to_bfloat16.",
    weights=lambda old, new: new,
)
_add(
    "weights and master copy swapped",
    "You return the master copy first and the rounded weights second. The order is weights, master, state.",
    "The first of the three is what the forward pass uses.",
    swapped=True,
)
_add(
    "weights from before the step",
    "Your weights are the master copy rounded before the step.",
    "Step first, then round.",
    weights=lambda old, new: round_to_bfloat16(old),
)
_add(
    "float16, not bfloat16",
    "You round to float16, which has more digits and less range.",
    "Round with round_to_bfloat16.",
    weights=lambda old, new: new.astype(np.float16),
)
_add(
    "step not counted", "You return the count of steps as it came.", "state['step'] goes up by one.", counts=0
)
_add("up, not down", "Your step goes uphill: it is added.", "Subtract the step.", sign=-1)
