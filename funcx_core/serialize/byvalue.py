"""dill, told which code to send by value.

dill decides with `_locate_function` whether a function or class can be found by name where it is loaded. Its own answer is
"yes" for every importable module; ours is "no" for modules that only this machine has.
"""

from __future__ import annotations

import enum
import io
import threading
import warnings
from typing import Any, Final

import dill
from dill import _dill

from funcx_core.serialize.bytesform import is_local
from funcx_core.serialize.enums import add_attributes, reduce_enum
from funcx_core.serialize.known_classes import create_class, key_of

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
    if not is_local(cls.__module__):
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


_dill._locate_function = _locate  # noqa: SLF001 - picklers of others keep dill's own answer


def dill_dumps(value: Any) -> bytes:
    """Return the pickle of `value`. Raises whatever dill or the user's code raises."""
    file = io.BytesIO()
    with warnings.catch_warnings():  # dill warns where it then fails
        warnings.simplefilter("ignore", dill.PicklingWarning)
        _dump(file, value)
    return file.getvalue()


def dill_loads(pickled: bytes) -> Any:
    """Return the object that `dill_dumps` or another dill took."""
    return _Unpickler(io.BytesIO(pickled)).load()


def _dump(file: io.BytesIO, value: Any) -> None:
    # Protocol 4 is what dill itself writes; 5 adds nothing to code.
    pickler = _ByValuePickler(file, protocol=4, byref=False, recurse=True)
    pickler.dump(value)
