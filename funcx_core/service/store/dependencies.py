"""Tasks that wait for others: what follows when those end.

Theory of operation. What a submit waits for is kept by submit, because all of its tasks wait for the same. Its tasks lie in lanes
below 0, so no forwarder sees them: to release them is to change their lane, and their place in it is that of their
acceptance. While they wait nobody but this part ends them; so they end once.

The end of a task costs nothing here unless somebody waits for it, which is known in memory. Then its id is noted, and `settle`, called
until nothing is left, draws the consequences in transactions of bounded size: each looks again at what has really ended, so it may be
repeated, or be interrupted anywhere. A task that fails with its upstream is noted in its turn, level by level. What was noted when a
process ended is found again at the next start, when everything that is waited for counts as noted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from funcx_core.ids import EndpointId, GroupId, TaskId, UserId
from funcx_core.protocol.task import TaskError, TaskResult, TaskState
from funcx_core.service.store.catalog import Do
from funcx_core.service.store.records import HeldEnd, HeldTask, Settled
from funcx_core.service.store.schema import dependencies, submits, tasks
from funcx_core.service.store.task_writes import TaskWrites
from funcx_core.service.store.writer import Transaction

UPSTREAMS_AT_ONCE: Final = 200
EDGES_AT_ONCE: Final = 500
TASKS_AT_ONCE: Final = 2_000
"""Tasks that one transaction releases or ends, about: a submit is released as a whole."""
DELETED: Final = "deleted"

_ended_edges = (
    sa.select(dependencies.c.submit_id, dependencies.c.upstream, tasks.c.state, submits.c.size)
    .select_from(
        dependencies.join(submits, submits.c.submit_id == dependencies.c.submit_id).outerjoin(
            tasks, tasks.c.task_id == dependencies.c.upstream
        )
    )
    .where(
        dependencies.c.upstream.in_(sa.bindparam("upstreams", expanding=True)),
        sa.or_(tasks.c.task_id.is_(None), tasks.c.completed_at.is_not(None)),
    )
    .order_by(dependencies.c.submit_id, dependencies.c.upstream)
    .limit(EDGES_AT_ONCE)
)
_held_columns = (
    tasks.c.task_id,
    tasks.c.attempt,
    tasks.c.endpoint_id,
    submits.c.owner_id,
    submits.c.group_id,
)
_held = (
    sa.select(*_held_columns)
    .select_from(tasks.join(submits, submits.c.submit_id == tasks.c.submit_id))
    .where(tasks.c.completed_at.is_(None), tasks.c.lane < 0)
    .order_by(tasks.c.position)
)
_in_span = tasks.c.position.between(submits.c.first_position, submits.c.first_position + submits.c.size - 1)


Complete = Callable[[Transaction, EndpointId, Sequence[TaskResult], int], None]


class Edge(NamedTuple):
    """A submit waited for a task that has ended in `state`; `size`: tasks of the submit."""

    submit_id: int
    upstream: TaskId
    state: str
    size: int


class Verdict(NamedTuple):
    """What follows from edges: those that are satisfied, and the submits that fail, each with the first reason."""

    satisfied: list[Edge]
    failed: dict[int, Edge]
    looked_at: int


def judge(edges: Sequence[Edge], at_most: int = TASKS_AT_ONCE) -> Verdict:
    """Decide what follows from edges, in their order, up to about so many tasks; at least from the first one."""
    satisfied: list[Edge] = []
    failed: dict[int, Edge] = {}
    sizes: dict[int, int] = {}
    for number, edge in enumerate(edges):
        if sizes and edge.submit_id not in sizes and sum(sizes.values()) + edge.size > at_most:
            return Verdict(satisfied, failed, number)
        sizes[edge.submit_id] = edge.size
        if edge.state == TaskState.SUCCESS:
            satisfied.append(edge)
        else:
            failed.setdefault(edge.submit_id, edge)
    return Verdict(satisfied, failed, len(edges))


def failed_with(task: HeldTask, edge: Edge) -> HeldEnd:
    """Return the end of a task whose upstream ended without success."""
    ended = {TaskState.CANCELLED: "was cancelled", DELETED: "was deleted"}.get(edge.state, "failed")
    error = TaskError(
        code="dependency_error",
        message=f"The task was not started: task {edge.upstream}, which it waited for, {ended}.",
        details={"upstream": edge.upstream, "upstream_state": edge.state},
    )
    return HeldEnd(task, TaskResult(task.task_id, task.attempt, TaskState.FAILED, error=error))


def cancelled(task: HeldTask) -> HeldEnd:
    """Return the end of a task that was cancelled while it waited for others."""
    error = TaskError(code="task_cancelled", message="The task was cancelled.")
    return HeldEnd(task, TaskResult(task.task_id, task.attempt, TaskState.CANCELLED, error=error))


class Dependencies:
    """What waits, of one store. Everything but the operations belongs to the store's loop.

    Args:
        do: applies an operation in a transaction.
        writes: knows which tasks others wait for.
        complete: ends tasks of one endpoint at a time, as if that had reported it.
        now: nanoseconds.
    """

    def __init__(self, do: Do, writes: TaskWrites, complete: Complete, now: Callable[[], int] = time.time_ns) -> None:
        self._do = do
        self._writes = writes
        self._complete = complete
        self._now = now
        self._noted: dict[TaskId, None] = {}
        self._arrival = asyncio.Event()

    def open(self) -> None:
        """An earlier process may have ended before it had done what it was to do."""
        self.note(self._writes.awaited)

    def task_ended(self, results: Iterable[TaskResult]) -> None:
        """These results are committed: note those that somebody waits for."""
        if self._writes.awaited:
            self.note([result.task_id for result in results if result.task_id in self._writes.awaited])

    def note(self, upstreams: Iterable[TaskId]) -> None:
        """These may have ended, and somebody may wait for them."""
        self._noted.update(dict.fromkeys(upstreams))
        if self._noted:
            self._arrival.set()

    async def noted(self) -> list[TaskId]:
        """Wait until there is something to `settle`; return some of it."""
        await self._arrival.wait()
        found = list(self._noted)[:UPSTREAMS_AT_ONCE]
        for task_id in found:
            del self._noted[task_id]
        if not self._noted:
            self._arrival.clear()
        return found

    async def settle(self, upstreams: Sequence[TaskId]) -> Settled:
        """Release or end what waits for those of these that have ended; call it again with the same if it is not whole."""
        now = self._now()
        settled: Settled = await self._do(lambda tx: self._settle(tx, upstreams, now))
        self.task_ended([end.result for end in settled.ended])
        return settled

    async def cancel(self, owner_id: UserId, task_ids: Sequence[TaskId]) -> list[HeldEnd]:
        """End those of the tasks that are of this owner and wait for others."""
        return await self._cancel(
            [
                _held.where(tasks.c.task_id.in_(page), submits.c.owner_id == owner_id)
                for page in _pages(task_ids, EDGES_AT_ONCE)
            ]
        )

    async def cancel_at(self, endpoint_id: EndpointId) -> list[HeldEnd]:
        """End some of the tasks that wait for others before they may go to this endpoint; none if there are no more."""
        return await self._cancel([_held.where(tasks.c.endpoint_id == endpoint_id).limit(TASKS_AT_ONCE)])

    async def _cancel(self, queries: list[sa.Select[Any]]) -> list[HeldEnd]:
        if not self._writes.awaited:
            return []
        now = self._now()

        def end(transaction: Transaction) -> list[HeldEnd]:
            found = [cancelled(task) for query in queries for task in _held_tasks(transaction, query)]
            self._end(transaction, found, now)
            return found

        ended: list[HeldEnd] = await self._do(end)
        self.task_ended([end.result for end in ended])
        return ended

    # --- in a transaction --------------------------------------------------------------------------------------

    def _settle(self, transaction: Transaction, upstreams: Sequence[TaskId], now: int) -> Settled:
        rows = transaction.connection.execute(_ended_edges, {"upstreams": list(upstreams)}).all()
        edges = [Edge(row.submit_id, TaskId(row.upstream), row.state or DELETED, row.size) for row in rows]
        verdict = judge(edges)
        if edges:
            self._writes.revisions.will_change_everywhere(transaction)
        released = self._release(transaction, verdict)
        ended: list[HeldEnd] = []
        is_whole = verdict.looked_at == len(edges) < EDGES_AT_ONCE
        for edge in verdict.failed.values():
            ended += self._fail(transaction, edge, now)
        self._forget(transaction, upstreams)
        return Settled(released, ended, is_whole)

    def _release(self, transaction: Transaction, verdict: Verdict) -> frozenset[EndpointId]:
        for edge in verdict.satisfied:
            transaction.run(
                "DELETE FROM submit_dependencies WHERE submit_id = ? AND upstream = ?", (edge.submit_id, edge.upstream)
            )
        touched = sorted({edge.submit_id for edge in verdict.satisfied} - verdict.failed.keys())
        waiting = sa.exists().where(dependencies.c.submit_id == submits.c.submit_id)
        free = sa.select(submits.c.submit_id, submits.c.endpoint_id, submits.c.first_position, submits.c.size)
        found = transaction.connection.execute(free.where(submits.c.submit_id.in_(touched), ~waiting)).all()
        for submit_id, _, first, size in found:
            transaction.run(
                "UPDATE tasks SET lane = -1 - lane WHERE position BETWEEN ? AND ? AND submit_id = ? AND lane < 0"
                " AND completed_at IS NULL",
                (first, first + size - 1, submit_id),
            )
        return frozenset(EndpointId(row.endpoint_id) for row in found)

    def _fail(self, transaction: Transaction, edge: Edge, now: int) -> list[HeldEnd]:
        span = _held.where(_in_span, submits.c.submit_id == edge.submit_id)
        found = [failed_with(task, edge) for task in _held_tasks(transaction, span)]
        self._end(transaction, found, now)
        transaction.run("DELETE FROM submit_dependencies WHERE submit_id = ?", (edge.submit_id,))
        return found

    def _end(self, transaction: Transaction, ends: Sequence[HeldEnd], now: int) -> None:
        by_endpoint: dict[EndpointId, list[TaskResult]] = {}
        for end in ends:
            by_endpoint.setdefault(end.task.endpoint_id, []).append(end.result)
        for endpoint_id, results in by_endpoint.items():
            self._complete(transaction, endpoint_id, results, now)

    def _forget(self, transaction: Transaction, upstreams: Collection[TaskId]) -> None:
        named = dependencies.c.upstream.in_(list(upstreams))
        left = set(transaction.connection.scalars(sa.select(dependencies.c.upstream).where(named).distinct()))
        # At once: a submit that waits for one of them may follow in this transaction. What is rolled back is noted again.
        self._writes.awaited.difference_update(task_id for task_id in upstreams if task_id not in left)


def _held_tasks(transaction: Transaction, query: sa.Select[Any]) -> list[HeldTask]:
    return [
        HeldTask(
            TaskId(row.task_id),
            row.attempt,
            EndpointId(row.endpoint_id),
            UserId(row.owner_id),
            GroupId(row.group_id),
        )
        for row in transaction.connection.execute(query)
    ]


def _pages(ids: Sequence[TaskId], size: int) -> list[Sequence[TaskId]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
