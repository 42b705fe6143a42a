"""Tasks as published clients read them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.payload import as_text
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_core.service.legacy.dialect import Dialect
from funcx_core.service.legacy.exceptions import failure_object, streamed_failure
from funcx_core.service.store.records import TaskRow
from funcx_core.service.views import exception_text, task_view

LONGEST_MESSAGE: Final = 11 * 1024 * 1024
"""Bytes: clients of the socket of results end their connection at a longer message."""

_STATES: Final = {TaskState.CANCELLED: TaskState.FAILED.value, TaskState.CANCELLING: TaskState.RUNNING.value}
"""Published clients would take these for tasks that have not ended, or do not know them."""
_NO_VALUE: Final = TaskError(code="task_failed", message="The task ended without a value.")


def translated_task(row: TaskRow, dialect: Dialect) -> dict[str, Any]:
    """Return a task for a client of this dialect."""
    view = task_view(row)
    if dialect is Dialect.OURS:
        return view
    view["status"] = _STATES.get(row.state, view["status"])
    if "exception" in view:
        view["status"] = TaskState.FAILED.value  # A value may have ended as no text that they could read.
    if dialect is Dialect.TEXT:
        return view
    if "exception" in view:
        error = row.error or _unreadable(row, str(view["exception"]))
        view["exception"] = failure_object(error, dialect)
    elif dialect is Dialect.OBJECT_01 and "result" in view:
        view["result"] = _relabelled(str(view["result"]))
    return view


def streamed_result(result: TaskResult, completed_at: float) -> bytes:
    """Return the message of the socket of results for a task that ended, JSON in UTF-8.

    Clients of 0.3 need both keys, `result` and `exception`; later ones look at `status`.

    Args:
        result: how it ended.
        completed_at: when, in Unix seconds.
    """
    message = _message(result, completed_at, *_outcome(result))
    if len(message) > LONGEST_MESSAGE:
        reason = f"The result has {len(message):,} bytes, more than this client takes; ask for it by `get_result`."
        message = _message(result, completed_at, None, TaskError(code="result_too_large", message=reason))
    return message


def _outcome(result: TaskResult) -> tuple[str | None, TaskError | None]:
    if result.state is not TaskState.SUCCESS:
        return None, result.error or _NO_VALUE
    try:
        return as_text(result.value), None
    except RemoteProtocolError as error:
        return None, _no_text(error)


def _message(result: TaskResult, completed_at: float, text: str | None, error: TaskError | None) -> bytes:
    reason = None if error is None else exception_text(error)
    message = {
        "task_id": result.task_id,
        "status": (TaskState.SUCCESS if error is None else TaskState.FAILED).value,
        "completion_t": f"{completed_at:.6f}",
        "result": text,
        "exception": None if error is None else streamed_failure(error, reason or ""),
        "reason": reason,
    }
    return msgspec.json.encode(message)


def _unreadable(row: TaskRow, text: str) -> TaskError:
    return _NO_VALUE if row.state is not TaskState.SUCCESS else TaskError(code="result_load_error", message=text)


def _no_text(error: RemoteProtocolError) -> TaskError:
    return TaskError(code="result_load_error", message=f"The result cannot be shown as text: {error}")


def _relabelled(text: str) -> str:
    return f"01\n{text[3:]}" if text.startswith("00\n") else text
