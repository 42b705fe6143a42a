"""Numbers about many rows at once; each query runs on a connection of a reader thread.

Only open tasks are counted, by an index that has no others: what has ended is counted while it ends.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId, FunctionId, TaskId, UserId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_core.protocol.task import TaskState, TaskTimes
from funcx_core.service.store import registry
from funcx_core.service.store.records import FunctionRow, OpenCount, Overview, TaskLine
from funcx_core.service.store.schema import endpoints, functions, submits, tasks

_status = msgspec.msgpack.Decoder(EndpointStatus)
_times = msgspec.msgpack.Decoder(TaskTimes)
_nothing = TaskTimes()

_counted = (tasks.c.endpoint_id, tasks.c.state, sa.func.count())
_is_owned = submits.c.owner_id == sa.bindparam("owner_id")
_joined = tasks.join(submits, submits.c.submit_id == tasks.c.submit_id)
_at_most = sa.bindparam("at_most", type_=sa.Integer)

_open = sa.select(*_counted).where(tasks.c.completed_at.is_(None)).group_by(tasks.c.endpoint_id, tasks.c.state)
_open_of_owner = _open.select_from(_joined).where(_is_owned)
_newest = (
    sa.select(
        tasks.c.task_id,
        tasks.c.state,
        tasks.c.endpoint_id,
        tasks.c.attempt,
        submits.c.received_at,
        tasks.c.times,
        tasks.c.completed_at,
        functions.c.name,
    )
    .select_from(_joined.outerjoin(functions, functions.c.function_id == tasks.c.function_id))
    .where(_is_owned)
    .order_by(tasks.c.position.desc())
    .limit(_at_most)
)
_functions = (
    sa.select(functions.c.function_id, functions.c.name, functions.c.description, functions.c.created_at)
    .where(functions.c.owner_id == sa.bindparam("owner_id"))
    .order_by(functions.c.created_at.desc())
    .limit(_at_most)
)
_endpoints = sa.select(endpoints.c.online, endpoints.c.status).where(~endpoints.c.deleted)


def open_counts(connection: sa.Connection) -> list[OpenCount]:
    """Count the open tasks of everybody."""
    return [OpenCount(EndpointId(where), TaskState(state), count) for where, state, count in connection.execute(_open)]


def fleet(connection: sa.Connection) -> dict[str, int]:
    """Count endpoints, and the workers of those that are connected."""
    found: dict[str, int] = defaultdict(int)
    for online, status in connection.execute(_endpoints):
        found["endpoints"] += 1
        if online:
            found["endpoints_online"] += 1
            report = EndpointStatus() if status is None else _status.decode(status)
            found["workers"] += report.workers
            found["idle_workers"] += report.idle_workers
    return found


def overview(connection: sa.Connection, owner_id: UserId, at_most: int) -> Overview:
    """Return what an owner has: all endpoints, counts of open tasks, the newest tasks and functions."""
    key = {"owner_id": owner_id}
    counts = connection.execute(_open_of_owner, key)
    return Overview(
        endpoints=registry.endpoints_of(connection, owner_id),
        open=[OpenCount(EndpointId(where), TaskState(state), count) for where, state, count in counts],
        tasks=[
            TaskLine(
                task_id=TaskId(row.task_id),
                state=TaskState(row.state),
                function_name=row.name or "",
                endpoint_id=EndpointId(row.endpoint_id),
                attempt=row.attempt,
                received_at=row.received_at,
                times=_nothing if row.times is None else _times.decode(row.times),
                completed_at=row.completed_at or 0,
            )
            for row in connection.execute(_newest, {**key, "at_most": at_most})
        ],
        functions=[
            FunctionRow(FunctionId(function_id), name, description, created_at)
            for function_id, name, description, created_at in connection.execute(
                _functions, {**key, "at_most": at_most}
            )
        ],
    )
