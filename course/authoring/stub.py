"""What a learner finds in an exercise cell: the solution, its function's or methods' bodies taken out."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_BEGIN = re.compile(r"\s+### BEGIN SOLUTION\s*")
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
        regions = _regions(lines)
        owners = _owners(source, name, regions)
        kept, solution, at = [], [], 0
        for (begin, end, indent), owner in zip(regions, owners, strict=True):
            body = [f"{indent}# YOUR CODE HERE", f'{indent}raise NotImplementedError("write {owner}")']
            if broken is not None:
                body = [
                    f"{indent}# YOUR CODE HERE: mend what stands below, and delete the next line",
                    f'{indent}raise NotImplementedError("mend {owner}")',
                    *_body(broken),
                ]
            kept += [*lines[at:begin], *body]
            solution += lines[begin + 1 : end]
            at = end + 1
        return cls("\n".join(kept + lines[at:]), tuple(solution))

    def secrets(self) -> list[str]:
        """The code lines that would give the solution away, without indentation and comments."""
        kept = {line.strip() for line in self.source.splitlines()}
        lines = (re.sub(r"\s+#.*$", "", line).strip() for line in self.solution)
        return [line for line in lines if len(line) > 12 and not line.startswith("#") and line not in kept]


def _regions(lines: list[str]) -> list[tuple[int, int, str]]:
    """Return where each solution begins and ends, and its indentation."""
    begins = [i for i, line in enumerate(lines) if _BEGIN.fullmatch(line)]
    ends = [i for i, line in enumerate(lines) if _END.fullmatch(line)]
    for found, word in ((begins, "BEGIN"), (ends, "END")):
        if not found:
            raise ValueError(f"needs exactly one indented line '### {word} SOLUTION', has 0")
    if len(begins) != len(ends):
        raise ValueError(f"has {len(begins)} lines '### BEGIN SOLUTION' and {len(ends)} '### END SOLUTION'")
    marks = [mark for pair in zip(begins, ends, strict=True) for mark in pair]
    if marks != sorted(marks):
        raise ValueError("'### END SOLUTION' stands before '### BEGIN SOLUTION'")
    indents = [lines[begin][: lines[begin].index("#")] for begin in begins]
    return list(zip(begins, ends, indents, strict=True))


def _body(function: Callable[..., Any]) -> list[str]:
    """Return the lines of a function's body, without its docstring, as they stand in its file."""
    source = inspect.getsource(function)
    tree = ast.parse(source).body[0]
    assert isinstance(tree, ast.FunctionDef)
    first = tree.body[1 if ast.get_docstring(tree) is not None else 0]
    return source.splitlines()[first.lineno - 1 :]


def _owners(source: str, name: str, regions: list[tuple[int, int, str]]) -> list[str]:
    """Return what each region is the body of: the function, or ``Class.method``."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"syntax error in line {error.lineno}: {error.msg}") from error
    made = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    if len(made) == 1 and isinstance(made[0], ast.ClassDef) and made[0].name == name:
        methods = [node for node in made[0].body if isinstance(node, ast.FunctionDef)]
        owners = [_body_of(begin, end, methods) for begin, end, _ in regions]
        return [f"{name}.{method.name}" for method in owners]
    functions = [node for node in made if isinstance(node, ast.FunctionDef)]
    if len(made) != len(functions) or [node.name for node in functions] != [name]:
        raise ValueError(f"must hold the one function {name!r} and nothing else but imports")
    if len(regions) != 1:
        raise ValueError(f"needs exactly one indented line '### BEGIN SOLUTION', has {len(regions)}")
    _body_of(regions[0][0], regions[0][1], functions)
    return [name]


def _body_of(begin: int, end: int, functions: list[ast.FunctionDef]) -> ast.FunctionDef:
    """Return the function whose whole body after the docstring stands between two lines."""
    for function in functions:
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        # Line numbers of the tree count from 1, those of the region from 0.
        if body and body[0].lineno > begin + 1 > function.lineno and (body[-1].end_lineno or 0) <= end:
            return function
    raise ValueError("the whole body after the docstring must stand between the two solution lines")
