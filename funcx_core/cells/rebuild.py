"""The receiving end of code that travels by value. Pickles made by `CellPickler` call the functions in here.

Functions of a notebook share one namespace, at home and away: the one that is given to `arriving`. So a function sees what
its neighbours define, and `global` does what it says.
"""

from __future__ import annotations

import ast
import copyreg
import functools
import importlib
import io
import marshal
import pickle
import sys
import typing
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib.util import MAGIC_NUMBER
from types import CellType, CodeType, FunctionType
from typing import Any, Final, NamedTuple, NewType, ParamSpec, TypeVar, TypeVarTuple

from funcx_core.cells.sources import class_at, future_flags, parse_cell, remember_text
from funcx_core.errors import DeserializationError, NotPlainData, ValueNotKept
from funcx_core.serialize.dataonly import DataReader
from funcx_core.serialize.exceptions import portable_parts

_EMPTY = "empty cell"
TYPE_PARAMETERS: Final[tuple[type, ...]] = (TypeVar, ParamSpec, TypeVarTuple, NewType)
"""What is made by an assignment, not by a statement, and is pickled by name although it is no class."""


class Arrivals:
    """A namespace into which notebook code arrives, and what of it its home knows by name.

    `kept` finds a value that was kept where the cell runs, by the id of its task and its name there.
    """

    def __init__(self, namespace: dict[str, Any], kept: Callable[[str, str], Any] | None = None) -> None:
        self.namespace = namespace
        self.kept = kept
        self.met: list[type] = []
        self._home_names: dict[int, tuple[Any, str]] = {}

    def note(self, thing: Any, home_name: str | None) -> None:
        """Remember that `thing` can be sent home by name alone."""
        if home_name is not None:
            self._home_names[id(thing)] = (thing, home_name)  # Holding it keeps the id from being reused.

    def home_name(self, thing: Any) -> str | None:
        """Return the name of `thing` at home."""
        entry = self._home_names.get(id(thing))
        return entry[1] if entry else None

    def from_home(self) -> dict[str, Any]:
        """Return what can be sent home by name alone, without what is part of something else there."""
        return {name: thing for thing, name in self._home_names.values() if "." not in name}


_current: ContextVar[Arrivals] = ContextVar("arrivals")


@contextmanager
def arriving(arrivals: Arrivals) -> Iterator[None]:
    """Within this, loaded code lives in that namespace."""
    token = _current.set(arrivals)
    try:
        yield
    finally:
        _current.reset(token)


def load_values(
    stream: bytes | bytearray,
    names: list[str],
    arrivals: Arrivals,
    *,
    data_only: bool = False,
    buffers: Iterable[bytes | bytearray | memoryview] = (),
) -> Iterator[tuple[str, Any]]:
    """Yield each name with its value, in order. Bind each in the namespace before asking for the next.

    Args:
        stream: what `CellPickler` wrote.
        names: of the values in it.
        arrivals: where code arrives.
        buffers: what was sent beside the stream.
        data_only: whoever wrote it is not trusted: take plain data and refuse everything else.

    Raises:
        DeserializationError: naming the variable that cannot be loaded.
    """
    unpickler = _plain_reader(stream) if data_only else _reader(stream, buffers)
    for name in names:
        with arriving(arrivals):
            value = _load_one(unpickler, name)
        yield name, value


def _reader(stream: bytes | bytearray, buffers: Iterable[bytes | bytearray | memoryview]) -> pickle.Unpickler:
    return pickle.Unpickler(io.BytesIO(stream), buffers=buffers)  # noqa: S301 - trusted by its caller


def _plain_reader(stream: bytes | bytearray) -> DataReader:
    return DataReader(bytes(stream))


def _load_one(unpickler: pickle.Unpickler | DataReader, name: str) -> Any:
    try:
        return unpickler.load()
    except NotPlainData as refusal:
        raise DeserializationError(
            f"`{name}` holds {refusal.what}, and the endpoint is not yours: loading it may run code of whoever owns the endpoint. "
            "Send back plain values or numpy arrays; or, if you trust the endpoint, name it in FUNCX_TRUSTED_ENDPOINTS."
        ) from refusal
    except ValueNotKept:
        raise
    except Exception as error:
        # Classes of the user and of any library run here: whatever they raise, the name of the variable is what helps.
        raise DeserializationError(f"`{name}` cannot be loaded: {type(error).__name__}: {error}") from error


class CodeRecord(NamedTuple):
    """A code object: the compiled form for the same Python, the text for any other."""

    compiled: bytes
    magic: bytes
    filename: str
    text: str | None
    line: int
    qualname: str


def make_function(record: CodeRecord, name: str, module: str | None, home_name: str | None) -> FunctionType:
    """Return the function without its state. `module`: whose globals it uses, None for the notebook's."""
    code = _load_code(record)
    arrivals = _current.get()
    globals_ = arrivals.namespace if module is None else vars(importlib.import_module(module))
    function = FunctionType(code, globals_, name, None, tuple(CellType() for _ in code.co_freevars))
    if record.text is not None:
        remember_text(record.filename, record.text)
    arrivals.note(function, home_name)
    return function


def _load_code(record: CodeRecord) -> CodeType:
    if record.magic == MAGIC_NUMBER:
        code: CodeType = marshal.loads(record.compiled)  # noqa: S302 - both ends belong to the same user
        return code
    tree = parse_cell(record.text) if record.text is not None else None
    if tree is not None:
        whole = compile(tree, record.filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        for code in _nested_codes(whole):
            if (code.co_firstlineno, code.co_qualname) == (record.line, record.qualname):
                return code
    here = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    if record.text is not None and tree is None:
        raise DeserializationError(
            f"{record.qualname}() is defined in a cell of which {here} cannot read all. Define it in a cell of its own."
        )
    raise DeserializationError(
        f"{record.qualname}() was defined under another version than {here} and its source is not available."
    )


def _nested_codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested_codes(constant)


def set_function_state(function: FunctionType, state: dict[str, Any]) -> None:
    """Complete what `make_function` returned."""
    for cell, content in zip(function.__closure__ or (), state.pop("closure"), strict=True):
        if content != (_EMPTY,):
            cell.cell_contents = content[1]
    function.__dict__.update(state.pop("fields"))
    for attribute, value in state.items():
        setattr(function, attribute, value)


def closure_contents(function: FunctionType) -> list[tuple[Any, ...]]:
    """Return the contents of the function's closure in the form `set_function_state` reads."""
    return [_cell_content(cell) for cell in function.__closure__ or ()]


def _cell_content(cell: CellType) -> tuple[Any, ...]:
    try:
        return ("full", cell.cell_contents)
    except ValueError:  # The enclosing function has not assigned it yet.
        return (_EMPTY,)


def make_class(filename: str, text: str, line: int, needs: dict[str, Any], home_name: str | None) -> type:
    """Run the class statement at `line` of `text`. `needs`: names that it reads while it runs."""
    arrivals = _current.get()
    for name, value in needs.items():
        arrivals.namespace.setdefault(name, value)
    remember_text(filename, text)
    node = class_at(text, line)
    if node is None:
        raise DeserializationError(f"There is no class at line {line} of {filename}.")
    made: dict[str, Any] = {}
    tree = parse_cell(text)
    flags = 0 if tree is None else future_flags(tree)
    code = compile(ast.Module([node], []), filename, "exec", flags=flags, dont_inherit=True)
    exec(code, arrivals.namespace, made)  # noqa: S102 - the user's own class, under the user's own account
    cls: type = made[node.name]
    arrivals.note(cls, home_name)
    return cls


def set_class_state(cls: type, state: dict[str, Any]) -> None:
    """Repeat assignments to class attributes that were made after the class statement."""
    for name, value in state.items():
        type.__setattr__(cls, name, value)


def from_home(name: str) -> Any:
    """Return what the namespace here knows as `name` (dotted)."""
    first, *rest = name.split(".")
    arrivals = _current.get(None)
    namespace = vars(sys.modules["__main__"]) if arrivals is None else arrivals.namespace
    if first not in namespace:
        raise DeserializationError(f"`{first}` is no longer defined here.")
    return functools.reduce(getattr, rest, namespace[first])


def from_kept(task_id: str, name: str) -> Any:
    """Return the value that stayed here when the task of that id had run."""
    arrivals = _current.get(None)
    if arrivals is None or arrivals.kept is None:
        raise ValueNotKept(f"`{name}` of task {task_id} is on its endpoint; no values are kept here.")
    return arrivals.kept(task_id, name)


def make_class_again(*made: Any) -> type:
    """Return a class of a value that was kept, as `make_class` does; but the one that came with this cell, if one of its name did."""
    arrivals, home_name = _current.get(), made[-1]
    if home_name is not None:
        first, *rest = home_name.split(".")
        with suppress(KeyError, AttributeError):
            found = functools.reduce(getattr, rest, arrivals.namespace[first])
            if isinstance(found, type):
                arrivals.met.append(found)
                return found
    return make_class(*made)


def set_class_state_again(cls: type, state: dict[str, Any]) -> None:
    """Complete what `make_class_again` returned: one that came with this cell is as it is to be."""
    if all(cls is not one for one in _current.get().met):
        set_class_state(cls, state)


_leaving: dict[str, type[BaseException]] = {}


def goes_home_by_name(cls: type[BaseException], home_name: str) -> None:
    """Let exceptions of this class of the notebook be pickled by name: `except` at home asks for that very class.

    They are pickled after their cell has ended, by code that knows nothing of cells.
    """
    copyreg.pickle(cls, functools.partial(_exception_by_name, home_name))
    _leaving[home_name] = cls


def forget_those_gone() -> None:
    """Undo `goes_home_by_name`: a class holds the namespace of its cell, and that its variables."""
    while _leaving:
        copyreg.dispatch_table.pop(_leaving.popitem()[1], None)


def _exception_by_name(home_name: str, error: BaseException) -> tuple[Any, ...]:
    return exception_from_home, (home_name, *portable_parts(error))


def exception_from_home(name: str, args: tuple[Any, ...], fields: dict[str, Any]) -> BaseException:
    """Return the exception, without calling its constructor, which may want other arguments than `args`."""
    cls = _leaving.get(name) or from_home(name)
    error: BaseException = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


def make_row(name: str, fields: tuple[str, ...], *values: Any) -> Any:
    """Return a named tuple. Rows of one table have one class."""
    return _row_class(name, fields)._make(values)


@functools.lru_cache(maxsize=256)
def _row_class(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields, module=__name__)  # noqa: PYI024 - the fields are those of somebody's table


def make_dispatched(registry: list[tuple[type, Callable[..., Any]]], home_name: str | None) -> Any:
    """Return a `functools.singledispatch` function with these implementations; the first is that for `object`."""
    function = functools.singledispatch(registry[0][1])
    for cls, implementation in registry[1:]:
        function.register(cls, implementation)
    _current.get().note(function, home_name)
    return function


def make_new_type(name: str, supertype: Any, home_name: str | None) -> Any:
    """Return a `typing.NewType`."""
    return _arrived(NewType(name, supertype), home_name)


def make_type_parameter(
    kind: str, name: str, constraints: tuple[Any, ...], facts: dict[str, Any], home_name: str | None
) -> Any:
    """Return a `TypeVar`, `ParamSpec` or `TypeVarTuple`."""
    known = {key: value for key, value in facts.items() if value}
    return _arrived(getattr(typing, kind)(name, *constraints, **known), home_name)


def _arrived(thing: Any, home_name: str | None) -> Any:
    thing.__module__ = "__main__"
    _current.get().note(thing, home_name)
    return thing


def make_cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    """Return `function` under a fresh `functools.lru_cache`."""
    return functools.lru_cache(**parameters)(function)


def from_dill(pickled: bytes) -> Any:
    """Return a thing that only dill can take apart."""
    import dill  # noqa: PLC0415 - most cells need none of it, and it costs 40 ms

    return dill.loads(pickled)  # noqa: S301 - both ends belong to the same user
