"""Tasks: their state, their results, their logs, their end."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Annotated

import msgspec

from funcx_core.errors import InvalidRequest
from funcx_core.ids import GroupId, TaskId, parse_id
from funcx_core.protocol.task import TaskEvent
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import ApiHandler
from funcx_core.service.known_answers import Question, digest, tag_of
from funcx_core.service.legacy.dialect import Dialect, dialect_of
from funcx_core.service.legacy.views import translated_task
from funcx_core.service.route import operation
from funcx_core.service.store.records import TaskRow
from funcx_core.service.views import brief_task, events_view, task_summary, unknown_task

MAX_WAIT = 60.0
MOST_LISTED = 200
SETTLE_SECONDS = 0.02
"""News may come before its commit: after a wake-up the store is asked again, with growing pauses, starting here."""


def _task_id(text: str) -> TaskId:
    return TaskId(parse_id(text, "task id"))


def _dialect(handler: ApiHandler) -> Dialect:
    return dialect_of(handler.request.path, handler.request.headers.get("User-Agent", ""))


class NewestQuery(msgspec.Struct, frozen=True):
    """How many are wanted."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED)] = 50


class NewestTasks(ApiHandler):
    """GET tasks?limit=N."""

    @operation(Scope.READ, query=NewestQuery)
    async def get(self) -> None:
        """Reply with the caller's newest tasks, newest first, without their results."""
        limit = self.read_query(NewestQuery).limit
        found = await self.context.operations.tasks.newest(self.user, limit)
        self.reply({"tasks": [{**task_summary(row), "function_name": name} for row, name in found]})


class OneTask(ApiHandler):
    """GET tasks/{id}."""

    @operation(Scope.READ)
    async def get(self, task_id: str) -> None:
        """Reply with a task and, once it ended, its result or exception."""
        row = await self.context.operations.tasks.get(self.user, _task_id(task_id))
        self.reply(translated_task(row, _dialect(self)))


class CancelBody(msgspec.Struct, frozen=True):
    """`force` starts at SIGKILL."""

    force: bool = False


class CancelTask(ApiHandler):
    """POST tasks/{id}/cancel."""

    @operation(Scope.SUBMIT, body=CancelBody, optional_body=True, status=202)
    async def post(self, task_id: str) -> None:
        """Ask for the end of a task; one that ended already stays as it is."""
        body = self.read_body(CancelBody)
        known = _task_id(task_id)
        operations = self.context.operations.tasks
        await operations.get(self.user, known)
        await operations.cancel(self.user, [known], force=body.force)
        row = await operations.get(self.user, known)
        self.reply({"task_id": row.task_id, "status": row.state.value}, 200 if row.state.is_terminal else 202)


class BatchBody(msgspec.Struct, frozen=True):
    """Ids of tasks. With `brief`, values and pickled exceptions stay here: who watches many tasks has no use for them."""

    task_ids: list[str]
    brief: bool = False


class BatchStatus(ApiHandler):
    """POST batch_status."""

    @operation(Scope.READ, body=BatchBody, conditional=True)
    async def post(self) -> None:
        """Reply with many tasks at once.

        The answer has an `ETag`. Who asks the same again with `If-None-Match` gets 304 and no body while nothing has changed.
        """
        body = self.read_body(BatchBody)
        dialect, tag = _dialect(self), self.request.headers.get("If-None-Match", "")
        question = Question(self.user.user_id, digest(self.raw_body), dialect.name)
        if tag and self.context.answers.is_good(question, tag):
            self.reply_unchanged(tag)
            return
        await self._look(body, question, dialect)

    async def _look(self, body: BatchBody, question: Question, dialect: Dialect) -> None:
        task_ids = body.task_ids
        if len(task_ids) > self.context.operations.limits.max_batch:
            raise InvalidRequest(f"{len(task_ids):,} task ids in one request; ask for fewer at a time.")
        known = [_task_id(text) for text in task_ids]
        revision = self.context.operations.tasks.revision  # What changes from here on may be missing in the answer.
        rows = await self.context.operations.tasks.many(self.user, known, brief=body.brief)
        shown = brief_task if body.brief else partial(translated_task, dialect=dialect)
        results = {
            text: shown(rows[task_id]) if task_id in rows else unknown_task(text)
            for text, task_id in zip(task_ids, known, strict=True)
        }
        content = msgspec.json.encode({"response": "batch", "results": results})
        tag = tag_of(content)
        is_whole = all(task_id in rows for task_id in known)
        self.context.answers.keep(
            question, tag, revision, frozenset(row.endpoint_id for row in rows.values()) if is_whole else None
        )
        if self.request.headers.get("If-None-Match") == tag:
            self.reply_unchanged(tag)
            return
        self.set_header("ETag", tag)
        await self.finish(content)


class TaskGroup(ApiHandler):
    """GET taskgroup/{id}."""

    @operation(Scope.READ)
    async def get(self, group_id: str) -> None:
        """Reply with the ids of a group's tasks."""
        known = GroupId(parse_id(group_id, "task group id"))
        found = await self.context.operations.tasks.group(self.user, known)
        self.reply({"taskgroup_id": known, "tasks": [{"id": task_id} for task_id in found]})


class EventsQuery(msgspec.Struct, frozen=True):
    """The `seq` after which entries are wanted, and for how many seconds to wait for one."""

    after: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] = 0
    timeout: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Events(ApiHandler):
    """GET tasks/{id}/events?after=SEQ&timeout=S."""

    _caller_has_gone = False

    def on_connection_close(self) -> None:
        """Nobody waits for the reply any more."""
        super().on_connection_close()
        self._caller_has_gone = True

    @operation(Scope.READ, query=EventsQuery)
    async def get(self, task_id: str) -> None:
        """Reply with the log of a task after `seq`; wait for up to `timeout` seconds if there is nothing new."""
        known = _task_id(task_id)
        query = self.read_query(EventsQuery)
        deadline = time.monotonic() + min(query.timeout, MAX_WAIT)
        row, events = await self._wait(known, query.after, deadline)
        self.reply(events_view(row, events, query.after))

    @property
    def _is_over(self) -> bool:
        return self._caller_has_gone or self.context.outcomes.stopping

    async def _wait(self, task_id: TaskId, after: int, deadline: float) -> tuple[TaskRow, list[TaskEvent]]:
        operations = self.context.operations.tasks
        again_in = MAX_WAIT
        with self.context.outcomes.watching(task_id) as news:
            while True:
                news.clear()
                row = await operations.get(self.user, task_id)
                events = await operations.events(task_id, after=after)
                left = deadline - time.monotonic()
                if events or row.state.is_terminal or left <= 0 or self._is_over:
                    return row, events
                if await _happens(news, min(left, again_in)):
                    again_in = SETTLE_SECONDS
                again_in = min(again_in * 2, MAX_WAIT)


async def _happens(news: asyncio.Event, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await news.wait()
    except TimeoutError:
        return False
    return True
