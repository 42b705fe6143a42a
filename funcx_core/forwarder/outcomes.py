"""The outcomes that the forwarder decides itself: tasks that ended without a result of their endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from funcx_core.forwarder.records import Record
from funcx_core.protocol.handoff import Ended
from funcx_core.protocol.task import TaskError, TaskResult, TaskState

_LOST: Final = {
    "worker_lost": "The worker process died{how} while it ran the task.",
    "manager_lost": "The node's manager was lost while the task ran.",
    "endpoint_lost": "The endpoint's agent died while the task ran.",
}


def cancelled(record: Record) -> TaskResult:
    """Return the outcome of a task that was cancelled before it ended."""
    error = TaskError(code="task_cancelled", message="The task was cancelled.")
    return TaskResult(record.task_id, record.attempt, TaskState.CANCELLED, error=error)


def expired(record: Record) -> TaskResult:
    """Return the outcome of a task that waited longer than tasks may."""
    text = (
        "The task waited longer for its endpoint than this service keeps tasks. Start the endpoint and submit it again."
    )
    return TaskResult(
        record.task_id, record.attempt, TaskState.FAILED, error=TaskError(code="task_expired", message=text)
    )


def lost(record: Record, reason: str, details: dict[str, Any]) -> TaskResult:
    """Return the outcome of a task that was lost with what ran it and may not run again."""
    facts = {**details, "losses": record.losses, "retry_on_loss": record.retry_on_loss}
    if reason == "worker_lost" and record.losses > 1:
        text = f"The task killed {record.losses} workers, one in each attempt; it is not run again."
        error = TaskError(code="task_poisoned", message=text, details=facts)
    else:
        code = reason if reason in _LOST else "endpoint_lost"
        is_over = "memory_limit" in details or "processes_limit" in details  # And would be again.
        again = (
            "" if record.retry_on_loss or is_over else " Submit it with retry_on_loss=1 or more to have it run again."
        )
        error = TaskError(code=code, message=_LOST[code].format(how=_how(details)) + again, details=facts)
    return TaskResult(record.task_id, record.attempt, TaskState.FAILED, error=error)


def _how(details: dict[str, Any]) -> str:
    used, limit = details.get("memory_used"), details.get("memory_limit")
    if isinstance(used, int) and isinstance(limit, int):
        used_mb, limit_mb = f"{used / 1e6:,.0f} MB", f"{limit / 1e6:,.0f} MB"
        return f" (out of memory: it used {used_mb}, and the endpoint's mem_per_worker allows {limit_mb})"
    if (limit := details.get("processes_limit")) is not None:
        return f" (it had more processes than the {limit} that the endpoint's max_processes_per_worker allows)"
    if details.get("oom"):
        return " (out of memory)"
    if details.get("signal"):
        return f" (signal {details['signal']})"
    if details.get("exitcode") is not None:
        return f" (exit code {details['exitcode']})"
    return ""


def unloadable(record: Record) -> TaskResult:
    """Return the outcome of a task whose function has no body in the store."""
    text = f"The body of function {record.function_id} is gone from the service. Register the function again."
    return TaskResult(
        record.task_id, record.attempt, TaskState.FAILED, error=TaskError(code="function_load_error", message=text)
    )


def by_group(outcomes: Iterable[tuple[Record, TaskResult]]) -> list[Ended]:
    """Return `outcomes` as messages to the web services, in order."""
    ended: list[Ended] = []
    for record, result in outcomes:
        if ended and ended[-1].group_id == record.group_id:
            ended[-1].results.append(result)
        else:
            ended.append(Ended(record.owner_id, record.group_id, [result]))
    return ended
