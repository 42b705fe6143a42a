"""Records as the JSON that clients read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.payload import as_text
from funcx_core.protocol.task import TaskError, TaskEvent, TaskState
from funcx_core.service.store.records import TaskRow

MESSAGE_LENGTH: Final = 500
"""Characters of a message where many tasks are shown at once."""


def task_summary(row: TaskRow) -> dict[str, Any]:
    """Return a task without its result."""
    waits = {"waits_for": list(row.waits_for)} if row.waits_for else {}
    place = {"node": row.times.node, "worker": row.times.worker} if row.times.worker >= 0 else {}
    return {
        "task_id": row.task_id,
        "status": row.state.value,
        "task_group_id": row.group_id,
        "function_id": row.function_id,
        "endpoint_id": row.endpoint_id,
        "attempt": row.attempt,
        "times": {
            "received": row.received_at,
            "interchange": row.times.interchange,
            "manager": row.times.manager,
            "started": row.times.started,
            "ended": row.times.ended,
            "completed": row.completed_at,
        },
        **place,
        **waits,
    }


def brief_task(row: TaskRow) -> dict[str, Any]:
    """Return a task without its value; of one that failed, why in one line."""
    view = task_summary(row)
    if row.error is not None:
        error = row.error
        view["error"] = {"code": error.code, "type_name": error.type_name, "message": error.message[:MESSAGE_LENGTH]}
    return view


def task_view(row: TaskRow) -> dict[str, Any]:
    """Return a task; one that ended has `completion_t` and exactly one of `result` and `exception`."""
    view = task_summary(row)
    if not row.state.is_terminal:
        return view
    view["completion_t"] = f"{row.completed_at / 1e9:.6f}"
    if row.state is TaskState.SUCCESS:
        view |= _result(row)
    else:
        error = row.error or TaskError(code="task_failed", message="The task ended without a value.")
        view["exception"] = exception_text(error)
        view["error"] = msgspec.to_builtins(error)
    return view


def _result(row: TaskRow) -> dict[str, str]:
    try:
        return {"result": as_text(row.value)}
    except RemoteProtocolError as error:
        return {"exception": f"The result cannot be shown as text: {error}"}


def exception_text(error: TaskError) -> str:
    """Return what published clients of version 1.0 and later show: the traceback, or the one line that is known."""
    if error.traceback:
        return error.traceback
    if error.type_name:
        return f"{error.type_name}: {error.message}"
    return f"{error.code}: {error.message}"


def unknown_task(task_id: str) -> dict[str, Any]:
    """Return the entry of a batch for a task that does not exist or is not the caller's."""
    return {"task_id": task_id, "status": "Failed", "reason": "Unknown task id"}


def events_view(row: TaskRow, events: list[TaskEvent], after: int) -> dict[str, Any]:
    """Return entries of a task's log, and where to go on."""
    return {
        "task_id": row.task_id,
        "state": row.state.value,
        "last_seq": events[-1].seq if events else after,
        "events": [
            {
                "seq": event.seq,
                "kind": event.kind.value,
                "at": event.at,
                "body": event.body.decode(errors="replace"),
            }
            for event in events
        ],
    }
