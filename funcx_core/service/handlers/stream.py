"""The stream: a WebSocket that carries submits, acknowledgements, results and events in binary msgpack."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from typing import Any, Final

import msgspec
from tornado import iostream, websocket

from funcx_core import __version__
from funcx_core.errors import AuthRequired, FuncxError, RemoteProtocolError, TryAgainLater
from funcx_core.ids import TaskId
from funcx_core.protocol.client import (
    Accepted,
    CancelTasks,
    FromClient,
    Refused,
    RegisterFunction,
    StateChange,
    Submit,
    TaskEvents,
    TaskResults,
    ToClient,
    Watch,
    Welcome,
    from_client,
)
from funcx_core.protocol.codec import encode
from funcx_core.protocol.maps import SubmitMap
from funcx_core.protocol.task import TaskEvent, TaskResult
from funcx_core.service.auth.local import digest_of
from funcx_core.service.auth.scopes import Scope
from funcx_core.service.catching_up import CatchingUp
from funcx_core.service.handlers.base import Guard, host_name
from funcx_core.service.handlers.signed_in import end_when_signed_out
from funcx_core.service.operations.functions import FunctionRequest
from funcx_core.service.outbox import FRAME, Outbox
from funcx_core.service.outcomes import Listener
from funcx_core.service.route import operation

MAX_UNREAD: Final = 8 * 1024 * 1024
"""While more bytes than this wait to be written, or requests of that size to be committed, nothing more is read."""
ANSWER_SECONDS: Final = 0.002
LOOK_AGAIN_AFTER: Final = (1.0, 4.0)
"""Seconds. A result that is published just before somebody watches is committed just after."""
SETTLE: Final = 0.2
"""Seconds after which logs of open tasks are read once more, for the same reason."""

_UNSUPPORTED: Final = 1003
_TRY_AGAIN: Final = 1013
_POLICY: Final = 1008
_REASON_LIMIT: Final = 120

_log = logging.getLogger(__name__)


class Stream(Guard, websocket.WebSocketHandler):
    """One connection of one client. What a client asked for is finished even if the connection ends meanwhile."""

    @operation(Scope.READ, reply=None, status=101)
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the stream: a WebSocket that carries submits, results and events in msgpack."""
        await super().get(*args, **kwargs)

    def open(self, *_: str) -> None:
        """Greet."""
        self._listener = _StreamListener(self)
        self._outbox = Outbox()
        self._under_way: set[asyncio.Task[None]] = set()
        self._looking: set[asyncio.Task[None]] = set()
        self._unanswered_bytes = 0
        self._room = asyncio.Event()
        self._in_order = asyncio.Lock()
        self._reading_logs = asyncio.Lock()
        self._catching_up = CatchingUp()
        self._flush_is_scheduled = False
        self._answers: list[Accepted] = []
        self._loop = asyncio.get_running_loop()
        self.set_nodelay(True)
        self.context.streams.add(self)
        self._signed_in = end_when_signed_out(
            lambda: self.context.authenticator.authenticate(self.token), lambda error: self._end(_POLICY, str(error))
        )
        self.greet()

    def greet(self) -> None:
        """Tell what is accepted here; again when that has changed."""
        self.send(Welcome(self.context.operations.limits, __version__))

    def check_origin(self, origin: str) -> bool:
        """Whether a web page of `origin` may open a stream. Clients that are no browsers send no origin."""
        return host_name(origin.split("//", 1)[-1]) in self.context.hosts

    def on_close(self) -> None:
        """Nothing can be sent any more."""
        self.context.streams.discard(self)
        self.context.outcomes.forget(self._listener)
        self._room.set()
        self._signed_in.cancel()
        for task in self._looking:
            task.cancel()

    # --- what the client says ----------------------------------------------------------------------------------

    def on_message(self, message: str | bytes) -> Awaitable[None] | None:
        """Start what the client asks for; several requests are under way at a time, and begin in their order."""
        try:
            if isinstance(message, str):
                raise RemoteProtocolError("The stream takes binary messages; this one was text.")  # noqa: TRY301 - one place where streams are closed
            request = from_client.decode(message)
        except RemoteProtocolError as error:
            self._end(_UNSUPPORTED, str(error))
            return None
        self._unanswered_bytes += len(message)
        task = self._loop.create_task(self._serve(request, len(message)))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return self._wait_for_room() if self._is_full else None

    @property
    def _is_full(self) -> bool:
        return self._unanswered_bytes + self._outbox.unwritten_bytes > MAX_UNREAD

    async def _wait_for_room(self) -> None:
        while self._is_full and self.ws_connection is not None:
            self._room.clear()
            await self._room.wait()

    async def _serve(self, request: FromClient, size: int) -> None:
        try:
            # Looking the token up may take a while, and a submit must not overtake the function that it calls.
            async with self._in_order:
                # A token that was revoked stops working on open streams, too.
                self.identity = await self.context.authenticator.authenticate(self.token)
            if self.context.rates.limits_requests and isinstance(request, Submit):
                # A function is let through, so that the submits that follow find it.
                self.context.rates.request(digest_of(self.token))
            if not isinstance(request, Watch):
                self.require(Scope.SUBMIT)
            await self._perform(request)
        except AuthRequired as error:
            self._refuse(request, error)
            self._end(_POLICY, str(error))
        except FuncxError as error:
            self._refuse(request, error)
        except Exception:  # noqa: BLE001 - a fault in one request must not leave its client waiting
            _log.exception("a %s on the stream failed", type(request).__name__)
            self._send_refusal(
                request, Refused(0, "internal_error", "The service failed on this request; its log says why.")
            )
        finally:
            self._unanswered_bytes -= size
            self._room.set()

    def _perform(self, request: FromClient) -> Coroutine[Any, Any, None]:
        match request:
            case Submit():
                return self._submit(request)
            case SubmitMap():
                return self._submit_map(request)
            case RegisterFunction():
                return self._register_function(request)
            case CancelTasks():
                return self._cancel(request)
            case Watch():
                return self._watch(request)

    async def _submit(self, submit: Submit) -> None:
        self.context.outcomes.follow(self._listener, self.user.user_id, submit.group_id)
        rejected = await self.context.operations.tasks.submit(self.user, submit)
        self._answer_soon(Accepted(submit.request, rejected))

    async def _submit_map(self, submit: SubmitMap) -> None:
        self.context.outcomes.follow(self._listener, self.user.user_id, submit.group_id)
        rejected = await self.context.operations.maps.submit(self.user, submit)
        self._answer_soon(Accepted(submit.request, rejected))

    async def _register_function(self, request: RegisterFunction) -> None:
        await self.context.operations.functions.register(self.user, FunctionRequest(function=request.function))
        self.send(Accepted(request.request))

    async def _cancel(self, request: CancelTasks) -> None:
        await self.context.operations.tasks.cancel(self.user, request.task_ids, force=request.force)

    async def _watch(self, watch: Watch) -> None:
        # Follow first: what ends while the store is read is then sent twice rather than never.
        self.context.outcomes.follow(self._listener, self.user.user_id, watch.group_id)
        if watch.events_after:
            async with self._reading_logs:
                await self._send_logs(watch.events_after)
        missing = await self._send_results(watch.task_ids)
        if missing:
            again = self._loop.create_task(self._look_again(missing))
            self._looking.add(again)
            again.add_done_callback(self._looking.discard)
        if watch.request:
            self._flush()
            self.send(Accepted(watch.request))

    async def _look_again(self, missing: list[TaskId]) -> None:
        for pause in LOOK_AGAIN_AFTER:
            if not missing or self.ws_connection is None:
                return
            await asyncio.sleep(pause)
            missing = await self._send_results(missing)

    async def _send_results(self, task_ids: list[TaskId]) -> list[TaskId]:
        """Send the results that exist, no faster than the client reads; return the tasks that have none."""
        missing = set(task_ids)
        left = task_ids
        while left and self.ws_connection is not None:
            results, left = await self.context.operations.tasks.results(self.user, left, at_most_bytes=FRAME)
            missing.difference_update(result.task_id for result in results)
            if results:
                self.send(TaskResults(results))
            await self._until_read()
        return [task_id for task_id in task_ids if task_id in missing]

    async def _send_logs(self, events_after: dict[TaskId, int]) -> None:
        """Send the logs of the caller's among these tasks; what happens to them meanwhile follows."""
        self._catching_up.begin(events_after)
        sent_to = dict(events_after)
        try:
            rows = await self.context.operations.tasks.many(self.user, list(events_after))
            for task_id in rows:
                sent_to[task_id] = await self._send_log(task_id, sent_to[task_id])
            still_open = [task_id for task_id, row in rows.items() if not row.state.is_terminal]
            if still_open:
                await asyncio.sleep(SETTLE)
            for task_id in still_open:
                sent_to[task_id] = await self._send_log(task_id, sent_to[task_id])
        finally:
            events, results = self._catching_up.end(sent_to)
            self._outbox.add_events(events)
            self._outbox.add_results(results)
            self.flush_soon()

    async def _send_log(self, task_id: TaskId, after: int) -> int:
        """Send what is logged after a `seq`, no faster than the client reads; return the last `seq`."""
        while events := await self.context.operations.tasks.events(task_id, after=after):
            self.send(TaskEvents(events))
            after = events[-1].seq
            await self._until_read()
        return after

    async def _until_read(self) -> None:
        while self._outbox.unwritten_bytes > FRAME and self.ws_connection is not None:
            self._room.clear()
            await self._room.wait()

    def _refuse(self, request: FromClient, error: FuncxError) -> None:
        retry_after = error.retry_after if isinstance(error, TryAgainLater) else None
        self._send_refusal(request, Refused(0, error.code, str(error), retry_after, error.fields))

    def _send_refusal(self, request: FromClient, refused: Refused) -> None:
        number = 0 if isinstance(request, CancelTasks) else request.request
        self.send(msgspec.structs.replace(refused, request=number))

    # --- what the client hears ---------------------------------------------------------------------------------

    def send(self, message: ToClient) -> None:
        """Write a message, unless the client has gone."""
        if self.ws_connection is None:
            return
        frame = encode(message)
        self._outbox.sent(len(frame))
        try:
            written = asyncio.ensure_future(self.write_message(frame, binary=True))
        except (websocket.WebSocketClosedError, iostream.StreamClosedError):
            self._outbox.written(len(frame))
            return
        written.add_done_callback(lambda done: self._on_written(done, len(frame)))

    def _on_written(self, done: asyncio.Future[None], size: int) -> None:
        done.exception()  # The client has gone: `on_close` is called.
        self._room.set()
        if self._outbox.written(size):
            self.flush_soon()

    def flush_soon(self) -> None:
        """Send what the outbox holds at the end of this turn of the loop."""
        if not self._flush_is_scheduled:
            self._flush_is_scheduled = True
            self._loop.call_soon(self._flush)

    def _answer_soon(self, answer: Accepted) -> None:
        """Send `answer` with the next results, or in a moment: the tasks leave for their endpoint first."""
        self._answers.append(answer)
        if len(self._answers) == 1:
            self._loop.call_later(ANSWER_SECONDS, self._send_answers)

    def _send_answers(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            self.send(answer)

    def _flush(self) -> None:
        self._flush_is_scheduled = False
        self._send_answers()
        for message in self._outbox.take():
            self.send(message)

    @property
    def outbox(self) -> Outbox:
        """What waits for this client."""
        return self._outbox

    @property
    def catching_up(self) -> CatchingUp:
        """What waits for a log."""
        return self._catching_up

    def _end(self, code: int, reason: str) -> None:
        self.close(code, reason.encode()[:_REASON_LIMIT].decode(errors="ignore"))

    def end_for_restart(self) -> None:
        """The service stops: the client connects again in a moment."""
        self._send_answers()
        self._end(_TRY_AGAIN, "The service is stopping. Connect again in a moment.")

    async def finish_requests(self) -> None:
        """Return when everything the client asked for is committed."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=2)


class _StreamListener(Listener):
    """Puts what happens into the outbox of a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def on_results(self, results: list[TaskResult]) -> None:
        if self._stream.catching_up:
            results = self._stream.catching_up.pass_results(results)
        self._stream.outbox.add_results(results)
        self._stream.flush_soon()

    def on_events(self, events: list[TaskEvent]) -> None:
        if self._stream.catching_up:
            events = self._stream.catching_up.pass_events(events)
        self._stream.outbox.add_events(events)
        self._stream.flush_soon()

    def on_changes(self, changes: list[StateChange]) -> None:
        self._stream.outbox.add_changes(changes)
        self._stream.flush_soon()
