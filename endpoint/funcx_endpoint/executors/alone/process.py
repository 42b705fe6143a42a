"""The thread that plays the forwarder for the agent of one executor: three sockets, and the watch over the agent's process.

Batches form by themselves: what callers submit while the thread is busy leaves together.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import zmq

from funcx_core.errors import (
    ConfigError,
    EndpointLost,
    NotConfigured,
    PayloadTooLarge,
    RemoteProtocolError,
    TaskCancelled,
)
from funcx_core.ids import FunctionId, TaskId, new_endpoint_id, new_group_id, new_task_id
from funcx_core.protocol.codec import Decoder, encode
from funcx_core.protocol.endpoint import (
    EndpointRegistration,
    EndpointStatus,
    ResultsAck,
    commands_from_endpoint,
    results_from_endpoint,
    tasks_from_endpoint,
)
from funcx_core.protocol.task import Function, Task
from funcx_core.sdk.futures import NO_WAITING, FuncXFuture
from funcx_core.sdk.routes import Route
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.transfer import Transfer
from funcx_core.sdk.trust import Reader
from funcx_core.transport.loop import new_loop
from funcx_core.transport.zmq import KeyPair, Received, Router, Zap
from funcx_endpoint.control.client import ask
from funcx_endpoint.control.messages import Answer, Question
from funcx_endpoint.executors.alone.agent import AgentProcess
from funcx_endpoint.executors.alone.effects import Effect, Ended, SendAck, SendCommand, SendTasks, Started
from funcx_endpoint.executors.alone.handover import MOST_INLINE
from funcx_endpoint.executors.alone.state import Session
from funcx_endpoint.ports import in_range, listen_in

if TYPE_CHECKING:
    from funcx_endpoint.executors.high_throughput import HighThroughputExecutor

_log = logging.getLogger(__name__)
T = TypeVar("T", bound=Answer)

LOOPBACK: Final = "127.0.0.1"
HEARTBEAT: Final = 5.0
THRESHOLD: Final = 30.0
AGENT_ENDS_WITHIN: Final = 4.0
_GATHER: Final = 0.0005
"""Seconds for which further submits are gathered while tasks are under way."""


class Standalone:
    """One executor at work. All methods without another word may be called from any thread.

    Args:
        executor: its settings. It is not kept: an executor that nobody uses any more can go.

    Attributes:
        is_forked: whether this process is a forked child of the one that made this, where it is of no use.
    """

    def __init__(self, executor: HighThroughputExecutor) -> None:
        self.is_forked = False
        self._label = executor.label
        self._ports = in_range(executor.interchange_port_range)
        self._agent = AgentProcess(executor.label)
        self._session = Session(heartbeat_period=HEARTBEAT, heartbeat_threshold=THRESHOLD)
        self._endpoint_id = new_endpoint_id()
        self._group_id = new_group_id()
        self._keys = KeyPair.generate()
        self._queue: deque[Task | Function] = deque()
        self._futures: dict[TaskId, FuncXFuture] = {}
        self._changed = threading.Condition()
        self._pidfd = -1
        self._awake = True  # no wake-up is needed: there is no loop yet, or it is about to look at the queue
        self._ends_when_idle = False
        self._is_closed = False
        self._is_over = False  # nobody will look at the queue any more
        self._lost: EndpointLost | None = None
        self._fault: ConfigError | None = None
        self._forwarder: EndpointRegistration | None = None
        self._loop = new_loop()
        self._closing = asyncio.Event()
        self._agent_is_gone = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="funcx-executor", daemon=True)

    def start(self, executor: HighThroughputExecutor) -> None:
        """Start thread and agent, and return when there are workers, or a block waits for its machine.

        Raises:
            FuncxError: why there can be none.
        """
        _close_all_at_exit()
        self._thread.start()
        _open.add(self)
        try:
            self._listening.wait()
            self._agent.start(executor, self.connection_info)
            self._post(self._watch_agent)
            self._agent.wait_until_ready()
        except BaseException:
            self.close()
            raise

    # --- for any thread --------------------------------------------------------------------------------------------

    def register(self, function: Function) -> None:
        """Take a function's body, before all later submits that use it."""
        self._queue.append(function)

    def submit(
        self, function_id: FunctionId, payload: bytes, reader: Reader, task_id: TaskId | None = None
    ) -> FuncXFuture:
        """Run a function that was registered, and return its future.

        Raises:
            PayloadTooLarge: the arguments do not fit into a message.
            EndpointLost: the agent has died.
            RuntimeError: the executor was shut down.
        """
        if len(payload) > MOST_INLINE:
            raise PayloadTooLarge(len(payload), MOST_INLINE, "arguments")
        if self._lost is not None or self._is_closed:
            raise self._refusal()
        task_id = new_task_id() if task_id is None else task_id
        future = FuncXFuture(task_id, self, Route(self._endpoint_id, self._group_id, reader=reader))
        if self._futures.setdefault(task_id, future) is not future:
            raise ValueError(f"Task {task_id} is open already.")
        if self._is_over or self._lost is not None:
            self._futures.pop(task_id, None)
            raise self._refusal()
        self._queue.append(Task(task_id, 1, function_id, payload))
        if not self._awake:
            self._awake = True
            self._post(self._wake)
        return future

    def cancel(self, task_ids: list[TaskId], *, force: bool = False) -> None:
        """Ask for the end of tasks. Their futures end with what becomes of them."""
        self._post(lambda: self._cancel(task_ids, force))

    def cancel_pending(self) -> None:
        """Cancel all futures of tasks that are not known to run."""
        futures = self._futures.copy().items()
        self.cancel([task_id for task_id, future in futures if future.cancel_here()])

    def check_waiting(self) -> None:
        """Raise where nothing that is waited for would ever come.

        Raises:
            RuntimeError: this is a forked child, whose tasks belong to the parent, or the thread that runs callbacks.
        """
        if self.is_forked:
            raise RuntimeError("This process was forked, and the executor's tasks stayed with its parent.")
        if self.is_own_thread:
            raise RuntimeError(NO_WAITING)

    @cached_property
    def transfer(self) -> Transfer:
        """What futures fetch large values with; there are none without a service."""
        return Transfer(_no_service)

    @property
    def outstanding(self) -> int:
        """Tasks that have not ended."""
        return len(self._futures)

    @property
    def status(self) -> EndpointStatus:
        """The agent's latest word about itself, half a second old at most while it is well."""
        return self._session.status

    @property
    def connection_info(self) -> EndpointRegistration:
        """Where the agent connects to."""
        if self._forwarder is None:
            raise self._refusal()
        return self._forwarder

    def ask(self, question: Question, expected: type[T]) -> T:
        """Ask the agent something and return its answer.

        Raises:
            EndpointLost, RuntimeError: there is none any more.
            FuncxError: it refuses, or does not answer.
        """
        if self._lost is not None or self._is_closed:
            raise self._refusal()
        return ask(self._agent.folder.path, question, expected)

    def wait_for_workers(self, timeout: float | None) -> bool:
        """Wait until a manager has registered. False if none has after `timeout` seconds.

        Raises:
            EndpointLost, RuntimeError: none ever will.
        """

        def is_known() -> bool:
            return self.status.workers > 0 or self._lost is not None or self._is_closed

        with self._changed:
            reached = self._changed.wait_for(is_known, timeout)
        if self._lost is not None or self._is_closed:
            raise self._refusal()
        return reached

    def drain(self) -> None:
        """Wait until no task is open. In a forked child none is: they are the parent's."""
        if self.is_forked:
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._futures)

    @property
    def is_own_thread(self) -> bool:
        """Whether the caller is called by this: a callback that waited would wait for itself."""
        return threading.current_thread() is self._thread

    def close_when_idle(self) -> None:
        """Take no more tasks, and end when those that are open have ended."""
        self._is_closed = self._ends_when_idle = True
        self._post(self._close_if_idle)

    def close(self, *, wait: bool = True) -> None:
        """End agent and thread. What is open fails."""
        self._is_closed = True
        self._post(self._closing.set)
        if wait and not self.is_own_thread and not self.is_forked:
            self._thread.join()
            _open.discard(self)

    def forked(self) -> None:
        """This is a forked child: nothing here works any more, and the agent is not its business."""
        self.is_forked = True
        self._is_closed = True
        self._changed = threading.Condition()  # The parent may have held it.
        self._agent.let_go()

    def _refusal(self) -> Exception:
        if self._lost is not None:
            return EndpointLost(str(self._lost), details=self._lost.details)
        return self._fault or RuntimeError("cannot schedule new futures after shutdown")

    def _post(self, action: Any) -> None:
        try:
            if not self.is_forked:
                self._loop.call_soon_threadsafe(action)
        except RuntimeError:  # The loop has ended, and with it everything that could be asked of it.
            _log.debug("the executor '%s' has ended", self._label)

    # --- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except ConfigError as error:
            self._fault = error
        except Exception:  # noqa: BLE001 - the one broad except of this thread
            _log.exception("the executor '%s' ended by a fault of its own", self._label)
        finally:
            self._listening.set()
            self._is_closed = self._is_over = True
            self._fail_rest()
            self._agent.end()
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _serve(self) -> None:
        context: zmq.Context[Any] = zmq.Context()
        beating = self._loop.create_task(self._beat())
        try:
            with closing(Zap(context, self._authorize)):
                self._open(context)
                self._listening.set()
                self._wake()
                await self._closing.wait()
                await self._let_agent_end()
        finally:
            beating.cancel()
            self._unwatch_agent()
            context.destroy(linger=0)

    def _open(self, context: zmq.Context[Any]) -> None:
        self._tasks = self._listen(context, self._on_tasks)
        self._results = self._listen(context, self._on_results)
        self._commands = self._listen(context, self._on_commands)
        self._forwarder = EndpointRegistration(
            endpoint_id=self._endpoint_id,
            forwarder_pubkey=self._keys.public,
            public_ip=LOOPBACK,
            tasks_port=self._tasks.port,
            results_port=self._results.port,
            commands_port=self._commands.port,
        )

    def _listen(self, context: zmq.Context[Any], on_messages: Callable[[list[Received]], None]) -> Router:
        def listen(port: int) -> Router:
            return Router(context, LOOPBACK, port, keys=self._keys, on_messages=on_messages)

        return listen_in(self._ports, "interchange_port_range", listen)

    async def _authorize(self, key: str) -> bool:
        return key == self._agent.keys.public

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            self._perform(self._session.heartbeat())

    def _wake(self) -> None:
        """Take what callers have submitted: at once if nothing is under way, else with what comes within a moment."""
        if self._session.outstanding:
            self._loop.call_later(_GATHER, self._take)
        else:
            self._take()

    def _take(self) -> None:
        self._awake = False
        queue, tasks = self._queue, []
        for _ in range(len(queue)):
            item = queue.popleft()
            if isinstance(item, Function):
                self._session.learn(item)
            else:
                tasks.append(item)
        if tasks:
            self._perform(self._session.submitted(tasks))

    def _cancel(self, task_ids: list[TaskId], force: bool) -> None:
        self._take()  # They may still be in the queue.
        self._perform(self._session.cancel(task_ids, force=force))

    def _close_if_idle(self) -> None:
        if self._ends_when_idle and not self._futures:
            self._closing.set()

    # --- messages --------------------------------------------------------------------------------------------------

    def _on_tasks(self, received: list[Received]) -> None:
        for route, message in _decoded(tasks_from_endpoint, received):
            self._perform(self._session.attach_tasks(route, message))

    def _on_results(self, received: list[Received]) -> None:
        for route, message in _decoded(results_from_endpoint, received):
            self._perform(self._session.result_message(route, message))

    def _on_commands(self, received: list[Received]) -> None:
        for route, message in _decoded(commands_from_endpoint, received):
            self._perform(self._session.command(route, message))
        with self._changed:
            self._changed.notify_all()

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendTasks():
                    if not self._tasks.send(effect.route, encode(effect.batch)):
                        self._perform(self._session.undeliverable(effect))
                case SendAck(route=route, leases=leases):
                    self._results.send(route, encode(ResultsAck(leases)))
                case SendCommand(route=route, message=message):
                    self._commands.send(route, encode(message))
                case Ended(results=results):
                    self._end(results)
                case Started(task_ids=task_ids):
                    for future in filter(None, map(self._futures.get, task_ids)):
                        future.started()

    def _end(self, results: Iterable[Any]) -> None:
        futures = self._futures
        for result in results:
            future = futures.get(result.task_id)
            if future is not None:
                future.end(result)
                del futures[result.task_id]
        if not futures:
            self._became_idle()

    def _became_idle(self) -> None:
        with self._changed:
            self._changed.notify_all()
        self._close_if_idle()

    # --- the agent's process ---------------------------------------------------------------------------------------

    def _watch_agent(self) -> None:
        self._pidfd = os.pidfd_open(self._agent.pid)
        self._loop.add_reader(self._pidfd, self._agent_ended)

    def _unwatch_agent(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    async def _let_agent_end(self) -> None:
        """Its last words are still heard, so that it waits for no acknowledgement."""
        self._fail_rest()
        self._agent.let_go()
        if self._pidfd >= 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._agent_is_gone.wait(), AGENT_ENDS_WITHIN)

    def _agent_ended(self) -> None:
        self._unwatch_agent()
        self._agent_is_gone.set()
        if self._closing.is_set():
            return
        code = self._agent.exitcode()
        text = f"The agent of the executor '{self._label}' has ended{self._agent.how()}. Make a new executor."
        _log.error("%s", text)
        details = {} if code is None else {"exitcode": code}
        self._lost = EndpointLost(text, details=details)
        self._perform(self._session.agent_ended(text, details))
        self._fail_rest()

    def _fail_rest(self) -> None:
        """Nothing that is open or submitted from now on can end."""
        while self._futures:
            task_id, future = self._futures.popitem()
            if self._lost is None:
                text = "The executor was shut down before the task ended."
                future.fail(TaskCancelled(text, task_id=task_id))
            else:
                future.fail(EndpointLost(str(self._lost), task_id=task_id, details=self._lost.details))
        self._became_idle()


def _decoded(decoder: Decoder[Any], received: list[Received]) -> Iterable[tuple[bytes, Any]]:
    for one in received:
        try:
            yield one.route, decoder.decode(one.body)
        except RemoteProtocolError as error:
            _log.warning("from the agent: %s", error)


def _no_service() -> Settings:
    raise NotConfigured("An executor of its own has no service that could keep large values.")


# --- of the whole process ------------------------------------------------------------------------------------------

_open: weakref.WeakSet[Standalone] = weakref.WeakSet()


@cache
def _close_all_at_exit() -> None:
    """Once: end with the interpreter, and stay with the parent when it forks."""
    atexit.register(_close_all)
    os.register_at_fork(after_in_child=_forked)


def _close_all() -> None:
    executors = list(_open)
    for one in executors:
        one.close(wait=False)
    for one in executors:
        one.close()


def _forked() -> None:
    for one in list(_open):
        one.forked()
    _open.clear()
