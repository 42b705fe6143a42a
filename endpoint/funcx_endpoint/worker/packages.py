"""Which packages a cell used, cheaply: from what is in its namespace at its end, and what is loaded. No file is read."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from typing import Any, Final

MOST: Final = 100
"""Packages that are named at most."""
_OURS: Final = frozenset({"__main__", "funcx", "funcx_core", "funcx_endpoint", "funcx_jupyter", ""})


def packages_of(values: Iterable[Any], modules: Iterable[str]) -> dict[str, str]:
    """Return the version of each package that values or modules come from and that is no part of Python.

    A module that says no version has an empty one. A class and a function come from the package of their module, an object from
    that of its class.
    """
    tops = {name.partition(".")[0] for name in modules}
    tops.update(_module_of(value).partition(".")[0] for value in list(values))
    names = sorted(tops - _OURS - sys.stdlib_module_names)
    loaded = [(name, sys.modules[name]) for name in names if name in sys.modules]
    return {name: _version(module) for name, module in loaded[:MOST]}


def _module_of(value: Any) -> str:
    if isinstance(value, types.ModuleType):
        return value.__name__
    found = vars(type(value)).get("__module__") if not callable(value) else getattr(value, "__module__", "")
    return found if isinstance(found, str) else ""


def _version(module: types.ModuleType) -> str:
    found = vars(module).get("__version__")
    return found if isinstance(found, str) else ""
