"""Which modules a cell is sure to import, and where; and which of them this kernel has."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

_CHANGES_PATHS: Final = frozenset({"addsitedir", "import_module", "invalidate_caches"})
_INSTALLS: Final = ("pip ", "pip3 ", "conda ", "mamba ", "uv ")


@dataclass(frozen=True)
class Import:
    """A module that has to be there.

    Attributes:
        module: its top-level name.
        line: of the cell; 0 if no line says so.
        reason: what needs it, if it is not an import of the cell.
    """

    module: str
    line: int = 0
    reason: str = ""


def imports_of(tree: ast.Module) -> list[Import]:
    """Return what the cell imports whatever happens, each module once. Nothing if it installs or finds modules by itself."""
    if any(_finds_modules(node) for node in ast.walk(tree)):
        return []
    found: dict[str, Import] = {}
    for node in _certain(tree.body):
        for name in _modules(node):
            if name not in sys.stdlib_module_names:
                found.setdefault(name, Import(name, node.lineno))
    return list(found.values())


def modules_of(tree: ast.Module) -> Iterator[str]:
    """Yield the top-level names of all modules that are imported anywhere in it, whether that runs or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            yield from _modules(node)


def _certain(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run unless one before them raises."""
    for node in body:
        if isinstance(node, ast.With | ast.AsyncWith):
            yield from _certain(node.body)
        elif isinstance(node, ast.Try) and not node.handlers:
            yield from _certain([*node.body, *node.finalbody])
        else:
            yield node


def _modules(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.partition(".")[0]]
    return []


def _finds_modules(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="sys"), attr="path"):
            return True
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name in _CHANGES_PATHS
        case ast.Constant(value=str(text)):
            return text.lstrip().startswith(_INSTALLS) or text in {"pip", "conda"}  # of `!pip`, `%pip`, subprocess
        case _:
            return False


def names_of_missing_modules(tree: ast.Module) -> set[str]:
    """Return the names that the cell binds, at top level, to modules that this kernel does not have, or to what is in them."""
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if not is_here((node.module or "") if isinstance(node, ast.ImportFrom) else alias.name)
    }


def is_here(module: str) -> bool:
    """Whether this kernel can import a module, by the first part of its name."""
    top = module.partition(".")[0]
    try:
        return not top or top in sys.modules or find_spec(top) is not None
    except (ImportError, ValueError):
        return False
