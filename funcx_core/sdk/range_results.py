"""What became of the calls of a range, opened by whoever wants the values."""

from __future__ import annotations

from typing import Any, Final

from funcx_core.errors import DeserializationError, RemoteProtocolError
from funcx_core.ids import TaskId
from funcx_core.protocol.payload import VALUE
from funcx_core.protocol.ranges import Outcomes
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_core.sdk.trust import Reader, load_failure

_NOT_RUN: Final = TaskError(code="task_cancelled", message="The call was not run.")


class Failed:
    """Stands where a call has no value. Exceptions are built when they are asked for."""

    __slots__ = ("_error", "_reader", "_task_id")

    def __init__(self, error: TaskError | BaseException, task_id: TaskId, reader: Reader | None = None) -> None:
        self._error = error
        self._task_id = task_id
        self._reader = reader

    @property
    def code(self) -> str:
        """The stable code of why, see `funcx_core.errors`; ``remote_task_error`` for an exception of the function."""
        return str(getattr(self._error, "code", "remote_task_error"))

    @property
    def line(self) -> str:
        """Why, in one line: ``ValueError: x is negative``."""
        error = self._error
        if isinstance(error, BaseException):
            return f"{type(error).__name__}: {error}".rstrip(": ")
        name = error.type_name.rpartition(".")[2]
        return f"{name}: {error.message}".rstrip(": ") if name else error.message

    @property
    def details(self) -> dict[str, Any]:
        """Further plain facts, see `TaskError.details`."""
        return dict(getattr(self._error, "details", None) or {})

    def exception(self) -> BaseException:
        """Return why."""
        if isinstance(self._error, BaseException):
            return self._error
        if self._reader is None:
            return self._error.to_exception(self._task_id)
        _, found = self._reader.open(TaskResult(self._task_id, 1, TaskState.FAILED, error=self._error))
        return found or self._error.to_exception(self._task_id)


class RangeResult:
    """The outcomes of a range.

    Args:
        result: of its task.
        reader: opens values and exceptions.

    Raises:
        RemoteProtocolError: they cannot be read.
    """

    def __init__(self, result: TaskResult, reader: Reader) -> None:
        self._container = Outcomes(result.value)
        self._task_id = result.task_id
        self._error = result.error
        self._reader = reader
        self.is_readable = True
        """False when `results` met values that cannot be opened here: they are `Failed` in it."""
        self.size = len(result.value)

    @property
    def succeeded(self) -> int:
        """How many calls have a value."""
        return self._container.head.succeeded

    @property
    def failed(self) -> int:
        """How many calls were run and have none."""
        return len(self._container.head.failures)

    @property
    def is_whole(self) -> bool:
        """Whether every call has a value, as far as its worker knows."""
        return self._container.head.succeeded == self._container.head.count

    def results(self) -> list[Any]:
        """Return for each call its value, or a `Failed`."""
        head = self._container.head
        segments = self._container.segments()
        if len(segments) == 1 and self.is_whole:
            return self._values(segments[0][1], head.count)
        found: list[Any] = [Failed(self._error or _NOT_RUN, self._task_id, self._reader)] * head.count
        for place, error in self._container.errors().items():
            found[place] = Failed(error, self._task_id, self._reader)
        for places, pickled in segments:
            for place, value in zip(places, self._values(pickled, len(places)), strict=True):
                found[place] = value
        return found

    def _values(self, pickled: bytes, count: int) -> list[Any]:
        value, error = self._reader.open(TaskResult(self._task_id, 1, TaskState.SUCCESS, VALUE + pickled))
        if error is not None:
            self.is_readable = False
            return [Failed(error, self._task_id)] * count
        if count == 1:
            return [value]
        if not isinstance(value, list) or len(value) != count:
            self.is_readable = False
            reason = DeserializationError(f"The pickle does not hold the values of {count} calls.")
            return [Failed(load_failure(self._task_id, pickled, reason), self._task_id)] * count
        return value


def open_range(outcome: TaskResult, reader: Reader) -> tuple[Any, BaseException | None]:
    """Return the `RangeResult` of a task, or None and why it cannot be read."""
    try:
        return RangeResult(outcome, reader), None
    except RemoteProtocolError as cause:
        return None, load_failure(outcome.task_id, outcome.value, cause)
