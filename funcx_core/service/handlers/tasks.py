"""Tasks: their state, their results, their logs, their end."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal, InvalidOperation

import msgspec

from funcx_core.errors import InvalidRequest
from funcx_core.ids import GroupId, TaskId, parse_id
from funcx_core.protocol.task import TaskEvent
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.store.records import TaskRow
from funcx_core.service.views import events_view, task_summary, task_view, unknown_task

MAX_WAIT = 60.0
MOST_LISTED = 200
SETTLE_SECONDS = 0.02
"""News may come before its commit: after a wake-up the store is asked again, with growing pauses, starting here."""


def _task_id(text: str) -> TaskId:
    return TaskId(parse_id(text, "task id"))


class NewestTasks(ApiHandler):
    """GET tasks?limit=N."""

    async def get(self) -> None:
        """Reply with the caller's newest tasks, newest first, without their results."""
        text = self.get_query_argument("limit", "50")
        limit = int(text) if text.isascii() and text.isdigit() else 0
        if not 0 < limit <= MOST_LISTED:
            raise InvalidRequest(f"'limit' is '{text[:50]}'; 1 to {MOST_LISTED} are possible.")
        found = await self.context.operations.newest(self.user, limit)
        self.reply({"tasks": [{**task_summary(row), "function_name": name} for row, name in found]})


class OneTask(ApiHandler):
    """GET tasks/{id}."""

    async def get(self, task_id: str) -> None:
        """Reply with a task and, once it ended, its result or exception."""
        self.reply(task_view(await self.context.operations.task(self.user, _task_id(task_id))))


class CancelBody(msgspec.Struct, frozen=True):
    """`force` starts at SIGKILL."""

    force: bool = False


class CancelTask(ApiHandler):
    """POST tasks/{id}/cancel."""

    async def post(self, task_id: str) -> None:
        """Ask for the end of a task; one that ended already stays as it is."""
        body = self.read_body(CancelBody) if self._body or self._too_large else CancelBody()
        known = _task_id(task_id)
        operations = self.context.operations
        await operations.task(self.user, known)
        await operations.cancel(self.user, [known], force=body.force)
        row = await operations.task(self.user, known)
        self.reply({"task_id": row.task_id, "status": row.state.value}, 200 if row.state.is_terminal else 202)


class BatchBody(msgspec.Struct, frozen=True):
    """Ids of tasks."""

    task_ids: list[str]


class BatchStatus(ApiHandler):
    """POST batch_status."""

    async def post(self) -> None:
        """Reply with many tasks at once."""
        task_ids = self.read_body(BatchBody).task_ids
        if len(task_ids) > self.context.operations.limits.max_batch:
            raise InvalidRequest(f"{len(task_ids):,} task ids in one request; ask for fewer at a time.")
        known = [_task_id(text) for text in task_ids]
        rows = await self.context.operations.tasks(self.user, known)
        results = {
            text: task_view(rows[task_id]) if task_id in rows else unknown_task(text)
            for text, task_id in zip(task_ids, known, strict=True)
        }
        self.reply({"response": "batch", "results": results})


class TaskGroup(ApiHandler):
    """GET taskgroup/{id}."""

    async def get(self, group_id: str) -> None:
        """Reply with the ids of a group's tasks."""
        known = GroupId(parse_id(group_id, "task group id"))
        found = await self.context.operations.group(self.user, known)
        self.reply({"taskgroup_id": known, "tasks": [{"id": task_id} for task_id in found]})


class Events(ApiHandler):
    """GET tasks/{id}/events?after=SEQ&timeout=S."""

    _caller_has_gone = False

    def on_connection_close(self) -> None:
        """Nobody waits for the reply any more."""
        super().on_connection_close()
        self._caller_has_gone = True

    async def get(self, task_id: str) -> None:
        """Reply with the log of a task after `seq`; wait for up to `timeout` seconds if there is nothing new."""
        known = _task_id(task_id)
        after = int(self._number("after"))
        deadline = time.monotonic() + min(float(self._number("timeout")), MAX_WAIT)
        row, events = await self._wait(known, after, deadline)
        self.reply(events_view(row, events, after))

    async def _wait(self, task_id: TaskId, after: int, deadline: float) -> tuple[TaskRow, list[TaskEvent]]:
        operations = self.context.operations
        again_in = MAX_WAIT
        with self.context.outcomes.watching(task_id) as news:
            while True:
                news.clear()
                row = await operations.task(self.user, task_id)
                events = await operations.events(task_id, after=after)
                left = deadline - time.monotonic()
                if events or row.state.is_terminal or left <= 0 or self._caller_has_gone:
                    return row, events
                if await _happens(news, min(left, again_in)):
                    again_in = SETTLE_SECONDS
                again_in = min(again_in * 2, MAX_WAIT)

    def _number(self, name: str) -> Decimal:
        text = self.get_query_argument(name, "0")
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal(-1)
        if not 0 <= number < 1 << 63:
            raise InvalidRequest(f"'{name}' is '{text[:50]}'; a number from 0 is needed.")
        return number


async def _happens(news: asyncio.Event, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await news.wait()
    except TimeoutError:
        return False
    return True
