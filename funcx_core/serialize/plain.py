"""Which values hold data and nothing else, so that no code needs to be looked for in their pickles."""

from __future__ import annotations

import sys
from typing import Any, Final

MOST: Final = 256
"""Objects that are looked at; in a value of more, looking through the pickle costs less."""
_DATA: Final = frozenset({bytes, bytearray, str, int, float, complex, bool, type(None)})
_CONTAINERS: Final = frozenset({tuple, list, set, frozenset})


def is_plain(value: Any) -> bool:
    """Whether `value` is data, or a few containers of data. False where that would take long to say."""
    left = MOST
    unseen = [value]
    while unseen:
        one = unseen.pop()
        kind = type(one)
        if kind in _DATA:
            continue
        if kind in _CONTAINERS:
            inside = one
        elif kind is dict:
            inside = (*one.keys(), *one.values()) if len(one) <= left else None
        else:
            inside = () if _is_array_of_numbers(one) else None
        if inside is None or len(inside) >= left:
            return False
        left -= len(inside) + 1
        unseen += inside
    return True


def _is_array_of_numbers(value: Any) -> bool:
    array = getattr(sys.modules.get("numpy"), "ndarray", None)
    return array is not None and type(value) is array and not value.dtype.hasobject
