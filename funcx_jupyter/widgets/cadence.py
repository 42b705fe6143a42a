"""When to ask the service next. Pure: times come in as arguments, in seconds by any one clock."""

from __future__ import annotations

from typing import Final

SHORTEST: Final = 0.2
QUICK: Final = 1.0
CALM: Final = 5.0
SLOW: Final = 30.0
LONGEST: Final = 60.0
CALM_AFTER: Final = 20.0
"""Seconds without a change after which we ask less often."""
SLOW_AFTER: Final = 300.0
COST_FACTOR: Final = 3.0
"""We wait for this many times as long as the last answer took: who watches much asks less often."""


class Cadence:
    """The pauses between questions: short while things change, longer when nothing does, growing while nobody answers."""

    def __init__(self, now: float) -> None:
        self._changed_at = now
        self._failures = 0
        self._took = 0.0

    @property
    def failures(self) -> int:
        """How many questions in a row had no answer."""
        return self._failures

    def answered(self, now: float, *, changed: bool, took: float) -> None:
        """There was an answer after `took` seconds."""
        # After an outage, the first answer counts as a change: much may have happened.
        if changed or self._failures:
            self._changed_at = now
        self._failures = 0
        self._took = took

    def failed(self) -> None:
        """There was no answer."""
        self._failures += 1

    def touched(self, now: float) -> None:
        """The user did something."""
        self._changed_at = now

    @property
    def rest(self) -> float:
        """Seconds to wait, at least, where nobody has asked for an answer: news may come by the hundred."""
        return min(LONGEST, max(SHORTEST, COST_FACTOR * self._took))

    def pause(self, now: float) -> float:
        """Return after how many seconds to ask again."""
        if self._failures:
            return min(LONGEST, QUICK * 2.0 ** (self._failures - 1))
        quiet = now - self._changed_at
        pause = QUICK if quiet < CALM_AFTER else CALM if quiet < SLOW_AFTER else SLOW
        return min(LONGEST, max(pause, COST_FACTOR * self._took))
