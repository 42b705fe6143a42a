"""The points of a parameter study: which parameters there are and what they are at each point. Pure.

However many points there are, only axes, columns or the positions of a sample are kept, so a million points cost nothing before they
are asked for.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from funcx_core.errors import UsageError

PRODUCT: Final = "product"
ZIP: Final = "zip"
_HOW: Final = (PRODUCT, ZIP)


class Points(msgspec.Struct, frozen=True):
    """Points of named parameters, in a fixed order: the last parameter changes first, as in nested loops.

    Attributes:
        names: of the parameters.
        values: of each parameter: those it takes, or if `how` is ``zip`` its value at each point.
        how: every combination (``product``) or value by value (``zip``).
        chosen: positions among all points of those that are meant; None for all of them.
    """

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    how: str = PRODUCT
    chosen: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return self._all if self.chosen is None else len(self.chosen)

    @property
    def _all(self) -> int:
        if self.how == ZIP:
            return len(self.values[0])
        return math.prod(map(len, self.values))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield the values of the parameters, point by point."""
        if self.chosen is None:
            yield from zip(*self.values, strict=True) if self.how == ZIP else itertools.product(*self.values)
            return
        for position in self.chosen:
            yield self._at(position)

    def __getitem__(self, point: int) -> tuple[Any, ...]:
        """Return the values of the parameters at one point."""
        if not 0 <= point < len(self):
            raise IndexError(f"The grid has points 0 to {len(self) - 1}; {point} is none of them.")
        return self._at(point if self.chosen is None else self.chosen[point])

    def _at(self, position: int) -> tuple[Any, ...]:
        if self.how == ZIP:
            return tuple(column[position] for column in self.values)
        found = []
        for axis in reversed(self.values):
            position, place = divmod(position, len(axis))
            found.append(axis[place])
        return tuple(reversed(found))

    @property
    def varying(self) -> tuple[str, ...]:
        """Names of the parameters that have more than one value."""
        return tuple(name for name, values in zip(self.names, self.values, strict=True) if len(values) > 1)


def points_of(given: Any, *, how: str = PRODUCT, sample: int | None = None, seed: int | None = None) -> Points:
    """Return the points that a user means.

    Args:
        given: a mapping of parameters to their values; or points one by one: a DataFrame or an iterable of mappings.
        how: combine the values of a mapping as ``product`` or ``zip``. What is no collection has the same value at all points.
        sample: take so many of the points, at random, in the order of the grid; all of them if there are fewer.
        seed: of the choice.

    Raises:
        UsageError: these are no points; it says what is wrong.
    """
    if how not in _HOW:
        raise UsageError(f"how is {how!r}; it must be 'product' (every combination) or 'zip' (value by value).")
    if sample is not None and sample < 1:
        raise UsageError(f"sample is {sample}; at least one point is needed.")
    points = _of_mapping(given, how) if isinstance(given, Mapping) else _of_rows(given)
    if not len(points):
        raise UsageError("The grid has no points: one of its parameters has no values.")
    if sample is None or sample >= len(points):
        return points
    chosen = sorted(random.Random(seed).sample(range(len(points)), sample))  # noqa: S311 - nothing secret is drawn
    return msgspec.structs.replace(points, chosen=tuple(chosen))


def _of_mapping(given: Mapping[Any, Any], how: str) -> Points:
    if not given:
        raise UsageError("There are no parameters: grid(fn, {'x': [1, 2, 3]}).")
    names = _checked(given)
    columns = {name: _values(given[name]) for name in names}
    if how == PRODUCT:
        return Points(
            names, tuple(tuple([given[name]] if column is None else column) for name, column in columns.items())
        )
    lengths = {name: len(column) for name, column in columns.items() if column is not None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise UsageError(f"how='zip' needs as many values of each parameter: {told}.")
    size = next(iter(lengths.values()), 1)
    filled = ([given[name]] * size if column is None else column for name, column in columns.items())
    return Points(names, tuple(map(tuple, filled)), ZIP)


def _of_rows(given: Any) -> Points:
    to_dict = getattr(given, "to_dict", None)
    rows = to_dict("records") if to_dict is not None and hasattr(given, "columns") else given
    if isinstance(rows, str) or not isinstance(rows, Iterable):
        raise UsageError(
            f"{type(given).__name__} is not a grid: give {{'x': [1, 2], 'y': [3, 4]}}, a list of dicts, or a DataFrame."
        )
    found = list(rows)
    if not found:
        raise UsageError("The grid has no points.")
    if not all(isinstance(row, Mapping) for row in found):
        raise UsageError("Each point must be a dict of its parameters, such as {'x': 1, 'y': 3}.")
    names = _checked(found[0])
    for number, row in enumerate(found):
        if row.keys() != found[0].keys():
            raise UsageError(
                f"Point {number} has the parameters {sorted(map(str, row))}, the first one {sorted(names)}."
            )
    return Points(names, tuple(tuple(row[name] for row in found) for name in names), ZIP)


def _checked(names: Mapping[Any, Any]) -> tuple[str, ...]:
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise UsageError(f"{name!r} cannot be a parameter: parameters are named as the function's arguments are.")
    if not names:
        raise UsageError("A point has no parameters.")
    return tuple(names)


def _values(given: Any) -> Sequence[Any] | None:
    """Return the values of a parameter; None if there is just this one."""
    if isinstance(given, str | bytes | bytearray | Mapping) or not isinstance(given, Iterable):
        return None
    tolist = getattr(given, "tolist", None)
    # Arrays give their plain numbers, so that nothing has to be installed to read the table.
    return list(tolist()) if tolist is not None and getattr(given, "ndim", 1) == 1 else list(given)
