"""Queries on tasks; each runs on a connection of a reader thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, UserId
from funcx_core.protocol.handoff import Offer, owner_tag
from funcx_core.protocol.task import (
    DEFAULT_OPTIONS,
    ContainerImage,
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
from funcx_core.service.store import map_reads
from funcx_core.service.store.blobs import BlobFolder
from funcx_core.service.store.records import TaskRow
from funcx_core.service.store.registry import images_of
from funcx_core.service.store.schema import dependencies, events, submits, tasks

PAGE: Final = 500
RESULTS_PAGE: Final = 100

_options = msgspec.msgpack.Decoder(TaskOptions)
_error = msgspec.msgpack.Decoder(TaskError)
_times = msgspec.msgpack.Decoder(TaskTimes)
_states: Final = {state.value: state for state in TaskState}
_nothing: Final = TaskTimes()

# Statements are built once: building one costs more than running it.
_joined = tasks.join(submits, submits.c.submit_id == tasks.c.submit_id)
_is_open = tasks.c.completed_at.is_(None)
_is_named = tasks.c.task_id.in_(sa.bindparam("ids", expanding=True))
_is_owned = submits.c.owner_id == sa.bindparam("owner_id")
_is_there = tasks.c.endpoint_id == sa.bindparam("endpoint_id")

_offer_columns = (
    tasks.c.task_id,
    tasks.c.attempt,
    tasks.c.function_id,
    submits.c.options,
    submits.c.owner_id,
    submits.c.group_id,
    tasks.c.state,
    tasks.c.endpoint_id,
)
_count_open = sa.select(sa.func.count()).select_from(_joined).where(_is_open, _is_owned)
_offers = (
    sa.select(*_offer_columns, tasks.c.payload, tasks.c.payload_blob)
    .select_from(_joined)
    .where(_is_named, _is_open, tasks.c.lane >= 0)
)
_headers = sa.select(*_offer_columns).select_from(_joined).where(_is_named, _is_open, _is_there)
_row_columns = (
    tasks.c.task_id,
    tasks.c.submit_id,
    tasks.c.function_id,
    tasks.c.endpoint_id,
    submits.c.group_id,
    tasks.c.state,
    tasks.c.attempt,
    tasks.c.error,
    submits.c.received_at,
    tasks.c.times,
    tasks.c.completed_at,
    tasks.c.lane,
)
_task_rows = (
    sa.select(*_row_columns, tasks.c.result, tasks.c.result_blob).select_from(_joined).where(_is_named, _is_owned)
)
_brief_rows = (
    sa.select(*_row_columns, sa.null().label("result"), sa.null().label("result_blob"))
    .select_from(_joined)
    .where(_is_named, _is_owned)
)
_upstreams = (
    sa.select(dependencies.c.submit_id, dependencies.c.upstream)
    .where(dependencies.c.submit_id.in_(sa.bindparam("submit_ids", expanding=True)))
    .order_by(dependencies.c.upstream)
)
_newest = (
    sa.select(tasks.c.task_id)
    .select_from(_joined)
    .where(_is_owned)
    .order_by(tasks.c.position.desc())
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_results = (
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
    .where(_is_named, tasks.c.completed_at.is_not(None), _is_owned)
)
_spans = (
    sa.select(submits.c.submit_id, submits.c.first_position, submits.c.size)
    .where(submits.c.group_id == sa.bindparam("group_id"), _is_owned)
    .order_by(submits.c.first_position)
)
_span = (
    sa.select(tasks.c.task_id)
    .where(
        tasks.c.position.between(sa.bindparam("first"), sa.bindparam("last")),
        tasks.c.submit_id == sa.bindparam("submit_id"),
    )
    .order_by(tasks.c.position)
)
_log = (
    sa.select(events.c.seq, events.c.kind, events.c.at, events.c.body)
    .where(events.c.task_id == sa.bindparam("task_id"), events.c.seq > sa.bindparam("after"))
    .order_by(events.c.seq)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)


def count_open(connection: sa.Connection, owner_id: UserId) -> int:
    """Count the open tasks of an owner."""
    return connection.scalar(_count_open, {"owner_id": owner_id}) or 0


def offers(connection: sa.Connection, blobs: BlobFolder, task_ids: Sequence[TaskId]) -> list[Offer]:
    """Return open tasks with their payloads, in the order of `task_ids`."""
    found: dict[str, Offer] = {}
    for ids in _pages(task_ids, PAGE):
        rows = connection.execute(_offers, {"ids": ids}).all()
        images = images_of(connection, {row.function_id for row in rows})
        elsewhere = [row[0] for row in rows if row[-2] is None and row[-1] is None]
        of_maps = map_reads.range_payloads(connection, blobs, elsewhere) if elsewhere else {}
        for *columns, payload, blob in rows:
            content = of_maps.get(columns[0], payload) if blob is None else blobs.read(blob)
            if content is not None:  # None: the task has ended since.
                found[columns[0]] = _offer(columns, content, images.get(columns[2]))
    return [found[task_id] for task_id in task_ids if task_id in found]


def headers(connection: sa.Connection, endpoint_id: EndpointId, leases: Sequence[Lease]) -> list[Offer]:
    """Return current leases of an endpoint, without payloads."""
    attempts = {lease.task_id: lease.attempt for lease in leases}
    found: list[Offer] = []
    for ids in _pages(list(attempts), PAGE):
        rows = connection.execute(_headers, {"ids": ids, "endpoint_id": endpoint_id}).all()
        found += [_offer(row, b"") for row in rows if row[1] == attempts[row[0]]]
    return found


def task_rows(
    connection: sa.Connection, blobs: BlobFolder, owner_id: UserId, task_ids: Sequence[TaskId], brief: bool
) -> dict[TaskId, TaskRow]:
    """Return tasks of an owner; if `brief`, their values are not read."""
    statement = _brief_rows if brief else _task_rows
    found: dict[TaskId, TaskRow] = {}
    for ids in _pages(task_ids, PAGE):
        rows = connection.execute(statement, {"ids": ids, "owner_id": owner_id}).all()
        awaited = _awaited(connection, {row.submit_id for row in rows if row.lane < 0 and row.completed_at is None})
        found.update((TaskId(row.task_id), _task_row(row, blobs, awaited.get(row.submit_id, ()))) for row in rows)
    return found


def _awaited(connection: sa.Connection, submit_ids: set[int]) -> dict[int, tuple[TaskId, ...]]:
    """Return what the tasks of these submits still wait for."""
    if not submit_ids:
        return {}
    found: dict[int, tuple[TaskId, ...]] = {}
    for submit_id, upstream in connection.execute(_upstreams, {"submit_ids": list(submit_ids)}):
        found[submit_id] = (*found.get(submit_id, ()), TaskId(upstream))
    return found


def results(
    connection: sa.Connection, blobs: BlobFolder, owner_id: UserId, task_ids: Sequence[TaskId], at_most_bytes: int
) -> tuple[list[TaskResult], list[TaskId]]:
    """Return results of ended tasks up to a size, and the ids that were not looked at."""
    found: list[TaskResult] = []
    size = done = 0
    for ids in _pages(task_ids, RESULTS_PAGE):
        rows = {row[0]: row for row in connection.execute(_results, {"ids": ids, "owner_id": owner_id}).all()}
        for task_id in ids:
            if found and size >= at_most_bytes:
                return found, list(task_ids[done:])
            done += 1
            if (row := rows.get(task_id)) is not None:
                found.append(_result(row, blobs))
                size += len(found[-1].value)
    return found, []


def newest(connection: sa.Connection, owner_id: UserId, at_most: int) -> list[TaskId]:
    """Return the tasks of an owner that were accepted last, newest first."""
    return [TaskId(task_id) for task_id in connection.scalars(_newest, {"owner_id": owner_id, "at_most": at_most})]


def group(connection: sa.Connection, owner_id: UserId, group_id: GroupId) -> list[TaskId]:
    """Return the tasks of a group, oldest first."""
    found: list[TaskId] = []
    for submit_id, first, size in connection.execute(_spans, {"group_id": group_id, "owner_id": owner_id}).all():
        span = {"submit_id": submit_id, "first": first, "last": first + size - 1}
        found.extend(TaskId(task_id) for task_id in connection.scalars(_span, span))
    return found


def event_log(connection: sa.Connection, task_id: TaskId, after: int, at_most: int) -> list[TaskEvent]:
    """Return entries of a log."""
    rows = connection.execute(_log, {"task_id": task_id, "after": after, "at_most": at_most}).all()
    return [TaskEvent(task_id, seq, EventKind(kind), at, body) for seq, kind, at, body in rows]


def blob_names(connection: sa.Connection) -> set[str]:
    """Return every file that a row names."""
    names: set[str] = set()
    for column in (tasks.c.payload_blob, tasks.c.result_blob):
        names.update(name for name in connection.scalars(sa.select(column).where(column.is_not(None))) if name)
    return names


def _pages(ids: Sequence[TaskId], size: int) -> Iterable[Sequence[TaskId]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _offer(columns: Sequence[Any], payload: bytes, image: ContainerImage | None = None) -> Offer:
    task_id, attempt, function_id, options, owner_id, group_id, state, endpoint_id = columns
    decoded = None if options is None else _options.decode(options)
    if decoded is not None and decoded.after:
        decoded = msgspec.structs.replace(decoded, after=())
    if image is not None:
        decoded = (decoded or DEFAULT_OPTIONS).in_container_of(image)
    task = Task(task_id, attempt, function_id, payload, decoded, owner_tag(endpoint_id, owner_id))
    return Offer(task, owner_id, group_id, state == TaskState.CANCELLING)


def _task_row(row: Any, blobs: BlobFolder, waits_for: tuple[TaskId, ...]) -> TaskRow:
    return TaskRow(
        task_id=TaskId(row.task_id),
        function_id=FunctionId(row.function_id),
        endpoint_id=EndpointId(row.endpoint_id),
        group_id=GroupId(row.group_id),
        state=_states[row.state],
        attempt=row.attempt,
        value=_value(row.result, row.result_blob, blobs),
        error=None if row.error is None else _error.decode(row.error),
        received_at=row.received_at,
        times=_nothing if row.times is None else _times.decode(row.times),
        completed_at=row.completed_at or 0,
        waits_for=waits_for if row.lane < 0 and row.completed_at is None else (),
    )


def _result(row: Any, blobs: BlobFolder) -> TaskResult:
    task_id, attempt, state, value, blob, error, times = row
    return TaskResult(
        task_id,
        attempt,
        _states[state],
        _value(value, blob, blobs),
        None if error is None else _error.decode(error),
        _nothing if times is None else _times.decode(times),
    )


def _value(value: bytes | None, blob: str | None, blobs: BlobFolder) -> bytes:
    if blob is not None:
        return blobs.read(blob) or b""
    return value or b""
