"""The manager's process: turns what its workers (`crew`) and its interchange (`uplink`) bring into events, and performs the effects.

All of it is one asyncio loop without tasks of its own: descriptors are watched, and one timer is set to when the machine
wants its next tick. A manager with nothing to do wakes up once per heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import socket
import time
from collections import deque
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import msgspec

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import BlockId, ManagerId, TaskId
from funcx_core.logs import trace_tasks
from funcx_core.protocol.endpoint import Cancel, Heartbeat, Results, TaskBatch
from funcx_core.protocol.manager import (
    Drain,
    ManagerHeartbeat,
    ManagerRefused,
    ManagerRegister,
    ManagerRegistered,
    ReportsAck,
    to_manager,
)
from funcx_core.protocol.task import EventKind, TaskEvent, TaskResult
from funcx_core.protocol.worker import Chunk
from funcx_endpoint.manager.journal import Journal
from funcx_endpoint.manager.machine.effects import (
    DealChunk,
    Effect,
    End,
    Enrol,
    Message,
    NoteReturned,
    NoteSafe,
    Send,
    Spawn,
    TryJournal,
)
from funcx_endpoint.manager.machine.room import Room
from funcx_endpoint.manager.machine.rules import Rules
from funcx_endpoint.manager.machine.state import Manager
from funcx_endpoint.manager.node.block_time import seconds_left
from funcx_endpoint.manager.node.environment_report import EnvironmentReport
from funcx_endpoint.manager.node.memory import memory_bytes, memory_free
from funcx_endpoint.manager.settings import ManagerSettings
from funcx_endpoint.manager.uplink import Callbacks, Uplink
from funcx_endpoint.manager.workers.crew import Crew
from funcx_endpoint.manager.workers.death import Death
from funcx_endpoint.shapes import Node
from funcx_endpoint.worker.isolation import become_subreaper

TERMINATED_GRACE: Final = 5.0
"""Seconds for running tasks after a SIGTERM, which is how a batch system announces the end of a block."""
_log = logging.getLogger(__name__)


class ManagerProcess:
    """One manager. `run` returns when it has ended. It is the foreman of its crew."""

    def __init__(
        self, settings: ManagerSettings, block_id: BlockId, manager_id: ManagerId, container: str | None = None
    ) -> None:
        """`container`: id of the container that this manager is in and whose tasks it takes; empty for none; None for any."""
        self._settings = settings
        self._container = container
        self._block_id = block_id
        self._id = manager_id
        self._epoch = time.time_ns()
        self._hostname = socket.gethostname()
        self._is_local = settings.agent_host == self._hostname
        self._seconds_left = seconds_left(os.environ, settings.block_seconds, time.time())
        self._began = time.monotonic()
        self._cores = _least(settings.cores, len(os.sched_getaffinity(0)))
        self._memory = _least(settings.memory, memory_bytes())
        self._accelerators = _number(settings.accelerators)
        self._machine = Manager(
            Rules(
                workers=settings.workers,
                heartbeat_period=settings.heartbeat_period,
                heartbeat_threshold=settings.heartbeat_threshold,
                walltime=settings.walltime,
                hostname=self._hostname,
                containers=settings.containers,
                container=container or "",
                is_local=self._is_local,
                block_ends_at=None if self._seconds_left is None else self._began + self._seconds_left,
                block_seconds=settings.block_seconds or self._seconds_left or 0.0,
                nodes=tuple(settings.nodes),
                launcher=settings.launcher,
                room=Room(
                    node=Node(settings.workers, self._cores, self._memory, self._accelerators),
                    accelerators=settings.accelerators,
                    cpu_affinity=settings.cpu_affinity,
                    available=sorted(os.sched_getaffinity(0)),
                    inherited=dict(os.environ),
                ),
            )
        )
        self._journal = Journal(Path(settings.endpoint_dir) / "leases" / self._id, settings.workers)
        self._crew = Crew(settings, self._id, self._journal, self)
        self._uplink = Uplink(
            settings,
            self._id,
            Callbacks(self._on_messages, self._on_renewed, self._set_timer, self._may_send_events),
        )
        self._environment = EnvironmentReport(self._uplink.send)
        self._effects: deque[Effect] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._is_ending = False
        self._agent_is_gone = False
        self._own_error: BaseException | None = None

    async def run(self) -> None:
        """Be a manager until the interchange or the end of the agent says otherwise."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_own_error)
        self._ended = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_terminated)
        become_subreaper()
        self._journal.open()
        self._crew.open()
        agent = self._watch_agent()
        try:
            if not self._is_ending:
                await self._start()
            await self._ended.wait()
        finally:
            if agent is not None:
                self._loop.remove_reader(agent)
                os.close(agent)
            self._close()
        if self._own_error is not None:
            raise self._own_error

    async def _start(self) -> None:
        effects = self._machine.start(time.monotonic())
        # Workers take a tenth of a second to start: that is time enough to connect, which enrols.
        self._perform([effect for effect in effects if isinstance(effect, Spawn)])
        await self._uplink.choose_address()
        if not self._is_ending:
            self._uplink.connect()
            self._enrol()
            self._set_timer()

    def _on_own_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A callback that failed may have left anything half done. The interchange knows what to do without this manager.
        self._own_error = context.get("exception") or RuntimeError(context["message"])
        loop.default_exception_handler(context)
        self._end("An error of the manager's own.")

    # --- the interchange ----------------------------------------------------------------------------------------

    def _enrol(self) -> None:
        session, held = self._machine.registration()
        self._uplink.enrol(
            ManagerRegister(
                manager_id=self._id,
                block_id=self._block_id,
                epoch=self._epoch,
                capacity=self._settings.workers,
                hostname=self._hostname,
                pid=os.getpid(),
                python_version=platform.python_version(),
                version=metadata.version("funcx-workbench"),
                cores=self._cores,
                memory_bytes=self._memory,
                accelerators=self._accelerators,
                session=session,
                held=held,
                container=self._container,
                container_kinds=self._machine.container_kinds,
                seconds_left=self._left(),
                nodes=len(self._settings.nodes) or 1,
            )
        )

    def _left(self) -> float | None:
        if self._seconds_left is None:
            return None
        return max(self._seconds_left - (time.monotonic() - self._began), 0.0)

    def _on_renewed(self) -> None:
        _log.info("the connection to the interchange was renewed", extra={"manager_id": self._id})
        self._perform(self._machine.renewed(time.monotonic()))
        self._set_timer()

    def _may_send_events(self) -> bool:
        return self._machine.is_registered or self._is_ending

    def _on_messages(self, bodies: list[bytes]) -> None:
        now = time.monotonic()
        self._machine.heard(now)
        for body in bodies:
            try:
                effects = self._on_message(body, now)
            except RemoteProtocolError as error:
                _log.warning("%s", error)
            else:
                self._perform(effects)
        self._set_timer()

    def _on_message(self, body: bytes, now: float) -> list[Effect]:  # noqa: PLR0911 - one return for each message
        match to_manager.decode(body):
            case TaskBatch() as batch:
                trace_tasks(_log, "arrived", (task.task_id for task in batch.tasks))
                return self._machine.task_batch(batch, now, time.time_ns())
            case Heartbeat():
                return []
            case Cancel() as message:
                return self._machine.cancel(message, now)
            case ManagerRegistered() as message:
                self._environment.tell()
                return self._machine.registered(message, now)
            case ReportsAck() as message:
                return self._machine.acknowledged(message)
            case ManagerRefused() as message:
                return self._machine.refused(message, now)
            case Drain(grace=grace):
                return self._machine.drain(grace, now)

    def _on_terminated(self) -> None:
        if not self._uplink.is_connected:
            self._end("Terminated while it started.")
            return
        _log.info("terminated: draining", extra={"manager_id": self._id})
        self._perform(self._machine.retire(TERMINATED_GRACE, time.monotonic()))
        self._set_timer()

    def _watch_agent(self) -> int | None:
        if not self._is_local:
            return None
        try:
            agent = os.pidfd_open(self._settings.agent_pid)
        except ProcessLookupError:
            self._on_agent_gone()
            return None
        self._loop.add_reader(agent, self._on_agent_gone)
        return agent

    def _on_agent_gone(self) -> None:
        self._agent_is_gone = True
        self._end("The endpoint's agent has ended.")

    # --- time ---------------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        if self._is_ending:
            return
        due = self._machine.tick_at()
        timer = self._timer
        if timer is not None:
            # A timer that is too early only makes a tick that finds nothing to do; moving it for each task costs more.
            if self._timer_due <= due + 0.001:
                return
            timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._perform(self._machine.tick(time.monotonic(), time.time_ns(), self._journal.started()))
        self._set_timer()

    # --- the workers, see `crew.Foreman` ------------------------------------------------------------------------

    def stirred(self) -> None:
        """A worker has something to say, or has died."""
        self._uplink.flush_soon()

    def ready(self, worker: int) -> None:
        """The worker waits for its first chunk."""
        self._perform(self._machine.ready(worker, time.monotonic()))

    def finished(self, worker: int, results: list[TaskResult]) -> None:
        """The worker ended these tasks."""
        self._perform(self._machine.finished(worker, results, time.monotonic()))

    def returned(self, worker: int, numbers: list[int], *, missing: bool) -> None:
        """These tasks came back from the worker before they started."""
        self._perform(self._machine.returned(worker, numbers, time.monotonic(), missing=missing))

    def died(self, worker: int, death: Death) -> None:
        """The worker's process ended."""
        self._perform(self._machine.died(worker, death, time.monotonic()))

    def showed(self, task_id: TaskId, kind: EventKind, at: int, body: bytes) -> None:
        """A task printed or showed something."""
        seq = self._machine.next_event(task_id)
        if seq is not None:
            self._uplink.send_event(TaskEvent(task_id, seq, kind, at, body))

    def runs_image(self, image: str, identity: str) -> None:
        """The image that a worker's container was made from is this one."""
        self._environment.runs_image(image, identity)

    def is_busy(self) -> bool:
        """Whether any task runs."""
        return bool(self._machine.running)

    def task_of(self, worker: int, number: int) -> TaskId | None:
        """Return the task that the worker has under this number."""
        return self._machine.dealt_as(worker, number)

    # --- effects ------------------------------------------------------------------------------------------------

    def _perform(self, effects: list[Effect]) -> None:
        is_nested = bool(self._effects)
        self._effects.extend(effects)
        if is_nested:
            return  # The loop below, further up the stack, comes to them in their turn.
        while self._effects:
            self._perform_one(self._effects[0])
            self._effects.popleft()

    def _perform_one(self, effect: Effect) -> None:
        match effect:
            case Send(message=message):
                self._send(message)
            case NoteSafe(numbers=numbers):
                self._journal.safe(numbers, self._machine.settled(), self._machine.dealt)
            case TryJournal():
                self._try_journal()
            case NoteReturned(worker=index, numbers=numbers):
                self._journal.returned(index, numbers)
            case Spawn(worker=index, image=image):
                self._crew.spawn(index, image)
            case Enrol():
                self._enrol()
            case End(reason=reason):
                self._end(reason)
            case DealChunk(worker=index, chunk=chunk, places=places):
                self._deal(index, chunk, places)
            case _:
                self._crew.perform(effect)

    def _send(self, message: Message) -> None:
        match message:
            case Results(results=results):
                trace_tasks(_log, "ended", (result.task_id for result in results))
                self._uplink.send_results(results)
            case ManagerHeartbeat():
                load, free = os.getloadavg()[0], memory_free()
                self._uplink.send(msgspec.structs.replace(message, load=load, memory_free=free))
            case _:
                self._uplink.send(message)

    def _try_journal(self) -> None:
        if self._journal.works():
            _log.warning("the journal can be written again", extra={"manager_id": self._id})
            self._perform(self._machine.journal_works(time.monotonic()))

    def _deal(self, worker: int, chunk: Chunk, places: int) -> None:
        try:
            self._journal.dealt(worker, chunk)
        except OSError as error:
            _log.error("the journal cannot be written, no tasks are taken: %s", error, extra={"manager_id": self._id})
            numbers = [dealt.number for dealt in chunk.tasks]
            self._perform(self._machine.not_dealt(worker, numbers, time.monotonic()))
        else:
            trace_tasks(_log, "dealt", (dealt.task.task_id for dealt in chunk.tasks), worker=worker)
            self._crew.send(worker, chunk, places)

    # --- the end ------------------------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        _log.info("ending: %s", reason, extra={"manager_id": self._id})
        if self._timer is not None:
            self._timer.cancel()
        self._ended.set()

    def _close(self) -> None:
        self._environment.close()
        self._crew.close()
        self._uplink.close(linger=not self._agent_is_gone)
        self._journal.close(forget=self._machine.is_done)
        self._crew.remove_working_dir()


def _least(said: int | None, there: int) -> int:
    return there if said is None else min(said, there)


def _number(accelerators: int | list[str]) -> int:
    return accelerators if isinstance(accelerators, int) else len(accelerators)
