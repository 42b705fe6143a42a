"""Which names a cell reads before it has assigned them.

Theory of operation. `CellFlow` walks the statements of a cell in the order in which Python runs them and keeps two sets:
the names that are assigned on every path to here (*bound*), and those that are on some path (*maybe*). Where paths meet,
bound sets are intersected. A name that is read while it is not bound is an input; if no path at all can have assigned it, the
cell cannot do without it (*required*).

Bodies of functions run later: their global names are read when the function is first mentioned (it may be called
there) and, whatever happens, must exist at the end. Bodies of classes and comprehensions run where they stand, with a
scope of their own.
"""

# ruff: noqa: D102, N815 - a method named visit_X visits nodes of class X
from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from funcx_jupyter.capture.scopes import DeferredNames, FunctionNode, deferred_names

_BUILTIN = frozenset(dir(builtins)) | {"get_ipython", "display", "__name__", "__file__", "__builtins__"}
_DYNAMIC = frozenset({"exec", "eval", "globals", "locals", "vars", "get_ipython"})
_FORGIVING = frozenset({"NameError", "Exception", "BaseException"})
_SUPPRESSING = frozenset({"suppress", "raises"})


@dataclass(frozen=True)
class NameUse:
    """A name that the cell reads. `required`: nothing in the cell can have assigned it before."""

    name: str
    line: int
    required: bool


@dataclass(frozen=True)
class CellNames:
    """The names of a cell.

    Attributes:
        inputs: what it reads from outside, in order of first use.
        assigned: what it assigns at top level.
        possible: what it may assign in any way, also inside functions by `global`.
    """

    inputs: tuple[NameUse, ...]
    assigned: tuple[str, ...]
    possible: frozenset[str]

    def line_of(self, name: str) -> int | None:
        """Return the line on which an input is first used."""
        return next((use.line for use in self.inputs if use.name == name), None)


def analyse(tree: ast.Module, *, annotates_later: bool = False) -> CellNames:
    """Return the names of a cell. `annotates_later`: an earlier cell has said ``from __future__ import annotations``."""
    flow = CellFlow(annotates_later=annotates_later)
    flow.run(tree)
    return flow.names()


@dataclass
class _State:
    """What is known at one point of the cell. `dead`: no path leads here."""

    bound: set[str] = field(default_factory=set)
    dead: bool = False

    def copy(self) -> _State:
        return _State(set(self.bound), self.dead)


def _meet(states: Iterable[_State]) -> _State:
    alive = [state for state in states if not state.dead]
    if not alive:
        return _State(dead=True)
    return _State(set.intersection(*(state.bound for state in alive)))


@dataclass
class _Scope:
    """The body of a class or comprehension: names of its own that hide the cell's."""

    names: set[str]
    is_class: bool


class CellFlow(ast.NodeVisitor):
    """Walks one cell. Use `analyse`."""

    def __init__(self, *, annotates_later: bool = False) -> None:
        self._state = _State()
        self._maybe: dict[str, None] = {}
        self._assigned: dict[str, None] = {}
        self._inputs: dict[str, NameUse] = {}
        self._deferred: dict[str, DeferredNames] = {}
        self._triggered: set[str] = set()
        self._scopes: list[_Scope] = []
        self._breaks: list[list[_State]] = []
        self._forgiving = 0
        self._anything_goes = False
        self._annotates_later = annotates_later

    def run(self, tree: ast.Module) -> None:
        """Walk the whole cell."""
        self._block(tree.body)
        for deferred in self._deferred.values():
            self._read_deferred(deferred, soft=False)

    def names(self) -> CellNames:
        """Return what was found."""
        return CellNames(tuple(self._inputs.values()), tuple(self._assigned), frozenset(self._maybe))

    # --- reading and writing names ---------------------------------------------------------------------------------

    def _read(self, name: str, line: int, *, soft: bool = False) -> None:
        if self._is_own(name) or name in self._state.bound:
            self._trigger(name)
            return
        self._trigger(name)
        required = not (soft or name in self._maybe or self._forgiving or self._anything_goes or name in _BUILTIN)
        known = self._inputs.get(name, NameUse(name, line, required))
        self._inputs[name] = NameUse(name, min(line, known.line), required or known.required)

    def _is_own(self, name: str) -> bool:
        # The scope of a class is visible in its own body only, not in comprehensions inside it.
        return any(
            name in scope.names
            for depth, scope in enumerate(reversed(self._scopes))
            if not scope.is_class or depth == 0
        )

    def _trigger(self, name: str) -> None:
        deferred = self._deferred.get(name)
        if deferred is not None and name not in self._triggered:
            self._triggered.add(name)
            self._read_deferred(deferred, soft=True)

    def _read_deferred(self, deferred: DeferredNames, *, soft: bool) -> None:
        for name in deferred.stored:
            self._maybe[name] = None
        for name, line in deferred.read.items():
            self._read(name, line, soft=soft)

    def _bind(self, name: str) -> None:
        if self._scopes:
            self._scopes[-1].names.add(name)
            return
        self._bind_in_cell(name)

    def _bind_in_cell(self, name: str) -> None:
        self._state.bound.add(name)
        self._maybe[name] = None
        self._assigned[name] = None

    def _unbind(self, name: str) -> None:
        if self._scopes:
            self._scopes[-1].names.discard(name)
            return
        self._state.bound.discard(name)
        self._assigned.pop(name, None)

    # --- expressions ---------------------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._read(node.id, node.lineno)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)
            self._deferred.pop(node.id, None)
        else:
            if not self._is_own(node.id):
                self._read(node.id, node.lineno)
            self._unbind(node.id)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _DYNAMIC:
            self._anything_goes = True

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        if any(not scope.is_class for scope in self._scopes):
            # Inside a comprehension it binds in the cell, if the comprehension comes to it at all.
            self._maybe[node.target.id] = None
            self._assigned[node.target.id] = None
            self._scopes[-1].names.add(node.target.id)
        else:
            self._bind(node.target.id)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.visit(node.values[0])
        before = self._state.copy()
        for value in node.values[1:]:
            self.visit(value)
        self._state = _meet([before, self._state])

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.test)
        before = self._state.copy()
        self.visit(node.body)
        after_body, self._state = self._state, before
        self.visit(node.orelse)
        self._state = _meet([after_body, self._state])

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._defaults(node.args)
        # It may be called at once, or later by whoever it is given to.
        deferred = deferred_names(node)
        self._read_deferred(self._without_own(deferred), soft=True)
        self._deferred[f"<lambda at {node.lineno}:{node.col_offset}>"] = self._without_own(deferred)

    def _without_own(self, deferred: DeferredNames) -> DeferredNames:
        # Inside a comprehension, a lambda sees the comprehension's names.
        hidden = {name for scope in self._scopes if not scope.is_class for name in scope.names}
        return deferred.without(hidden)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        first, *others = node.generators
        self.visit(first.iter)
        with self._scope(is_class=False):
            self.visit(first.target)
            self._visit_all(first.ifs)
            for generator in others:
                self.visit(generator.iter)
                self.visit(generator.target)
                self._visit_all(generator.ifs)
            self._visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension

    @contextmanager
    def _scope(self, *, is_class: bool) -> Iterator[None]:
        self._scopes.append(_Scope(set(), is_class))
        yield
        self._scopes.pop()

    # --- simple statements ----------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        known = len(self._deferred)
        self.visit(node.value)
        self._visit_all(node.targets)
        if isinstance(node.value, ast.Lambda) and len(self._deferred) > known and not self._scopes:
            deferred = self._deferred.popitem()[1]
            for target in node.targets:
                if isinstance(target, ast.Name):
                    self._deferred[target.id] = deferred

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._read(node.target.id, node.target.lineno)
        self.visit(node.value)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if not self._annotates_later:
            self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name.split(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "__future__":
            self._annotates_later |= any(alias.name == "annotations" for alias in node.names)
        for alias in node.names:
            if alias.name == "*":
                self._anything_goes = True
            else:
                self._bind(alias.asname or alias.name)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.generic_visit(node)
        self._state.dead = True

    def visit_Return(self, node: ast.Return) -> None:
        self.generic_visit(node)
        self._state.dead = True

    def visit_Break(self, _: ast.Break) -> None:
        if self._breaks:
            self._breaks[-1].append(self._state.copy())
        self._state.dead = True

    def visit_Continue(self, _: ast.Continue) -> None:
        self._state.dead = True

    # --- definitions ---------------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(node.decorator_list)
        self._defaults(node.args)
        if not getattr(node, "type_params", []) and not self._annotates_later:
            self._annotations(node)
        self._define(node.name, node, decorated=bool(node.decorator_list))

    visit_AsyncFunctionDef = visit_FunctionDef

    def _define(self, name: str, node: FunctionNode, *, decorated: bool) -> None:
        deferred = self._without_own(deferred_names(node))
        if decorated:  # The decorator may call it.
            self._read_deferred(deferred.without({name}), soft=True)
        self._bind(name)
        if self._scopes:
            name = f"{node.lineno}:{name}"  # A method is reached through its class.
        self._deferred[name] = deferred
        self._triggered.discard(name)

    def _annotations(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = node.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self._visit_all([a.annotation for a in given if a is not None and a.annotation is not None])
        if node.returns is not None:
            self.visit(node.returns)

    def _defaults(self, arguments: ast.arguments) -> None:
        self._visit_all([default for default in [*arguments.defaults, *arguments.kw_defaults] if default is not None])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
        before = set(self._deferred)
        with self._scope(is_class=True):
            self._scopes[-1].names.update(
                {"__module__", "__qualname__"}, (parameter.name for parameter in getattr(node, "type_params", []))
            )
            self._block(node.body)
        methods = [self._deferred.pop(key) for key in [*self._deferred] if key not in before]
        self._bind(node.name)
        name = node.name if not self._scopes else f"{node.lineno}:{node.name}"
        self._deferred[name] = DeferredNames.union(methods).without({node.name})
        self._triggered.discard(name)

    # --- compound statements ------------------------------------------------------------------------------------------

    def _block(self, statements: list[ast.stmt]) -> None:
        self._visit_all(statements)

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _branch(self, start: _State, statements: list[ast.stmt]) -> _State:
        self._state = start.copy()
        self._block(statements)
        return self._state

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        before = self._state
        self._state = _meet([self._branch(before, node.body), self._branch(before, node.orelse)])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        before = self._state.copy()
        self.visit(node.target)
        self._loop(before, node.body, node.orelse, endless=False)

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
        self._loop(self._state.copy(), node.body, node.orelse, endless=endless)

    def _loop(self, before: _State, body: list[ast.stmt], orelse: list[ast.stmt], *, endless: bool) -> None:
        self._breaks.append([])
        self._branch(self._state, body)
        # Without a break, the loop ends where its condition is tested: nothing of the body is certain there.
        exhausted = _State(dead=True) if endless else self._branch(before, orelse)
        self._state = _meet([exhausted, *self._breaks.pop()])

    def visit_Try(self, node: ast.Try) -> None:
        self._try(node)

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        before = self._state.copy()
        forgiving = any(_catches_name_errors(handler) for handler in node.handlers)
        self._forgiving += forgiving
        self._block(node.body)
        self._forgiving -= forgiving
        self._block(node.orelse)
        ends = [self._state, *(self._handle(before, handler) for handler in node.handlers)]
        # The final block also runs when something raised: only what was there before is certain in it.
        final = self._branch(before, node.finalbody)
        self._state = _meet(ends)
        self._state.bound |= final.bound
        self._state.dead |= final.dead

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self._try(node)

    def _handle(self, before: _State, handler: ast.ExceptHandler) -> _State:
        self._state = before.copy()
        if handler.type is not None:
            self.visit(handler.type)
        if handler.name is not None:
            self._bind(handler.name)
        self._block(handler.body)
        if handler.name is not None:
            self._unbind(handler.name)
        return self._state

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self.visit(item.optional_vars)
        before = self._state.copy()
        self._block(node.body)
        if any(_may_suppress(item.context_expr) for item in node.items):
            self._state = _meet([before, self._state])

    visit_AsyncWith = visit_With

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        before = self._state.copy()
        ends = [self._case(before, case) for case in node.cases]
        exhaustive = any(_matches_anything(case) for case in node.cases)
        self._state = _meet(ends if exhaustive else [before, *ends])

    def _case(self, before: _State, case: ast.match_case) -> _State:
        self._state = before.copy()
        self.visit(case.pattern)
        if case.guard is not None:
            self.visit(case.guard)
        self._block(case.body)
        return self._state

    def _pattern(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        self.generic_visit(node)
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name is not None:
            self._bind(name)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _pattern

    def visit_TypeAlias(self, node: ast.AST) -> None:
        """Bind the name of a ``type X = …`` statement; its right side is evaluated when somebody asks."""
        name: ast.Name = node.name  # type: ignore[attr-defined]
        self._bind(name.id)


def _catches_name_errors(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return any(isinstance(node, ast.Name) and node.id in _FORGIVING for node in ast.walk(handler.type))


def _may_suppress(context: ast.expr) -> bool:
    function = context.func if isinstance(context, ast.Call) else context
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in _SUPPRESSING


def _matches_anything(case: ast.match_case) -> bool:
    return case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None
