"""The forwarder's shell: performs the effects of `state` and feeds what follows back to it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Self

import msgspec

from funcx_core.forwarder.bodies import TaskSender
from funcx_core.forwarder.channels import Channels, Heard
from funcx_core.forwarder.config import ForwarderConfig
from funcx_core.forwarder.counters import Counters
from funcx_core.forwarder.effects import (
    AppendEvents,
    BeginAttempts,
    Commit,
    Effect,
    ListOpen,
    LoadCancelled,
    LoadExpired,
    LoadOffers,
    MarkSeen,
    Publish,
    RecordTransitions,
    Restore,
    SaveEnvironments,
    SendAck,
    SendCommand,
    SendTasks,
)
from funcx_core.forwarder.publisher import Publisher
from funcx_core.forwarder.records import Limits
from funcx_core.forwarder.retrying import until_answered
from funcx_core.forwarder.state import DEFAULT_LIMITS, ForwarderState
from funcx_core.forwarder.store import LeaseStore
from funcx_core.forwarder.writer import Done, Writer
from funcx_core.ids import FunctionId
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Refused, Register, ResultsAck, TaskBatch, ToCommands, ToResults, ToTasks
from funcx_core.protocol.handoff import EndpointClosed, FromForwarder, Submitted, ToForwarder, forwarder_topic
from funcx_core.protocol.task import Function
from funcx_core.queues.base import FuncxQueue, NotConnected
from funcx_core.transport.zmq import KeyPair

TICKS_PER_PERIOD: Final = 4
LONGEST_TICK: Final = 1.0
DRAIN_SECONDS: Final = 2.0
RECONNECT_WAIT: Final = 0.5

_log = logging.getLogger(__name__)


class Forwarder:
    """Holds endpoint sessions and leases tasks to them. Runs on the asyncio loop on which it is opened.

    >>> async with Forwarder(config, keys=keys, store=store, inbox=submitted, outbox=outcomes) as forwarder:
    ...     await forwarder.wait()

    `inbox` and `outbox` are connected by the caller, who also closes them, after the forwarder.
    """

    def __init__(
        self,
        config: ForwarderConfig,
        *,
        keys: KeyPair,
        store: LeaseStore,
        inbox: FuncxQueue[ToForwarder],
        outbox: FuncxQueue[FromForwarder],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._config = config
        self._keys = keys
        self._store = store
        self._inbox = inbox
        self._outbox = outbox
        self._state = ForwarderState(config, limits)
        self._work: set[asyncio.Task[None]] = set()
        self._is_open = False

    @property
    def counters(self) -> Counters:
        """Totals since the start, for metrics."""
        return self._state.counters

    @property
    def public_key(self) -> str:
        """The CURVE key (Z85) that endpoints must know: ``forwarder_pubkey`` of their registration."""
        return self._keys.public

    @property
    def tasks_port(self) -> int:
        """Where the tasks channel listens, once open."""
        return self._channels.tasks.port

    @property
    def results_port(self) -> int:
        """Where the results channel listens, once open."""
        return self._channels.results.port

    @property
    def commands_port(self) -> int:
        """Where the commands channel listens, once open."""
        return self._channels.commands.port

    # --- life ------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Listen on the three channels and start to read the inbox.

        Raises:
            ConfigError: a port is in use.
        """
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._publisher = Publisher(self._outbox, self._config.outcomes, self.counters)
        self._writer = Writer(self._store, self.counters, self._written)
        self._sender = TaskSender(
            read=self._read_functions, send=self._send_batch, gone=self._functions_gone, spawn=self._spawn
        )
        self._channels = Channels(
            self._config,
            keys=self._keys,
            counters=self.counters,
            endpoint_of=self._store.endpoint_by_key,
            on_tasks=self._guarded(self._on_tasks),
            on_results=self._guarded(self._on_results),
            on_commands=self._guarded(self._on_commands),
        )
        self._performers = self._make_performers()
        self._channels.open()
        self._is_open = True
        for work in (self._writer.run(), self._publisher.run(), self._read_inbox(), self._keep_time()):
            self._spawn(work)

    async def wait(self) -> None:
        """Return when the forwarder was closed; raise what ended it otherwise. Whoever composes it must await this."""
        await asyncio.shield(self._ended)

    async def close(self) -> None:
        """Stop: nothing more is read or sent. Endpoints keep their leases and register with the next forwarder."""
        if not self._is_open:
            return
        self._is_open = False
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._writer.drained()
        except TimeoutError:
            _log.warning("The store does not answer; the endpoints keep what is not committed and send it again.")
        self._channels.close()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        if not self._ended.done():
            self._ended.set_result(None)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    def _guarded(self, receive: Callable[[list[Any]], None]) -> Callable[[list[Any]], None]:
        """Turn a defect of ours into the end of this forwarder: going on with half a decision would be worse."""

        def guarded(heard: list[Any]) -> None:
            if not self._is_open:
                return
            try:
                receive(heard)
            except Exception as error:  # noqa: BLE001 - the one place where the unexpected ends the process
                self._fail(error)

        return guarded

    def _fail(self, error: BaseException) -> None:
        _log.critical("The forwarder ends because of a defect.", exc_info=error)
        if not self._ended.done():
            self._ended.set_exception(error)
            self._ended.exception()  # Whoever does not wait has the log.

    # --- events ----------------------------------------------------------------------------------------------------

    def _on_tasks(self, heard: list[Heard[ToTasks]]) -> None:
        now = time.monotonic()
        for one in heard:
            self._perform(self._state.attach_tasks(one.endpoint_id, one.route, one.message, now=now))

    def _on_results(self, heard: list[Heard[ToResults]]) -> None:
        now = time.monotonic()
        for one in heard:
            self._perform(self._state.result_message(one.endpoint_id, one.route, one.message, now=now))

    def _on_commands(self, heard: list[Heard[ToCommands]]) -> None:
        now = time.monotonic()
        for one in heard:
            if isinstance(one.message, Register):
                self._spawn(self._register(one))
            else:
                self._perform(self._state.command(one.endpoint_id, one.route, one.message, now=now))

    async def _register(self, heard: Heard[ToCommands]) -> None:
        """A connection may outlive the registration of its key, so a new session asks again."""
        if not await until_answered(lambda: self._channels.authorize(heard.sender), self.counters):
            text = "The service does not know this endpoint's key (any more): register it over HTTP."
            self._send_command(SendCommand(heard.route, Refused("unknown_endpoint", text)))
            return
        self._perform(self._state.command(heard.endpoint_id, heard.route, heard.message, now=time.monotonic()))

    async def _read_inbox(self) -> None:
        topic = forwarder_topic(self._config.name)
        while True:
            try:
                messages = await self._inbox.get(topic)
            except NotConnected:
                await asyncio.sleep(RECONNECT_WAIT)
                continue
            for message in messages:
                if isinstance(message, Submitted):
                    self._sender.learn(message.functions)
                if isinstance(message, EndpointClosed):
                    self._channels.forget(message.endpoint_id)
                self._perform(self._state.handed_over(message))

    async def _keep_time(self) -> None:
        config = self._config
        pause = min(LONGEST_TICK, config.heartbeat_period / TICKS_PER_PERIOD, config.sweep_period / TICKS_PER_PERIOD)
        while True:
            self._perform(self._state.tick(now=time.monotonic()))
            await asyncio.sleep(pause)

    # --- effects ---------------------------------------------------------------------------------------------------

    def _make_performers(self) -> dict[type[Effect], Callable[[Any], None]]:
        write = self._writer.add
        return {
            SendTasks: self._sender.send,
            SendAck: self._send_ack,
            SendCommand: self._send_command,
            Publish: self._publish,
            Commit: write,
            BeginAttempts: write,
            RecordTransitions: self._record_transitions,
            AppendEvents: write,
            MarkSeen: write,
            SaveEnvironments: write,
            Restore: lambda effect: self._spawn(self._restore(effect)),
            ListOpen: lambda effect: self._spawn(self._list_open(effect)),
            LoadOffers: lambda effect: self._spawn(self._load_offers(effect)),
            LoadCancelled: lambda effect: self._spawn(self._load_cancelled(effect)),
            LoadExpired: lambda effect: self._spawn(self._load_expired(effect)),
        }

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            self._performers[type(effect)](effect)

    def _record_transitions(self, effect: RecordTransitions) -> None:
        """Stamp those that were decided here: the machine has no clock."""
        at = time.time_ns()
        stamped = [
            transition if transition.at else msgspec.structs.replace(transition, at=at)
            for transition in effect.transitions
        ]
        self._writer.add(RecordTransitions(effect.endpoint_id, stamped))

    def _publish(self, effect: Publish) -> None:
        self._publisher.publish(effect.messages)

    def _send_batch(self, effect: SendTasks, batch: TaskBatch) -> None:
        if not self._channels.tasks.send(effect.route, encode(batch)):
            self._perform(self._state.undeliverable(effect))

    def _functions_gone(self, effect: SendTasks, function_ids: list[FunctionId]) -> None:
        self._perform(self._state.unloadable(effect, function_ids))

    def _send_ack(self, effect: SendAck) -> None:
        self._channels.results.send(effect.route, encode(ResultsAck(effect.leases)))

    def _send_command(self, effect: SendCommand) -> None:
        self._channels.commands.send(effect.route, encode(effect.message))

    def _written(self, done: Done) -> None:
        if isinstance(done, Commit):
            self._perform(self._state.committed(done))
        else:
            self._perform(self._state.attempts_begun(done))

    async def _read_functions(self, function_ids: Sequence[FunctionId]) -> list[Function]:
        return await until_answered(lambda: self._store.functions(function_ids), self.counters)

    async def _restore(self, effect: Restore) -> None:
        leases = [*effect.register.held, *effect.register.lost]
        headers = await until_answered(lambda: self._store.headers(effect.endpoint_id, leases), self.counters)
        self._perform(self._state.restored(effect, headers, now=time.monotonic()))

    async def _list_open(self, effect: ListOpen) -> None:
        task_ids = await until_answered(
            lambda: self._store.open_tasks(effect.endpoint_id, at_most=effect.at_most), self.counters
        )
        self._perform(self._state.listed(effect, task_ids))

    async def _load_offers(self, effect: LoadOffers) -> None:
        offers = await until_answered(lambda: self._store.offers(effect.task_ids), self.counters)
        self._perform(self._state.loaded(effect, offers))

    async def _load_cancelled(self, effect: LoadCancelled) -> None:
        offers = await until_answered(lambda: self._store.offers(effect.task_ids), self.counters)
        self._perform(self._state.cancelled_loaded(effect, offers))

    async def _load_expired(self, effect: LoadExpired) -> None:
        offers = await until_answered(lambda: self._store.offers(effect.task_ids), self.counters)
        self._perform(self._state.expired_loaded(effect, offers))
