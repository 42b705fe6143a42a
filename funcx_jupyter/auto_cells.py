"""`%funcx auto on`: every following cell runs on an endpoint, unless there is a reason for it to stay."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any, Final

from funcx_jupyter.capture.imports import is_here

_STAYS: Final = re.compile(r"\s*#\s*local\b", re.IGNORECASE)
_DEFINITIONS: Final = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class AutoCells:
    """Sends the cells of one shell, while it is on. It is a transformer of syntax trees, as IPython has them.

    So history, completion and the question whether a cell is complete are as ever, and what front ends run silently stays here.

    Args:
        shell: IPython's.
        notice: shows one line that the user should not miss.

    Attributes:
        line: what stands after `%%funcx` for each cell; empty while it is off.
    """

    def __init__(self, shell: Any, notice: Callable[[str], None]) -> None:
        self.line = ""
        self._shell = shell
        self._notice = notice
        self._raw: str | None = None

    def on(self, line: str) -> None:
        """Send the cells that follow."""
        self.off()
        self.line = line
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.ast_transformers.append(self)

    def off(self) -> None:
        """Run cells here again."""
        if self.line:
            self.line = ""
            self._raw = None
            self._shell.events.unregister("pre_run_cell", self._before)
            self._shell.ast_transformers.remove(self)

    def visit(self, tree: ast.Module) -> ast.AST:
        """Return what the shell runs in place of a cell: a call that sends it, or the cell itself."""
        raw, self._raw = self._raw, None
        if raw is None or not self.line or not isinstance(tree, ast.Module):
            return tree  # Run by a front end or a program, not by the user.
        reason = why_it_stays(raw, tree)
        if reason is not None:
            if reason:
                self._notice(f"Ran here, not elsewhere: {reason}. `%funcx auto off` ends sending cells.")
            return tree
        changed = [name for name in changed_names(tree) if _may_come_back(self._shell.user_ns.get(name))]
        line = f"{self.line} -o {','.join(['*', *changed])}"
        return ast.parse(f"get_ipython().run_cell_magic('funcx', {line!r}, {raw!r})")

    def _before(self, info: Any) -> None:
        self._raw = str(info.raw_cell)


def why_it_stays(raw: str, tree: ast.Module) -> str | None:
    """Return why a cell runs here; None if it is sent. The reason is empty where nobody would wonder."""
    if not tree.body or _STAYS.match(raw):
        return ""
    if any(isinstance(node, ast.Name) and node.id == "get_ipython" for node in ast.walk(tree)):
        # Magics and shell commands, as the shell has translated them.
        return (
            ""
            if all(_is_of_the_shell(node) for node in tree.body)
            else "it has a magic or a shell command among its lines"
        )
    return "" if all(isinstance(node, _DEFINITIONS) or _imports_what_is_here(node) for node in tree.body) else None


def _may_come_back(value: Any) -> bool:
    """Whether a value is the notebook's own data: no code, and nothing that stands for what is elsewhere."""
    is_ours = type(value).__module__.startswith("funcx_jupyter.")
    return value is not None and not is_ours and not isinstance(value, ModuleType | FunctionType | type)


def _is_of_the_shell(node: ast.stmt) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "get_ipython" for part in ast.walk(node))


def _imports_what_is_here(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import):
        return all(is_here(alias.name) for alias in node.names)
    return isinstance(node, ast.ImportFrom) and is_here(node.module or "")


def changed_names(tree: ast.Module) -> list[str]:
    """Return the names whose values the cell changes in place, as far as its text tells: `d[k] = 1`, `d.x = 1`, `d.append(1)`.

    What assigns to them as a whole is known otherwise.
    """
    return list(dict.fromkeys(name for node in tree.body for name in _changed(node)))


def _changed(node: ast.AST) -> Iterator[str]:
    if isinstance(node, _DEFINITIONS | ast.Lambda):
        return  # Names in there may be its own.
    if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
        yield from _base(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        yield from _base(node.value.func)
    for child in ast.iter_child_nodes(node):
        yield from _changed(child)


def _base(node: ast.expr) -> Iterator[str]:
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Name):
        yield node.id
