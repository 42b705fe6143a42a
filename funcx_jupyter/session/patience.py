"""How long a cell may wait for an endpoint that is offline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from funcx_core.errors import FuncxError
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TaskState


class Asked(Protocol):
    """What is asked about the task."""

    def task(self, task_id: str) -> dict[str, object]:
        """Return what the service tells of a task."""

    def cancel(self, task_id: TaskId) -> None:
        """Ask for the end of a task."""


class Patience:
    """Stops a task that still waits for its endpoint after some time. The service has it meanwhile, so it needs no kernel to start.

    Args:
        connection: asks about the task.
        task_id: the task.
        seconds: how long it may wait.
        clock: monotonic seconds.

    Attributes:
        gave_up: it was stopped for that.
    """

    def __init__(self, connection: Asked, task_id: TaskId, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self.gave_up = False
        self._connection = connection
        self._task_id = task_id
        self._clock = clock
        self._look_at: float | None = clock() + seconds

    def look(self) -> None:
        """Stop the task if it is time, and it waits for its endpoint still. Once an endpoint has it, it may take its time."""
        now = self._clock()
        if self._look_at is None or now < self._look_at:
            return
        try:
            status = self._connection.task(self._task_id)["status"]
        except FuncxError:
            self._look_at = now + 5.0
            return
        self._look_at = None
        if status == TaskState.WAITING_FOR_EP:
            self._connection.cancel(self._task_id)
            self.gave_up = True
