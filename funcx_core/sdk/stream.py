"""One connection to the service for any number of tasks: submits, results, output and state changes, both ways at once.

`TaskStream` is what `FuncXExecutor` and the notebook front end stand on. Its methods may be called from any thread and
never wait for the network. A daemon thread of its own holds the WebSocket, reconnects when it breaks, and resolves the
futures. Nothing is lost by a broken connection and nothing runs twice: ids are made here, and requests are repeated until
they are acknowledged.

    >>> stream = TaskStream(load_settings())
    >>> stream.register(Function(function_id, "simulate", pack_function(simulate)))
    >>> route = Route(endpoint_id, new_group_id(), TaskOptions(walltime=60))
    >>> future = stream.submit(function_id, pack_call((1,), {}), route, listener=listener)
    >>> future.result()
    >>> stream.close()

Batches form by themselves. With nothing under way a submit is sent at once; while the answer to one is awaited, further
ones are gathered for half a millisecond, or until they fill a frame.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

from funcx_core.errors import FuncxError, PayloadTooLarge, RemoteProtocolError, ServiceUnavailable, TryAgainLater
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, new_task_id
from funcx_core.protocol.client import (
    Accepted,
    FromClient,
    Limits,
    Poll,
    Refused,
    TaskEvents,
    TaskResults,
    TaskStates,
    ToClient,
    Welcome,
    to_client,
)
from funcx_core.protocol.codec import encode
from funcx_core.protocol.maps import RangeCall
from funcx_core.protocol.task import Call, Function
from funcx_core.sdk.futures import FuncXFuture, TaskListener
from funcx_core.sdk.large import upload_arguments
from funcx_core.sdk.ledger import MOST_CALLS, Ledger, MapRoute, Request, Route
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.transfer import OnProgress, Transfer
from funcx_core.sdk.trust import STRANGER, Reader
from funcx_core.transport.retry import Backoff

if TYPE_CHECKING:
    import asyncio

    from tornado.websocket import WebSocketClientConnection

__all__ = ["Route", "TaskListener", "TaskStream"]

_GATHER: Final = 0.0005
_EXIT_TIMEOUT: Final = 3.0
_FIRST_LOOK: Final = 3.0
"""Seconds between two looks at what waits, at first; a task that is the oldest both times has waited for long."""
_LONGEST_LOOK: Final = 60.0
logger = logging.getLogger("funcx")


class Settable(Protocol):
    """An event of either kind."""

    def set(self) -> None:
        """What was waited for is there."""


class TaskStream:
    """Tasks of one user on one service. All methods are safe from any thread; callbacks run on the stream's thread.

    Args:
        settings: the service and the token.
        connect_timeout: seconds for which an unreachable service is tried before the first connection. Once there was
            one, the stream tries to reconnect for as long as it is open.
        batch_size: calls per message at most.
        on_connection: called with True when the stream is connected, and with False when it is not any more.
        on_transfer: called as large values go up and down, on the thread that waits for that.
        on_waiting: called, on a thread of its own, with the endpoints of tasks that have waited for a while.

    Attributes:
        limits: what the service accepts.
        is_forked: whether this process is a forked child of the one that made the stream, where it is of no use.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect_timeout: float = 30.0,
        batch_size: int = MOST_CALLS,
        on_connection: Callable[[bool], None] | None = None,
        on_transfer: OnProgress | None = None,
        on_waiting: Callable[[set[EndpointId]], None] | None = None,
    ) -> None:
        self.limits = Limits()
        self.transfer = Transfer(lambda: settings, on_progress=on_transfer)
        self._settings = settings
        self._connect_timeout = connect_timeout
        self._on_connection = on_connection
        self._on_waiting = on_waiting
        self._ledger = Ledger(most_calls=batch_size)
        self._queue = self._ledger.queue
        self._lock = threading.Lock()  # guards opening and closing
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._hung_up: asyncio.Event | None = None
        self._socket: WebSocketClientConnection | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._awake = True  # no wake-up is needed: there is no loop yet, or it is about to look at the queue
        self._is_closed = False
        self.is_forked = False
        self._error: FuncxError | None = None
        self._waiting: list[tuple[Callable[[], bool], Settable]] = []
        self._waiting_lock = threading.Lock()
        self._is_over = False  # the thread will look at `_waiting` no more

    # --- for any thread ----------------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether the stream is connected now."""
        return self._socket is not None

    @property
    def acknowledged(self) -> int:
        """How many tasks the service has committed."""
        return self._ledger.acknowledged

    def open(self) -> None:
        """Start the thread and connect in the background. The first submit does this; an early call saves its time."""
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The stream is closed.")
            if self._thread is None:
                self._start()

    def register(self, function: Function) -> None:
        """Make a function known to the service, before all later submits. If it fails, the submits that use it do."""
        self._queue.append(function)
        self._wake()

    def submit(
        self,
        function_id: FunctionId,
        payload: bytes,
        route: Route,
        *,
        listener: TaskListener | None = None,
        task_id: TaskId | None = None,
    ) -> FuncXFuture:
        """Submit one call and return its future.

        Args:
            function_id: a registered function.
            payload: the arguments, as `funcx_core.serialize.pack_call` or `pack_calls` returns them.
            route: where and how to run it. Calls that share one object travel together.
            listener: hears of output and states, on the stream's thread.
            task_id: made if it is None. A repeated id is the same task: it runs once.

        Raises:
            PayloadTooLarge: the service does not take so much.
            RuntimeError: the stream is closed.
            FuncxError: the stream ended for this reason.
        """
        if len(payload) > self.limits.max_payload:
            payload = upload_arguments(self.transfer, payload, self.limits)
        if task_id is None:
            task_id = new_task_id()
        return self._submit(Call(task_id, function_id, payload), route, listener)

    def submit_range(self, call: RangeCall, route: MapRoute) -> FuncXFuture:
        """Submit a range of a map and return its future, whose value is a `RangeResult`. Raises as `submit` does."""
        return self._submit(call, route, None)

    def _submit(self, call: Call, route: Route, listener: TaskListener | None) -> FuncXFuture:
        if len(call.payload) > self.limits.max_payload:
            raise PayloadTooLarge(len(call.payload), self.limits.max_payload, "arguments")
        future = FuncXFuture(call.task_id, self, route, listener)
        self._queue.append((future, call))
        if not self._awake or self._thread is None:
            self._wake()
        return future

    def watch(
        self,
        group_id: GroupId,
        task_ids: list[TaskId],
        *,
        listener_of: Callable[[TaskId], TaskListener | None] | None = None,
        events_after: dict[TaskId, int] | None = None,
        reader: Reader = STRANGER,
    ) -> list[FuncXFuture]:
        """Return futures of tasks that were submitted before, by this or another process.

        Args:
            group_id: the group that the tasks are in.
            task_ids: the tasks.
            listener_of: gives the listener of a task.
            events_after: for tasks with a listener, the `seq` after which events are wanted; 0 for all.
            reader: opens what became of them.
        """
        route = Route("", group_id, reader=reader)  # type: ignore[arg-type] # nothing is submitted by it
        futures = [
            FuncXFuture(task_id, self, route, listener_of(task_id) if listener_of else None) for task_id in task_ids
        ]
        self._post(lambda: self._send_all(self._ledger.attach(futures, events_after or {})))
        return futures

    def cancel(self, task_ids: list[TaskId], *, force: bool = False) -> None:
        """Ask for the end of tasks, again as often as you like. Their futures end with what becomes of them."""
        self._post(lambda: self._cancel(task_ids, force))

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything submitted is acknowledged. False if it is not after `timeout` seconds."""
        return self._wait_until(lambda: self._ledger.is_flushed, timeout)

    def wait_for_room(self, most: int) -> None:
        """Wait until fewer than `most` submits have not been sent: the service has most of them by then."""
        if len(self._queue) >= most:
            self._wait_until(lambda: len(self._queue) <= most // 2, None)

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until no task is open. False if one is after `timeout` seconds."""
        return self._wait_until(lambda: self._ledger.is_idle, timeout)

    def close(self, timeout: float = _EXIT_TIMEOUT) -> None:
        """Send what is still unsent, for at most `timeout` seconds, and end the thread. Open tasks go on running."""
        with self._lock:
            self._is_closed = True
            thread, loop = self._thread, self._loop
        _open_streams.discard(self)
        if thread is None or loop is None or self.is_forked:
            return
        if thread is threading.current_thread():  # called by a callback
            self._set_closing()
            return
        if thread.is_alive():
            if self._error is None and timeout > 0:
                self._wait_until(lambda: self._ledger.is_flushed, timeout)
            self._post(self._set_closing)
            thread.join(timeout + 2)

    def cancel_pending(self) -> None:
        """Cancel all futures of tasks that are not known to run."""
        queued = [item[0] for item in list(self._queue) if isinstance(item, tuple)]
        futures = [*list(self._ledger.open.values()), *queued]
        self.cancel([future.task_id for future in futures if future.cancel_here() and future.task_id is not None])

    def check_process(self) -> None:
        """Raise unless this is the process that made the stream.

        Raises:
            RuntimeError: this is a forked child. Its tasks belong to the parent.
        """
        if self.is_forked:
            raise RuntimeError(
                "This process was forked, and the stream of tasks stayed with its parent: results arrive there. Make a new "
                "FuncXExecutor here; reload_tasks() with the same task_group_id finds the parent's tasks."
            )

    def future_of(self, task_id: TaskId) -> FuncXFuture | None:
        """Return the future of a task that is open here."""
        return self._ledger.open.get(task_id)

    def close_when_idle(self) -> None:
        """End the thread when no task is open any more; nothing can be submitted from now on."""
        with self._lock:
            self._is_closed = True
        closing = self._closing
        if self._thread is not None and closing is not None:
            self._add_waiting(lambda: self._ledger.is_idle, closing)

    def forked(self) -> None:
        """This is a forked child: nothing of the stream works here any more, and what is asked of it says so."""
        self.is_forked = True
        self._awake = False  # the next submit looks
        self._lock = threading.Lock()  # The parent may have held it.

    # --- between the threads -----------------------------------------------------------------------------------

    def _wake(self) -> None:
        self.check_process()
        if self._thread is None:
            self.open()
        if self._is_closed:
            raise RuntimeError("The stream is closed.")
        if self._error is not None:
            self._ledger.fail_all(self._error)
            raise self._error
        if not self._awake:
            self._awake = True
            self._post(self._gather)

    def _post(self, action: Callable[[], Any]) -> None:
        if self._thread is None:
            self.open()
        loop = self._loop
        if loop is None or self.is_forked:
            return
        try:
            loop.call_soon_threadsafe(action)
        except RuntimeError:  # The loop has ended, and with it everything that could be asked of it.
            logger.debug("The stream to %s has ended.", self._settings.service_address)

    def _wait_until(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        if self._thread is None:
            return condition()
        reached = threading.Event()
        self._add_waiting(condition, reached)
        return reached.wait(timeout)

    def _add_waiting(self, condition: Callable[[], bool], reached: Settable) -> None:
        """Set `reached` when the condition holds, or when the thread ends: what is posted to it then is never done."""
        with self._waiting_lock:
            if not self._is_over:
                self._waiting.append((condition, reached))
                self._post(self._release_waiting)
                return
        reached.set()

    def _start(self) -> None:
        import asyncio  # noqa: PLC0415 - `import funcx` stays fast

        from funcx_core.transport.loop import new_loop  # noqa: PLC0415 - it imports asyncio

        _close_all_at_exit()
        self._loop = new_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="funcx-stream", daemon=True)
        _open_streams.add(self)
        self._thread.start()

    # --- on the stream's thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        loop = self._loop
        assert loop is not None  # noqa: S101 - `_start` made it
        import asyncio  # noqa: PLC0415

        asyncio.set_event_loop(loop)
        loop.set_exception_handler(self._callback_raised)
        try:
            loop.run_until_complete(self._serve())
        except Exception:
            logger.exception("The stream to %s ended by a fault of its own.", self._settings.service_address)
            self._end(
                ServiceUnavailable("The stream ended by a fault of its own; its log names it. Make a new executor.")
            )
        finally:
            rest = asyncio.all_tasks(loop)
            for task in rest:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            loop.close()
            with self._waiting_lock:
                self._is_over = True
            self._release_waiting()

    def _callback_raised(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What a callback had still to do is done by nobody; a new connection begins with all that is open."""
        loop.default_exception_handler(context)
        if "handle" in context and self._hung_up is not None:
            self._hung_up.set()

    async def _serve(self) -> None:
        import asyncio  # noqa: PLC0415

        from funcx_core.sdk.connection import open_socket  # noqa: PLC0415 - see there

        closing = self._closing
        assert closing is not None  # noqa: S101 - `_start` made it
        backoff = Backoff(0.2, 5.0)
        give_up: float | None = time.monotonic() + self._connect_timeout
        while not closing.is_set():
            self._hung_up = asyncio.Event()
            try:
                socket = await open_socket(self._settings, self._receive)
            except FuncxError as error:
                if not isinstance(error, TryAgainLater) or (give_up is not None and time.monotonic() > give_up):
                    self._end(error)
                    return
                logger.warning("%s Trying again.", error)
                await self._pause(backoff.next())
                continue
            give_up = None
            if await self._session(socket):
                backoff.reset()
            elif not closing.is_set():
                await self._pause(backoff.next())
        self._end(
            ServiceUnavailable(
                "The stream was closed before the task ended. The task goes on; its result can be fetched by id."
            )
        )

    async def _session(self, socket: WebSocketClientConnection) -> bool:
        """Work until the connection ends. Whether it was of use."""
        import asyncio  # noqa: PLC0415

        assert self._closing is not None  # noqa: S101
        assert self._hung_up is not None  # noqa: S101
        started = time.monotonic()
        self._socket = socket
        looking = asyncio.ensure_future(self._look_at_waiting())
        self._send_all(self._ledger.resume())
        self._notify_connection(connected=True)
        self._flush()
        ends = [asyncio.ensure_future(event.wait()) for event in (self._hung_up, self._closing)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in (*ends, looking):
            end.cancel()
        self._socket = None
        await self._hang_up(socket)
        self._notify_connection(connected=False)
        return time.monotonic() - started > 1.0

    async def _look_at_waiting(self) -> None:
        """Say now and then, less and less often, at which endpoints tasks wait."""
        import asyncio  # noqa: PLC0415

        pause, oldest = _FIRST_LOOK, None
        while self._on_waiting is not None:
            before = oldest
            await asyncio.sleep(pause)
            oldest = next(iter(self._ledger.open), None)
            if oldest is None or oldest != before:
                pause = _FIRST_LOOK
                continue
            if waiting := self._ledger.waiting_at():
                pause = min(2 * pause, _LONGEST_LOOK)
                await asyncio.get_running_loop().run_in_executor(None, self._on_waiting, waiting)

    async def _hang_up(self, socket: WebSocketClientConnection) -> None:
        import asyncio  # noqa: PLC0415

        assert self._hung_up is not None  # noqa: S101
        socket.close()
        try:
            await asyncio.wait_for(self._hung_up.wait(), 1.0)
        except TimeoutError:
            socket.on_connection_close()

    async def _pause(self, seconds: float) -> None:
        import asyncio  # noqa: PLC0415

        assert self._closing is not None  # noqa: S101
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            return

    def _receive(self, data: str | bytes | None) -> None:
        if data is None or isinstance(data, str):
            if self._hung_up is not None:
                self._hung_up.set()
            return
        try:
            self._handle(to_client.decode(data))
        except RemoteProtocolError as error:
            logger.warning("%s", error)
        if self._waiting:
            self._release_waiting()

    def _handle(self, message: ToClient) -> None:
        match message:
            case TaskResults():
                self._ledger.results(message)
            case Accepted():
                self._send_all(self._ledger.accepted(message))
                self._continue()
            case TaskEvents():
                self._guarded(self._ledger.events, message)
            case TaskStates():
                self._guarded(self._ledger.states, message)
            case Refused():
                self._retry_later(self._ledger.refused(message), message.retry_after)
            case Welcome():
                self.limits = message.limits
            case Poll():
                self._send_all(list(self._ledger.watches()))

    def _guarded(self, handle: Callable[[Any], None], message: Any) -> None:
        try:
            handle(message)
        except Exception:
            logger.exception("A listener raised; what came with that message is lost to it.")

    def _gather(self) -> None:
        """The queue is not empty. Send at once with nothing under way, else gather for a moment."""
        if self._socket is None:
            return  # The queue is looked at when there is a connection.
        if not self._ledger.unanswered or len(self._queue) >= MOST_CALLS:
            self._flush()
        elif self._gathering is None and self._loop is not None:
            self._gathering = self._loop.call_later(_GATHER, self._flush)

    def _continue(self) -> None:
        if self._queue and (not self._ledger.unanswered or len(self._queue) >= MOST_CALLS):
            self._flush()

    def _flush(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        self._awake = False  # before looking: what is appended from now on wakes this thread again
        while self._socket is not None and self._ledger.may_send and self._queue:
            request = self._ledger.next_request()
            if request is not None:
                self._send(request.message())
        if self._queue:
            self._awake = True  # The next answer continues.

    def _send(self, message: FromClient | None) -> None:
        from tornado.websocket import WebSocketClosedError  # noqa: PLC0415 - see connection.py

        if message is None or self._socket is None:
            return
        try:
            written = self._socket.write_message(encode(message), binary=True)
        except WebSocketClosedError:
            return  # The ledger has it; it is sent again on the next connection.
        written.add_done_callback(_look_at)

    def _send_all(self, messages: list[Any]) -> None:
        for message in messages:
            self._send(message)

    def _cancel(self, task_ids: list[TaskId], force: bool) -> None:
        self._send_all(self._ledger.cancel(task_ids, force=force))
        if self._waiting:
            self._release_waiting()

    def _retry_later(self, request: Request | None, seconds: float | None) -> None:
        if request is None or seconds is None or self._loop is None:
            return
        number = request.number
        self._loop.call_later(max(0.05, seconds), lambda: self._send_again(number))

    def _send_again(self, number: int) -> None:
        request = self._ledger.unanswered.get(number)
        if request is None:
            return
        message = request.message()
        if message is None:  # Everything in it was cancelled meanwhile.
            del self._ledger.unanswered[number]
        self._send(message)

    def _release_waiting(self) -> None:
        with self._waiting_lock:
            waiting = [(reached, self._is_over or condition()) for condition, reached in self._waiting]
            self._waiting = [
                each for each, (_, is_reached) in zip(self._waiting, waiting, strict=True) if not is_reached
            ]
        for reached, is_reached in waiting:
            if is_reached:
                reached.set()

    def _set_closing(self) -> None:
        if self._closing is not None:
            self._closing.set()

    def _end(self, error: FuncxError) -> None:
        self._error = error
        self._awake = False  # so that later submits hear of it
        self._ledger.fail_all(error)

    def _notify_connection(self, *, connected: bool) -> None:
        if self._on_connection is None:
            return
        try:
            self._on_connection(connected)
        except Exception:
            logger.exception("The callback for connections raised.")


def _look_at(written: asyncio.Future[None]) -> None:
    """Take note of a failed write, so that asyncio does not complain: the connection ends by itself."""
    if not written.cancelled():
        written.exception()


_open_streams: weakref.WeakSet[TaskStream] = weakref.WeakSet()


def _stay_with_the_parent() -> None:
    """In a forked child: the threads of all streams are in the parent, and so are their connections."""
    for stream in list(_open_streams):
        stream.forked()
    _open_streams.clear()


os.register_at_fork(after_in_child=_stay_with_the_parent)


def _close_at_exit() -> None:
    deadline = time.monotonic() + _EXIT_TIMEOUT
    for stream in list(_open_streams):
        stream.close(max(0.0, deadline - time.monotonic()))


@cache
def _close_all_at_exit() -> None:
    """See to it that what was submitted is sent before the interpreter ends.

    `atexit` comes too late: the thread pool that looks up addresses has ended by then. `concurrent.futures` registers its
    own end in the same place; what is registered after it is called before it.
    """
    import concurrent.futures.thread  # noqa: F401, PLC0415 - registers first

    register = getattr(threading, "_register_atexit", atexit.register)
    register(_close_at_exit)
