"""The manager's process: owns every socket and every worker, turns what they bring into events and performs the effects.

All of it is one asyncio loop without tasks of its own: descriptors are watched, and one timer is set to when the machine
wants its next tick. A manager with nothing to do wakes up once per heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import signal
import socket
import sys
import time
import uuid
from collections import deque
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import zmq

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import BlockId, ManagerId, TaskId
from funcx_core.logs import configure
from funcx_core.protocol.codec import encode
from funcx_core.protocol.endpoint import Cancel, Events, Heartbeat, Results, TaskBatch
from funcx_core.protocol.manager import (
    Drain,
    ManagerRefused,
    ManagerRegister,
    ManagerRegistered,
    ReportsAck,
    to_manager,
)
from funcx_core.protocol.task import EventKind, TaskEvent, TaskResult
from funcx_core.protocol.worker import (
    Chunk,
    Finished,
    FromWorker,
    Output,
    Ready,
    Retiring,
    Returned,
    chunk_decoder,
    from_worker,
)
from funcx_core.transport.loop import run
from funcx_core.transport.zmq import Dealer
from funcx_endpoint.manager.effects import (
    DealChunk,
    Effect,
    End,
    Enrol,
    NoteReturned,
    NoteSafe,
    Peek,
    Send,
    SendRecall,
    Signal,
    Spawn,
    TakeBack,
    TryJournal,
)
from funcx_endpoint.manager.journal import Journal
from funcx_endpoint.manager.limits import Limits
from funcx_endpoint.manager.memory import OomWatch, memory_bytes
from funcx_endpoint.manager.output import RawOutput
from funcx_endpoint.manager.settings import ManagerSettings
from funcx_endpoint.manager.state import Death, Manager, Rules
from funcx_endpoint.manager.usage import LOOK_SECONDS
from funcx_endpoint.manager.workers import TAIL_BYTES, Pipe, WorkerProcess
from funcx_endpoint.worker.isolation import become_subreaper, kill_children, reap
from funcx_endpoint.worker.page import STARTED

TERMINATED_GRACE: Final = 5.0
"""Seconds for running tasks after a SIGTERM, which is how a batch system announces the end of a block."""
RESULT_BYTES: Final = 1024 * 1024
"""Results that are worth more than this do not wait for others to be sent with them."""
EVENTS_KEPT: Final = 10_000
"""Events that wait for the interchange to be there again; a task's last ones are cut then."""
LINGER_MS: Final = 2000
"""Time for the last messages to reach the interchange at the end."""
_log = logging.getLogger(__name__)


class ManagerProcess:
    """One manager. `run` returns when it has ended."""

    def __init__(self, settings: ManagerSettings, block_id: BlockId) -> None:
        self._settings = settings
        self._block_id = block_id
        self._id = ManagerId(str(uuid.uuid4()))
        self._epoch = time.time_ns()
        self._hostname = socket.gethostname()
        self._is_local = settings.agent_host == self._hostname
        self._machine = Manager(
            Rules(
                workers=settings.workers,
                heartbeat_period=settings.heartbeat_period,
                heartbeat_threshold=settings.heartbeat_threshold,
                walltime=settings.walltime,
                hostname=self._hostname,
                is_local=self._is_local,
            )
        )
        self._journal = Journal(Path(settings.endpoint_dir) / "leases" / self._id, settings.workers)
        self._workers: dict[int, WorkerProcess] = {}
        self._raw = [RawOutput(settings.max_output) for _ in range(settings.workers)]
        self._events: list[TaskEvent] = []
        self._results: list[TaskResult] = []
        self._result_bytes = 0
        self._dealer: Dealer | None = None
        self._flushes_soon = False
        self._effects: deque[Effect] = deque()
        self._oom = OomWatch()
        self._limits = Limits(settings.memory_limit, settings.process_limit)
        self._looks: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._address = 0
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
        self._perform(self._spawns_first(self._machine.start(time.monotonic())))
        self._context: zmq.Context[Any] = zmq.Context()
        await self._connect()
        self._set_timer()

    def _on_own_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # A callback that failed may have left anything half done. The interchange knows what to do without this manager.
        self._own_error = context.get("exception") or RuntimeError(context["message"])
        loop.default_exception_handler(context)
        self._end("An error of the manager's own.")

    def _spawns_first(self, effects: list[Effect]) -> list[Effect]:
        """Workers take a tenth of a second to start: that is time enough to connect, which enrols."""
        return [effect for effect in effects if isinstance(effect, Spawn)]

    # --- the interchange ----------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        addresses = self._settings.addresses
        for step in range(len(addresses)):
            self._address = step
            if len(addresses) == 1 or await _answers(addresses[step]):
                break
        if self._is_ending:
            return
        self._dealer = Dealer(
            self._context,
            addresses[self._address],
            server_key=self._settings.server_key,
            keys=self._settings.keys,
            on_messages=self._on_messages,
            on_renewed=self._on_renewed,
        )
        self._enrol()

    def _enrol(self) -> None:
        _log.info("enrolling", extra={"manager_id": self._id, "address": self._settings.addresses[self._address]})
        session, held = self._machine.registration()
        self._send(
            encode(
                ManagerRegister(
                    manager_id=self._id,
                    block_id=self._block_id,
                    epoch=self._epoch,
                    capacity=self._settings.workers,
                    hostname=self._hostname,
                    pid=os.getpid(),
                    python_version=platform.python_version(),
                    version=metadata.version("funcx-workbench"),
                    cores=len(os.sched_getaffinity(0)),
                    memory_bytes=memory_bytes(),
                    session=session,
                    held=held,
                )
            )
        )

    def _send(self, body: bytes) -> None:
        if self._dealer is not None:
            self._dealer.send(body)

    def _on_renewed(self) -> None:
        _log.info("the connection to the interchange was renewed", extra={"manager_id": self._id})
        self._perform(self._machine.renewed(time.monotonic()))
        self._set_timer()

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
                return self._machine.task_batch(batch, now, time.time_ns())
            case Heartbeat():
                return []
            case Cancel() as message:
                return self._machine.cancel(message, now)
            case ManagerRegistered() as message:
                return self._machine.registered(message, now)
            case ReportsAck() as message:
                return self._machine.acknowledged(message)
            case ManagerRefused() as message:
                return self._machine.refused(message, now)
            case Drain(grace=grace):
                return self._machine.drain(grace, now)

    def _on_terminated(self) -> None:
        if self._dealer is None:
            self._end("Terminated while it started.")
            return
        _log.info("terminated: draining", extra={"manager_id": self._id})
        self._perform(self._machine.drain(TERMINATED_GRACE, time.monotonic()))
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

    # --- workers ------------------------------------------------------------------------------------------------

    @property
    def _working_dir(self) -> Path:
        return Path(self._settings.working_dir or Path(self._settings.endpoint_dir) / "work" / self._id)

    def _spawn(self, index: int) -> None:
        folder = self._working_dir
        page, descriptor = self._journal.pages[index], self._journal.page_descriptors[index]
        worker = WorkerProcess(index, self._settings, page, descriptor, folder / f"worker-{index}", manager_id=self._id)
        try:
            worker.start()
        except OSError as error:
            _log.error("cannot start a worker: %s", error, extra={"manager_id": self._id})
            self._perform(self._machine.died(index, Death(started=0), time.monotonic()))
            return
        self._workers[index] = worker
        self._loop.add_reader(worker.results.fileno(), self._on_results, worker)
        self._loop.add_reader(worker.pidfd, self._on_death, worker)
        for pipe in worker.pipes:
            self._loop.add_reader(pipe.descriptor, self._on_raw_output, worker, pipe)

    def _on_results(self, worker: WorkerProcess) -> None:
        self._flush_soon()
        try:
            self._hear(worker)
        except EOFError:
            # Either it died, or its task closed the socket: both end here.
            self._loop.remove_reader(worker.results.fileno())
            worker.kill()
        except RemoteProtocolError as error:
            _log.warning("worker %d: %s", worker.index, error)
            self._loop.remove_reader(worker.results.fileno())
            worker.kill()

    def _hear(self, worker: WorkerProcess) -> int:
        count = 0
        for record in worker.received():
            self._on_record(worker, record.view)
            record.close()
            count += 1
        return count

    def _on_record(self, worker: WorkerProcess, record: bytes | memoryview) -> None:
        message: FromWorker = from_worker.decode(record)
        now = time.monotonic()
        match message:
            case Finished(results=results):
                self._on_finished(worker, results, now)
            case Output():
                self._on_output(message)
            case Returned(numbers=numbers, missing=missing):
                self._perform(self._machine.returned(worker.index, numbers, now, missing=missing))
            case Retiring(reason=reason):
                _log.info("worker %d is replaced: %s", worker.index, reason, extra={"manager_id": self._id})
            case Ready():
                self._perform(self._machine.ready(worker.index, now))

    def _on_finished(self, worker: WorkerProcess, results: list[TaskResult], now: float) -> None:
        self._read_pipes(worker)
        if results and (dropped := self._raw[worker.index].dropped(results[-1].task_id)):
            self._event(results[-1].task_id, EventKind.TRUNCATED, time.time_ns(), b'{"bytes": %d}' % dropped)
        self._perform(self._machine.finished(worker.index, results, now))

    def _on_output(self, output: Output) -> None:
        self._event(output.task_id, output.kind, output.at, output.body)

    def _event(self, task_id: TaskId, kind: EventKind, at: int, body: bytes) -> None:
        seq = self._machine.next_event(task_id)
        if seq is not None:
            if len(self._events) < EVENTS_KEPT:
                self._events.append(TaskEvent(task_id, seq, kind, at, body))
            self._flush_soon()

    def _on_raw_output(self, worker: WorkerProcess, pipe: Pipe) -> None:
        if not self._read_pipe(worker, pipe) and pipe.is_at_end():
            self._loop.remove_reader(pipe.descriptor)

    def _read_pipes(self, worker: WorkerProcess) -> None:
        for pipe in worker.pipes:
            while self._read_pipe(worker, pipe):
                pass

    def _read_pipe(self, worker: WorkerProcess, pipe: Pipe) -> bool:
        if not pipe.holds_output():
            return False
        # A worker starts no other task before its pipes are empty: what is in them is of the one that it started last.
        task_id = self._machine.dealt_as(worker.index, worker.page.numbers[STARTED])
        found = pipe.read()
        if pipe.kind is EventKind.STDERR:
            worker.stderr_tail = (worker.stderr_tail + found)[-TAIL_BYTES:]
        if task_id is None:
            _log.debug("worker %d wrote between tasks: %r", worker.index, found[:200])
        elif kept := self._raw[worker.index].take(task_id, pipe.kind, found):
            self._event(task_id, pipe.kind, time.time_ns(), kept)
        return True

    def _on_death(self, worker: WorkerProcess) -> None:
        self._flush_soon()
        self._loop.remove_reader(worker.pidfd)
        self._hear_last_words(worker)
        status = worker.wait()
        now = time.monotonic()
        killed_by = -status if status < 0 else None
        death = Death(
            started=worker.page.numbers[STARTED],
            signal=killed_by,
            exitcode=status if status >= 0 else None,
            oom=killed_by == signal.SIGKILL and self._oom.has_struck(),
            excess=worker.excess,
            has_hung_loading=worker.has_hung_loading(),
            stderr=worker.stderr_tail.decode(errors="replace"),
        )
        _log.info(
            "worker %d ended", worker.index, extra={"manager_id": self._id, "signal": killed_by, "exitcode": status}
        )
        self._drop(worker)
        if not self._settings.keep_children:
            # Orphans of its tasks are our children now.
            kill_children(frozenset(other.pid for other in self._workers.values()), patience=0.05)
        for pid in worker.killed:
            reap(pid)
        self._perform(self._machine.died(worker.index, death, now))

    def _hear_last_words(self, worker: WorkerProcess) -> None:
        with contextlib.suppress(EOFError, RemoteProtocolError):
            while self._hear(worker):
                pass
        self._hear_record(worker, worker.page.leftover())
        worker.page.sent()
        self._read_pipes(worker)

    def _hear_record(self, worker: WorkerProcess, record: bytes) -> None:
        if record:
            with contextlib.suppress(RemoteProtocolError):  # It was, or is, being written.
                self._on_record(worker, record)

    def _drop(self, worker: WorkerProcess) -> None:
        del self._workers[worker.index]
        self._loop.remove_reader(worker.results.fileno())
        for pipe in worker.pipes:
            self._loop.remove_reader(pipe.descriptor)
        worker.close()

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
            case Send(message=Results(results=results)):
                self._send_results(results)
            case Send(message=message):
                self._flush()
                self._send(encode(message))
            case NoteSafe(numbers=numbers):
                self._journal.safe(numbers, self._machine.settled(), self._machine.dealt)
            case TryJournal():
                self._try_journal()
            case NoteReturned(worker=index, numbers=numbers):
                self._journal.returned(index, numbers)
            case Spawn(worker=index):
                self._spawn(index)
            case Enrol():
                self._flush()
                self._enrol()
            case End(reason=reason):
                self._end(reason)
            case _:
                self._perform_on_worker(effect, self._workers[effect.worker])

    def _perform_on_worker(
        self, effect: DealChunk | TakeBack | SendRecall | Peek | Signal, worker: WorkerProcess
    ) -> None:
        match effect:
            case DealChunk(chunk=chunk):
                self._deal(worker, chunk)
            case TakeBack():
                self._take_back(worker)
            case SendRecall():
                worker.recall()
            case Peek():
                self._hear_record(worker, worker.page.leftover())
            case Signal(number=number, level=level):
                worker.signal(number, level)

    def _send_results(self, results: list[TaskResult]) -> None:
        self._results += results
        self._result_bytes += sum([len(result.value) for result in results])
        if self._result_bytes > RESULT_BYTES:
            self._flush()
        else:
            self._flush_soon()

    def _try_journal(self) -> None:
        if self._journal.works():
            _log.warning("the journal can be written again", extra={"manager_id": self._id})
            self._perform(self._machine.journal_works(time.monotonic()))

    def _deal(self, worker: WorkerProcess, chunk: Chunk) -> None:
        try:
            self._journal.dealt(worker.index, chunk)
        except OSError as error:
            _log.error("the journal cannot be written, no tasks are taken: %s", error, extra={"manager_id": self._id})
            numbers = [dealt.number for dealt in chunk.tasks]
            self._perform(self._machine.not_dealt(worker.index, numbers, time.monotonic()))
        else:
            worker.send(chunk)
            if self._looks is None and self._limits:
                self._looks = self._loop.call_later(LOOK_SECONDS, self._enforce_limits)

    def _enforce_limits(self) -> None:
        self._looks = None
        for worker in self._workers.values():
            worker.enforce(self._limits)
        if self._machine.running and not self._is_ending:
            self._looks = self._loop.call_later(LOOK_SECONDS, self._enforce_limits)

    def _take_back(self, worker: WorkerProcess) -> None:
        numbers: list[int] = []
        for record in worker.undelivered():
            numbers.extend(dealt.number for dealt in chunk_decoder.decode(record.view).tasks)
            record.close()
        if numbers:
            # The bodies in those records did not arrive either.
            self._perform(self._machine.returned(worker.index, numbers, time.monotonic(), missing=True))

    def _flush_soon(self) -> None:
        # What all workers bring in one turn of the loop goes up as one message.
        if not self._flushes_soon:
            self._flushes_soon = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Send up what has gathered, a task's events before its result, and see to the timer."""
        self._flushes_soon = False
        if self._events and (self._machine.is_registered or self._is_ending):
            self._send(encode(Events(self._events)))
            self._events = []
        if self._results:
            self._send(encode(Results(self._results)))
            self._results = []
            self._result_bytes = 0
        self._set_timer()

    # --- the end ------------------------------------------------------------------------------------------------

    def _end(self, reason: str) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        _log.info("ending: %s", reason, extra={"manager_id": self._id})
        if self._timer is not None:
            self._timer.cancel()
        if self._looks is not None:
            self._looks.cancel()
        self._ended.set()

    def _close(self) -> None:
        for worker in list(self._workers.values()):
            worker.kill()
        for worker in list(self._workers.values()):
            worker.wait()
            self._loop.remove_reader(worker.pidfd)
            self._drop(worker)
        if not self._settings.keep_children:
            kill_children(patience=1.0)
        if self._dealer is not None:
            self._flush()
            self._dealer.close(0 if self._agent_is_gone else LINGER_MS)
        if hasattr(self, "_context"):
            self._context.term()
        self._journal.close(forget=self._machine.is_done)
        if not self._settings.working_dir:
            self._remove_working_dir()

    def _remove_working_dir(self) -> None:
        """Remove what is empty; files that tasks left are their users'."""
        folder = self._working_dir
        for one in (*(folder / f"worker-{index}" for index in range(self._settings.workers)), folder):
            with contextlib.suppress(OSError):
                one.rmdir()


async def _answers(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        async with asyncio.timeout(2):
            _, writer = await asyncio.open_connection(host, int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def main(arguments: list[str] | None = None) -> None:
    """Be a manager: ``python -m funcx_endpoint.manager --settings FILE --block-id ID``."""
    options = _parse(arguments)
    settings = ManagerSettings.load(Path(options.settings))
    log_file = Path(settings.log_dir) / f"manager-{os.getpid()}.log"
    configure(log_file, console=False, debug=settings.debug, process="manager")
    try:
        run(ManagerProcess(settings, BlockId(options.block_id)).run())
    except Exception:  # noqa: BLE001 - the one of this process: whatever it was is in its log
        _log.exception("the manager ends by an error of its own")
        sys.exit(70)


def _parse(arguments: list[str] | None) -> Any:
    import argparse  # noqa: PLC0415 - start-up time

    parser = argparse.ArgumentParser(prog="funcx_endpoint.manager", description="One manager of a funcX endpoint.")
    parser.add_argument("--settings", required=True, help="file that the endpoint's agent wrote")
    parser.add_argument("--block-id", required=True, help="the block that this manager is part of")
    return parser.parse_args(arguments)
