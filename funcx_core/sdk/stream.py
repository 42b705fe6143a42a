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

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from funcx_core.errors import AuthRequired, FuncxError, PayloadTooLarge
from funcx_core.ids import EndpointId, FunctionId, GroupId, TaskId, new_task_id
from funcx_core.protocol.client import Limits
from funcx_core.protocol.maps import RangeCall
from funcx_core.protocol.task import Call, Function
from funcx_core.sdk import stream_exit
from funcx_core.sdk.conditions import Conditions, Settable
from funcx_core.sdk.futures import NO_WAITING, FuncXFuture, TaskListener
from funcx_core.sdk.large import upload_arguments
from funcx_core.sdk.ledger import MOST_CALLS, Ledger
from funcx_core.sdk.routes import MapRoute, Route
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.transfer import OnProgress, Transfer
from funcx_core.sdk.trust import STRANGER, Reader

if TYPE_CHECKING:
    from funcx_core.sdk.stream_thread import StreamThread

__all__ = ["Route", "TaskListener", "TaskStream"]

_NO_ANSWER_YET = Limits()


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
        on_met: called likewise, once, with each endpoint that was sent something.
        on_signed_out: called when the service does not know the token any more; returns what open futures end with, and so
            does the stream. Without it, the stream waits for a new sign-in if `settings` can have one.

    Attributes:
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
        on_met: Callable[[set[EndpointId]], None] | None = None,
        on_signed_out: Callable[[AuthRequired], FuncxError] | None = None,
    ) -> None:
        self.transfer = Transfer(lambda: settings, on_progress=on_transfer)
        self.is_forked = False
        self._settings = settings
        self._connect_timeout = connect_timeout
        self._hooks = (on_connection, on_waiting, on_met, on_signed_out)
        self._ledger = Ledger(most_calls=batch_size)
        self._queue = self._ledger.queue
        self._conditions = Conditions()
        self._lock = threading.Lock()  # guards opening and closing
        self._thread: StreamThread | None = None
        self._is_closed = False

    # --- for any thread ----------------------------------------------------------------------------------------

    @property
    def limits(self) -> Limits:
        """What the service accepts; what is usual, until it has said so."""
        return _NO_ANSWER_YET if self._thread is None else self._thread.limits

    @property
    def is_connected(self) -> bool:
        """Whether the stream is connected now."""
        return self._thread is not None and self._thread.is_connected

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is on the stream's thread, which runs the callbacks of futures."""
        return self._thread is threading.current_thread()

    @property
    def error(self) -> FuncxError | None:
        """Why it has ended by itself; None if it has not."""
        return None if self._thread is None else self._thread.error

    @property
    def acknowledged(self) -> int:
        """How many tasks the service has committed."""
        return self._ledger.acknowledged

    def open(self) -> None:
        """Start the thread and connect in the background. The first submit does this; an early call saves its time."""
        self._opened()

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
        if not self._ledger.is_watched or self._thread is None:
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
        self._post(lambda thread: thread.send_all(self._ledger.attach(futures, events_after or {})))
        return futures

    def cancel(self, task_ids: list[TaskId], *, force: bool = False) -> None:
        """Ask for the end of tasks, again as often as you like. Their futures end with what becomes of them."""

        def do(thread: StreamThread) -> None:
            thread.send_all(self._ledger.cancel(task_ids, force=force))
            self._conditions.release()

        self._post(do)

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything submitted is acknowledged. False if it is not after `timeout` seconds.

        A callback on the stream's thread does not wait: it is what the acknowledgement would have to wait for.
        """
        if self.is_own_thread:
            return self._ledger.is_flushed
        return self._wait_until(lambda: self._ledger.is_flushed, timeout)

    def wait_for_room(self, most: int) -> None:
        """Wait until fewer than `most` submits have not been sent: the service has most of them by then."""
        if len(self._queue) >= most:
            self._wait_until(lambda: len(self._queue) <= most // 2, None)

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until no task is open. False if one is after `timeout` seconds.

        In a forked child none is: they are the parent's. Raises `RuntimeError` on the stream's thread, which would wait for itself.
        """
        if self.is_forked:
            return True
        self.check_waiting()
        return self._wait_until(lambda: self._ledger.is_idle, timeout)

    def close(self, timeout: float = stream_exit.EXIT_TIMEOUT) -> None:
        """Send what is still unsent, for at most `timeout` seconds, and end the thread. Open tasks go on running."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        stream_exit.closed(self)
        if thread is None or self.is_forked:
            return
        if thread is threading.current_thread():  # called by a callback
            thread.closing.set()
            return
        if thread.is_alive():
            if thread.error is None and timeout > 0:
                self._wait_until(lambda: self._ledger.is_flushed, timeout)
            thread.post(thread.closing.set)
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

    def check_waiting(self) -> None:
        """Raise where nothing that is waited for would ever come.

        Raises:
            RuntimeError: this is a forked child, or the thread that ends futures, which runs their callbacks.
        """
        self.check_process()
        if self.is_own_thread:
            raise RuntimeError(NO_WAITING)

    def future_of(self, task_id: TaskId) -> FuncXFuture | None:
        """Return the future of a task that is open here."""
        return self._ledger.open.get(task_id)

    def close_when_idle(self) -> None:
        """End the thread when no task is open any more; nothing can be submitted from now on."""
        with self._lock:
            self._is_closed = True
        if self._thread is not None:
            self._add_waiting(self._thread, lambda: self._ledger.is_idle, self._thread.closing)

    def forked(self) -> None:
        """This is a forked child: nothing of the stream works here any more, and what is asked of it says so."""
        self.is_forked = True
        self._ledger.is_watched = False  # the next submit looks
        self._lock = threading.Lock()  # The parent may have held it.

    # --- between the threads -----------------------------------------------------------------------------------

    def _wake(self) -> None:
        self.check_process()
        thread = self._opened()
        if self._is_closed:
            raise RuntimeError("The stream is closed.")
        if thread.error is not None:
            self._ledger.fail_all(thread.error)
            raise thread.error
        if not self._ledger.is_watched:
            self._ledger.is_watched = True
            thread.post(thread.gather)

    def _opened(self) -> StreamThread:
        if self._thread is None:
            with self._lock:
                if self._is_closed:
                    raise RuntimeError("The stream is closed.")
                if self._thread is None:
                    self._thread = self._start()
        return self._thread

    def _start(self) -> StreamThread:
        from funcx_core.sdk.stream_thread import Hooks, StreamThread  # noqa: PLC0415 - `import funcx` stays fast

        hooks = Hooks(*self._hooks)
        thread = StreamThread(
            self._settings, self._ledger, self._conditions, hooks, connect_timeout=self._connect_timeout
        )
        stream_exit.opened(self)
        thread.start()
        return thread

    def _post(self, action: Callable[[StreamThread], Any]) -> None:
        thread = self._opened()
        if not self.is_forked:
            thread.post(lambda: action(thread))

    def _wait_until(self, condition: Callable[[], bool], timeout: float | None) -> bool:
        self.check_process()
        if self._thread is None:
            return condition()
        reached = threading.Event()
        self._add_waiting(self._thread, condition, reached)
        return reached.wait(timeout)

    def _add_waiting(self, thread: StreamThread, condition: Callable[[], bool], reached: Settable) -> None:
        """Set `reached` when the condition holds, or when the thread ends: what is posted to it then is never done."""
        if self._conditions.add(condition, reached) and not self.is_forked:
            thread.post(self._conditions.release)
