"""A map whose endpoint is offline, as `Patience` sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState


class Stoppable(Protocol):
    """What is known of the map."""

    @property
    def state(self) -> TaskState:
        """How it is now, as far as is known here."""

    def unfinished(self) -> list[TaskId]:
        """Return the tasks that run its elements, or will."""

    def cancel(self) -> bool:
        """Ask for the end of what waits or runs."""


class WaitingMap:
    """Answers for a map what `Patience` asks about a task."""

    def __init__(self, task: Stoppable, ask: Callable[[str], dict[str, object]]) -> None:
        self._task = task
        self._ask = ask

    def task(self, _: str) -> dict[str, object]:
        """Return what the service tells of its first range, unless something of it has begun."""
        state = self._task.state
        ranges = self._task.unfinished()
        return {"status": state} if state is not TaskState.RECEIVED or not ranges else self._ask(ranges[0])

    def cancel(self, _: TaskId) -> None:
        """Ask for its end."""
        self._task.cancel()
