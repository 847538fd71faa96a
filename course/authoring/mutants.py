"""Wrong versions of a solution, made automatically: what a check must not let pass.

Each mutant differs from the solution by one change: an operator, a constant, a sign, a term dropped or
swapped, a step skipped, a copy left out. The proof of the checks demands that every one fails, or is listed
in the exercise as an equivalent, with the reason.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mutant", "mutants"]

_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.FloorDiv: (ast.Div,),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
}
_CALLS = {"mean": "sum", "sum": "mean", "maximum": "minimum", "minimum": "maximum"}
# Arguments that hold arrays or a state: an operation written into one of these leaves out a copy.
_SHARED = {"grad", "param", "state", "theta", "gradient", "x", "y", "samples", "hessian"}


@dataclass(frozen=True)
class Mutant:
    """One change: the line it happened in, before and after, and the whole function's source."""

    kind: str
    before: str
    after: str
    source: str

    @property
    def change(self) -> str:
        """The changed line, before and after: by this an exercise lists its equivalents."""
        return f"{self.before} -> {self.after}"

    def __str__(self) -> str:
        return f"{self.kind}: {self.change}"


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a function's source, each once.

    >>> for mutant in mutants("def f(a, b):\\n    return a - b"):
    ...     print(mutant)
    operator: return a - b -> return a + b
    term dropped: return a - b -> return a
    term dropped: return a - b -> return b
    terms swapped: return a - b -> return b - a
    """
    tree = ast.parse(source)
    original = ast.unparse(tree)
    found: dict[str, Mutant] = {}
    given = _given(tree, source)
    for index, node in enumerate(ast.walk(tree)):
        if id(node) in given:
            continue
        for kind, replacement in _changes(node):
            changed = _replaced(tree, index, replacement)
            text = ast.unparse(ast.fix_missing_locations(changed))
            if text != original and text not in found:
                before, after = _difference(original, text)
                found[text] = Mutant(kind, before, after, text)
    return list(found.values())


def _given(tree: ast.Module, source: str) -> set[int]:
    """Return the nodes that no learner writes: the methods of a class without a solution between marks."""
    mark, given = "### BEGIN SOLUTION", set()
    for made in tree.body:
        for method in made.body if isinstance(made, ast.ClassDef) and mark in source else []:
            if mark not in (ast.get_source_segment(source, method) or ""):
                given |= {id(node) for node in ast.walk(method)}
    return given


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield ``(kind, node that takes this one's place)``."""
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "sign", node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value is not True:
        yield "off by one", ast.Constant(node.value + 1)
        yield "off by one", ast.Constant(node.value - 1)
        yield "sign", ast.Constant(-node.value)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in _COMPARISONS.get(type(node.ops[0]), ()):
            yield "comparison", ast.Compare(node.left, [other()], node.comparators)
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        yield "terms swapped", ast.Tuple([node.elts[1], node.elts[0]], node.ctx)
        if isinstance(node.elts[1], ast.Dict):
            update = ast.Call(_name("state.update"), [node.elts[1]], [])
            written = ast.BoolOp(ast.Or(), [update, ast.Name("state", ast.Load())])
            # The pair is evaluated left to right, so the delta is still the right one.
            yield "copy left out", ast.Tuple([node.elts[0], written], node.ctx)
    elif isinstance(node, ast.FunctionDef | ast.For | ast.While | ast.If):
        yield from _of_body(node)


def _of_operation(node: ast.BinOp) -> Iterator[tuple[str, ast.AST]]:
    for other in _OPERATORS.get(type(node.op), ()):
        yield "operator", ast.BinOp(node.left, other(), node.right)
    yield "term dropped", node.left
    yield "term dropped", node.right
    if isinstance(node.op, ast.Sub | ast.Div | ast.Pow):
        yield "terms swapped", ast.BinOp(node.right, node.op, node.left)
    function = {ast.Add: "np.add", ast.Sub: "np.subtract", ast.Mult: "np.multiply"}.get(type(node.op))
    for operand in (node.left, node.right):
        base = operand.value if isinstance(operand, ast.Subscript) else operand
        if function and isinstance(base, ast.Name) and base.id in _SHARED:
            out = ast.keyword("out", operand)
            yield "copy left out", ast.Call(_name(function), [node.left, node.right], [out])


def _of_call(node: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS:
        other = ast.Attribute(node.func.value, _CALLS[node.func.attr], ast.Load())
        yield "operator", ast.Call(other, node.args, node.keywords)
    if len(node.args) == 1 and not node.keywords:
        yield "call left out", node.args[0]


def _of_body(node: ast.FunctionDef | ast.For | ast.While | ast.If) -> Iterator[tuple[str, ast.AST]]:
    """Leave out one statement of a body, or swap two neighbours."""
    for i, statement in enumerate(node.body):
        if _is_docstring(statement):
            continue
        if not isinstance(statement, ast.Return) and len(node.body) > 1:
            yield "statement left out", _with_body(node, node.body[:i] + node.body[i + 1 :])
        if i and not _is_docstring(node.body[i - 1]) and not isinstance(statement, ast.Return):
            swapped = [*node.body[: i - 1], statement, node.body[i - 1], *node.body[i + 1 :]]
            yield "statements swapped", _with_body(node, swapped)
    if isinstance(node, ast.If):
        for constant in (True, False):
            made = copy.copy(node)
            made.test = ast.Constant(constant)
            yield "branch", made


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _with_body(node: ast.FunctionDef | ast.For | ast.While | ast.If, body: list[ast.stmt]) -> ast.AST:
    made = copy.copy(node)
    made.body = body
    return made


def _name(dotted: str) -> ast.expr:
    return ast.parse(dotted, mode="eval").body


def _replaced(tree: ast.Module, index: int, replacement: ast.AST) -> ast.Module:
    """Return a copy of the tree in which the node at ``index`` of its walk is another one."""
    fresh = copy.deepcopy(tree)
    target = list(ast.walk(fresh))[index]
    replacement = copy.deepcopy(replacement)
    for parent in ast.walk(fresh):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, replacement)
            elif isinstance(value, list) and any(item is target for item in value):
                setattr(parent, field, [replacement if item is target else item for item in value])
    return fresh


def _difference(original: str, changed: str) -> tuple[str, str]:
    """Return the first line that differs, before and after."""
    a, b = original.splitlines(), changed.splitlines()
    for before, after in zip(a, b, strict=False):
        if before != after:
            return before.strip(), after.strip()
    longer = a if len(a) > len(b) else b
    return longer[min(len(a), len(b))].strip(), ""
