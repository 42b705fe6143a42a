"""The socket of results: published clients name a task group, in text, and hear of the ends of its tasks, in JSON."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from tornado import iostream, websocket

from funcx_core.errors import FuncxError, TaskGroupNotFound
from funcx_core.ids import GroupId, TaskId, parse_id
from funcx_core.protocol.client import StateChange
from funcx_core.protocol.task import TaskEvent, TaskResult
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.handlers.base import Guard, host_name
from funcx_core.service.handlers.signed_in import end_when_signed_out
from funcx_core.service.handlers.stream import LOOK_AGAIN_AFTER, MAX_UNREAD
from funcx_core.service.legacy.views import streamed_result
from funcx_core.service.outbox import FRAME
from funcx_core.service.outcomes import Listener
from funcx_core.service.route import operation

_ENDED: Final = 1000
"""Clients connect again after a close with this code, and give up after any other."""
_POLICY: Final = 1008
_REASON_LIMIT: Final = 120

_log = logging.getLogger(__name__)


class ResultsSocket(Guard, websocket.WebSocketHandler):
    """One connection of one client, which may follow several groups."""

    @operation(Scope.READ, reply=None, status=101)
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open a WebSocket on which published clients follow task groups."""
        await super().get(*args, **kwargs)

    def open(self, *_: str) -> None:
        """Wait for the first group."""
        self._listener = _ResultListener(self)
        self._catching_up: set[asyncio.Task[None]] = set()
        self._sent: set[TaskId] = set()
        self._later: list[TaskId] = []
        self._unwritten = 0
        self.set_nodelay(True)
        self.context.streams.add(self)
        self._signed_in = end_when_signed_out(
            lambda: self.context.authenticator.authenticate(self.token),
            lambda error: self.close(_POLICY, str(error).encode()[:_REASON_LIMIT].decode(errors="ignore")),
        )

    def check_origin(self, origin: str) -> bool:
        """Whether a web page of `origin` may connect. Clients that are no browsers send no origin."""
        return host_name(origin.split("//", 1)[-1]) in self.context.hosts

    def on_close(self) -> None:
        """Nothing can be sent any more."""
        self.context.streams.discard(self)
        self.context.outcomes.forget(self._listener)
        self._signed_in.cancel()
        for task in self._catching_up:
            task.cancel()

    def on_message(self, message: str | bytes) -> None:
        """Follow the group whose id this is."""
        text = message if isinstance(message, str) else message.decode(errors="replace")
        self._start(self._follow(text.strip()))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._catching_up.add(task)
        task.add_done_callback(self._on_caught_up)

    def _on_caught_up(self, task: asyncio.Task[None]) -> None:
        self._catching_up.discard(task)
        if not self._catching_up:
            self._sent.clear()  # From now on every result comes once.

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except (websocket.WebSocketClosedError, iostream.StreamClosedError):
            pass  # The client has gone: `on_close` is called.
        except FuncxError as error:
            self.close(_POLICY, str(error).encode()[:_REASON_LIMIT].decode(errors="ignore"))
        except Exception:  # noqa: BLE001 - a fault of ours must not leave the client waiting
            _log.exception("following a task group failed")
            self.close(_ENDED)

    async def _follow(self, text: str) -> None:
        # A token that was revoked stops working on open connections, too.
        self.identity = await self.context.authenticator.authenticate(self.token)
        group_id = GroupId(parse_id(text, "task group id"))
        # Follow first: what ends while the store is read is then known twice rather than never.
        self.context.outcomes.follow(self._listener, self.user.user_id, group_id)
        await self._catch_up(await self._tasks_of(group_id))

    async def _catch_up(self, task_ids: list[TaskId]) -> None:
        missing = await self._send_stored(task_ids)
        for pause in LOOK_AGAIN_AFTER:
            if not missing:
                return
            await asyncio.sleep(pause)  # What was published just before we looked is committed just after.
            missing = await self._send_stored(missing)

    async def _tasks_of(self, group_id: GroupId) -> list[TaskId]:
        try:
            return await self.context.operations.tasks.group(self.user, group_id)
        except TaskGroupNotFound:
            return []  # Clients follow a group before they submit its first task.

    async def _send_stored(self, task_ids: list[TaskId]) -> list[TaskId]:
        """Send the results that exist, no faster than the client reads; return the tasks that have none."""
        missing = dict.fromkeys(task_id for task_id in task_ids if task_id not in self._sent)
        left = list(missing)
        while left:
            results, left = await self.context.operations.tasks.results(self.user, left, at_most_bytes=FRAME)
            for result in results:
                missing.pop(result.task_id, None)
                if result.task_id not in self._sent:
                    self._sent.add(result.task_id)
                    await self.write_message(_told(result))
        return list(missing)

    def tell(self, results: Iterable[TaskResult]) -> None:
        """Send what has just ended; when the client reads slowly, leave it in the store until it has read."""
        for result in results:
            if result.task_id in self._sent:
                continue
            if self._unwritten > MAX_UNREAD:
                self._later.append(result.task_id)
                continue
            if self._catching_up:
                self._sent.add(result.task_id)
            self._write(_told(result))

    def _write(self, message: bytes) -> None:
        if self.ws_connection is None:
            return
        self._unwritten += len(message)
        try:
            written = asyncio.ensure_future(self.write_message(message))
        except (websocket.WebSocketClosedError, iostream.StreamClosedError):
            return
        written.add_done_callback(lambda done: self._on_written(done, len(message)))

    def _on_written(self, done: asyncio.Future[None], size: int) -> None:
        done.exception()  # The client has gone: `on_close` is called.
        self._unwritten -= size
        if self._later and self._unwritten == 0:
            later, self._later = self._later, []
            self._start(self._catch_up(later))

    async def finish_requests(self) -> None:
        """Nothing that a client says here must be finished."""

    def end_for_restart(self) -> None:
        """The service stops: the client connects again in a moment."""
        self.close(_ENDED, "The service is stopping. Connect again in a moment.")


class _ResultListener(Listener):
    """Hears of results; what else happens to tasks is not told here."""

    def __init__(self, socket: ResultsSocket) -> None:
        self._socket = socket

    def on_results(self, results: list[TaskResult]) -> None:
        self._socket.tell(results)

    def on_events(self, events: list[TaskEvent]) -> None:
        pass

    def on_changes(self, changes: list[StateChange]) -> None:
        pass


def _told(result: TaskResult) -> bytes:
    return streamed_result(result, result.times.ended / 1e9 or time.time())
