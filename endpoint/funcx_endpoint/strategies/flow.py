"""When a strategy is due: after so many events, or after so long, whichever comes first. Pure."""

from __future__ import annotations

from typing import Final

THRESHOLD: Final = "threshold"
INTERVAL: Final = "interval"


class Flow:
    """Counts events. All times are monotonic seconds.

    Args:
        threshold: events after which the strategy is due; None to count none.
        interval: seconds after which it is due anyway.
        now: when the first interval begins.
    """

    __slots__ = ("_began", "_events", "_interval", "_threshold")

    def __init__(self, threshold: int | None, interval: float, *, now: float) -> None:
        self._threshold = threshold
        self._interval = interval
        self._began = now
        self._events = 0

    def notify(self, number: int = 1) -> None:
        """So many events happened."""
        self._events += number

    def due(self, now: float) -> str | None:
        """Return why the strategy is due: `THRESHOLD`, or `INTERVAL`; None if it is not."""
        if self._threshold is not None and self._events >= self._threshold:
            return THRESHOLD
        return INTERVAL if now - self._began >= self._interval else None

    def remaining(self, now: float) -> float:
        """Return the seconds to the end of the interval."""
        return max(self._began + self._interval - now, 0.0)

    def reset(self, now: float) -> None:
        """The strategy was called: the next interval begins, with no events."""
        self._began = now
        self._events = 0
