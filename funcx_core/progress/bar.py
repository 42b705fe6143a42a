"""A progress bar that looks right wherever its code runs: on a worker, in a notebook, in a terminal.

>>> for seed in progress(seeds, desc="simulating"):
...     simulate(seed)
>>> with progress(total=size, unit="B") as bar:
...     bar.update(4096)
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Iterator
from operator import length_hint
from typing import Any, Final, Generic, Self, TypeVar

from funcx_core.progress import place
from funcx_core.progress.board import new_bar_id
from funcx_core.protocol.progress import Bar

T = TypeVar("T")

_OFTEN: Final = 0.05
"""Seconds in which a bar puts itself on the board at most once, however often it steps."""


def progress(
    iterable: Iterable[T] | None = None,
    total: float | None = None,
    desc: str = "",
    *,
    unit: str = "it",
    leave: bool = True,
) -> ProgressBar[T]:
    """Return a bar: iterate over it, or call its `update`.

    Args:
        iterable: what is gone through.
        total: how many steps there are; what `iterable` says if it is None.
        desc: what it is about.
        unit: what is counted.
        leave: keep it in sight when it has ended.
    """
    if total is None and iterable is not None:
        total = length_hint(iterable) or None
    return ProgressBar(iterable, total, desc, unit, leave)


class ProgressBar(Generic[T]):
    """A bar. Made by `progress`; in sight from the start.

    Attributes:
        n: how much is done.
        total: how much there is to do; None if nobody knows.
    """

    def __init__(
        self, iterable: Iterable[T] | None, total: float | None, description: str, unit: str, leave: bool
    ) -> None:
        self.n: float = 0
        self.total = total
        self._iterable = iterable
        self._description = description
        self._unit = unit
        self._leave = leave
        self._id = new_bar_id()
        self._began = self._put_at = time.monotonic()
        self._is_closed = False
        self._board = place.open_bar(self._id)
        self._put()

    def __iter__(self) -> Iterator[T]:
        if self._iterable is None:
            raise TypeError("There is nothing to iterate over: progress(total=…) is stepped by update().")
        try:
            for item in self._iterable:
                yield item
                self.update()
        finally:
            self.close()

    def update(self, n: float = 1) -> None:
        """So much more is done."""
        self.n += n
        now = time.monotonic()
        if now - self._put_at >= _OFTEN:
            self._put()

    def describe(self, description: str) -> None:
        """Say what it is about now."""
        self._description = description
        self._put()

    def close(self) -> None:
        """It has ended. Again, nothing happens."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._leave:
            self._board.put(self._reading().closed())
        else:
            self._board.drop(self._id)
        place.close_bar(self._id)

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.total or 0)

    def __bool__(self) -> bool:
        return True

    def _put(self) -> None:
        if not self._is_closed:
            self._put_at = time.monotonic()
            known = weakref.ref(self)
            self._board.put(self._reading(), lambda: _reading_of(known()))

    def _reading(self) -> Bar:
        elapsed = time.monotonic() - self._began
        return Bar(
            id=self._id,
            n=self.n,
            total=self.total,
            description=self._description,
            unit=self._unit,
            elapsed=round(elapsed, 3),
            rate=self.n / elapsed if elapsed > 0 and self.n else None,
        )


def _reading_of(bar: ProgressBar[Any] | None) -> Bar | None:
    return None if bar is None else bar._reading()  # noqa: SLF001 - its own module
