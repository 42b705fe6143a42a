"""Failures as clients before funcX 1.0 read them: pickles of an exception in a wrapper class of theirs.

The service cannot import what opens or makes pickles, and needs not: the few opcodes of these objects are written here. Only
builtin exceptions are named, with text as their one argument, so every old client can load them. Classes of the user become
`Exception` with the class's name in the text.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Final

from funcx_core.protocol.task import TaskError
from funcx_core.service.legacy.dialect import Dialect

REBUILT: Final = frozenset(
    [
        "ArithmeticError",
        "AssertionError",
        "AttributeError",
        "BlockingIOError",
        "BrokenPipeError",
        "BufferError",
        "ChildProcessError",
        "ConnectionAbortedError",
        "ConnectionError",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "EOFError",
        "Exception",
        "FileExistsError",
        "FileNotFoundError",
        "FloatingPointError",
        "ImportError",
        "IndentationError",
        "IndexError",
        "InterruptedError",
        "IsADirectoryError",
        "KeyError",
        "LookupError",
        "MemoryError",
        "ModuleNotFoundError",
        "NameError",
        "NotADirectoryError",
        "NotImplementedError",
        "OSError",
        "OverflowError",
        "PermissionError",
        "ProcessLookupError",
        "RecursionError",
        "ReferenceError",
        "RuntimeError",
        "SyntaxError",
        "SystemError",
        "TabError",
        "TimeoutError",
        "TypeError",
        "UnboundLocalError",
        "UnicodeError",
        "ValueError",
        "ZeroDivisionError",
    ]
)
"""Builtin exceptions that every Python 3 has, that one text makes, and that are no wish to end the process."""

_WRAPPER: Final = ("funcx.serialize.base", "RemoteExceptionWrapper")

# Opcodes of protocol 3, the first that knows bytes; every Python 3 reads it.
_PROTOCOL: Final = b"\x80\x03"
_GLOBAL: Final = b"c"
_TEXT: Final = b"X"
_BYTES: Final = b"B"
_NONE: Final = b"N"
_EMPTY_TUPLE: Final = b")"
_TUPLE_OF_1: Final = b"\x85"
_EMPTY_LIST: Final = b"]"
_APPEND: Final = b"a"
_EMPTY_DICT: Final = b"}"
_SET_ITEM: Final = b"s"
_CALL: Final = b"R"
_NEW_OBJECT: Final = b"\x81"
_SET_STATE: Final = b"b"
_END: Final = b"."


def failure_object(error: TaskError, dialect: Dialect) -> str:
    """Return what clients before 1.0 find in ``exception`` of a task that they ask for."""
    value = _exception(error)
    return dialect.pickle_identifier + _base64(_wrapped(_class_of(error), value))


def streamed_failure(error: TaskError, text: str) -> str:
    """Return what a client that follows a task group finds in ``exception``; there the exception is pickled once more.

    Which client it is cannot be seen there. Those of 0.3 stop reading at the end of the base64; those of 1.0 show all of it,
    so `text` comes after it.
    """
    value = _BYTES + _sized(_PROTOCOL + _exception(error) + _END)
    return f"{Dialect.OBJECT.pickle_identifier}{_base64_with_end(_wrapped(_class_of(error), value))}\n{text}"


def _wrapped(exception_class: bytes, value: bytes) -> bytes:
    state = _dict({"e_type": exception_class, "e_value": value, "e_traceback": _NONE})
    return _PROTOCOL + _global(*_WRAPPER) + _EMPTY_TUPLE + _NEW_OBJECT + state + _SET_STATE + _END


def _exception(error: TaskError) -> bytes:
    made = _class_of(error) + _text(_message(error)) + _TUPLE_OF_1 + _CALL
    if not error.traceback:
        return made
    # Python 3.11 and later print notes below the exception; for others it is one attribute more.
    notes = _EMPTY_LIST + _text(f"On the worker:\n{error.traceback}") + _APPEND
    return made + _dict({"__notes__": notes}) + _SET_STATE


def _class_of(error: TaskError) -> bytes:
    return _global("builtins", error.type_name if _is_rebuilt(error) else "Exception")


def _is_rebuilt(error: TaskError) -> bool:
    return error.module in {"", "builtins"} and error.type_name in REBUILT


def _message(error: TaskError) -> str:
    if _is_rebuilt(error):
        return error.message
    return f"{error.type_name or error.code}: {error.message}"


def _global(module: str, name: str) -> bytes:
    return _GLOBAL + f"{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    return _TEXT + _sized(text.encode(errors="surrogatepass"))


def _sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content


def _dict(items: Mapping[str, bytes]) -> bytes:
    return _EMPTY_DICT + b"".join(_text(key) + value + _SET_ITEM for key, value in items.items())


def _base64(content: bytes) -> str:
    return codecs.encode(content, "base64").decode()


def _base64_with_end(content: bytes) -> str:
    """Return base64 that ends with ``=``: decoders stop there. What follows a pickle's end is not read."""
    return _base64(content if len(content) % 3 else content + _END)
