"""What the usage statistics are made of. Rows of ended tasks never change, so each is read once; see `usage.Tally`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId, FunctionId, UserId
from funcx_core.protocol.task import TaskState, TaskTimes
from funcx_core.service.store.catalog import Catalog
from funcx_core.service.store.schema import submits, tasks

PAGE: Final = 10_000
"""Rows of one read: while it lasts, others wait for the reader."""
IN_LIMIT: Final = 500

_times: Final = msgspec.msgpack.Decoder(TaskTimes)
_joined: Final = tasks.join(submits, submits.c.submit_id == tasks.c.submit_id)
_columns: Final = (
    tasks.c.position,
    submits.c.owner_id,
    tasks.c.endpoint_id,
    tasks.c.function_id,
    tasks.c.state,
    submits.c.received_at,
)


class Whose(NamedTuple):
    """The tasks that are counted: those of one user, or those on one endpoint."""

    owner_id: UserId | None = None
    endpoint_id: EndpointId | None = None


class UsedTask(NamedTuple):
    """A task as it is counted. `received_at` is in Unix nanoseconds; `run_seconds` 0 if it never ran."""

    position: int
    owner_id: UserId
    endpoint_id: EndpointId
    function_id: FunctionId
    state: TaskState
    received_at: int
    run_seconds: float


class UsageCatalog(Catalog):
    """Tasks, as far as they count."""

    async def newest(self) -> int:
        """Return the position of the task that was accepted last, 0 if there is none."""
        return await self._read(_newest)

    async def open(self, whose: Whose) -> list[UsedTask]:
        """Return the tasks that have not ended."""
        return await self._read(_open, whose)

    async def ended(self, whose: Whose, *, after: int, up_to: int) -> tuple[list[UsedTask], int]:
        """Return tasks that ended, of a page of positions after `after`, and the last position of the page."""
        last = min(after + PAGE, up_to)
        return await self._read(_ended, whose, after, last), last

    async def ended_at(self, positions: Sequence[int]) -> list[UsedTask]:
        """Return those of the tasks at these positions that ended."""
        return await self._read(_ended_at, positions)


def _is_counted(whose: Whose) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if whose.owner_id is not None:
        found.append(submits.c.owner_id == whose.owner_id)
    if whose.endpoint_id is not None:
        found.append(tasks.c.endpoint_id == whose.endpoint_id)
    return found


def _newest(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(tasks.c.position))) or 0


def _open(connection: sa.Connection, whose: Whose) -> list[UsedTask]:
    query = sa.select(*_columns, sa.null().label("times")).select_from(_joined)
    return _rows(connection.execute(query.where(tasks.c.completed_at.is_(None), *_is_counted(whose))))


def _ended(connection: sa.Connection, whose: Whose, after: int, last: int) -> list[UsedTask]:
    query = sa.select(*_columns, tasks.c.times).select_from(_joined)
    is_in_page = (tasks.c.position > after, tasks.c.position <= last, tasks.c.completed_at.is_not(None))
    return _rows(connection.execute(query.where(*is_in_page, *_is_counted(whose))))


def _ended_at(connection: sa.Connection, positions: Sequence[int]) -> list[UsedTask]:
    query = sa.select(*_columns, tasks.c.times).select_from(_joined).where(tasks.c.completed_at.is_not(None))
    found: list[UsedTask] = []
    for start in range(0, len(positions), IN_LIMIT):
        named = tasks.c.position.in_(positions[start : start + IN_LIMIT])
        found += _rows(connection.execute(query.where(named)))
    return found


def _rows(rows: Iterable[Any]) -> list[UsedTask]:
    return [
        UsedTask(
            row.position,
            UserId(row.owner_id),
            EndpointId(row.endpoint_id),
            FunctionId(row.function_id),
            TaskState(row.state),
            row.received_at,
            _run_seconds(row.times),
        )
        for row in rows
    ]


def _run_seconds(times: bytes | None) -> float:
    if times is None:
        return 0.0
    found = _times.decode(times)
    return max(0.0, (found.ended - found.started) / 1e9) if found.started else 0.0
