"""What is deleted because of its age. Queries run on a reader's connection, changes in a short transaction of the writer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from funcx_core.ids import EndpointId, MapId, TaskId, UserId
from funcx_core.protocol.task import TaskState
from funcx_core.service.store.records import OpenTask
from funcx_core.service.store.schema import (
    bodies,
    dependencies,
    events,
    functions,
    maps,
    ranges,
    submits,
    tasks,
    tokens,
)
from funcx_core.service.store.writer import Transaction

LOOKED_AT: Final = 5
"""A page of candidates has so many times the rows that may be deleted: most are skipped where something runs for weeks."""

_WAITING: Final = tuple(
    state.value
    for state in (
        TaskState.RECEIVED,
        TaskState.WAITING_FOR_EP,
        TaskState.WAITING_FOR_NODES,
        TaskState.WAITING_FOR_LAUNCH,
    )
)
_joined = tasks.join(submits, submits.c.submit_id == tasks.c.submit_id)
_is_of_a_map = sa.exists().where(ranges.c.position == tasks.c.position)
_page = (
    sa.select(tasks.c.position, tasks.c.completed_at, submits.c.received_at, _is_of_a_map.label("is_of_a_map"))
    .select_from(_joined)
    .where(tasks.c.position > sa.bindparam("after"))
    .order_by(tasks.c.position)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_open_page = (
    sa.select(tasks.c.position, tasks.c.task_id, tasks.c.endpoint_id, submits.c.received_at)
    .select_from(_joined)
    .where(tasks.c.completed_at.is_(None), tasks.c.state.in_(_WAITING), tasks.c.lane >= 0)
    .where(tasks.c.position > sa.bindparam("after"), submits.c.received_at < sa.bindparam("before"))
    .order_by(tasks.c.position)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_is_needed = sa.exists().where(
    ranges.c.map == maps.c.number,
    tasks.c.position == ranges.c.position,
    sa.or_(tasks.c.completed_at.is_(None), tasks.c.completed_at >= sa.bindparam("before")),
)
_old_map = (
    sa.select(maps.c.number, maps.c.owner_id, maps.c.map_id)
    .where(maps.c.received_at < sa.bindparam("before"), ~_is_needed)
    .limit(1)
)
_unused = (
    sa.select(bodies.c.body_hash)
    .where(bodies.c.body_hash.not_in(sa.select(functions.c.body_hash)))
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)


class OldTasks(msgspec.Struct, frozen=True):
    """Positions of tasks that may go, and where to look on; 0 when all were looked at."""

    positions: list[int]
    next: int


def old_tasks(connection: sa.Connection, before: int, after: int, at_most: int) -> OldTasks:
    """Find tasks that ended before `before`. Positions rise with time, so it ends at the first that came after."""
    rows = connection.execute(_page, {"after": after, "at_most": LOOKED_AT * at_most}).all()
    found: list[int] = []
    last = 0
    for position, completed_at, received_at, is_of_a_map in rows:
        if received_at >= before:
            return OldTasks(found, 0)
        if completed_at is not None and completed_at < before and not is_of_a_map:
            found.append(position)
        last = position
        if len(found) == at_most:
            return OldTasks(found, last)
    return OldTasks(found, last if len(rows) == LOOKED_AT * at_most else 0)


def delete_tasks(transaction: Transaction, positions: Sequence[int]) -> int:
    """Delete ended tasks with their logs, their files, and what only they were part of."""
    connection = transaction.connection
    query = sa.select(tasks.c.position, tasks.c.task_id, tasks.c.submit_id, tasks.c.result_blob)
    is_awaited = sa.exists().where(dependencies.c.upstream == tasks.c.task_id)  # Who waits for it is told first.
    ended = query.where(tasks.c.position.in_(positions), tasks.c.completed_at.is_not(None), ~is_awaited)
    rows = connection.execute(ended).all()
    connection.execute(sa.delete(events).where(events.c.task_id.in_([row.task_id for row in rows])))
    connection.execute(sa.delete(tasks).where(tasks.c.position.in_([row.position for row in rows])))
    delete_empty_submits(transaction, {row.submit_id for row in rows})
    transaction.doomed.extend(row.result_blob for row in rows if row.result_blob is not None)
    return len(rows)


def old_map(connection: sa.Connection, before: int) -> tuple[int, UserId, MapId] | None:
    """Return number, owner and id of a map whose last range ended before `before`: it goes as a whole."""
    row = connection.execute(_old_map, {"before": before}).one_or_none()
    return None if row is None else (row.number, UserId(row.owner_id), MapId(row.map_id))


def submits_of_map(transaction: Transaction, number: int) -> list[int]:
    """Return the submits that a map's ranges came with."""
    query = sa.select(tasks.c.submit_id).join(ranges, ranges.c.position == tasks.c.position)
    return list(transaction.connection.scalars(query.where(ranges.c.map == number).distinct()))


def delete_empty_submits(transaction: Transaction, submit_ids: Collection[int]) -> None:
    """Delete those of the submits that have no task any more."""
    last = submits.c.first_position + submits.c.size - 1
    left = sa.exists().where(
        tasks.c.position.between(submits.c.first_position, last), tasks.c.submit_id == submits.c.submit_id
    )
    for page in batched(submit_ids):
        transaction.connection.execute(sa.delete(submits).where(submits.c.submit_id.in_(page), ~left))
        # Its number may be given again.
        is_there = sa.exists().where(submits.c.submit_id == dependencies.c.submit_id)
        named = dependencies.c.submit_id.in_(page)
        transaction.connection.execute(sa.delete(dependencies).where(named, ~is_there))


def batched(ids: Collection[int], size: int = 500) -> list[list[int]]:
    """Cut `ids` into pieces that a statement can name."""
    known = list(ids)
    return [known[start : start + size] for start in range(0, len(known), size)]


def waiting_since(connection: sa.Connection, before: int, after: int, at_most: int) -> tuple[list[OpenTask], int]:
    """Return tasks that wait since before `before`, and where to look on; 0 when all were looked at."""
    rows = connection.execute(_open_page, {"before": before, "after": after, "at_most": at_most}).all()
    found = [OpenTask(TaskId(row.task_id), EndpointId(row.endpoint_id)) for row in rows]
    return found, rows[-1].position if len(rows) == at_most else 0


def delete_tokens(transaction: Transaction, before: float, at_most: int) -> int:
    """Delete tokens that are worthless since before `before`."""
    columns = tokens.c
    old = sa.or_(columns.expires_at < before, sa.and_(columns.revoked, columns.created_at < before))
    chosen = sa.select(columns.digest).where(old).limit(at_most)
    return transaction.connection.execute(sa.delete(tokens).where(columns.digest.in_(chosen))).rowcount


def unused_bodies(connection: sa.Connection, at_most: int) -> list[bytes]:
    """Return hashes of bodies that no function has."""
    return list(connection.scalars(_unused, {"at_most": at_most}))


def delete_bodies(transaction: Transaction, hashes: Sequence[bytes]) -> int:
    """Delete those of the bodies that no function has, also not since they were looked for."""
    used = sa.exists().where(functions.c.body_hash == bodies.c.body_hash)
    change = sa.delete(bodies).where(bodies.c.body_hash.in_(hashes), ~used)
    return transaction.connection.execute(change).rowcount
