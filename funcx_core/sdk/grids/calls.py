"""Points of a grid as calls of a function. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from funcx_core.errors import UsageError
from funcx_core.protocol.ranges import a_range, listed
from funcx_core.serialize import pack_call
from funcx_core.serialize.ranges import pack_range

Pack = Callable[[list[tuple[Any, ...]]], bytes]
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def packer_of(fn: Callable[..., Any], names: tuple[str, ...]) -> Pack:
    """Return what packs points with these parameters as calls of `fn`.

    Raises:
        UsageError: the function does not take them, or needs another one.
    """
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # a function in C that does not say
        return _by_name(names)
    _check(fn, signature, names)
    known = list(signature.parameters.values())
    places = [one.name for one in known if one.kind in _POSITIONAL][: len(names)]
    if set(places) != set(names):
        return _by_name(names)
    if tuple(places) == names:
        return pack_range
    order = [names.index(name) for name in places]
    return lambda points: pack_range([tuple(point[place] for place in order) for point in points])


def _by_name(names: tuple[str, ...]) -> Pack:
    def pack(points: list[tuple[Any, ...]]) -> bytes:
        return a_range(listed([pack_call((), dict(zip(names, point, strict=True))) for point in points]))

    return pack


def _check(fn: Callable[..., Any], signature: inspect.Signature, names: tuple[str, ...]) -> None:
    by_name = [
        one.replace(kind=inspect.Parameter.POSITIONAL_OR_KEYWORD) if one.kind in _POSITIONAL else one
        for one in signature.parameters.values()
    ]
    try:
        inspect.Signature(by_name).bind(**dict.fromkeys(names))
    except TypeError as error:
        name = getattr(fn, "__name__", type(fn).__name__)
        raise UsageError(f"{name}{signature} cannot be called with {', '.join(names)}: {error}.") from None
