"""Which captured variables a cell may change in place. Pure, and generous: whether one was changed is found out where the cell runs.

A variable that the cell assigns anew is none of them: it is known that nothing comes back without -o. What this is about is ``d.append(1)``.
"""

from __future__ import annotations

import ast
from typing import Final

from funcx_jupyter.capture.names import CellNames
from funcx_jupyter.capture.values import Captured, Kind

MOST_WATCHED: Final = 1024 * 1024
"""Bytes of a variable that is watched; looking at it twice takes a few milliseconds."""
_HARMLESS: Final = frozenset(
    [
        "abs",
        "all",
        "any",
        "bool",
        "bytes",
        "complex",
        "dict",
        "enumerate",
        "float",
        "format",
        "frozenset",
        "getattr",
        "hasattr",
        "hash",
        "id",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
        "print",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "zip",
    ]
)
"""Builtins that look at their arguments and keep nothing of them that could be changed later, apart from what is in them."""


def watched(tree: ast.Module, names: CellNames, captured: Captured, outputs: tuple[str, ...]) -> list[str]:
    """Return the names of the variables whose values are to be compared before and after the cell."""
    direct = {use.name for use in names.inputs}
    touched = may_be_changed(tree)
    return [
        value.name
        for value in captured.values
        if value.kind is Kind.VALUE
        and value.size <= MOST_WATCHED
        and value.name not in outputs
        and value.name not in names.assigned
        and (value.name in touched or value.name not in direct)  # Functions that go along use the others.
    ]


def may_be_changed(tree: ast.Module) -> set[str]:
    """Return the names that the code does something to, or gives to somebody who might."""
    found: set[str] = set()
    for node in ast.walk(tree):
        for part in _exposed(node):
            found |= _names_in(part)
    return found


def _exposed(node: ast.AST) -> list[ast.expr]:  # noqa: PLR0911 - one for each kind of node
    """Return the expressions in a node whose values may be changed by it, or reached by another name after it."""
    match node:
        case (
            ast.Attribute(value=base, ctx=ast.Store() | ast.Del())
            | ast.Subscript(value=base, ctx=ast.Store() | ast.Del())
        ):
            return [base]
        case ast.Call(func=ast.Attribute(value=base), args=args, keywords=keywords):
            return [base, *args, *(keyword.value for keyword in keywords)]
        case ast.Call(func=ast.Name(id=name)) if name in _HARMLESS:
            return []
        case ast.Call(args=args, keywords=keywords):
            return [*args, *(keyword.value for keyword in keywords)]
        case ast.AugAssign(target=target, value=value):
            return [target, value]
        case ast.Assign(value=value) | ast.NamedExpr(value=value) | ast.AnnAssign(value=ast.expr() as value):
            return [value]
        case (
            ast.For(iter=value)
            | ast.AsyncFor(iter=value)
            | ast.comprehension(iter=value)
            | ast.withitem(context_expr=value)
        ):
            return [value]
        case ast.Return(value=ast.expr() as value) | ast.Yield(value=ast.expr() as value) | ast.YieldFrom(value=value):
            return [value]
        case _:
            return []


def _names_in(expression: ast.expr) -> set[str]:  # noqa: PLR0911 - as above
    """Return the names whose values, or parts of them, an expression may be."""
    match expression:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute(value=base) | ast.Subscript(value=base) | ast.Starred(value=base) | ast.Await(value=base):
            return _names_in(base)
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
            return set().union(*map(_names_in, parts))
        case ast.Dict(values=parts):
            return set().union(*map(_names_in, parts))
        case ast.IfExp(body=one, orelse=other):
            return _names_in(one) | _names_in(other)
        case ast.BoolOp(values=parts):
            return set().union(*map(_names_in, parts))
        case ast.Call(func=ast.Name(id=name), args=args) if name in _HARMLESS:
            return set().union(*map(_names_in, args))  # A list of it has the same elements.
        case ast.NamedExpr(value=value):
            return _names_in(value)
        case _:
            return set()
