"""What the service tells of one task, as a value or an exception."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.errors import FuncxError, RemoteProtocolError, TaskNotFound, TaskPending, TryAgainLater
from funcx_core.ids import TaskId
from funcx_core.protocol.task import TERMINAL, TaskError, TaskResult, TaskState
from funcx_core.sdk.large import with_content
from funcx_core.sdk.transfer import Transfer
from funcx_core.sdk.trust import Reader, load_failure

_UNKNOWN: Final = "Unknown task id"


def is_ended(task: dict[str, Any]) -> bool:
    """Whether a task, as the service tells of it, has ended."""
    return str(task.get("status", "")).lower() in TERMINAL


def value_or_error(task: dict[str, Any], reader: Reader, transfer: Transfer) -> tuple[Any, BaseException | None]:
    """Return the value of a task, fetched if it is large, or None and its exception.

    Args:
        task: what the service tells.
        reader: opens it.
        transfer: fetches it if it is large.

    Raises:
        TaskPending: it has not ended.
        ServiceUnavailable: a large value cannot be fetched now.
    """
    task_id = str(task.get("task_id", ""))
    if str(task.get("reason", "")).startswith(_UNKNOWN):
        return None, TaskNotFound(task_id)
    if not is_ended(task):
        raise TaskPending(str(task.get("status", "unknown")), task_id=task_id)
    if str(task["status"]).lower() == TaskState.SUCCESS:
        value = str(task.get("result", "")).encode()
        outcome = TaskResult(TaskId(task_id), 1, TaskState.SUCCESS, value)
        try:
            return reader.open(with_content(outcome, transfer))
        except TryAgainLater:
            raise
        except FuncxError as error:
            return None, load_failure(task_id, value, error)
    return reader.open(TaskResult(TaskId(task_id), 1, TaskState.FAILED, error=_error(task)))


def _error(task: dict[str, Any]) -> TaskError:
    found = task.get("error")
    if isinstance(found, dict):
        try:
            return msgspec.convert(found, TaskError)
        except msgspec.ValidationError as error:
            raise RemoteProtocolError(f"The service describes an error in a way that cannot be read: {error}") from None
    # A service that is not ours has only a text.
    text = str(task.get("exception") or task.get("reason") or "The task failed.").strip()
    is_cancelled = str(task.get("status")).lower() == TaskState.CANCELLED
    return TaskError(
        code="task_cancelled" if is_cancelled else "remote_task_error",
        message=text.splitlines()[-1],
        traceback=text,
    )
