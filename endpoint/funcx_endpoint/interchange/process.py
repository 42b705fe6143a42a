"""The agent: one asyncio loop that owns the sockets, performs what `state` decides and feeds back what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import zmq

from funcx_core.errors import FuncxError
from funcx_core.ids import EndpointId, ManagerId
from funcx_core.logs import Level, trace_tasks
from funcx_core.protocol import manager as to_managers
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import (
    Cancel,
    EndpointRegistration,
    Register,
    Registered,
    Results,
    ResultsAck,
    TaskBatch,
)
from funcx_core.protocol.manager import Drained, FromManager, ManagerEnvironment, ManagerRefused, ManagerRegister
from funcx_core.protocol.task import Lease, TaskError, TaskResult
from funcx_core.transport.zmq import KeyPair
from funcx_endpoint import processes
from funcx_endpoint.blocks.process import BlockRunner
from funcx_endpoint.blocks.provider import is_local
from funcx_endpoint.blocks.scaler import Scaler
from funcx_endpoint.config import Config
from funcx_endpoint.control.server import ControlServer
from funcx_endpoint.executors.routing import routing
from funcx_endpoint.folder import EndpointFolder
from funcx_endpoint.interchange import recovery
from funcx_endpoint.interchange.addresses import address_for_managers
from funcx_endpoint.interchange.answers import Answers
from funcx_endpoint.interchange.effects import Bury, Deliver, Effect, Fetch, Finished, Forget, Report, ToManager, Window
from funcx_endpoint.interchange.environments import Environments
from funcx_endpoint.interchange.floor import Floor
from funcx_endpoint.interchange.large_values import LargeValues
from funcx_endpoint.interchange.load import LoadOf
from funcx_endpoint.interchange.node_settings import manager_settings
from funcx_endpoint.interchange.readiness import Readiness
from funcx_endpoint.interchange.self_report import Parts, SelfReport
from funcx_endpoint.interchange.spool import NO_TOKEN, Spool
from funcx_endpoint.interchange.state import Interchange
from funcx_endpoint.interchange.uplink import SessionRefused, Uplink
from funcx_endpoint.interchange.versions import MISMATCH, mismatch
from funcx_endpoint.kept import KeptFolder
from funcx_endpoint.large import KEPT, LargeFolder
from funcx_endpoint.ports import in_range
from funcx_endpoint.registration import Registrar

_log = logging.getLogger(__name__)

PYTHON: Final = platform.python_version()
LONGEST_TICK: Final = 0.5
OVERSLEPT: Final = 0.5
"""Seconds of delay of the agent itself (stopped, swapped out) that do not count as silence of its managers."""
LAST_ACKS: Final = 2.0
"""Seconds that a stopping agent waits for the last acknowledgements; what is missing then stays on disk."""
MANAGERS_END_WITHIN: Final = 3.0


class Agent:
    """One endpoint, from its start to its end."""

    def __init__(
        self,
        folder: EndpointFolder,
        config: Config,
        *,
        endpoint_id: EndpointId,
        keys: KeyPair,
        readiness: Readiness,
        forwarder: EndpointRegistration | None = None,
        level: Level = Level.INFO,
    ) -> None:
        """`forwarder` says where to connect to; without it the service is asked.

        Raises:
            ConfigError: the executor's `address` is not one.
        """
        executor = config.executor
        self._folder = folder
        self._config = config
        self._endpoint_id = endpoint_id
        self._level = level
        self._readiness = readiness
        self._epoch = time.time_ns()
        self._loop = asyncio.get_running_loop()
        self._context: zmq.Context[Any] = zmq.Context()
        self._provider = executor.provider or _local_provider()
        self._blocks = BlockRunner(
            executor,
            self._provider,
            folder=folder.scripts,
            settings=folder.manager_settings,
            image_of=self._image_of,
        )
        self._state = Interchange(
            heartbeat_period=executor.heartbeat_period,
            heartbeat_threshold=executor.heartbeat_threshold,
            window=config.window,
            routing=routing(executor, is_local=is_local(self._provider), block_seconds=self._blocks.walltime),
        )
        self._spool = Spool(
            folder.results, later=self._loop.call_later, on_durable=self._durable_soon, on_full=self._full_soon
        )
        self._floor = Floor(
            self._context,
            address_for_managers(executor.address, is_local=is_local(self._provider)),
            ports=executor.worker_ports or in_range(executor.worker_port_range),
            on_message=self._from_manager,
            on_ended=self._manager_ended,
        )
        self._load = LoadOf(self._state)
        self._scaler = Scaler(executor, self._provider, self._blocks, self._load)
        registrar = Registrar(config, endpoint_id=endpoint_id, name=folder.name, public_key=keys.public)
        self._uplink = Uplink(
            self._context,
            keys,
            self,
            epoch=self._epoch,
            register=registrar.register if forwarder is None else lambda: forwarder,
            threshold=config.heartbeat_threshold,
        )
        kept = KeptFolder(folder.large / KEPT, lifetime=executor.kept_lifetime, limit=executor.max_kept)
        self._large = LargeValues(
            LargeFolder(folder.large),
            self,
            service_address=config.funcx_service_address,
            kept=kept,
            max_inputs=executor.max_kept_inputs,
        )
        parts = Parts(self._state, self._blocks, self._uplink, self._floor, self._large)
        self._report = SelfReport(folder, config, parts, readiness)
        self._control = ControlServer(
            folder.path, Answers(self._blocks, self._state, status=self._report.status, perform=self._perform).answer
        )
        self._environments = Environments()
        self._tokens = 0
        self._unsettled: dict[int, tuple[ManagerId | None, int]] = {}
        self._recovered_lost = False
        self._finished = asyncio.Event()
        self._burials: set[asyncio.Task[None]] = set()
        self._beats_at = 0.0
        self._manager_beats_at = 0.0
        self._stop_reason: FuncxError | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    def end_with(self, lifeline: int) -> None:
        """Stop at once when the other end of this pipe is closed."""

        def ended() -> None:
            self._loop.remove_reader(lifeline)
            self._perform(self._state.drain(0.0, now=self._loop.time()))

        self._loop.add_reader(lifeline, ended)

    async def run(self) -> None:
        """Run until a signal, or until the service does not want this agent.

        Raises:
            FuncxError: why the agent could not start, or had to stop.
        """
        await asyncio.to_thread(recovery.end_leftovers, self._folder.path)
        try:
            await self._open()
            await self._work()
        finally:
            await self._close()
        if self._stop_reason is not None:
            raise self._stop_reason

    async def _open(self) -> None:
        results = await asyncio.to_thread(self._spool.open)
        lost = await asyncio.to_thread(recovery.recover, self._folder.leases)
        self._state.recovered(results, lost)
        self._recovered_lost = True
        if results or lost:
            _log.info("an earlier agent left %d results and %d started tasks without one", len(results), len(lost))
        self._folder.leases.mkdir(mode=0o700, exist_ok=True)
        self._large.open(results)
        self._floor.open()
        manager_settings(
            self._folder,
            self._config,
            endpoint_id=self._endpoint_id,
            floor=self._floor,
            block_seconds=self._blocks.walltime,
            level=self._level,
        ).save(self._folder.manager_settings)
        self._blocks.open()
        self._scaler.open()
        await self._control.open()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._drain)

    async def _work(self) -> None:
        uplink = self._loop.create_task(self._uplink.run())
        ticking = self._loop.create_task(self._tick_for_ever())
        finished = self._loop.create_task(self._finished.wait())
        self._readiness.progress("registering with the service")
        try:
            done, _ = await asyncio.wait({uplink, ticking, finished}, return_when=asyncio.FIRST_COMPLETED)
            if uplink in done:
                await self._refused(uplink)
            elif ticking in done:
                ticking.result()
            else:
                await self._last_acknowledgements()
                self._uplink.close(farewell=True)
        finally:
            for task in (uplink, ticking, finished):
                task.cancel()
            await asyncio.gather(uplink, ticking, finished, return_exceptions=True)

    async def _refused(self, uplink: asyncio.Task[None]) -> None:
        """The service has no use for this agent: nothing that its managers do counts any more."""
        try:
            uplink.result()
        except SessionRefused as error:
            _log.error("the service ended the session (%s): %s", error.refusal, error)
            if error.refusal != "superseded":
                self._stop_reason = error
        except FuncxError as error:
            self._stop_reason = error

    async def _last_acknowledgements(self) -> None:
        deadline = self._loop.time() + LAST_ACKS
        while self._uplink.is_open and self._state.unacknowledged and self._loop.time() < deadline:  # noqa: ASYNC110 - three conditions of three owners end this, once
            await asyncio.sleep(0.02)

    async def _close(self) -> None:
        self._control.close()
        self._uplink.close(farewell=False)
        self._large.close()
        await self._scaler.close()
        await self._blocks.close()
        await asyncio.to_thread(self._end_processes)
        self._floor.close()
        self._spool.close()
        self._folder.clear_status()
        for burial in self._burials:
            burial.cancel()
        self._context.destroy(linger=500)
        self._folder.manager_settings.unlink(missing_ok=True)

    def _end_processes(self) -> None:
        deadline = time.monotonic() + MANAGERS_END_WITHIN
        while (left := processes.of_endpoint(self._folder.path)) and time.monotonic() < deadline:
            time.sleep(0.05)
        processes.end(left, grace=0)

    # --- what the uplink asks --------------------------------------------------------------------------------------

    def registration(self) -> Register:
        """Return the message that opens a session, as of now."""
        return Register(
            endpoint_id=self._endpoint_id,
            epoch=self._epoch,
            window=self._state.window,
            heartbeat_period=self._config.heartbeat_period,
            held=self._state.held(),
            lost=self._state.lost(),
            status=self._report.status(),
        )

    def session_opened(self, registered: Registered) -> None:
        """Send what the service does not have yet."""
        _log.info("registered with the service", extra={"endpoint_id": self._endpoint_id})
        self._perform(self._state.session_opened(registered.release, now=self._loop.time(), stamp=time.time_ns()))
        for results in self._state.unacknowledged_results():
            self._send_results(results)
        self._uplink.environments(self._environments.known)
        if self._recovered_lost:
            self._recovered_lost = False
            self._loop.run_in_executor(None, recovery.forget, self._folder.leases)
        self._report.look()

    def session_closed(self) -> None:
        """Managers work on; results wait on disk."""
        _log.warning("disconnected from the service, will register again", extra={"endpoint_id": self._endpoint_id})
        self._report.look()

    def tasks_arrived(self, batch: TaskBatch) -> None:
        """Leases."""
        trace_tasks(_log, "arrived", (task.task_id for task in batch.tasks))
        self._scaler.arrived(len(batch.tasks))
        self._perform(self._state.tasks(batch, now=self._loop.time(), stamp=time.time_ns()))

    def acknowledged(self, ack: ResultsAck) -> None:
        """Results that are safe."""
        trace_tasks(_log, "acknowledged by the service", (lease.task_id for lease in ack.leases))
        self._perform(self._state.acknowledged(ack.leases))

    def cancel_requested(self, cancel: Cancel) -> None:
        """Tasks to stop."""
        self._perform(self._state.cancel(cancel, now=self._loop.time(), stamp=time.time_ns()))

    # --- managers --------------------------------------------------------------------------------------------------

    def _from_manager(self, manager_id: ManagerId, message: FromManager) -> None:
        if isinstance(message, ManagerRegister) and (why := mismatch(message, PYTHON)):
            self._refuse(message, why)
            return
        self._perform(self._state.receive(manager_id, message, now=self._loop.time(), stamp=time.time_ns()))
        if isinstance(message, ManagerEnvironment) and self._environments.note(message.environment):
            self._uplink.environments(self._environments.known)
        if isinstance(message, Drained) and not self._state.is_draining:
            self._blocks.manager_left(self._state.manager(manager_id).block_id, manager_id)
        if isinstance(message, ManagerRegister):
            _log.info(
                "manager %s registered with %d workers on %s",
                manager_id,
                message.capacity,
                message.hostname,
                extra={"manager_id": manager_id, "block_id": message.block_id},
            )
            self._blocks.manager_joined(message.block_id, manager_id)
            self._report.look()

    def _refuse(self, message: ManagerRegister, why: str) -> None:
        ids = {"manager_id": message.manager_id, "block_id": message.block_id}
        _log.error("a manager is refused: %s", why, extra=ids)
        self._floor.send(message.manager_id, ManagerRefused(MISMATCH, why))
        self._floor.forget(message.manager_id)
        self._blocks.manager_refused(message.block_id, why)

    def _manager_ended(self, manager_id: ManagerId) -> None:
        self._perform(self._state.manager_ended(manager_id))

    def _bury(self, manager_id: ManagerId) -> None:
        task = self._loop.create_task(self._bury_in_thread(manager_id))
        self._burials.add(task)
        task.add_done_callback(self._burials.discard)

    async def _bury_in_thread(self, manager_id: ManagerId) -> None:
        record = self._state.manager(manager_id)
        _log.warning("manager %s is gone", manager_id, extra={"manager_id": manager_id})
        is_local = record.hostname == socket.gethostname()
        try:
            started = await asyncio.to_thread(
                recovery.bury,
                self._folder.leases,
                manager_id,
                record.pid,
                is_local=is_local,
                keep_children=self._config.executor.keep_children,
            )
        except OSError as error:
            _log.warning("the journal of manager %s cannot be read: %s", manager_id, error)
            started = None
        self._perform(self._state.manager_lost(manager_id, started, stamp=time.time_ns()))
        self._blocks.manager_left(record.block_id, manager_id)
        self._report.look()

    def _image_of(self, kind: str) -> str:
        return self._load.image(kind)

    # --- large values ----------------------------------------------------------------------------------------------

    def argument_fetched(self, lease: Lease) -> None:
        """A task can be dealt."""
        self._perform(self._state.fetched(lease))

    def argument_missing(self, lease: Lease, error: TaskError) -> None:
        """A task cannot be run."""
        self._perform(self._state.not_fetched(lease, error, stamp=time.time_ns()))

    def result_uploaded(self, result: TaskResult) -> None:
        """A result can be sent."""
        self._uplink.send_results(encode(Results([result])))

    def result_refused(self, result: TaskResult) -> None:
        """A result cannot be sent; the service hears why."""
        if self._state.replaced(result):
            self._uplink.send_results(encode(Results([result])))

    def _send_results(self, results: Sequence[TaskResult], record: bytes | None = None) -> None:
        """Send what can be sent now; `record` is the encoded form of all of it."""
        ready = self._large.sendable(results)
        if record is not None and ready is results:
            self._uplink.send_results(record)
        elif ready:
            self._uplink.send_results(encode(Results(list(ready))))

    # --- disk ------------------------------------------------------------------------------------------------------

    def _durable_soon(self, tokens: list[int]) -> None:
        with contextlib.suppress(RuntimeError):  # The loop has ended; nobody needs a slot.
            self._loop.call_soon_threadsafe(self._settled, tokens)

    def _full_soon(self, is_full: bool) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._full, is_full)

    def _settled(self, tokens: list[int]) -> None:
        for token in tokens:
            if token != NO_TOKEN:
                manager_id, number = self._unsettled.pop(token)
                self._perform(self._state.settled(manager_id, number))

    def _full(self, is_full: bool) -> None:
        self._report.disk_is_full = is_full
        self._perform(self._state.disk(is_full=is_full))
        self._report.look()

    # --- time ------------------------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        executor = self._config.executor
        pause = min(LONGEST_TICK, executor.heartbeat_period / 2, self._config.heartbeat_period / 2)
        while True:
            began = self._loop.time()
            self._tick(began)
            await asyncio.sleep(pause)
            late = self._loop.time() - began - pause
            if late > OVERSLEPT:
                _log.warning("the agent did not run for %.1f s", late)
                self._state.slept(late)

    def _tick(self, now: float) -> None:
        if self._spool.failed:
            raise RuntimeError("The thread that writes results has died.")
        self._perform(self._state.tick(now=now, stamp=time.time_ns()))
        self._uplink.tick(now)
        self._large.tick(self._state.with_blobs, now)
        if not self._state.is_draining:
            self._scaler.tick(now=now)
        if now >= self._manager_beats_at:
            self._manager_beats_at = now + self._config.executor.heartbeat_period
            self._floor.heartbeat()
        if now >= self._beats_at:
            self._beats_at = now + self._config.heartbeat_period
            self._uplink.heartbeat(self._report.status())
            self._report.write()
        self._report.look()

    def _drain(self) -> None:
        grace = 0.0 if self._state.is_draining else self._stop_grace()
        _log.info("stopping; running tasks get %g s", grace)
        self._perform(self._state.drain(grace, now=self._loop.time()))

    def _stop_grace(self) -> float:
        try:
            return msgspec.json.decode(self._folder.stop_request.read_bytes(), type=float)
        except (OSError, msgspec.MsgspecError):
            return self._config.grace

    # --- performing ------------------------------------------------------------------------------------------------

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case ToManager(manager_id=manager_id, message=message):
                    self._send_to_manager(manager_id, message)
                case Deliver(manager_id=manager_id, results=results):
                    self._deliver(manager_id, results)
                case Forget(leases=leases):
                    self._spool.forget(leases)
                    self._large.forget(leases)
                case Fetch(task=task):
                    self._large.fetch(task)
                case Report(message=message):
                    self._uplink.report(message)
                case Window(window=window):
                    self._uplink.window(window)
                case Bury(manager_id=manager_id):
                    self._bury(manager_id)
                case Finished():
                    self._finished.set()

    def _send_to_manager(self, manager_id: ManagerId, message: to_managers.ToManager) -> None:
        if isinstance(message, TaskBatch):
            trace_tasks(_log, "leased", (task.task_id for task in message.tasks), manager_id=manager_id)
        self._floor.send(manager_id, message)

    def _deliver(self, manager_id: ManagerId | None, results: list[TaskResult]) -> None:
        trace_tasks(_log, "ended", (result.task_id for result in results), manager_id=manager_id)
        record = encode(Results(results))
        self._send_results(results, record)
        self._tokens += 1
        self._unsettled[self._tokens] = (manager_id, len(results))
        self._spool.append(self._tokens, results, record, may_wait=not self._state.wants_slots)


def _local_provider() -> Any:
    from parsl.providers import LocalProvider  # noqa: PLC0415 - costs a second, and a config usually brings its own

    return LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1)
