"""The outcomes that the forwarder decides itself: tasks that ended without a result of their endpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from funcx_core.forwarder.records import Record
from funcx_core.protocol.handoff import Ended
from funcx_core.protocol.losses import loss_error
from funcx_core.protocol.task import TaskError, TaskResult, TaskState


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
    advice = "" if record.retry_on_loss else "Submit it with retry_on_loss=1 or more to have it run again."
    error = loss_error(reason, facts, losses=record.losses, advice=advice)
    return TaskResult(record.task_id, record.attempt, TaskState.FAILED, error=error)


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
