"""The seeds that a cell sets.

Those that it names as they are, such as ``random.seed(4)``, are read from its text. What a variable or an expression holds is known when
the cell runs: `watched` compiles ``random.seed(year)`` as if it were ``random.seed(noted("random.seed(", year, ")"))``. That is done only in the cell's
own statements. Functions and classes that it defines may be sent home and elsewhere, and must stay what their author wrote.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from typing import Any, Final, TypeVar

MOST: Final = 8
"""Seeds that are told of one cell."""
_LONGEST: Final = 40
"""Characters of one seed; NumPy's own have 128 bits, which are 39 digits."""
_MOST_BITS: Final = 128
_FUNCTIONS: Final = frozenset(
    {
        "seed",
        "manual_seed",
        "manual_seed_all",
        "default_rng",
        "RandomState",
        "Random",
        "set_seed",
        "PRNGKey",
        "SeedSequence",
    }
)
_ARGUMENTS: Final = frozenset({"seed", "random_state"})
_LIKELY: Final = re.compile("seed|random|rng|Random|PRNG", re.IGNORECASE)

_OUTLIVING: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_T = TypeVar("_T")
_found: ContextVar[dict[str, None] | None] = ContextVar("seeds", default=None)


def seeds_of(source: str) -> list[str]:
    """Return the seeds that a cell sets as it is written, such as ``random.seed(4)`` and ``random_state=7``."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    found = (_told(before, value.value, after) for before, value, after in _plain_seeds(tree))
    return list(dict.fromkeys(found))[:MOST]


def _plain_seeds(tree: ast.AST) -> Iterator[tuple[str, ast.Constant, str]]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        for before, value, after in _seeds(call):
            if isinstance(value, ast.Constant) and isinstance(value.value, int | str) and _is_short(value.value):
                yield before, value, after


def _is_short(value: int | str) -> bool:
    return len(value) <= _LONGEST if isinstance(value, str) else value.bit_length() <= _MOST_BITS


def _told(before: str, value: object, after: str) -> str:
    return f"{before}{value!r}{after}"[: 2 * _LONGEST]


def _seeds(call: ast.Call) -> Iterator[tuple[str, ast.expr, str]]:
    """Yield the arguments of a call that are seeds, with what is told before and after their values."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in _FUNCTIONS and call.args and not isinstance(call.args[0], ast.Starred):
        yield f"{ast.unparse(call.func)}(", call.args[0], ")"
    yield from ((f"{each.arg}=", each.value, "") for each in call.keywords if each.arg in _ARGUMENTS)
    # `simulate(seed)`: what it is for is known by its name, whatever the function makes of it.
    yield from ((f"{each.id}=", each, "") for each in call.args if isinstance(each, ast.Name) and each.id in _ARGUMENTS)


def watched(tree: ast.Module) -> ast.Module:
    """Return the statements of a cell so compiled that `noted` is told of the seeds that are no constants. The tree is changed."""
    return _Watching().visit(tree)  # type: ignore[no-any-return]


def may_have_seeds(source: str) -> bool:
    """Return False if there is no seed in this text. To be asked first: looking through a tree takes longer."""
    return _LIKELY.search(source) is not None


class _Watching(ast.NodeTransformer):
    """Puts `noted` around seeds, in the statements of a cell and in no code that outlives it."""

    def visit(self, node: ast.AST) -> Any:
        """Go through statements; leave functions and classes as they are."""
        if isinstance(node, _OUTLIVING):
            return node
        self.generic_visit(node)
        return _with_seeds_noted(node) if isinstance(node, ast.Call) else node


def _with_seeds_noted(node: ast.Call) -> ast.Call:
    seeds: dict[int, tuple[str, str]] = {}
    for before, value, after in _seeds(node):
        if not isinstance(value, ast.Constant):
            seeds.setdefault(id(value), (before, after))
    node.args = [_noting(each, *seeds[id(each)]) if id(each) in seeds else each for each in node.args]
    for keyword in node.keywords:
        if id(keyword.value) in seeds:
            keyword.value = _noting(keyword.value, *seeds[id(keyword.value)])
    return node


_CALL: Final = f"__import__({__name__!r}, fromlist=('noted',)).noted"


def _noting(value: ast.expr, before: str, after: str) -> ast.expr:
    function = ast.parse(_CALL, mode="eval").body
    call = ast.Call(function, [ast.Constant(before), value, ast.Constant(after)], [])
    for part in (call, *ast.walk(function), call.args[0], call.args[2]):
        ast.copy_location(part, value)  # What raises in there is told as the seed that stands there.
    return call


@contextmanager
def noting() -> Iterator[None]:
    """Within this, the seeds that `noted` is told of are kept."""
    token = _found.set({})
    try:
        yield
    finally:
        _found.reset(token)


def noted(before: str, value: _T, after: str) -> _T:
    """A cell uses this value as a seed: keep it if it is a number. Returns the value."""
    found = _found.get()
    if found is not None and len(found) < MOST and isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if _is_short(number):
            found[_told(before, number, after)] = None
    return value


def with_noted(seeds: str) -> str:
    """Return seeds as they are told of a cell, with those that were kept meanwhile."""
    told = [each for each in seeds.split(", ") if each]
    return ", ".join(list(dict.fromkeys([*told, *(_found.get() or {})]))[:MOST])
