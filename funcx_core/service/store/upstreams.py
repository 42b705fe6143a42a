"""What the tasks of a new submit wait for, found and kept in the transaction that accepts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import sqlalchemy as sa

from funcx_core.errors import TaskNotFound
from funcx_core.ids import TaskId, UserId
from funcx_core.protocol.task import TaskState
from funcx_core.service.store.records import Submission
from funcx_core.service.store.schema import dependencies, submits, tasks
from funcx_core.service.store.writer import Transaction

ADVICE: Final = "A task can wait only for tasks of yours that the service has accepted, and still has."

_states = (
    sa.select(tasks.c.task_id, tasks.c.state)
    .join(submits, submits.c.submit_id == tasks.c.submit_id)
    .where(
        tasks.c.task_id.in_(sa.bindparam("ids", expanding=True)),
        submits.c.owner_id == sa.bindparam("owner_id"),
    )
)


class Upstreams(msgspec.Struct, frozen=True):
    """What a submit is to wait for: tasks that have not succeeded, and what its owner does not have."""

    unmet: tuple[TaskId, ...] = ()
    unknown: tuple[TaskId, ...] = ()


NO_UPSTREAMS: Final = Upstreams()


def look_up(transaction: Transaction, submission: Submission) -> Upstreams:
    """Return what the calls of a submission have to wait for. One that has failed is among it: they fail with it."""
    after = submission.options.after
    key = {"ids": after, "owner_id": submission.owner_id}
    states = {row.task_id: row.state for row in transaction.connection.execute(_states, key)}
    return Upstreams(
        unmet=tuple(task_id for task_id in after if states.get(task_id) != TaskState.SUCCESS),
        unknown=tuple(task_id for task_id in after if task_id not in states),
    )


def still_open(transaction: Transaction, owner_id: UserId, after: Sequence[TaskId]) -> tuple[TaskId, ...]:
    """Return those of the tasks that are the owner's and have not ended."""
    if not after:
        return ()
    found = transaction.connection.execute(_states, {"ids": after, "owner_id": owner_id})
    states = {row.task_id: TaskState(row.state) for row in found}
    return tuple(task_id for task_id in after if task_id in states and not states[task_id].is_terminal)


def hold(transaction: Transaction, submit_id: int, upstreams: Upstreams) -> tuple[TaskId, ...]:
    """Keep what a submit waits for; return it.

    Raises:
        TaskNotFound: for a task that its owner does not have. A submit that is only repeated never comes here: what it once
            waited for may have been deleted since.
    """
    if upstreams.unknown:
        raise TaskNotFound(upstreams.unknown[0], ADVICE)
    rows = [{"submit_id": submit_id, "upstream": upstream} for upstream in upstreams.unmet]
    transaction.connection.execute(sa.insert(dependencies), rows)
    return upstreams.unmet
