"""Which global names the body of a function uses when it runs, one day."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
_SCOPES = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Lambda,
    ast.ClassDef,
    ast.ListComp,
    ast.SetComp,
    ast.GeneratorExp,
    ast.DictComp,
)


@dataclass(frozen=True)
class DeferredNames:
    """Global names that a body reads (with the line of the first use) and assigns (by `global`)."""

    read: dict[str, int] = field(default_factory=dict)
    stored: frozenset[str] = frozenset()

    def without(self, names: Iterable[str]) -> DeferredNames:
        """Return the same without `names`."""
        hidden = set(names)
        return DeferredNames({name: line for name, line in self.read.items() if name not in hidden}, self.stored)

    @classmethod
    def union(cls, parts: Iterable[DeferredNames]) -> DeferredNames:
        """Return what any of `parts` uses."""
        read: dict[str, int] = {}
        stored: set[str] = set()
        for part in parts:
            stored |= part.stored
            for name, line in part.read.items():
                read[name] = min(line, read.get(name, line))
        return cls(read, frozenset(stored))


def deferred_names(function: FunctionNode) -> DeferredNames:
    """Return the global names that the body of `function` uses. Defaults, decorators and annotations are not part of it."""
    collector = _Collector()
    collector.function(function, frozenset())
    return DeferredNames(collector.read, frozenset(collector.stored))


class _Collector:
    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        self.stored: set[str] = set()

    def function(self, node: FunctionNode, enclosing: frozenset[str]) -> None:
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        own = list(_own_nodes(body))
        declared = {name for n in own if isinstance(n, ast.Global) for name in n.names}
        local = {*_parameters(node.args), *_type_parameters(node), *_bound_in(own)} - declared
        self.stored |= declared & set(_bound_in(own))
        self._reads(own, (enclosing | local) - declared)

    def _reads(self, own: list[ast.AST], visible: frozenset[str] | set[str]) -> None:
        for node in own:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load | ast.Del) and node.id not in visible:
                self.read[node.id] = min(node.lineno, self.read.get(node.id, node.lineno))
            elif isinstance(node, _SCOPES):
                self._inner(node, frozenset(visible))

    def _inner(self, node: ast.AST, visible: frozenset[str]) -> None:
        if isinstance(node, FunctionNode):
            self._reads(list(_own_nodes(_evaluated_at_definition(node))), visible)
            self.function(node, visible)
        elif isinstance(node, ast.ClassDef):
            self._reads(list(_own_nodes([*node.decorator_list, *node.bases, *node.keywords])), visible)
            own = list(_own_nodes(node.body))
            # Methods do not see the names of the class; the class body itself does.
            for child in own:
                if isinstance(child, _SCOPES):
                    self._inner(child, visible)
            self._reads([n for n in own if not isinstance(n, _SCOPES)], visible | set(_bound_in(own)))
        elif isinstance(node, _Comprehension):
            own = list(_own_nodes(ast.iter_child_nodes(node)))
            self._reads(own, visible | {n.id for n in own if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)})


def _own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes of one scope: those of inner scopes are left out, their heads are in."""
    for node in nodes:
        yield node
        if not isinstance(node, _SCOPES):
            yield from _own_nodes(ast.iter_child_nodes(node))


def _bound_in(own: Iterable[ast.AST]) -> Iterator[str]:
    for node in own:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield from (alias.asname or alias.name.split(".")[0] for alias in aliases)
            case ast.ExceptHandler(name=str(name)):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Nonlocal(names=names):
                yield from names
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                yield from (n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return (argument.arg for argument in given if argument is not None)


def _type_parameters(node: ast.AST) -> Iterator[str]:
    return (parameter.name for parameter in getattr(node, "type_params", []))


def _evaluated_at_definition(node: FunctionNode) -> Iterator[ast.AST]:
    yield from (default for default in [*node.args.defaults, *node.args.kw_defaults] if default is not None)
    if not isinstance(node, ast.Lambda):
        yield from node.decorator_list
