"""What a learner finds in an exercise cell: the solution's function with its body taken out."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_BEGIN = re.compile(r"(\s+)### BEGIN SOLUTION\s*")
_END = re.compile(r"\s+### END SOLUTION\s*")


@dataclass(frozen=True)
class Stub:
    """The learner's source of an exercise cell, and the lines it must not show."""

    source: str
    solution: tuple[str, ...]

    @classmethod
    def of(cls, source: str, name: str, broken: Callable[..., Any] | None = None) -> Stub:
        """Cut the solution out of an exercise cell; ValueError says in a line what is amiss.

        Where a function is to be mended, the body of ``broken`` takes the solution's place, behind a line
        that raises until the learner deletes it: an untouched one is then 'not attempted'.
        """
        lines = source.splitlines()
        begin, end, indent = _region(lines)
        _demand_one_function(source, name, begin, end)
        body = [f"{indent}# YOUR CODE HERE", f'{indent}raise NotImplementedError("write {name}")']
        if broken is not None:
            body = [
                f"{indent}# YOUR CODE HERE: mend what stands below, and delete the next line",
                f'{indent}raise NotImplementedError("mend {name}")',
                *_body(broken),
            ]
        stub = "\n".join([*lines[:begin], *body, *lines[end + 1 :]])
        return cls(stub, tuple(lines[begin + 1 : end]))

    def secrets(self) -> list[str]:
        """The code lines that would give the solution away, without indentation and comments."""
        kept = {line.strip() for line in self.source.splitlines()}
        lines = (re.sub(r"\s+#.*$", "", line).strip() for line in self.solution)
        return [line for line in lines if len(line) > 12 and not line.startswith("#") and line not in kept]


def _region(lines: list[str]) -> tuple[int, int, str]:
    begins = [i for i, line in enumerate(lines) if _BEGIN.fullmatch(line)]
    ends = [i for i, line in enumerate(lines) if _END.fullmatch(line)]
    for found, word in ((begins, "BEGIN"), (ends, "END")):
        if len(found) != 1:
            raise ValueError(f"needs exactly one indented line '### {word} SOLUTION', has {len(found)}")
    if begins[0] > ends[0]:
        raise ValueError("'### END SOLUTION' stands before '### BEGIN SOLUTION'")
    indent = _BEGIN.fullmatch(lines[begins[0]])
    assert indent is not None
    return begins[0], ends[0], indent[1]


def _body(function: Callable[..., Any]) -> list[str]:
    """Return the lines of a function's body, without its docstring, as they stand in its file."""
    source = inspect.getsource(function)
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    first = tree.body[1 if ast.get_docstring(tree) is not None else 0]
    return source.splitlines()[first.lineno - 1 :]


def _demand_one_function(source: str, name: str, begin: int, end: int) -> None:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"syntax error in line {error.lineno}: {error.msg}") from error
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    others = [
        node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)
    ]
    if others or [node.name for node in functions] != [name]:
        raise ValueError(f"must hold the one function {name!r} and nothing else but imports")
    body = functions[0].body
    if ast.get_docstring(functions[0]) is not None:
        body = body[1:]
    # Line numbers of the tree count from 1, those of the region from 0.
    if not body or body[0].lineno <= begin + 1 or (body[-1].end_lineno or 0) > end:
        raise ValueError("the whole body after the docstring must stand between the two solution lines")
