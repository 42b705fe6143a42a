"""When the block of a manager ends by the rules of its batch system, and how long before that nothing new is begun. Pure.

Tasks that run when their block ends are lost, and nobody can have them back. So a manager retires in time: long enough
before the end that tasks like those which it has seen can finish. How long that is, is learned; it is no more than half of
what the block was given, or a block would do nothing.
"""

from __future__ import annotations

from typing import Final

SMALLEST_SHARE: Final = 0.1
LARGEST_SHARE: Final = 0.5
LONGEST_LEAST: Final = 30.0
"""Seconds of notice are a tenth of the block's time, but no more than these, while all tasks are short."""
SPARE: Final = 1.5
"""A task may take so many times as long as the longest so far."""
LAST_WORDS: Final = 0.2
"""The share of the notice that is left for reports when tasks have had theirs."""


class BlockEnd:
    """The end of a block. All times are monotonic seconds."""

    __slots__ = ("_at", "_total", "longest_task")

    def __init__(self, at: float | None, total: float) -> None:
        self._at = at
        self._total = total
        self.longest_task = 0.0

    def retire_at(self) -> float | None:
        """Return when to begin nothing new; None for never."""
        return None if self._at is None else self._at - self._notice()

    def grace(self, now: float) -> float:
        """Return how long tasks that run now may go on."""
        if self._at is None:
            return 0.0
        return max(self._at - LAST_WORDS * min(self._notice(), LONGEST_LEAST) - now, 0.0)

    def _notice(self) -> float:
        least = min(SMALLEST_SHARE * self._total, LONGEST_LEAST)
        return min(max(SPARE * self.longest_task, least), LARGEST_SHARE * self._total)
