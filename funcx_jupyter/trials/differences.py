"""How two values differ, in words. Pure; numpy and pandas are looked at only where they are loaded.

Equal floats are equal to the last bit, and close ones within `RTOL` and `ATOL`: two machines add in another order. NaN equals NaN.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Any, Final

import msgspec

RTOL: Final = 1e-6
ATOL: Final = 1e-9
TOLERANCE: Final = f"close: within {RTOL:g} of the value or {ATOL:g}"
_SHORT: Final = 60
_DEPTH: Final = 40


class Verdict(StrEnum):
    """How two values compare, from best to worst."""

    EQUAL = "equal"
    CLOSE = "close"
    UNKNOWN = "cannot be compared"
    DIFFERENT = "different"


_ORDER: Final = tuple(Verdict)


class Difference(msgspec.Struct, frozen=True):
    """What came of a comparison. `where` and `how` say it for people; both are empty for values that are equal."""

    verdict: Verdict
    how: str = ""
    where: str = ""

    def __str__(self) -> str:
        told = f"{self.where}: {self.how}" if self.where and self.how else self.how
        return f"{self.verdict}: {told}" if told else str(self.verdict)


EQUAL: Final = Difference(Verdict.EQUAL)


def compare(here: Any, there: Any) -> Difference:
    """Return how two values differ: the worst that is found, and where."""
    return _compare(here, there, "", 0)


def compare_text(here: str, there: str) -> Difference:
    """Return how two texts differ: in which line first."""
    if here == there:
        return EQUAL
    ours, theirs = here.splitlines(), there.splitlines()
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if one != other:
            place = f"line {number}" if len(ours) > 1 or len(theirs) > 1 else ""
            return Difference(Verdict.DIFFERENT, f"{_short(one)} ≠ {_short(other)}", place)
    return Difference(Verdict.DIFFERENT, f"{_count(len(ours), 'line')} ≠ {_count(len(theirs), 'line')}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _compare(here: Any, there: Any, where: str, depth: int) -> Difference:  # noqa: PLR0911 - one for each kind
    if here is there:
        return EQUAL
    if depth > _DEPTH:
        return Difference(Verdict.UNKNOWN, "it is nested too deeply", where)
    if _is_number(here) and _is_number(there):
        return _numbers(here, there, where)
    if _name(type(here)) != _name(type(there)):
        return _different(f"{_name(type(here))} ≠ {_name(type(there))}", where)
    if (numpy := sys.modules.get("numpy")) is not None and isinstance(here, numpy.ndarray):
        return _arrays(numpy, here, there, where, depth)
    if (pandas := sys.modules.get("pandas")) is not None and isinstance(here, pandas.DataFrame | pandas.Series):
        return _tables(here, there, where, depth)
    if isinstance(here, str):
        found = compare_text(here, there)
        return msgspec.structs.replace(found, where=" ".join(filter(None, (where, found.where))))
    return _collections(here, there, where, depth)


def _collections(here: Any, there: Any, where: str, depth: int) -> Difference:
    if isinstance(here, Mapping):
        return _mappings(here, there, where, depth)
    if isinstance(here, Sequence) and not isinstance(here, bytes | bytearray):
        if len(here) != len(there):
            return _different(f"{_count(len(here), 'element')} ≠ {_count(len(there), 'element')}", where)
        pairs = enumerate(zip(here, there, strict=True))
        return _worst(_compare(one, other, f"{where}[{place}]", depth + 1) for place, (one, other) in pairs)
    if isinstance(here, AbstractSet):
        return EQUAL if here == there else _different(f"{len(here ^ there):,} elements are in one only", where)
    return _others(here, there, where, depth)


def _others(here: Any, there: Any, where: str, depth: int) -> Difference:
    if getattr(type(here), "__eq__", None) is object.__eq__:
        # It has no idea of equality, so it is what it has.
        ours, theirs = getattr(here, "__dict__", None), getattr(there, "__dict__", None)
        if not ours or not theirs:
            return Difference(Verdict.UNKNOWN, f"{_name(type(here))} does not say what equal is", where)
        return _mappings(ours, theirs, where, depth, form=".{}".format)
    try:
        is_equal = bool(here == there)
    except Exception as error:  # noqa: BLE001 - it runs code of the user's classes, which may raise anything
        return Difference(Verdict.UNKNOWN, f"{type(error).__name__}: {error}", where)
    return EQUAL if is_equal else _different(f"{_short(here)} ≠ {_short(there)}", where)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | complex) and not isinstance(value, bool)


def _numbers(here: Any, there: Any, where: str) -> Difference:
    if type(here) is not type(there):
        return _different(f"{_short(here)} ({_name(type(here))}) ≠ {_short(there)} ({_name(type(there))})", where)
    if here == there or (here != here and there != there):  # noqa: PLR0124 - that is what NaN does
        return EQUAL
    if isinstance(here, float) and math.isclose(here, there, rel_tol=RTOL, abs_tol=ATOL):
        return Difference(Verdict.CLOSE, f"{abs(here - there):.2g} apart", where)
    if isinstance(here, complex) and abs(here - there) <= max(ATOL, RTOL * abs(there)):
        return Difference(Verdict.CLOSE, f"{abs(here - there):.2g} apart", where)
    return _different(f"{_short(here)} ≠ {_short(there)}", where)


def _mappings(here: Any, there: Any, where: str, depth: int, form: Any = "[{!r}]".format) -> Difference:
    missing = [key for key in here if key not in there]
    extra = [key for key in there if key not in here]
    if missing or extra:
        told = [f"{_short(key)} is here only" for key in missing[:1]] + [
            f"{_short(key)} is there only" for key in extra[:1]
        ]
        return _different(", ".join(told), where)
    return _worst(_compare(value, there[key], f"{where}{form(key)}", depth + 1) for key, value in here.items())


def _arrays(numpy: Any, here: Any, there: Any, where: str, depth: int) -> Difference:  # noqa: PLR0911 - as above
    if here.shape != there.shape:
        return _different(f"shape {here.shape} ≠ {there.shape}", where)
    if here.dtype != there.dtype:
        return _different(f"dtype {here.dtype} ≠ {there.dtype}", where)
    if here.dtype.hasobject:
        return _compare(here.ravel().tolist(), there.ravel().tolist(), where, depth + 1)
    is_inexact = here.dtype.kind in "fc"
    same = (here == there) | ((here != here) & (there != there)) if is_inexact else here == there  # noqa: PLR0124
    if numpy.all(same):
        return EQUAL
    apart = int(numpy.size(same) - numpy.count_nonzero(same))
    told = f"{apart:,} of {here.size:,} elements"
    if here.dtype.kind not in "fciu":
        return _different(told, where)
    with numpy.errstate(invalid="ignore", over="ignore"):
        if here.dtype.kind in "iu":
            return _different(f"{told}, by {_largest(numpy, here.astype(float) - there.astype(float))} at most", where)
        told = f"{told}, by {_largest(numpy, here - there)} at most"
        close = numpy.allclose(here, there, rtol=RTOL, atol=ATOL, equal_nan=True)
    return Difference(Verdict.CLOSE if close else Verdict.DIFFERENT, told, where)


def _largest(numpy: Any, apart: Any) -> str:
    return f"{float(numpy.nanmax(numpy.abs(apart))):.2g}"


def _tables(here: Any, there: Any, where: str, depth: int) -> Difference:
    if here.shape != there.shape:
        return _different(f"shape {here.shape} ≠ {there.shape}", where)
    index = _compare(here.index.to_numpy(), there.index.to_numpy(), f"{where} index".strip(), depth + 1)
    if index.verdict is not Verdict.EQUAL:
        return index
    if here.ndim == 1:
        if here.dtype != there.dtype:
            return _different(f"dtype {here.dtype} ≠ {there.dtype}", where)
        return _compare(here.to_numpy(), there.to_numpy(), where, depth + 1)
    names = _compare(list(here.columns), list(there.columns), f"{where} columns".strip(), depth + 1)
    if names.verdict is not Verdict.EQUAL:
        return names
    columns = range(here.shape[1])
    return _worst(
        _tables(here.iloc[:, place], there.iloc[:, place], f"{where}[{here.columns[place]!r}]", depth + 1)
        for place in columns
    )


def _worst(found: Iterator[Difference]) -> Difference:
    worst = EQUAL
    for one in found:
        if _ORDER.index(one.verdict) > _ORDER.index(worst.verdict):
            worst = one
            if worst.verdict is Verdict.DIFFERENT:
                break
    return worst


def _different(how: str, where: str) -> Difference:
    return Difference(Verdict.DIFFERENT, how, where)


def _name(cls: type) -> str:
    module = cls.__module__
    return cls.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{cls.__qualname__}"


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"
