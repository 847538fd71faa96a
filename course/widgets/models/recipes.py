"""What the recipe explorer shows of a published recipe: its schedule over tokens, its figures, its memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from course.recipes import RECIPES, Memory, Recipe, memory

__all__ = ["EXPLORED", "Figure", "figures", "model_states", "schedule_over_tokens", "tokens_of_a_step"]

Floats = npt.NDArray[np.float64]
_SEQUENCES = "sequences of "
# Recipes that read text: the others count images.
EXPLORED: dict[str, Recipe] = {
    name: recipe
    for name, recipe in RECIPES.items()
    if recipe.batch_unit == "tokens" or recipe.batch_unit.startswith(_SEQUENCES)
}
_SMALL = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Figure:
    """One row of the table: what it is, its value in words, where it stands, whether it was read there."""

    label: str
    value: str
    where: str
    checked: bool


def tokens_of_a_step(recipe: Recipe) -> float:
    """Return the tokens of a full batch.

    >>> tokens_of_a_step(RECIPES["BERT-Large with LAMB"])
    8388608.0
    """
    length = int(recipe.batch_unit.removeprefix(_SEQUENCES)) if recipe.batch_unit != "tokens" else 1
    return float(recipe.batch * length)


def schedule_over_tokens(recipe: Recipe, points: int = 300) -> tuple[Floats, Floats]:
    """Return tokens read before each of some steps of the run, and the learning rate of these steps.

    The batch is taken as full from the first step on. The steps lie close together at both scales: as
    shares of the run, and by powers of ten. Step k has rate k / warmup and k batches before it: a straight
    line on logarithmic axes too.
    """
    last = recipe.steps - 1
    even = np.linspace(1, last, points)
    powers, corner = np.geomspace(1, last, points), [recipe.warmup - 1, recipe.warmup]
    steps = np.unique(np.rint(np.concatenate([even, powers, corner]))).astype(int)
    schedule = recipe.schedule()
    return steps * tokens_of_a_step(recipe), np.array([schedule(int(step)) for step in steps])


def model_states(recipe: Recipe) -> Memory:
    """Return the memory of weights, gradients, master copy and states in the recipe's precision."""
    text = recipe.precision
    if text.startswith("float8"):
        return memory(recipe.parameters, recipe.optimizer, "float8, bfloat16 states")
    wide = "summed in float32" in text
    return memory(recipe.parameters, recipe.optimizer, "mixed, float32 gradients" if wide else "mixed")


def figures(recipe: Recipe) -> list[Figure]:
    """Return the figures of a recipe in reading order, each with its source."""
    shown = {
        "parameters": ("Parameters", _large(recipe.parameters)),
        "tokens": ("Tokens of the run", _large(recipe.tokens) if recipe.tokens else ""),
        "batch": ("Batch", f"{_large(recipe.batch)} {recipe.batch_unit}"),
        "steps": ("Steps", f"{recipe.steps:,}"),
        "optimizer": ("Optimizer", recipe.optimizer),
        "betas": ("Betas", "{:g} and {:g}".format(*recipe.betas) if recipe.betas else ""),
        "eps": ("eps", _power(recipe.eps)),
        "weight_decay": ("Weight decay", f"{recipe.weight_decay:g}"),
        "clip": ("Clipped at norm", f"{recipe.clip:g}" if recipe.clip is not None else ""),
        "lr": ("Peak learning rate", _plain(recipe.lr)),
        "warmup": ("Warmup, steps", f"{recipe.warmup:,}"),
        "pieces": ("After the warmup", _after_warmup(recipe)),
        "precision": ("Precision", recipe.precision),
    }
    there = recipe.figures()
    return [
        Figure(label, value, recipe.sources[name].where, recipe.sources[name].checked)
        for name, (label, value) in shown.items()
        if name in there
    ]


def _after_warmup(recipe: Recipe) -> str:
    kinds = {"constant": "stands", "cosine": "cosine", "polynomial": "polynomial"}
    parts = []
    for piece in recipe.pieces:
        place = "at" if piece.kind == "constant" else "down to"
        until = "" if piece.until == 1 else f" until {100 * piece.until:.0f} %"
        parts.append(f"{kinds[piece.kind]} {place} {100 * piece.to:.3g} %{until}")
    return "; ".join(parts)


def _large(value: float) -> str:
    for unit, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= unit:
            return f"{value / unit:.4g} {word}"
    return f"{value:,.0f}"


def _plain(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".")


def _power(value: float) -> str:
    return "10" + f"{round(np.log10(value))}".translate(_SMALL) if value > 0 else "0"
