"""The slips of ``model_state_bytes``: parts forgotten or counted twice, wrong sizes, wrong units."""

from __future__ import annotations

from typing import Any

from course.exercises.base import Slips

__all__ = ["SIZES", "bytes_slips"]

bytes_slips = Slips()
# Bytes of a weight, a gradient, its master copy, and one number of the optimizer's state.
SIZES = {"float32": (4, 4, 0, 4), "mixed": (2, 2, 4, 4), "bfloat16": (2, 2, 0, 2)}


def _counted(
    parameters: int, precision: str, moments: int, factor: float = 1, **other: int
) -> tuple[float, ...]:
    """Return the four parts with other sizes where named, times a factor."""
    names = ("weight", "gradient", "master", "state")
    sizes = dict(zip(names, SIZES[precision], strict=True)) | other
    sizes["state"] *= moments
    whole = factor == int(factor)
    return tuple((int(factor) if whole else factor) * parameters * sizes[name] for name in names)


@bytes_slips(
    "gradients forgotten",
    "You count no gradients. After backward there is one number for every weight.",
    "Gradients have the precision of the weights.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, gradient=0)


@bytes_slips(
    "master copy forgotten",
    "In mixed precision you count no master copy. The optimizer steps a float32 copy of the weights.",
    "Four bytes for each weight, beside the two that the forward pass uses.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, master=0)


@bytes_slips(
    "a master copy always",
    "You count a master copy in every precision. Where the weights are what the rule steps, there is none.",
    "Only mixed precision has one.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, master=4)


@bytes_slips(
    "a master copy in float32 too",
    "You count a master copy beside float32 weights. They are in float32 already.",
    "Only mixed precision has one.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, master=0 if precision == "bfloat16" else 4)


@bytes_slips(
    "a single moment",
    "Your state holds one number for each parameter, whatever the rule. AdamW keeps two.",
    "moments says how many numbers the rule keeps for each parameter.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, 1)


@bytes_slips(
    "always two moments",
    "Your state holds two numbers for each parameter, whatever the rule. Momentum keeps one, SGD none.",
    "moments says how many numbers the rule keeps for each parameter.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, 2)


@bytes_slips(
    "states in 16 bits",
    "In mixed precision your states have two bytes. They stay in float32, like the master copy.",
    "What works in 16 bits is the forward and backward pass, not the optimizer.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, **({"state": 2} if precision == "mixed" else {}))


@bytes_slips(
    "gradients in float32",
    "In mixed precision your gradients have four bytes. Some codes sum them in float32; here they have two, "
    "like the weights.",
    "Gradients have the precision of the weights.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, **({"gradient": 4} if precision == "mixed" else {}))


@bytes_slips(
    "weights in float32",
    "In mixed precision your weights have four bytes. The float32 ones are the master copy, counted apart.",
    "The forward pass reads weights of 16 bits.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, **({"weight": 4} if precision == "mixed" else {}))


@bytes_slips(
    "everything in float32",
    "You count four bytes for every number, whatever the precision.",
    "A number of 16 bits has two bytes.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, "mixed" if precision == "mixed" else "float32", moments, weight=4, gradient=4)


@bytes_slips(
    "bits",
    "These are bits: eight times too many.",
    "A byte has eight bits.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, 8)


@bytes_slips(
    "GiB, not bytes",
    "You divide by 2**30: these are GiB. The function returns bytes.",
    "Leave the unit to whoever prints it.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, 2**-30)


@bytes_slips(
    "GB, not bytes",
    "You divide by 1e9: these are GB. The function returns bytes.",
    "Leave the unit to whoever prints it.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(parameters, precision, moments, 1e-9)


@bytes_slips(
    "bytes per parameter",
    "These are bytes for a single parameter.",
    "How many parameters does the model have?",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    return _counted(1, precision, moments)


@bytes_slips(
    "master copy and states swapped",
    "The four numbers are right and in the wrong order: the master copy comes before the states.",
    "Weights, gradients, master copy, states.",
)
def _(parameters: int, precision: str, moments: int) -> Any:
    weights, gradients, master, states = _counted(parameters, precision, moments)
    return weights, gradients, states, master
