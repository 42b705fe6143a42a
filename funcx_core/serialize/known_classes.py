"""Classes that went by value, so that each is the same class wherever it comes by again.

A class of a notebook is built anew on the worker. Its objects come back with their class in them; without this, that
would be a third class, equal to nothing: dataclasses compare unequal and `isinstance` fails. So a class carries a key from
the first time it is sent, and what arrives with a known key is the class that is here already.
"""

from __future__ import annotations

import uuid
import weakref
from typing import Any, Final

KEY: Final = "__funcx_class__"
_classes: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()


def key_of(cls: type) -> str:
    """Return the key of a class; it gets one if it has none."""
    key = vars(cls).get(KEY)  # not getattr: a base class may have one
    if not isinstance(key, str):
        key = uuid.uuid4().hex
        type.__setattr__(cls, KEY, key)
    _classes[key] = cls
    return key


def known_class(key: Any) -> type | None:
    """Return the class with this key, if it is here."""
    return _classes.get(key) if isinstance(key, str) else None


def create_class(kind: type[type], *arguments: Any) -> type:
    """Return the class that was sent: the one that is here, or a new one. Called by pickles, in the place of dill's function."""
    from dill import _dill  # noqa: PLC0415 - whoever loads such a pickle has it

    key = arguments[2].get(KEY) if len(arguments) > 2 and isinstance(arguments[2], dict) else None  # noqa: PLR2004
    found = known_class(key)
    if found is None:
        found = _dill._create_type(kind, *arguments)  # noqa: SLF001 - see byvalue.py
        if key is not None:
            _classes[key] = found
    return found


def remember(key: str, cls: type) -> None:
    """A class with this key was built here."""
    type.__setattr__(cls, KEY, key)
    _classes[key] = cls
