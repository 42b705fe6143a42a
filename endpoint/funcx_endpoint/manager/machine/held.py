"""One lease in the manager's hands, and why it is being stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from msgspec import structs

from funcx_core.errors import FunctionLoadError, ResourcesUnavailable, TaskCancelled, TaskTimeout
from funcx_core.protocol.task import (
    DEFAULT_OPTIONS,
    Function,
    Task,
    TaskError,
    TaskOptions,
    TaskResult,
    TaskState,
    TaskTimes,
)
from funcx_endpoint.manager.machine.effects import Level


class Reason(Enum):
    """Why a task is being stopped."""

    CANCEL = "cancel"
    WALLTIME = "walltime"


@dataclass(slots=True, eq=False)
class Stop:
    """A stop under way: signals of rising level, `grace` seconds apart."""

    reason: Reason
    grace: float
    level: Level | None = None
    next_at: float = 0.0
    is_forced: bool = False

    def due(self, now: float) -> Level | None:
        """Return the signal to send now, if one is due, and count it as sent."""
        if self.level is Level.KILL:
            return None
        if self.is_forced:
            self.level = Level.KILL
        elif self.level is None:
            self.level = Level.INTERRUPT
        elif now >= self.next_at:
            self.level = Level(self.level + 1)
        else:
            return None
        self.next_at = now + self.grace
        return self.level


@dataclass(slots=True, eq=False)
class Held:
    """A lease. It waits (`worker` is None) or was dealt to a worker under a `number`.

    Attributes:
        arrived: Unix nanoseconds, for people.
        is_reported: whether its user was told that it runs.
        kind: of the worker that it needs, see `worker_map`.
        events: how many events it had.
        width: how many workers' places it takes, its own worker's included.
        is_special: it has more than a worker's share, of which it must be told.
        lent: the other workers whose places it has.
        nodes: those of the block that it has for itself, where tasks are given nodes.
        overtaken: how many others that came later were given theirs first.
    """

    task: Task
    function: Function
    arrived: int
    worker: int | None = None
    number: int = 0
    stop: Stop | None = None
    is_reported: bool = False
    kind: str = ""
    events: int = 0
    width: int = 1
    is_special: bool = False
    lent: tuple[int, ...] = ()
    nodes: tuple[str, ...] = ()
    overtaken: int = 0

    @property
    def place(self) -> int:
        """The number of its worker; -1 while it waits."""
        return -1 if self.worker is None else self.worker

    @property
    def options(self) -> TaskOptions:
        """The task's options, or the defaults."""
        return self.task.options or DEFAULT_OPTIONS

    def stamped(self, result: TaskResult) -> TaskResult:
        """Return the worker's result with this hop's time; a failure that a stop caused becomes what the stop was for."""
        ran = result.times
        times = TaskTimes(0, self.arrived, ran.started, ran.ended, "", self.place)
        if self.stop is not None and result.state is TaskState.FAILED:
            # A range of a map keeps what was complete when it was stopped.
            return structs.replace(self.stopped(result.error, times), value=result.value)
        return TaskResult(result.task_id, result.attempt, result.state, result.value, result.error, times)

    def stopped(
        self, raised: TaskError | None = None, times: TaskTimes | None = None, *, began: bool = False
    ) -> TaskResult:
        """Return the result of a task that was stopped.

        Args:
            raised: how its function took it.
            times: when it ran.
            began: whether it had started.
        """
        if self.stop is not None and self.stop.reason is Reason.WALLTIME:
            state, code = TaskState.FAILED, TaskTimeout.code
            message = "The task ran longer than its walltime and was stopped."
        else:
            state, code = TaskState.CANCELLED, TaskCancelled.code
            message = f"The task was cancelled {'while it ran' if raised or began else 'before it started'}."
        details = {}
        if raised is not None:
            details = {"raised": f"{raised.type_name}: {raised.message}", "traceback": raised.traceback}
        return self._ended(state, TaskError(code=code, message=message, details=details), times)

    def unloaded(self, details: dict[str, Any]) -> TaskResult:
        """Return the result of a task whose function took too long to load."""
        message = (
            "The function was still loading when the endpoint's `load_timeout` was over: an import in it waits for "
            "something. `details['stderr']` shows where."
        )
        return self._ended(TaskState.FAILED, TaskError(code=FunctionLoadError.code, message=message, details=details))

    def refused(self, reason: str) -> TaskResult:
        """Return the result of a task that can never run here."""
        return self.failed(ResourcesUnavailable.code, reason)

    def failed(self, code: str, message: str, details: dict[str, Any] | None = None) -> TaskResult:
        """Return the result of a task that cannot be run here."""
        return self._ended(TaskState.FAILED, TaskError(code=code, message=message, details=details or {}))

    def _ended(self, state: TaskState, error: TaskError, times: TaskTimes | None = None) -> TaskResult:
        times = times or TaskTimes(manager=self.arrived, worker=self.place)
        return TaskResult(self.task.task_id, self.task.attempt, state, b"", error, times)
