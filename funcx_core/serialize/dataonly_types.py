"""What the names in a pickle of plain data stand for: builders that check their arguments and make values of a few known types.

A builder is no class and no function, has no attributes that could be set, and takes data only. Each does what the type's own
constructor would do with the arguments that `pickle` gives it, after it has checked their types, signs and sizes.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import os
import pathlib
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, Final

from funcx_core.commands.result import ShellResult
from funcx_core.errors import NotPlainData

_MOST_DIGITS: Final = 4_300
_MOST_BITS: Final = 100_000
_MOST_PARTS_OF_A_KEY: Final = 10_000
_SCALARS: Final = frozenset({str, bytes, int, float, complex, bool, type(None)})


def require(condition: object, what: str) -> None:
    """Raise `NotPlainData` unless the condition holds."""
    if not condition:
        raise NotPlainData(f"a {what} in a form that is not known")


def checked_key(value: Any) -> Any:
    """Return a key, if it can be hashed in a time that its size explains: shared tuples in tuples cannot.

    Raises:
        NotPlainData: it has too many parts.
    """
    if type(value) in _SCALARS:
        return value
    todo, left = [value], _MOST_PARTS_OF_A_KEY
    while todo:
        part = todo.pop()
        left -= 1
        if left < 0:
            raise NotPlainData(f"a key of more than {_MOST_PARTS_OF_A_KEY:,} parts")
        if isinstance(part, (tuple, frozenset)):
            todo.extend(part)
    return value


class Builder:
    """Stands for a name. `kind` is the type that a `defaultdict` may make of it."""

    __slots__ = ("build", "kind")

    def __init__(self, build: Callable[..., Any], kind: type | None = None) -> None:
        self.build = build
        self.kind = kind


class Unfinished:
    """A value whose state comes later in the pickle; `places` are where the pickle remembers it."""

    __slots__ = ("finish", "places", "what")

    def __init__(self, what: str, finish: Callable[[Any], Any]) -> None:
        self.what = what
        self.finish = finish
        self.places: list[int] = []


def _all(values: tuple[Any, ...], kinds: tuple[type, ...]) -> bool:
    return all(type(value) in kinds for value in values)


def _checked(make: Callable[..., Any], *kinds: type) -> Builder:
    """Return a builder that calls `make` with arguments of these types only."""

    def build(*arguments: Any) -> Any:
        require(_all(arguments, kinds), getattr(make, "__name__", "a value"))
        return make(*arguments)

    return Builder(build)


def _refused(name: str) -> Callable[..., Any]:
    def build(*_: Any) -> None:
        require(condition=False, what=name)

    return build


def _set_of(make: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return what makes a set of a list, as protocol 3 has it."""

    def build(values: Any = ()) -> Any:
        require(type(values) in {list, tuple}, "set")
        return make(map(checked_key, values))

    return build


def _bytearray(*arguments: Any) -> bytearray:
    if not arguments:
        return bytearray()
    content, *encoding = arguments
    if type(content) is str:
        require(encoding == ["latin-1"], "bytearray")
        return bytearray(content, "latin-1")
    require(type(content) is bytes and not encoding, "bytearray")  # an int would reserve that many bytes
    return bytearray(content)


def _latin(text: Any, encoding: Any = "latin1") -> bytes:
    require(type(text) is str and encoding in {"latin1", "latin-1"}, "bytes")
    return bytes(text, "latin-1")


def _decimal(text: Any) -> decimal.Decimal:
    require(type(text) is str, "Decimal")
    return decimal.Decimal(text)


def _fraction(*arguments: Any) -> fractions.Fraction:
    if len(arguments) == 1 and type(arguments[0]) is str:
        above, _, below = arguments[0].partition("/")  # never an exponent: 1e999999999 would be worked out
        require(len(arguments[0]) <= _MOST_DIGITS, "Fraction")
        return fractions.Fraction(int(above), int(below or 1))
    require(_all(arguments, (int,)) and max(map(int.bit_length, arguments)) < _MOST_BITS, "Fraction")
    return fractions.Fraction(*arguments)


def _timezone(*arguments: Any) -> dt.timezone:
    require(_all(arguments[:1], (dt.timedelta,)) and _all(arguments[1:], (str,)), "timezone")
    return dt.timezone(*arguments)


def _timed(make: type) -> Builder:
    """Return a builder of `datetime` or `time`: the packed fields, and a time zone perhaps."""

    def build(fields: Any, zone: Any = None) -> Any:
        is_zone = zone is None or type(zone) in {dt.timezone, zoneinfo.ZoneInfo}
        require(type(fields) is bytes and is_zone, make.__name__)
        return make(fields) if zone is None else make(fields, zone)

    return Builder(build)


def _zone(key: Any, *_: Any) -> zoneinfo.ZoneInfo:
    require(type(key) is str, "ZoneInfo")
    return zoneinfo.ZoneInfo(key)  # It looks for the key among time zones only.


_ZONE: Final = Builder(_zone)


def _getattr(of: Any, name: Any) -> Builder:
    """Stand for the one attribute that pickles of plain data ask for: ``ZoneInfo._unpickle``."""
    require(of is _ZONE and name == "_unpickle", f"attribute {str(name)[:100]!r}")
    return _ZONE


def _uuid() -> Unfinished:
    def finish(state: Any) -> uuid.UUID:
        require(type(state) is dict and type(state.get("int")) is int, "UUID")
        return uuid.UUID(int=state["int"])

    return Unfinished("UUID", finish)


def _path(make: type) -> Builder:
    def build(*parts: Any) -> Any:
        require(_all(parts, (str,)), "Path")
        return make(*parts)

    return Builder(build)


def _defaultdict(*arguments: Any) -> collections.defaultdict[Any, Any]:
    (factory,) = arguments or (None,)
    require(factory is None or (isinstance(factory, Builder) and factory.kind is not None), "defaultdict")
    return collections.defaultdict(None if factory is None else factory.kind)


def _ordered_dict() -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict()


def _counter(counts: Any = None) -> collections.Counter[Any]:
    require(counts is None or type(counts) is dict, "Counter")
    return collections.Counter(counts)


def _deque(items: Any = (), longest: Any = None) -> collections.deque[Any]:
    require(type(items) in {tuple, list} and (longest is None or type(longest) is int), "deque")
    return collections.deque(items, longest)


def _of_numpy(name: str) -> Builder:
    """Return a builder that loads numpy when it is used."""

    def build(*arguments: Any) -> Any:
        from funcx_core.serialize import dataonly_numpy  # noqa: PLC0415 - numpy may not be installed

        return getattr(dataonly_numpy, name)(*arguments)

    return Builder(build)


ARRAY_CLASS: Final = Builder(_refused("numpy.ndarray"))
"""Says of which class an array is; arrays are made by other names."""
_POSIX: Final = _path(pathlib.PurePosixPath if os.name == "nt" else pathlib.PosixPath)
BUILDERS: Final[dict[tuple[str, str], Builder]] = {
    ("builtins", "complex"): _checked(complex, float),
    ("builtins", "set"): Builder(_set_of(set), set),
    ("builtins", "frozenset"): Builder(_set_of(frozenset)),
    **{("builtins", kind.__name__): Builder(_refused(kind.__name__), kind) for kind in (list, dict, int, float, str)},
    ("builtins", "bytearray"): Builder(_bytearray),
    ("builtins", "range"): _checked(range, int),
    ("builtins", "slice"): _checked(slice, int, type(None)),
    ("builtins", "getattr"): Builder(_getattr),
    ("_codecs", "encode"): Builder(_latin),
    ("collections", "OrderedDict"): Builder(_ordered_dict),
    ("collections", "defaultdict"): Builder(_defaultdict),
    ("collections", "Counter"): Builder(_counter),
    ("collections", "deque"): Builder(_deque),
    ("datetime", "date"): _checked(dt.date, bytes),
    ("datetime", "datetime"): _timed(dt.datetime),
    ("datetime", "time"): _timed(dt.time),
    ("datetime", "timedelta"): _checked(dt.timedelta, int),
    ("datetime", "timezone"): Builder(_timezone),
    ("zoneinfo", "ZoneInfo"): _ZONE,
    ("zoneinfo", "ZoneInfo._unpickle"): _ZONE,
    ("zoneinfo._zoneinfo", "ZoneInfo._unpickle"): _ZONE,
    ("decimal", "Decimal"): Builder(_decimal),
    ("fractions", "Fraction"): Builder(_fraction),
    ("uuid", "UUID"): Builder(_uuid),
    **{
        (module, name): builder
        for module in ("pathlib", "pathlib._local")
        for name, builder in {
            "PosixPath": _POSIX,
            "PurePosixPath": _path(pathlib.PurePosixPath),
            "WindowsPath": _path(pathlib.PureWindowsPath),
            "PureWindowsPath": _path(pathlib.PureWindowsPath),
        }.items()
    },
    ("funcx_core.commands.result", "ShellResult"): _checked(ShellResult, str, int, type(None)),
    ("numpy", "dtype"): _of_numpy("dtype"),
    ("numpy", "ndarray"): ARRAY_CLASS,
    **{
        (f"numpy.{core}.{module}", name): _of_numpy(builder)
        for core in ("core", "_core")
        for module, name, builder in (
            ("numeric", "_frombuffer", "array_of_buffer"),
            ("multiarray", "_reconstruct", "array_to_come"),
            ("multiarray", "scalar", "scalar"),
        )
    },
}
