"""Statements that write many rows in one step.

The `sqlite3` module gives up the interpreter's lock around every step of a statement, and `executemany` makes a step for
each row. While another thread computes, getting the lock back takes up to a switch interval (5 ms by default) per
row. One statement with many rows gives it up once. Sizes are powers of two, so that few statements need preparing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

LARGEST: Final = 512


def chunks(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Cut `rows` into pieces whose sizes are powers of two up to `LARGEST`."""
    start = 0
    while left := len(rows) - start:
        size = min(LARGEST, 1 << (left.bit_length() - 1))
        yield rows[start : start + size]
        start += size


def flat(rows: Sequence[tuple[Any, ...]], *tail: Any) -> tuple[Any, ...]:
    """Return the parameters of a statement over `rows`, then those of its end."""
    return (*chain.from_iterable(rows), *tail)


def many_rows(before: str, columns: int, after: str = "") -> Callable[[int], str]:
    """Return a maker of statements ``before (VALUES of n rows) after``."""
    row = f"({','.join('?' * columns)})"

    @cache
    def statement(count: int) -> str:
        return f"{before} {','.join([row] * count)} {after}"

    return statement
