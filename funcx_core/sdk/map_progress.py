"""How far a map has come."""

from __future__ import annotations

from typing import Final

import msgspec

_ENDED_STATES: Final = ("succeeded", "failed", "cancelled", "lost")


class MapProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How many calls of a map are in which state.

    Attributes:
        size: of the map; None while its calls are still being submitted.
        submitted: calls that the service has.
        ranges: tasks that ran them, run them or will.
        waiting, running, cancelling: calls whose range waits, runs or is being stopped.
        progressed: those of the running ones that are done, as far as their range has told; told every half second.
        succeeded, failed: calls that have a value, that ended with an error.
        cancelled, lost: calls that were not run to their end because their range was cancelled, or lost or timed out.
    """

    size: int | None = None
    submitted: int = 0
    ranges: int = 0
    waiting: int = 0
    running: int = 0
    cancelling: int = 0
    progressed: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0

    @property
    def done(self) -> int:
        """How many calls were run to their end."""
        return self.succeeded + self.failed

    @property
    def open(self) -> int:
        """How many calls are still to come."""
        return self.waiting + self.running + self.cancelling

    def __str__(self) -> str:
        parts = [f"{getattr(self, name):,} {name}" for name in (*_ENDED_STATES, "running", "waiting", "cancelling")]
        told = ", ".join(part for part in parts if not part.startswith("0 "))
        return f"{self.submitted if self.size is None else self.size:,} calls: {told or 'none yet'}"
