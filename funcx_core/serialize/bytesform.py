"""Python objects to bytes and back: pickle where it does, dill where it does not.

Pickle is forty times faster, but it sends a class or function as a name. A name is of no use to a worker when it lives in
a notebook, a script or a module that only this machine has, so whatever mentions such code goes by value, with dill.
"""

from __future__ import annotations

import pathlib
import pickle
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from funcx_core.errors import SerializationError
from funcx_core.serialize.plain import is_plain

PICKLE_PROTOCOL: Final = 5
PORTABLE_PROTOCOL: Final = 4
"""The newest that Pythons before 3.8 read."""
_NAME_OPCODE: Final = b"\x93"  # STACK_GLOBAL: a pickle without it names no class and no function
_LARGE: Final = 32 * 1024
_OWN_PACKAGES: Final = frozenset({"funcx", "funcx_core", "funcx_endpoint", "funcx_jupyter"})


if sys.version_info < (3, 13):
    sys.modules.setdefault("pathlib._local", pathlib)  # where pickles of Python 3.13 say that paths come from


def dumps(value: Any, protocol: int = PICKLE_PROTOCOL) -> bytes:
    """Return `value` as a pickle that loads where this machine's notebooks, scripts and local modules are unknown.

    Args:
        value: any object.
        protocol: of the pickle. By value, dill's own is used.

    Raises:
        SerializationError: with the reason that pickle or dill gave.
    """
    try:
        pickled = pickle.dumps(value, protocol)
    except Exception:  # noqa: BLE001 - pickling runs the user's code, which may raise anything
        return dumps_by_value(value)
    if _NAME_OPCODE in pickled and not _is_large_and_plain(value, pickled) and _mentions_local_code(pickled):
        try:
            return dumps_by_value(value)
        except SerializationError:
            return pickled  # By name it at least works where the module is installed too.
    return pickled


def loads(pickled: bytes | bytearray | memoryview) -> Any:
    """Return the object that `dumps` took. Raises whatever the pickle raises: it runs code of its maker."""
    if isinstance(pickled, memoryview):
        return pickle.loads(pickled)  # noqa: S301 - the caller has decided to trust the maker
    if b"dill" in pickled:
        return _by_value_loader()(bytes(pickled))
    return pickle.loads(pickled)  # noqa: S301


def dumps_by_value(value: Any) -> bytes:
    """Return `value` with all local code that it uses in it.

    Raises:
        SerializationError: with the reason that dill gave.
    """
    from funcx_core.serialize.byvalue import dill_dumps  # noqa: PLC0415 - dill takes 0.1 s to import

    try:
        return dill_dumps(value)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise SerializationError(f"It cannot be pickled: {reason.rstrip('.') or type(error).__name__}.") from error


def is_local(module_name: str | None) -> bool:
    """Whether code of this module exists only here: a notebook, a script, or a file outside the installed packages."""
    if module_name in {None, "__main__", "__mp_main__"}:
        return True
    module = sys.modules.get(str(module_name))
    return module is not None and _is_local_module(module)


def _is_large_and_plain(value: Any, pickled: bytes) -> bool:
    # Looking for each local module's name costs a millisecond a megabyte, and finds them in data, too.
    return len(pickled) > _LARGE and is_plain(value)


def _mentions_local_code(pickled: bytes) -> bool:
    return any(name in pickled for name in _local_names(len(sys.modules)))


_known: tuple[int, tuple[bytes, ...]] = (-1, ())


def _local_names(modules_loaded: int) -> tuple[bytes, ...]:
    """Return the names of the local modules, looked up again only when modules were imported since."""
    global _known  # noqa: PLW0603 - a cache of one entry
    count, names = _known
    if count != modules_loaded:
        found = {name for name, module in list(sys.modules.items()) if _is_local_module(module)}
        names = tuple(name.encode() for name in found | {"__main__"})
        _known = (modules_loaded, names)
    return names


def _is_local_module(module: ModuleType) -> bool:
    name = getattr(module, "__name__", None)
    file = getattr(module, "__file__", None)
    if not isinstance(name, str) or not isinstance(file, str):
        return name in {"__main__", "__mp_main__"}
    if name.partition(".")[0] in _OWN_PACKAGES:
        return False
    return _is_local_file(file)


@cache
def _is_local_file(file: str) -> bool:
    path = Path(file)
    if path.suffix != ".py":
        return False  # Compiled code cannot go by value.
    return not any(path.is_relative_to(folder) for folder in _installed_folders())


@cache
def _installed_folders() -> tuple[str, ...]:
    folders = {path for path in sysconfig.get_paths().values() if "python" in Path(path).name or "packages" in path}
    folders.update(path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"})
    return tuple(folders | {str(Path(folder).resolve()) for folder in folders})


@cache
def _by_value_loader() -> Callable[[bytes], Any]:
    from funcx_core.serialize.byvalue import dill_loads  # noqa: PLC0415 - 0.1 s, and seldom needed

    return dill_loads
