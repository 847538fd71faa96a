"""Published recipes as data with their sources, and the arithmetic of memory and batches."""

from __future__ import annotations

from course.recipes.memory import (
    PRECISIONS,
    Memory,
    Precision,
    accumulation_for,
    gibibytes,
    gigabytes,
    memory,
    state_numbers,
    tokens_per_step,
)
from course.recipes.published import RECIPES
from course.recipes.recipe import Piece, Recipe, Source

__all__ = [
    "PRECISIONS",
    "RECIPES",
    "Memory",
    "Piece",
    "Precision",
    "Recipe",
    "Source",
    "accumulation_for",
    "gibibytes",
    "gigabytes",
    "memory",
    "state_numbers",
    "tokens_per_step",
]
