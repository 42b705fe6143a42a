"""Where the text of notebook code is found: IPython keeps every cell in `linecache` under the cell's own file name."""

from __future__ import annotations
import __future__

import ast
import functools
import inspect
import linecache
import operator
import re
from collections.abc import Iterator
from typing import Final

ANNOTATIONS: Final = __future__.annotations.compiler_flag
FUTURE: Final = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
"""Every flag of the compiler that stands for a feature of `__future__`."""
_MAGIC_LINE = re.compile(r"^%%.*$", re.MULTILINE)
_COMMAND = re.compile(r"(?P<before>\s*(?P<name>[\w., ]+=\s*)?)(?:[%!].*|\?.*|[\w.%]+\?{1,2}\s*)")
"""What IPython understands besides Python in one line: magics, commands, questions, and what is assigned from the first two."""


def cell_text(filename: str) -> str | None:
    """Return the text of the cell or file with that name; None if it is not known."""
    lines = linecache.getlines(filename)
    return "".join(lines) if lines else None


def is_cell(filename: str) -> bool:
    """Return whether that is the name of a cell, whose text is in memory and in no file."""
    entry = linecache.cache.get(filename)
    return entry is not None and len(entry) > 1 and entry[1] is None


def remember_text(filename: str, text: str) -> None:
    """Make `text` known under `filename`, for tracebacks and `inspect`."""
    # No modification time: linecache must not look for a file.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)


def parse_cell(text: str) -> ast.Module | None:
    """Return the syntax tree of a cell with its line numbers; None if it is more than Python and magics."""
    lines = _MAGIC_LINE.sub("", text).split("\n")
    while True:
        try:
            return ast.parse("\n".join(lines))
        except SyntaxError as error:
            # Only where Python stumbles: a line in a string may look the same.
            at = (error.lineno or 0) - 1
            command = _COMMAND.fullmatch(lines[at]) if 0 <= at < len(lines) else None
            if command is None:
                return None
            lines[at] = f"{command['before']}{'None' if command['name'] else 'pass'}"
        except ValueError:
            return None


def future_flags(tree: ast.Module) -> int:
    """Return the compiler's flags for the features that a cell imports from `__future__`."""
    features = (
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    )
    return functools.reduce(
        operator.or_, (getattr(__future__, name).compiler_flag for name in features if hasattr(__future__, name)), 0
    )


def find_class(cls: type) -> tuple[str, str, int] | None:
    """Return filename, text and line number of the statement that made `cls`; None if there is no such text."""
    path = cls.__qualname__.split(".")
    for filename in _likely_files(cls):
        text = cell_text(filename)
        tree = parse_cell(text) if text else None
        node = _find_nested_class(tree, path) if tree else None
        if text is not None and node is not None and _made(node, cls):
            return filename, text, node.lineno
    return None


def _likely_files(cls: type) -> Iterator[str]:
    methods = [getattr(value, "__func__", value) for value in vars(cls).values()]
    named = {code.co_filename: None for m in methods if (code := getattr(m, "__code__", None)) is not None}
    yield from (name for name in named if cell_text(name))
    # A class without methods of its own (a dataclass, an enum): the cell that defined the name last.
    yield from [name for name, entry in reversed(list(linecache.cache.items())) if len(entry) > 1 and entry[1] is None]


def _find_nested_class(tree: ast.AST, path: list[str]) -> ast.ClassDef | None:
    found: ast.AST = tree
    for name in path:
        classes = [node for node in ast.iter_child_nodes(found) if isinstance(node, ast.ClassDef) and node.name == name]
        if not classes:
            return None
        found = classes[-1]
    return found if isinstance(found, ast.ClassDef) else None


def _made(node: ast.ClassDef, cls: type) -> bool:
    """Whether that statement may have made `cls`: another cell may define a class of the same name."""
    if bool(node.bases) != (cls.__bases__ != (object,)):
        return False
    annotated, defined = set(), set()
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                annotated.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                defined.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                defined.add(name)
    public = {name for name in defined if not name.startswith("__") or name.endswith("__")}  # others are mangled
    return annotated == set(inspect.get_annotations(cls)) and public <= set(vars(cls))


def class_at(text: str, line: int) -> ast.ClassDef | None:
    """Return the class statement that starts at `line`."""
    tree = parse_cell(text)
    nodes = ast.walk(tree) if tree else iter(())
    return next((node for node in nodes if isinstance(node, ast.ClassDef) and node.lineno == line), None)
