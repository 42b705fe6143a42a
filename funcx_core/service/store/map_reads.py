"""Queries on maps; each runs on a connection of a reader thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId, FunctionId, GroupId, MapId, TaskId, UserId
from funcx_core.protocol.blob import with_blobs, without_blobs
from funcx_core.protocol.ranges import CallState, a_range, read_range
from funcx_core.protocol.task import EventKind, TaskError, TaskState
from funcx_core.service.store.blobs import BlobFolder
from funcx_core.service.store.map_records import MapCounts, MapRow, RangeOutcome, RangeRow
from funcx_core.service.store.schema import events, maps, ranges, tasks

PAGE: Final = 500

_positions: Final = msgspec.msgpack.Decoder(list[int])
_error: Final = msgspec.msgpack.Decoder(TaskError)

_with_tasks = ranges.join(tasks, tasks.c.position == ranges.c.position)
_of_map = ranges.c.map == sa.select(maps.c.number).where(maps.c.map_id == sa.bindparam("map_id")).scalar_subquery()
_is_first = ranges.c.positions.is_(None)
_at_most = sa.bindparam("at_most", type_=sa.Integer)

_map = sa.select(*(column for column in maps.c if column is not maps.c.about)).where(
    maps.c.map_id == sa.bindparam("map_id"), maps.c.owner_id == sa.bindparam("owner_id")
)
_about = sa.select(maps.c.about).where(maps.c.map_id == sa.bindparam("map_id"))
_maps = (
    sa.select(maps.c.map_id)
    .where(maps.c.owner_id == sa.bindparam("owner_id"))
    .order_by(maps.c.received_at.desc())
    .limit(_at_most)
)
_submitted = sa.select(sa.func.coalesce(sa.func.sum(ranges.c.size), 0)).where(_of_map, _is_first)
_sums = (
    sa.select(
        tasks.c.state,
        ranges.c.ended,
        sa.func.count(),
        *(sa.func.sum(column) for column in (ranges.c.size, ranges.c.succeeded, ranges.c.failed, ranges.c.not_run)),
    )
    .select_from(_with_tasks)
    .where(_of_map)
    .group_by(tasks.c.state, ranges.c.ended)
)
_running = (
    sa.select(tasks.c.task_id)
    .select_from(_with_tasks)
    .where(_of_map, ~ranges.c.ended, tasks.c.state == TaskState.RUNNING.value)
)
_newest_progress = sa.select(events.c.task_id, sa.func.max(events.c.seq), events.c.body).where(
    events.c.task_id.in_(sa.bindparam("ids", expanding=True)), events.c.kind == EventKind.PROGRESS.value
).group_by(events.c.task_id)  # fmt: skip
_range_columns = (
    ranges.c.position,
    tasks.c.task_id,
    ranges.c.start,
    ranges.c.size,
    ranges.c.positions,
    tasks.c.state,
    ranges.c.succeeded,
    ranges.c.failed,
    ranges.c.not_run,
)
_ranges = (
    sa.select(*_range_columns)
    .select_from(_with_tasks)
    .where(_of_map, ranges.c.position > sa.bindparam("after"))
    .order_by(ranges.c.position)
    .limit(_at_most)
)
_open_ranges = sa.select(tasks.c.task_id).select_from(_with_tasks).where(_of_map, ~ranges.c.ended)
_first_span = sa.select(sa.func.max(ranges.c.start)).where(_of_map, ranges.c.start <= sa.bindparam("first"))
_outcomes = (
    sa.select(
        tasks.c.task_id,
        ranges.c.start,
        ranges.c.size,
        ranges.c.positions,
        ranges.c.ended,
        ranges.c.states,
        tasks.c.state,
        tasks.c.result,
        tasks.c.result_blob,
        tasks.c.error,
        tasks.c.completed_at,
    )
    .select_from(_with_tasks)
    .where(
        _of_map,
        ranges.c.start.between(sa.bindparam("from_start"), sa.bindparam("last")),
        ranges.c.failed >= sa.bindparam("least_failed"),
    )
    .order_by(ranges.c.start, ranges.c.position)
)
_first = ranges.alias("first")
_payloads = (
    sa.select(tasks.c.task_id, ranges.c.positions, _first.c.payload, _first.c.payload_blob)
    .select_from(
        _with_tasks.join(
            _first,
            sa.and_(_first.c.map == ranges.c.map, _first.c.start == ranges.c.start, _first.c.positions.is_(None)),
        )
    )
    .where(tasks.c.task_id.in_(sa.bindparam("ids", expanding=True)))
)


def map_row(connection: sa.Connection, owner_id: UserId, map_id: MapId) -> MapRow | None:
    """Return a map of this owner."""
    row = connection.execute(_map, {"map_id": map_id, "owner_id": owner_id}).one_or_none()
    if row is None:
        return None
    return MapRow(
        map_id=map_id,
        name=row.name,
        endpoint_id=EndpointId(row.endpoint_id),
        group_id=GroupId(row.group_id),
        function_id=FunctionId(row.function_id),
        size=row.size,
        received_at=row.received_at,
        is_cancelled=row.cancelled_at is not None,
    )


def map_about(connection: sa.Connection, map_id: MapId) -> bytes:
    """Return what its client wrote about a map."""
    return bytes(connection.scalar(_about, {"map_id": map_id}) or b"")


def map_counts(connection: sa.Connection, map_id: MapId) -> MapCounts:
    """Return how many calls of a map are in which state."""
    submitted = connection.scalar(_submitted, {"map_id": map_id}) or 0
    sums = connection.execute(_sums, {"map_id": map_id}).all()
    return _counts(sums, submitted, _progress(connection, map_id))


def map_ids(connection: sa.Connection, owner_id: UserId, at_most: int) -> list[MapId]:
    """Return an owner's newest maps."""
    return [MapId(map_id) for map_id in connection.scalars(_maps, {"owner_id": owner_id, "at_most": at_most})]


def range_rows(connection: sa.Connection, map_id: MapId, after: int, at_most: int) -> list[RangeRow]:
    """Return ranges of a map in the order in which they were made."""
    rows = connection.execute(_ranges, {"map_id": map_id, "after": after, "at_most": at_most}).all()
    return [
        RangeRow(
            number=row.position,
            task_id=TaskId(row.task_id),
            start=row.start,
            size=row.size,
            positions=None if row.positions is None else _positions.decode(row.positions),
            state=TaskState(row.state),
            succeeded=row.succeeded,
            failed=row.failed,
            not_run=row.not_run,
        )
        for row in rows
    ]


def open_ranges(connection: sa.Connection, map_id: MapId) -> list[TaskId]:
    """Return the ranges of a map that have not ended."""
    return [TaskId(task_id) for task_id in connection.scalars(_open_ranges, {"map_id": map_id})]


def outcomes(  # noqa: PLR0917 - the executor that calls it passes them so
    connection: sa.Connection, blobs: BlobFolder, map_id: MapId, wanted: range, least_failed: int, at_most_bytes: int
) -> tuple[list[RangeOutcome], int]:
    """Return what is known of these calls, and the index to go on at; see `MapStore.outcomes`."""
    first = wanted.start
    start = connection.scalar(_first_span, {"map_id": map_id, "first": first})
    if start is None:
        return [], first
    parameters = {"map_id": map_id, "from_start": start, "last": wanted.stop - 1, "least_failed": least_failed}
    found: list[RangeOutcome] = []
    room = at_most_bytes
    for row in connection.execute(_outcomes, parameters):
        if room < 0 and row.start > found[-1].places[min(found[-1].places)]:
            # A span is told whole, so that one answer says everything about each of its calls.
            return found, row.start
        outcome = _outcome(row, wanted, blobs)
        if outcome.places:
            found.append(outcome)
            room -= len(outcome.value)
    return found, wanted.stop


def range_payloads(connection: sa.Connection, blobs: BlobFolder, task_ids: Sequence[TaskId]) -> dict[str, bytes]:
    """Return what is to run, for those tasks that are ranges whose arguments are still there."""
    found: dict[str, bytes] = {}
    for start in range(0, len(task_ids), PAGE):
        rows = connection.execute(_payloads, {"ids": task_ids[start : start + PAGE]}).all()
        for task_id, positions, payload, blob in rows:
            content = payload if blob is None else blobs.read(blob)
            if content is not None:
                found[task_id] = content if positions is None else _only(content, _positions.decode(positions))
    return found


def blob_names(connection: sa.Connection) -> Iterable[str]:
    """Return every file with arguments."""
    column = ranges.c.payload_blob
    return [str(name) for name in connection.scalars(sa.select(column).where(column.is_not(None)))]


def _only(content: bytes, positions: list[int]) -> bytes:
    payload, references = without_blobs(content)
    _, body = read_range(payload)
    return with_blobs(a_range(body, positions), references)


def _counts(sums: Sequence[Any], submitted: int, progressed: int) -> MapCounts:
    counts = dict.fromkeys(MapCounts.__struct_fields__, 0)
    counts["submitted"] = submitted
    for state, ended, number, size, succeeded, failed, not_run in sums:
        counts["ranges"] += number
        if ended:
            counts["succeeded"] += succeeded
            counts["failed"] += failed
            counts["cancelled" if state == TaskState.CANCELLED else "lost"] += not_run
        elif state in {TaskState.RUNNING, TaskState.CANCELLING}:
            counts[state] += size
        else:
            counts["waiting"] += size
    return MapCounts(**counts | {"progressed": min(progressed, counts["running"])})


def _progress(connection: sa.Connection, map_id: MapId) -> int:
    """Return how many calls the ranges that run have told to be done."""
    running = list(connection.scalars(_running, {"map_id": map_id}))
    total = 0
    for start in range(0, len(running), PAGE):
        for _, _, body in connection.execute(_newest_progress, {"ids": running[start : start + PAGE]}).all():
            total += _told(body)
    return total


class _Told(msgspec.Struct):
    n: int = 0
    id: str = ""


def _told(body: bytes) -> int:
    try:
        told = msgspec.json.decode(body, type=_Told)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return 0  # The user's function may report progress, too, and in any form.
    return max(0, told.n) if told.id == "range" else 0


def _outcome(row: Any, wanted: range, blobs: BlobFolder) -> RangeOutcome:
    positions = range(row.size) if row.positions is None else _positions.decode(row.positions)
    states = (row.states or bytes((CallState.SUCCEEDED,)) * row.size) if row.ended else b""
    places = {
        place: row.start + position
        for place, position in enumerate(positions)
        if row.start + position in wanted and not (states and states[place] == CallState.MOVED)
    }
    value = (row.result if row.result_blob is None else blobs.read(row.result_blob)) if places else None
    return RangeOutcome(
        task_id=TaskId(row.task_id),
        state=TaskState(row.state),
        places=places,
        states=states,
        value=value or b"",
        error=None if row.error is None else _error.decode(row.error),
        completed_at=row.completed_at or 0,
    )
