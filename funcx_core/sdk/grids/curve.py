"""Two columns of a table as curves, and a curve as a line of characters. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Final

import msgspec

from funcx_core.errors import UsageError

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_WIDTH: Final = 60


class Curve(msgspec.Struct, frozen=True):
    """Points of one colour, in the order of `x`. `means` has the mean of y at each x if there are several points at some x."""

    label: str
    xs: list[Any]
    ys: list[float]
    means: list[tuple[Any, float]]


def curves(rows: Sequence[Mapping[str, Any]], x: str, y: str, by: str | None = None) -> list[Curve]:
    """Return the curves of a table; what has no number for y is left out.

    Raises:
        UsageError: there is no such column, or it has no numbers.
    """
    groups: dict[Any, list[tuple[Any, float]]] = {}
    rest: list[Any] = []
    for row in rows:
        _check(row, x, *((by,) if by else ()))
        value = row.get(y)
        if isinstance(value, Real) and _is_number(value):
            groups.setdefault(row[by] if by else None, []).append((row[x], float(value)))
        elif value is not None:
            rest.append(value)
    if not groups and rows and y not in rows[0] and any(row.get("state") == "succeeded" for row in rows):
        raise _no_column(y, rows[0])
    if rest and not groups:
        raise UsageError(f"Column '{y}' has no numbers: {type(rest[0]).__name__} cannot be plotted.")
    return [_curve("" if by is None else f"{by} = {key}", pairs) for key, pairs in groups.items()]


def sparkline(ys: Sequence[float], width: int = _WIDTH) -> str:
    """Return numbers as characters of rising height; of many, the mean of each stretch."""
    finite = [value for value in ys if math.isfinite(value)]
    if not finite:
        return ""
    size = min(width, len(finite))
    means = []
    for number in range(size):
        stretch = finite[number * len(finite) // size : (number + 1) * len(finite) // size]
        means.append(sum(stretch) / len(stretch))
    lowest, highest = min(means), max(means)
    scale = (len(_LEVELS) - 1) / (highest - lowest) if highest > lowest else 0.0
    return "".join(_LEVELS[round((value - lowest) * scale)] for value in means)


def as_text(found: Sequence[Curve], x: str, y: str) -> str:
    """Return curves as lines of characters."""
    if not found:
        return f"{y} over {x}: no results yet"
    lines = []
    for curve in found:
        ys = [mean for _, mean in curve.means] or curve.ys
        span = f"{min(curve.ys):.4g} to {max(curve.ys):.4g}"
        lines.append(f"{curve.label:>16}  {sparkline(ys)}  {span}".strip())
    return "\n".join([f"{y} over {x}, {found[0].xs[0]} to {found[0].xs[-1]}", *lines])


def _curve(label: str, pairs: list[tuple[Any, float]]) -> Curve:
    try:
        pairs = sorted(pairs, key=lambda pair: pair[0])
    except TypeError:  # values without an order stay in that of the grid
        pairs = list(pairs)
    at: dict[Any, list[float]] = {}
    try:
        for key, value in pairs:
            at.setdefault(key, []).append(value)
    except TypeError:  # values that cannot be keys are told apart by nobody
        at = {}
    means = [(key, sum(values) / len(values)) for key, values in at.items()] if len(at) < len(pairs) else []
    return Curve(label, [key for key, _ in pairs], [value for _, value in pairs], means)


def _is_number(value: Real) -> bool:
    return not isinstance(value, bool) and math.isfinite(value)


def _check(row: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if name not in row:
            raise _no_column(name, row)


def _no_column(name: str, row: Mapping[str, Any]) -> UsageError:
    return UsageError(f"The table has no column '{name}'. There are: {', '.join(row)}.")
