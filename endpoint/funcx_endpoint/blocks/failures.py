"""Blocks of one kind that fail one after the other: how often, why, and when to try again."""

from __future__ import annotations

from typing import Final

FAILURES_ALLOWED: Final = 3
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0


class Failures:
    """The failures since a block last worked."""

    __slots__ = ("count", "not_before", "reason")

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""
        self.not_before = float("-inf")

    @property
    def are_too_many(self) -> bool:
        """Whether it does not look as if the next one would work."""
        return self.count >= FAILURES_ALLOWED

    def failed(self, reason: str, now: float) -> None:
        """One more: the next block is asked for after a pause, which gets longer."""
        self.count += 1
        self.reason = reason
        pause = min(FIRST_PAUSE * 2 ** (self.count - 1), LONGEST_PAUSE)
        self.not_before = now + (LONGEST_PAUSE if self.are_too_many else pause)

    def worked(self) -> None:
        """A block has a manager."""
        self.count = 0
        self.reason = ""
        self.not_before = float("-inf")

    def pause(self, now: float) -> None:
        """A block that worked is gone: do not ask for the next one in the same instant."""
        self.not_before = max(self.not_before, now + FIRST_PAUSE)
