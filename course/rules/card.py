"""What a rule's docstring says of it, taken apart: the one place where these facts stand."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass

from course.rules.base import Rule

__all__ = ["SECTIONS", "Card", "card"]

# The parts of a rule's docstring, in the order of the house; between Errors and Source stands an example.
SECTIONS = ("Formula", "Args", "Shapes", "State", "Errors", "Source", "Counterpart")


@dataclass(frozen=True)
class Card:
    """A rule in a few words.

    Attributes:
        name: of the class. summary: its first sentence. year: of its source.
        bytes_per_parameter: of the state in float32, of a vector (of a matrix where the rule needs one).
        sections: each part of the docstring on one line, by its name.
    """

    name: str
    summary: str
    year: int
    bytes_per_parameter: int
    sections: dict[str, str]

    @property
    def state(self) -> str:
        """The names of the state's entries, as the docstring gives them."""
        return ", ".join(re.findall(r"``(\w+)``", self.sections["State"])) or "none"


def card(rule: type[Rule]) -> Card:
    """Return what the docstring of ``rule`` says.

    >>> from course.rules import Adam
    >>> card(Adam).year, card(Adam).state, card(Adam).bytes_per_parameter
    (2015, 'm, v, step', 8)

    Raises:
        ValueError: a part is missing, or a figure is not where it belongs.
    """
    text = inspect.getdoc(rule) or ""
    sections, heads = {}, "|".join(SECTIONS)
    for name in SECTIONS:
        part = rf"^{name}\b[^:]*:(.*?)(?=^(?:{heads})\b|^>>>|\Z)"
        found = re.search(part, text, re.MULTILINE | re.DOTALL)
        if found is None:
            raise ValueError(f"{rule.__name__}: its docstring has no part '{name}:'")
        sections[name] = " ".join(found[1].split())
    year = re.search(r"\((\d{4})\)", sections["Source"])
    size = re.search(r"(\d+) bytes per parameter", sections["State"])
    if year is None or size is None:
        raise ValueError(f"{rule.__name__}: Source needs a year in brackets, State 'N bytes per parameter'")
    return Card(rule.__name__, text.split("\n\n")[0], int(year[1]), int(size[1]), sections)
