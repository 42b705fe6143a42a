"""dill, told which code to send by value.

dill decides with `_locate_function` whether a function or class can be found by name where it is loaded. Its own answer is
"yes" for every importable module; ours is "no" for modules that only this machine has.
"""

from __future__ import annotations

import enum
import io
import re
import sys
import threading
import types
import warnings
from typing import Any, Final

import dill
from dill import _dill, detect

from funcx_core.errors import DeserializationError
from funcx_core.serialize.bytesform import is_local
from funcx_core.serialize.enums import add_attributes, reduce_enum
from funcx_core.serialize.known_classes import create_class, key_of
from funcx_core.serialize.source import needed_globals

_REFUSED: Final = frozenset(
    {
        type(threading.Lock()),
        type(threading.RLock()),
        io.TextIOWrapper,
        io.BufferedReader,
        io.BufferedWriter,
        io.BufferedRandom,
        io.FileIO,
    }
)
_VERSION: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
_HEADER: Final = b"\x80\x04"
_CODE: Final = b"_create_code"


def _marker(version: str) -> bytes:
    """Return a pickle's header and the instructions that put a text on the stack and drop it again."""
    text = b"funcx-python:" + version.encode()
    return _HEADER + b"\x8c" + bytes([len(text)]) + text + b"0"


_MADE_HERE: Final = _marker(_VERSION)
_MARKER: Final = re.compile(rb"\x80\x04\x8c.funcx-python:(\d+\.\d+)0", re.DOTALL)
_here = threading.local()
_found = detect.globalvars
_located = _dill._locate_function  # noqa: SLF001 - dill has no public seam for this


class _ByValuePickler(dill.Pickler):  # type: ignore[misc]
    """Sends local functions and classes by value, with those of their globals that they use.

    Open files and locks are refused: dill would make new ones on the worker, which are not what the caller has.
    """


class _Unpickler(dill.Unpickler):  # type: ignore[misc]
    """Takes the class that is here already for one that comes back."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_create_type" and module in {"dill._dill", "dill.dill"}:
            return create_class
        return super().find_class(module, name)


class _Dispatch(_dill.MetaCatchingDict):  # type: ignore[misc]
    """How each type is saved; classes of any metaclass in our way."""

    def __missing__(self, kind: type) -> Any:
        if issubclass(kind, enum.EnumType):
            return _save_enum
        if issubclass(kind, type):
            return _save_class
        raise KeyError(kind)


def _save_class(pickler: _ByValuePickler, cls: type, postproc_list: Any = None) -> None:
    if is_local(cls.__module__):
        key_of(cls)
    _dill.save_type(pickler, cls, postproc_list)


def _save_enum(pickler: _ByValuePickler, cls: enum.EnumType) -> None:
    if _locate(cls, pickler):
        _dill.save_type(pickler, cls)
    else:
        build, arguments, attributes = reduce_enum(cls)
        pickler.save_reduce(build, arguments, attributes, state_setter=add_attributes, obj=cls)


_ByValuePickler.dispatch = _Dispatch(
    (kind, save) for kind, save in dill.Pickler.dispatch.items() if kind not in _REFUSED and kind is not type
)


def _locate(obj: Any, pickler: Any = None) -> bool:
    if isinstance(pickler, _ByValuePickler) and is_local(getattr(obj, "__module__", None)):
        return False
    return bool(_located(obj, pickler))


def _global_variables(function: Any, recurse: bool = True, builtin: bool = False) -> dict[str, Any]:
    """Return the globals that a function uses itself: each function that goes along brings its own.

    dill's answer takes in those of all functions below, and never ends if two of them call each other.
    """
    if getattr(_here, "is_dumping", False) and isinstance(function, types.FunctionType):
        return needed_globals(function)
    found: dict[str, Any] = _found(function, recurse, builtin)
    return found


_dill._locate_function = _locate  # noqa: SLF001 - picklers of others keep dill's own answer
detect.globalvars = _global_variables  # and this one, too


def dill_dumps(value: Any) -> bytes:
    """Return the pickle of `value`. Raises whatever dill or the user's code raises.

    It begins with a text that names this Python's version and is dropped when it is loaded, by any unpickler: so whoever loads it
    can tell byte code of another version, which would crash the process that runs it.
    """
    file = io.BytesIO()
    file.write(_MADE_HERE)
    with warnings.catch_warnings():  # dill warns where it then fails
        warnings.simplefilter("ignore", dill.PicklingWarning)
        outer, _here.is_dumping = getattr(_here, "is_dumping", False), True
        try:
            _dump(file, value)
        finally:
            _here.is_dumping = outer
    # The header of protocol 4 stands in front of the text already.
    return file.getvalue().replace(_MADE_HERE + _HEADER, _MADE_HERE, 1)


def dill_loads(pickled: bytes) -> Any:
    """Return the object that `dill_dumps` or another dill took.

    Raises:
        DeserializationError: there is byte code in it, of another version of Python.
    """
    made_by = _MARKER.match(pickled)
    if made_by is not None and made_by[1].decode() != _VERSION and _CODE in pickled:
        version = made_by[1].decode()
        raise DeserializationError(
            f"It holds byte code of Python {version}, and this is Python {_VERSION}. Run it where the same Python is; or make the "
            "function one that travels as source: a plain `def` that imports what it needs inside and uses no globals."
        )
    return _Unpickler(io.BytesIO(pickled)).load()


def _dump(file: io.BytesIO, value: Any) -> None:
    # Protocol 4 is what dill itself writes; 5 adds nothing to code.
    pickler = _ByValuePickler(file, protocol=4, byref=False, recurse=True)
    pickler.dump(value)
