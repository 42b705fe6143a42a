"""Whether a value was changed in place: fingerprints of it before and after.

A fingerprint looks only at what is certain: builtin containers, arrays, tables, and public attributes of the notebook's own classes. Everything
else counts as unchanged as long as it is the same object, because many objects change when they are merely read: they keep what they have
computed. So it may miss a change, and never tells of one that is none.
"""

from __future__ import annotations

import functools
import hashlib
import marshal
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from funcx_core.cells.pickling import NOTEBOOK_MODULES

MOST_BYTES: Final = 8 * 1024 * 1024
MOST_PARTS: Final = 10_000
"""What is looked at of one value: some 30 ms. Where there is more, nothing is told. A list of numbers or texts is one part."""
_NO_REFERENCES: Final = 2
"""The version of marshal's format in which equal values are equal bytes, however often they are referred to."""
_LEAVES: Final = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray})
_SEQUENCES: Final = (list, tuple, deque)


class TooMuch(Exception):
    """There is more to look at than is worth it."""


class Fingerprints:
    """Fingerprints of the values of some names, taken when this is made."""

    def __init__(self, namespace: dict[str, Any], names: Iterable[str]) -> None:
        self._before = [
            (name, namespace[name], found)
            for name in names
            if name in namespace and (found := fingerprint(namespace[name])) is not None
        ]

    def changed(self, namespace: dict[str, Any]) -> list[str]:
        """Return the names whose values are other than they were. A name that stands for another object now is none of them."""
        return [
            name
            for name, value, before in self._before
            if namespace.get(name) is value and fingerprint(value) not in {before, None}
        ]


def fingerprint(value: Any) -> bytes | None:
    """Return the fingerprint of a value; None if it is too large. Never raises."""
    look = _Look()
    try:
        look.at(value)
    except Exception:  # noqa: BLE001 - it runs code of the user's classes, which may raise anything
        return None
    return look.digest.digest()


class _Look:
    def __init__(self) -> None:
        self.digest = hashlib.blake2b(digest_size=16)
        self._room = MOST_BYTES
        self._parts = MOST_PARTS
        self._seen: dict[int, Any] = {}

    def at(self, value: Any) -> None:
        self._parts -= 1
        if self._parts < 0:
            raise TooMuch
        if isinstance(value, set | frozenset):
            # Its order changes when something is added and removed again.
            self._add(b"".join(sorted(one for part in value if (one := fingerprint(part)) is not None)))
            return
        if _is_plain(value):
            self._add(marshal.dumps(value, _NO_REFERENCES))
            return
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value  # Holding it keeps the id from being reused.
        self._add(type(value).__qualname__.encode())
        for part in _parts(value):
            self.at(part)

    def _add(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            raise TooMuch
        self.digest.update(data)
        self.digest.update(b"|")


def _is_plain(value: Any) -> bool:
    """Whether this is a number or text, or a collection of nothing else."""
    cls = type(value)
    if cls is list or cls is tuple:
        return _LEAVES.issuperset(map(type, value))
    if cls is dict:
        return _LEAVES.issuperset(map(type, value)) and _LEAVES.issuperset(map(type, value.values()))
    return cls in _LEAVES


def _parts(value: Any) -> Iterator[Any]:
    """Yield what a value is made of; its identity if that is not certain."""
    cls = type(value)
    if cls in _SEQUENCES:
        yield len(value)
        yield from value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield part
    elif (numpy := sys.modules.get("numpy")) is not None and isinstance(value, numpy.ndarray):
        yield str(value.dtype)
        yield value.shape
        yield value.ravel().tolist() if value.dtype.hasobject else value.tobytes()
    elif (pandas := sys.modules.get("pandas")) is not None and isinstance(value, pandas.DataFrame | pandas.Series):
        yield from _columns(value)
    elif cls.__module__ in NOTEBOOK_MODULES and not isinstance(value, type):
        yield from _attributes(value)
    else:
        yield id(value)


def _columns(table: Any) -> Iterator[Any]:
    # Not as pickles: reading a table may put its columns together in memory.
    yield from _cells(table.index)
    if table.ndim == 1:
        yield from _cells(table)
        return
    for name, column in table.items():
        yield str(name)
        yield from _cells(column)


def _cells(column: Any) -> Iterator[Any]:
    """Yield what is in a column or an index of a table."""
    levels = getattr(column, "levels", None)
    if levels is not None:
        for level, codes in zip(levels, column.codes, strict=True):
            yield from _cells(level)
            yield codes
        return
    yield str(column.dtype)
    moments = getattr(column.array, "asi8", None)
    values = column.to_numpy() if moments is None else moments
    if moments is None and values.dtype.hasobject and column.dtype != values.dtype:
        # Not numpy's: what such a column holds is made anew whenever it is read, so only its text stays the same.
        yield [each if type(each) in _LEAVES else str(each) for each in values.tolist()]
    else:
        yield values


def _attributes(value: Any) -> Iterator[Any]:
    """Yield names and values of what the notebook's own object has, without what it has computed for itself."""
    cls = type(value)
    for name, part in getattr(value, "__dict__", {}).items():
        if not name.startswith("_") and not isinstance(getattr(cls, name, None), functools.cached_property):
            yield name
            yield part
    for name in getattr(cls, "__slots__", ()):
        if not name.startswith("_"):
            yield getattr(value, name, None)
