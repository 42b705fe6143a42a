"""How many calls go into a range. Pure: it is told what calls took, and never looks at a clock.

Theory of operation. A range should run for about half a second: long enough that it costs little, short enough that all
workers have work and little is lost when one is. What a call takes is measured by the ranges that have ended. The first
ones have one call each, so that something is soon known. While nothing is known, sizes double after every `WAVE` ranges,
so that even then a million calls are a few hundred ranges.
"""

from __future__ import annotations

from typing import Final

from funcx_core.errors import UsageError

LARGEST: Final = 1000
GOAL_SECONDS: Final = 0.5
WAVE: Final = 64
PROBES: Final = 8
"""Ranges of one call that are sent before it is worth waiting a moment for what they took."""
_WEIGHT_OF_OLD: Final = 0.5


class RangeSizes:
    """Gives the size of one range after the other.

    Args:
        chunksize: the size of all; ``"auto"`` to choose them.

    Raises:
        UsageError: it is neither.
    """

    def __init__(self, chunksize: int | str) -> None:
        if chunksize != "auto" and not (isinstance(chunksize, int) and chunksize >= 1):
            raise UsageError(f"chunksize is {chunksize!r}; it must be a number from 1, or 'auto'.")
        self._fixed = chunksize if isinstance(chunksize, int) else None
        self._given = 0
        self._calls = 0.0
        self._seconds = 0.0

    @property
    def is_measured(self) -> bool:
        """Whether it wants to hear what ranges `took`."""
        return self._fixed is None

    @property
    def wants_news(self) -> bool:
        """Whether it is time to wait a moment for what the first calls took."""
        return self._fixed is None and self._given == PROBES and not self._calls

    def next(self) -> int:
        """Return the size of the next range."""
        self._given += 1
        if self._fixed is not None:
            return self._fixed
        if not self._calls:
            return min(LARGEST, 1 << min(self._given // WAVE, 10))
        return max(1, min(LARGEST, round(GOAL_SECONDS * self._calls / max(self._seconds, 1e-9))))

    def took(self, calls: int, seconds: float) -> None:
        """A range of so many calls ran for so long."""
        # Weighted by calls: a range of one tells more about loading the function than about calling it.
        self._calls = self._calls * _WEIGHT_OF_OLD + calls
        self._seconds = self._seconds * _WEIGHT_OF_OLD + seconds
