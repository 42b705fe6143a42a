"""Queries on tasks; each runs on a connection of a reader thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, UserId
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import (
    EventKind,
    Lease,
    Task,
    TaskError,
    TaskEvent,
    TaskOptions,
    TaskResult,
    TaskState,
    TaskTimes,
)
from funcx_core.service.store.blobs import BlobFolder
from funcx_core.service.store.records import TaskRow
from funcx_core.service.store.schema import events, submits, tasks

PAGE: Final = 500

_options = msgspec.msgpack.Decoder(TaskOptions)
_error = msgspec.msgpack.Decoder(TaskError)
_times = msgspec.msgpack.Decoder(TaskTimes)
_joined = tasks.join(submits, submits.c.submit_id == tasks.c.submit_id)
_is_open = tasks.c.completed_at.is_(None)


def open_tasks(connection: sa.Connection, endpoint_id: EndpointId, at_most: int) -> list[TaskId]:
    """Return the oldest open tasks of an endpoint."""
    query = (
        sa.select(tasks.c.task_id)
        .where(_is_open, tasks.c.endpoint_id == endpoint_id)
        .order_by(tasks.c.position)
        .limit(at_most)
    )
    return [TaskId(task_id) for task_id in connection.scalars(query)]


def count_open(connection: sa.Connection, owner_id: UserId) -> int:
    """Count the open tasks of an owner."""
    query = sa.select(sa.func.count()).select_from(_joined).where(_is_open, submits.c.owner_id == owner_id)
    return connection.scalar(query) or 0


def offers(connection: sa.Connection, blobs: BlobFolder, task_ids: Sequence[TaskId]) -> list[Offer]:
    """Return open tasks with their payloads, in the order of `task_ids`."""
    found: dict[str, Offer] = {}
    for ids in _pages(task_ids):
        query = (
            sa.select(
                tasks.c.task_id,
                tasks.c.attempt,
                tasks.c.function_id,
                submits.c.options,
                submits.c.owner_id,
                submits.c.group_id,
                tasks.c.state,
                tasks.c.payload,
                tasks.c.payload_blob,
            )
            .select_from(_joined)
            .where(tasks.c.task_id.in_(ids), _is_open)
        )
        for row in connection.execute(query):
            payload = row.payload if row.payload_blob is None else blobs.read(row.payload_blob)
            if payload is not None:  # None: the task has ended since.
                found[row.task_id] = _offer(row, payload)
    return [found[task_id] for task_id in task_ids if task_id in found]


def headers(connection: sa.Connection, endpoint_id: EndpointId, leases: Sequence[Lease]) -> list[Offer]:
    """Return current leases of an endpoint, without payloads."""
    attempts = {lease.task_id: lease.attempt for lease in leases}
    found: dict[str, Offer] = {}
    for ids in _pages(list(attempts)):
        query = (
            sa.select(
                tasks.c.task_id,
                tasks.c.attempt,
                tasks.c.function_id,
                submits.c.options,
                submits.c.owner_id,
                submits.c.group_id,
                tasks.c.state,
            )
            .select_from(_joined)
            .where(tasks.c.task_id.in_(ids), _is_open, tasks.c.endpoint_id == endpoint_id)
        )
        for row in connection.execute(query):
            if row.attempt == attempts[row.task_id]:
                found[row.task_id] = _offer(row, b"")
    return list(found.values())


def task_rows(
    connection: sa.Connection, blobs: BlobFolder, owner_id: UserId, task_ids: Sequence[TaskId]
) -> dict[TaskId, TaskRow]:
    """Return tasks of an owner."""
    found: dict[TaskId, TaskRow] = {}
    for ids in _pages(task_ids):
        query = (
            sa.select(tasks, submits.c.group_id, submits.c.received_at)
            .select_from(_joined)
            .where(tasks.c.task_id.in_(ids), submits.c.owner_id == owner_id)
        )
        found.update((TaskId(row.task_id), _task_row(row, blobs)) for row in connection.execute(query))
    return found


def results(
    connection: sa.Connection, blobs: BlobFolder, owner_id: UserId, task_ids: Sequence[TaskId], at_most_bytes: int
) -> tuple[list[TaskResult], list[TaskId]]:
    """Return results of ended tasks up to a size, and the ids that were not looked at."""
    found: list[TaskResult] = []
    size = done = 0
    for ids in _pages(task_ids, 100):
        if found and size >= at_most_bytes:
            break
        query = (
            sa.select(
                tasks.c.task_id,
                tasks.c.attempt,
                tasks.c.state,
                tasks.c.result,
                tasks.c.result_blob,
                tasks.c.error,
                tasks.c.times,
            )
            .select_from(_joined)
            .where(tasks.c.task_id.in_(ids), tasks.c.completed_at.is_not(None), submits.c.owner_id == owner_id)
        )
        rows = {row.task_id: row for row in connection.execute(query)}
        for task_id in ids:
            if found and size >= at_most_bytes:
                break
            done += 1
            if (row := rows.get(task_id)) is not None:
                found.append(_result(row, blobs))
                size += len(found[-1].value)
    return found, list(task_ids[done:])


def group(connection: sa.Connection, owner_id: UserId, group_id: GroupId) -> list[TaskId]:
    """Return the tasks of a group, oldest first."""
    spans = connection.execute(
        sa.select(submits.c.submit_id, submits.c.first_position, submits.c.size)
        .where(submits.c.group_id == group_id, submits.c.owner_id == owner_id)
        .order_by(submits.c.first_position)
    ).all()
    found: list[TaskId] = []
    for submit_id, first, size in spans:
        query = (
            sa.select(tasks.c.task_id)
            .where(tasks.c.position.between(first, first + size - 1), tasks.c.submit_id == submit_id)
            .order_by(tasks.c.position)
        )
        found.extend(TaskId(task_id) for task_id in connection.scalars(query))
    return found


def event_log(connection: sa.Connection, task_id: TaskId, after: int, at_most: int) -> list[TaskEvent]:
    """Return entries of a log."""
    query = (
        sa.select(events).where(events.c.task_id == task_id, events.c.seq > after).order_by(events.c.seq).limit(at_most)
    )
    return [TaskEvent(task_id, row.seq, EventKind(row.kind), row.at, row.body) for row in connection.execute(query)]


def blob_names(connection: sa.Connection) -> set[str]:
    """Return every file that a row names."""
    names: set[str] = set()
    for column in (tasks.c.payload_blob, tasks.c.result_blob):
        names.update(name for name in connection.scalars(sa.select(column).where(column.is_not(None))) if name)
    return names


def _pages(ids: Sequence[TaskId], size: int = PAGE) -> Iterable[Sequence[TaskId]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _offer(row: Any, payload: bytes) -> Offer:
    options = None if row.options is None else _options.decode(row.options)
    task = Task(TaskId(row.task_id), row.attempt, FunctionId(row.function_id), payload, options)
    return Offer(task, UserId(row.owner_id), GroupId(row.group_id), row.state == TaskState.CANCELLING)


def _task_row(row: Any, blobs: BlobFolder) -> TaskRow:
    return TaskRow(
        task_id=TaskId(row.task_id),
        function_id=FunctionId(row.function_id),
        endpoint_id=EndpointId(row.endpoint_id),
        group_id=GroupId(row.group_id),
        state=TaskState(row.state),
        attempt=row.attempt,
        value=_value(row, blobs),
        error=None if row.error is None else _error.decode(row.error),
        received_at=row.received_at,
        times=TaskTimes() if row.times is None else _times.decode(row.times),
        completed_at=row.completed_at or 0,
    )


def _result(row: Any, blobs: BlobFolder) -> TaskResult:
    return TaskResult(
        TaskId(row.task_id),
        row.attempt,
        TaskState(row.state),
        _value(row, blobs),
        None if row.error is None else _error.decode(row.error),
        TaskTimes() if row.times is None else _times.decode(row.times),
    )


def _value(row: Any, blobs: BlobFolder) -> bytes:
    if row.result_blob is not None:
        return blobs.read(row.result_blob) or b""
    return row.result or b""
