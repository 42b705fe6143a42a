"""What the service tells of one task, as a value or an exception."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.errors import RemoteProtocolError, TaskNotFound, TaskPending
from funcx_core.protocol.task import TERMINAL, TaskError, TaskState
from funcx_core.sdk.futures import load_failure
from funcx_core.serialize import rebuild_exception, unpack_value

_UNKNOWN: Final = "Unknown task id"


def is_ended(task: dict[str, Any]) -> bool:
    """Whether a task, as the service tells of it, has ended."""
    return str(task.get("status", "")).lower() in TERMINAL


def value_or_error(task: dict[str, Any]) -> tuple[Any, BaseException | None]:
    """Return the value of a task, or None and its exception.

    Raises:
        TaskPending: it has not ended.
    """
    task_id = str(task.get("task_id", ""))
    if str(task.get("reason", "")).startswith(_UNKNOWN):
        return None, TaskNotFound(task_id)
    if not is_ended(task):
        raise TaskPending(str(task.get("status", "unknown")), task_id=task_id)
    if str(task["status"]).lower() == TaskState.SUCCESS:
        return _value(task_id, task)
    return None, rebuild_exception(_error(task), task_id)


def _value(task_id: str, task: dict[str, Any]) -> tuple[Any, BaseException | None]:
    raw = str(task.get("result", "")).encode()
    try:
        return unpack_value(raw), None
    except Exception as cause:  # noqa: BLE001 - loading runs code that may be missing or broken here
        return None, load_failure(task_id, raw, cause)


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
