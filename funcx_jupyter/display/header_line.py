"""Keeps the header of a running cell up to date."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec

from funcx_core.protocol.task import TaskState
from funcx_jupyter.display import words
from funcx_jupyter.display.header import Header

_UNREADABLE: Final = 0.25
"""Cells that end sooner (seconds) show their end only."""
_SOON_OVER: Final = 1.0
"""Seconds without the service that nobody is told of."""


class HeaderLine:
    """Shows a header again when the state of its task changes, else once a second.

    Args:
        first: what it says first. Its `elapsed` is where the clock starts: a task may have been sent long ago.
        show: puts a header on the screen.
        clock: monotonic seconds.
        stop_key: what the user presses to stop the cell.
        outage: returns for how many seconds the service has not been heard; None if it is.
    """

    def __init__(
        self,
        first: Header,
        show: Callable[[Header], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        stop_key: str = "■",
        outage: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.header = first
        self._stop_key = stop_key
        self._show = show
        self._clock = clock
        self._started = clock() - first.elapsed
        self._outage = outage
        self._running_since: float | None = None
        self._last: tuple[str, int, str] | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the cell was sent."""
        return self._clock() - self._started

    def open(self) -> None:
        """Show it for the first time, or again after the output was cleared."""
        self._show(self.header)

    def running(self, state: TaskState) -> None:
        """The task is in this state, still."""
        outage = self._outage()
        note = "" if outage is None or outage < _SOON_OVER else f"reconnecting ({int(outage)} s)"
        now = (state.value, int(self.elapsed), note)
        if now != self._last and self.elapsed > _UNREADABLE:
            self._last = now
            self.change(state=state, elapsed=self.elapsed, note=note, left=self._left(state))

    def _left(self, state: TaskState) -> float | None:
        """Return the seconds that are left, if it takes as long as it did before; None once it takes longer."""
        if state is not TaskState.RUNNING or self.header.expected is None:
            return None
        if self._running_since is None:
            self._running_since = self._clock()
        left = self.header.expected - (self._clock() - self._running_since)
        return left if left >= 1 else None

    def stopping(self) -> None:
        """The user wants the task to stop."""
        task = words.short_id(self.header.task_id)
        self.change(note=f"Cancelling {task} on {self.header.endpoint} (press {self._stop_key} again to detach)")

    def detached(self) -> None:
        """Nobody waits for the task any more, and it has not ended."""
        self.change(note=f"detached after {words.clock(self.elapsed)}")

    def change(self, **fields: Any) -> None:
        """Show the header with other fields."""
        self.header = msgspec.structs.replace(self.header, **fields)
        self._show(self.header)
