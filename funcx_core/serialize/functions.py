"""Functions as bodies: packed text buffers that only workers open."""

from __future__ import annotations

import pickle
import types
from collections.abc import Callable
from typing import Any, Final

from funcx_core.commands.function import ShellFunction
from funcx_core.commands.mpi import MPIFunction
from funcx_core.errors import DeserializationError, SerializationError
from funcx_core.protocol.payload import pack_buffers
from funcx_core.serialize.bytesform import dumps_by_value
from funcx_core.serialize.culprit import find_culprit
from funcx_core.serialize.methods import decode, encode_by_value, encode_source, split_buffers, to_base64
from funcx_core.serialize.source import needed_globals, standalone_source

_COMMANDS: Final = frozenset({ShellFunction, MPIFunction})
_METHOD_BY_NAME: Final = "01\n"
_TEXT_PROTOCOL: Final = 4
_SETTLED: Final = (
    types.ModuleType,
    types.BuiltinFunctionType,
    type,
    str,
    bytes,
    int,
    float,
    complex,
    bool,
    types.NoneType,
)


class PackedFunction:
    """A function's body, and whether packing the function again could give another one.

    A function in source form never changes. One that went by value carries the globals and closure cells it uses, as they
    were; notebooks assign to those between two calls.
    """

    __slots__ = ("_seen", "body", "function", "name")

    def __init__(self, function: Any) -> None:
        """Pack `function`.

        Raises:
            SerializationError: if it cannot be sent, with what to do.
        """
        self.function = function
        self.name = function_name(function)
        source = standalone_source(function)
        self._seen: list[Any] | None = []
        if source is not None:
            buffer = encode_source(source)
        else:
            self._seen = _surroundings(function)
            buffer = _encode_by_value(function, self.name)
        self.body = pack_buffers([buffer]).encode()

    def is_current(self) -> bool:
        """Whether the body is known to be what packing the function now would give."""
        if not self._seen:
            return self._seen is not None
        now = _surroundings(self.function)
        return now is not None and len(now) == len(self._seen) and all(map(_is, now, self._seen))


def pack_function(function: Any) -> bytes:
    """Return the body of `function`: its source if that stands alone, else its byte code with what it uses.

    Raises:
        SerializationError: if it cannot be sent, with what to do.
    """
    return PackedFunction(function).body


def pack_callable(thing: Callable[..., Any]) -> bytes:
    """Return the body of a callable object whose class is part of this release: it goes by name with its state."""
    return pack_buffers([_METHOD_BY_NAME + to_base64(pickle.dumps(thing, _TEXT_PROTOCOL))]).encode()


def unpack_function(body: bytes) -> Callable[..., Any]:
    """Return the function in a body, by whichever client it was made.

    Raises:
        DeserializationError: it holds none, or cannot be loaded here; then the cause is what loading it raised.
    """
    try:
        buffers = split_buffers(body.decode())
    except UnicodeDecodeError:
        raise DeserializationError("The body of the function is not text.") from None
    if len(buffers) != 1:
        raise DeserializationError(f"The body of a function has {len(buffers)} buffers; 1 is needed.")
    function = decode(buffers[0])
    if not callable(function):
        raise DeserializationError(f"The body holds {type(function).__name__}, which cannot be called.")
    return function  # type: ignore[no-any-return]


def function_name(function: Any) -> str:
    """Return the name of a callable, for people."""
    name = getattr(function, "__name__", None) or getattr(getattr(function, "func", None), "__name__", None)
    return str(name or type(function).__name__)


def _encode_by_value(function: Any, name: str) -> str:
    if not callable(function):
        raise SerializationError(f"{name!r} cannot be called; a function is needed.")
    try:
        buffer = _by_value_or_name(function)
        decode(buffer)  # What does not load here will not load there.
    except SerializationError as error:
        raise _cannot_be_sent(name, error, _culprit_of(function)) from error
    except Exception as error:  # loading runs the user's code
        raise _cannot_be_sent(name, error, _culprit_of(function)) from error
    return buffer


def _by_value_or_name(function: Any) -> str:
    try:
        return encode_by_value(function)
    except SerializationError:
        if getattr(function, "__module__", None) in {None, "__main__"}:
            raise
        # A function of a package that holds a lock, say: it works wherever the package is installed too.
        return _METHOD_BY_NAME + to_base64(pickle.dumps(function, _TEXT_PROTOCOL))


def _cannot_be_sent(name: str, error: Exception, culprit: str = "") -> SerializationError:
    return SerializationError(
        f"Function '{name}' cannot be sent: its source does not stand alone, and by value: "
        f"{' '.join(str(error).split())[:300] or type(error).__name__} {culprit}"
        "Define it in a file or a notebook cell, and create what cannot be pickled (files, locks, connections) inside it."
    )


def _culprit_of(function: Any) -> str:
    """Return a sentence about the variable that keeps a function from being sent, or nothing if no single one does."""
    if not isinstance(function, types.FunctionType):
        return ""
    try:
        cells = zip(
            function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True
        )
        variables = [("variable", *item) for item in cells] + [
            ("global", *item) for item in needed_globals(function).items()
        ]
    except ValueError:  # a cell that is still empty
        return ""
    for kind, name, value in variables:
        try:
            dumps_by_value(value)
        except SerializationError:
            culprit = find_culprit(value)
            return f"It is because of the {kind} {culprit.path.format(f'`{name}`')} ({culprit.type_name}). "
    return ""


def _surroundings(function: Any) -> list[Any] | None:
    """Return the objects that go along with a function; None if one of them may change without becoming another."""
    found: list[Any] = []
    todo = [function]
    while todo:
        value = todo.pop()
        if not isinstance(value, types.FunctionType) and type(value) not in _COMMANDS:
            return None
        for part in _used_by(value):
            if any(part is one for one in found):
                continue
            found.append(part)
            if isinstance(part, types.FunctionType):
                todo.append(part)
            elif not isinstance(part, _SETTLED):
                return None
    return found


def _used_by(function: Any) -> list[Any]:
    if type(function) in _COMMANDS:
        return list(vars(function).values())
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a cell that is still empty
        cells = [[]]
    return [*needed_globals(function).values(), *cells]


def _is(one: Any, other: Any) -> bool:
    return one is other
