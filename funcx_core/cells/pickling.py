"""The sending end of values that may refer to code of a notebook.

Code that another Python process cannot import goes by value: functions as compiled code plus the text of the cell that
defined them, classes as the text of their statement. Instances of notebook classes keep their identity both ways: what
came from home goes home by name.
"""

from __future__ import annotations

import ast
import dis
import enum
import functools
import importlib
import io
import linecache
import marshal
import pickle
import sys
from collections.abc import Callable, Iterator
from importlib.util import MAGIC_NUMBER
from types import CodeType, FunctionType, ModuleType
from typing import IO, Any, NewType

from funcx_core.cells import rebuild
from funcx_core.cells.sources import cell_text, class_at, find_class

_DISPATCHED = functools.singledispatch(len).__code__  # type: ignore[attr-defined]
NOTEBOOK_MODULES = frozenset({"__main__", "__mp_main__"})


class CellPickler(pickle.Pickler):
    """Writes values one after the other, so that each has a size and values may share parts.

    `needed` grows while values are written: the global names that the functions among them use, each with the name of the
    first function that uses it. The caller sends those, too. `modules` grows as well: the modules that what is sent by name is in.
    `has_code` says whether something went by value that belongs to the namespace.

    Args:
        arrivals: the namespace, and what came from elsewhere.
        stream: takes what is written; None to keep it in memory for `getvalue`.
        take: is given every buffer of arrays and the like; if it returns False, the buffer is not written, and the caller
            sends it beside the pickles.
    """

    _make_class: Callable[..., type] = staticmethod(rebuild.make_class)
    _set_class_state: Callable[..., None] = staticmethod(rebuild.set_class_state)

    def __init__(
        self,
        arrivals: rebuild.Arrivals,
        stream: IO[bytes] | None = None,
        *,
        take: Callable[[pickle.PickleBuffer], bool] | None = None,
    ) -> None:
        self._stream = io.BytesIO() if stream is None else stream
        super().__init__(self._stream, protocol=5, buffer_callback=take)
        self._arrivals = arrivals
        self._namespace = arrivals.namespace
        self._texts: dict[str, str | None] = {}
        self.needed: dict[str, str] = {}
        self.modules: set[str] = set()
        self.has_code = False

    def add(self, value: Any) -> int:
        """Write one value and return its size in bytes. Raises whatever the value's classes raise."""
        start = self._stream.tell()
        self.dump(value)
        return self._stream.tell() - start

    def getvalue(self) -> bytes:
        """Return all that was written, if that is in memory."""
        assert isinstance(self._stream, io.BytesIO)  # noqa: S101 - whoever gave a stream has it
        return self._stream.getvalue()

    @property
    def files(self) -> set[str]:
        """Names of the notebook's cells of which code was written."""
        return {name for name, text in self._texts.items() if text is not None}

    def reducer_override(self, thing: Any) -> Any:
        """Decide about functions, classes and modules; leave everything else to pickle."""
        if isinstance(thing, FunctionType):
            return self._function(thing)
        if isinstance(thing, type):
            return self._class(thing)
        return self._other(thing)

    def _other(self, thing: Any) -> Any:
        if isinstance(thing, rebuild.TYPE_PARAMETERS) and thing.__module__ in NOTEBOOK_MODULES:
            return self._type_parameter(thing)
        if isinstance(thing, ModuleType):
            return importlib.import_module, (thing.__name__,)
        if isinstance(thing, functools._lru_cache_wrapper):  # noqa: SLF001 - it has no public name
            return rebuild.make_cached, (thing.__wrapped__, thing.cache_parameters())
        if isinstance(thing, tuple) and _is_row(type(thing)):
            return rebuild.make_row, (type(thing).__name__, type(thing)._fields, *thing)  # type: ignore[attr-defined]
        return NotImplemented

    def _function(self, function: FunctionType) -> Any:
        if (name := self._known_at_home(function)) is not None:
            return rebuild.from_home, (name,)
        if _importable(function):
            self.modules.add(function.__module__)
            return NotImplemented
        self.has_code = True
        if function.__code__ is _DISPATCHED:
            # It holds a cache with weak references, and what is registered later is to be found there, too.
            registry = sorted(function.registry.items(), key=lambda item: item[0] is not object)  # type: ignore[attr-defined]
            return rebuild.make_dispatched, (registry, self._name_here(function))
        self.modules |= imported_names(function.__code__)
        module = self._module_of(function)
        if module is None:
            self._need(global_names(function.__code__), function.__qualname__)
        made = (self._code(function.__code__), function.__name__, module, self._name_here(function))
        state = {
            "closure": rebuild.closure_contents(function),
            "fields": dict(function.__dict__),
            "__defaults__": function.__defaults__,
            "__kwdefaults__": function.__kwdefaults__,
            "__annotations__": function.__annotations__,
            "__doc__": function.__doc__,
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
        }
        return rebuild.make_function, made, state, None, None, rebuild.set_function_state

    def _type_parameter(self, thing: Any) -> Any:
        if (known := self._arrivals.home_name(thing)) is not None:
            return rebuild.from_home, (known,)
        own: str = thing.__name__
        at_home = own if self._namespace.get(own) is thing else None
        if isinstance(thing, NewType):
            return rebuild.make_new_type, (own, thing.__supertype__, at_home)
        facts = {name: getattr(thing, f"__{name}__", None) for name in ("bound", "covariant", "contravariant")}
        constraints = getattr(thing, "__constraints__", ())
        return rebuild.make_type_parameter, (type(thing).__name__, own, constraints, facts, at_home)

    def _module_of(self, function: FunctionType) -> str | None:
        self.modules.add(function.__module__ or "")
        if function.__globals__ is self._namespace or function.__module__ in NOTEBOOK_MODULES:
            return None
        return function.__module__

    def _code(self, code: CodeType) -> rebuild.CodeRecord:
        text = self._texts.setdefault(code.co_filename, _notebook_text(code.co_filename))
        compiled = marshal.dumps(code)
        return rebuild.CodeRecord(compiled, MAGIC_NUMBER, code.co_filename, text, code.co_firstlineno, code.co_qualname)

    def _class(self, cls: type) -> Any:
        if (name := self._known_at_home(cls)) is not None:
            return rebuild.from_home, (name,)
        if cls.__module__ not in NOTEBOOK_MODULES and _importable(cls):
            self.modules.add(cls.__module__)
            return NotImplemented
        self.has_code = True
        found = find_class(cls)
        if found is None:
            return rebuild.from_dill, (_dill(cls),)
        filename, text, line = found
        text = self._texts.setdefault(filename, text) or text  # One object, so that pickle writes it once.
        at_once, later = _class_names(text, line)
        self.modules |= _class_imports(text, line)
        self._need(later, cls.__qualname__)
        needs = {name: self._namespace[name] for name in at_once if name in self._namespace and name != cls.__name__}
        made = (filename, text, line, needs, self._name_here(cls))
        return self._make_class, made, _later_attributes(cls), None, None, self._set_class_state

    def _need(self, names: set[str], user: str) -> None:
        for name in sorted(names):
            self.needed.setdefault(name, user)

    def _known_at_home(self, thing: Any) -> str | None:
        """Return the name by which the receiver knows `thing`, because it came from there."""
        return self._arrivals.home_name(thing)

    def _name_here(self, thing: Any) -> str | None:
        """Return the name under which the receiver may send `thing` back, if there is one."""
        name: str = thing.__qualname__
        first, *rest = name.split(".")
        try:
            found = functools.reduce(getattr, rest, self._namespace[first])
        except (KeyError, AttributeError):
            return None
        return name if found is thing else None


def can_travel(name: str, arrivals: rebuild.Arrivals) -> bool:
    """Whether there is a variable of this name that can be sent back."""
    if name not in arrivals.namespace:
        return False
    try:
        CellPickler(arrivals).add(arrivals.namespace[name])
    except Exception:  # noqa: BLE001 - any class may refuse to be pickled
        return False
    return True


def _importable(thing: Any) -> bool:
    if thing.__module__ in NOTEBOOK_MODULES:
        return False
    try:
        return functools.reduce(getattr, thing.__qualname__.split("."), sys.modules[thing.__module__]) is thing
    except (KeyError, AttributeError):
        return False


def _is_row(cls: type) -> bool:
    """Whether this is a named tuple that a library has made for one table, as pandas does for `itertuples`: nothing knows its class."""
    return (
        cls.__bases__ == (tuple,)
        and cls.__module__ not in NOTEBOOK_MODULES
        and not _importable(cls)
        and hasattr(cls, "_fields")
    )


def _notebook_text(filename: str) -> str | None:
    # A file on disk is not sent: only the compiled code of what was defined in it and cannot be imported.
    entry = linecache.cache.get(filename)
    return cell_text(filename) if entry is not None and len(entry) > 1 and entry[1] is None else None


def global_names(code: CodeType) -> set[str]:
    """Return the global names that `code` and everything nested in it read, write or delete."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname.endswith(("_GLOBAL", "_NAME"))}
    for nested in _nested(code):
        names |= global_names(nested)
    return names - {"__name__", "__module__", "__qualname__", "__doc__", "__annotations__"}


def imported_names(code: CodeType) -> set[str]:
    """Return the modules that `code` and everything nested in it import."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME" and i.argval}
    for nested in _nested(code):
        names |= imported_names(nested)
    return names


def _class_imports(text: str, line: int) -> set[str]:
    node = class_at(text, line)
    if node is None:
        return set()
    return imported_names(compile(ast.Module([node], []), "<class>", "exec", dont_inherit=True))


def _nested(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _class_names(text: str, line: int) -> tuple[set[str], set[str]]:
    """Return the global names that a class statement reads while it runs, and those that its methods read later."""
    node = class_at(text, line)
    if node is None:
        return set(), set()
    everything = global_names(compile(ast.Module([node], []), "<class>", "exec", dont_inherit=True))
    for inner in [inner for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)]:
        inner.body = [ast.Pass()]  # What remains runs now: decorators, bases, defaults, annotations.
    ast.fix_missing_locations(node)
    at_once = global_names(compile(ast.Module([node], []), "<class>", "exec", dont_inherit=True))
    return at_once, everything


def _later_attributes(cls: type) -> dict[str, Any]:
    """Return class attributes that are plain values: they may have been assigned after the class statement."""
    if issubclass(cls, enum.Enum):
        return {}
    return {
        name: value
        for name, value in vars(cls).items()
        if not name.startswith("_") and not callable(value) and not hasattr(type(value), "__get__")
    }


def _dill(cls: type) -> bytes:
    import dill  # noqa: PLC0415 - most cells need none of it, and it costs 40 ms

    pickled: bytes = dill.dumps(cls, recurse=True)
    return pickled
