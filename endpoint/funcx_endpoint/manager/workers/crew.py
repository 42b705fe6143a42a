"""All worker processes of a manager: started, listened to, watched over, and their deaths told.

Descriptors are watched on the loop: one for what a worker says, one for its death, and two for what its tasks print past Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from funcx_core.errors import RemoteProtocolError
from funcx_core.ids import ManagerId, TaskId
from funcx_core.protocol.task import ContainerImage, EventKind, TaskResult
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
from funcx_endpoint.manager.journal import Journal
from funcx_endpoint.manager.machine.effects import Dismiss, Peek, SendRecall, Signal, TakeBack
from funcx_endpoint.manager.node.memory import OomWatch
from funcx_endpoint.manager.settings import ManagerSettings
from funcx_endpoint.manager.workers.death import Death
from funcx_endpoint.manager.workers.limits import Limits
from funcx_endpoint.manager.workers.pipes import Pipe
from funcx_endpoint.manager.workers.printed import Printed
from funcx_endpoint.manager.workers.processes import CLIENT_SECONDS, WorkerProcess
from funcx_endpoint.manager.workers.usage import LOOK_SECONDS
from funcx_endpoint.worker.handover import remove_stray
from funcx_endpoint.worker.isolation import kill_children, reap
from funcx_endpoint.worker.page import STARTED

START_SECONDS: Final = 600.0
"""For a worker in a container to be there: its image may have to be fetched."""
_log = logging.getLogger(__name__)


class Foreman(Protocol):
    """Who hears of the workers."""

    def stirred(self) -> None:
        """A worker has something to say, or has died: the next calls will tell."""

    def ready(self, worker: int) -> None:
        """The worker waits for its first chunk."""

    def finished(self, worker: int, results: list[TaskResult]) -> None:
        """The worker ended these tasks."""

    def returned(self, worker: int, numbers: list[int], *, missing: bool) -> None:
        """These tasks came back from the worker before they started."""

    def died(self, worker: int, death: Death) -> None:
        """The worker's process ended, and everything that it sent was handled."""

    def showed(self, task_id: TaskId, kind: EventKind, at: int, body: bytes) -> None:
        """A task printed or showed something."""

    def runs_image(self, image: str, identity: str) -> None:
        """The image that a worker's container was made from is this one."""

    def is_busy(self) -> bool:
        """Whether any task runs."""

    def task_of(self, worker: int, number: int) -> TaskId | None:
        """Return the task that the worker has under this number; None if it has ended."""


class Crew:
    """The workers of one manager. `open` comes before everything else, on the loop."""

    def __init__(self, settings: ManagerSettings, manager_id: ManagerId, journal: Journal, foreman: Foreman) -> None:
        self._settings = settings
        self._manager_id = manager_id
        self._journal = journal
        self._foreman = foreman
        self._workers: dict[int, WorkerProcess] = {}
        self._printed = Printed(settings, manager_id, foreman.task_of, foreman.showed)
        self._oom = OomWatch()
        self._limits = Limits(settings.memory_limit, settings.process_limit)
        self._looks: asyncio.TimerHandle | None = None
        self._enders: list[subprocess.Popen[bytes]] = []

    def open(self) -> None:
        """Bind to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._printed.open()
        if self._settings.containers is not None:
            remove_stray()

    # --- from the machine ---------------------------------------------------------------------------------------

    def spawn(self, index: int, image: ContainerImage | None = None) -> None:
        """Start a worker, in a container if `image` names one; if that cannot be, the foreman hears of its death."""
        page, descriptor = self._journal.pages[index], self._journal.page_descriptors[index]
        folder = self._working_dir / f"worker-{index}"
        worker = WorkerProcess(
            index, self._settings, page, descriptor, folder, manager_id=self._manager_id, image=image
        )
        try:
            worker.start()
        except OSError as error:
            _log.error("cannot start a worker: %s", error, extra={"manager_id": self._manager_id})
            self._foreman.died(index, Death(started=0, stderr=_words(error)))
            return
        self._workers[index] = worker
        self._loop.add_reader(worker.results.fileno(), self._on_results, worker)
        self._loop.add_reader(worker.pidfd, self._on_death, worker)
        for pipe in worker.pipes:
            self._loop.add_reader(pipe.descriptor, self._on_raw_output, worker, pipe)
        if worker.enclosure is not None:
            self._loop.add_reader(worker.enclosure.handover.fileno(), self._hand_over, worker)
            self._loop.call_later(START_SECONDS, self._give_up_start, worker)

    def _hand_over(self, worker: WorkerProcess) -> None:
        assert worker.enclosure is not None  # noqa: S101 - only those with one are listened for
        self._loop.remove_reader(worker.enclosure.handover.fileno())
        asked = self._loop.run_in_executor(None, worker.enclosure.image_identity)
        asked.add_done_callback(partial(self._let_in, worker, worker.enclosure.image))

    def _let_in(self, worker: WorkerProcess, image: str, asked: asyncio.Future[str]) -> None:
        if asked.cancelled() or self._workers.get(worker.index) is not worker:
            return  # It has ended meanwhile.
        identity = asked.result()
        if identity:
            self._foreman.runs_image(image, identity)
        try:
            worker.hand_over(identity)
        except OSError as error:
            worker.stderr_tail += f"The worker was not let in: {error}\n".encode()
            worker.kill()

    def _give_up_start(self, worker: WorkerProcess) -> None:
        if self._workers.get(worker.index) is worker and not worker.is_handed_over:
            worker.stderr_tail += f"The worker was not there after {START_SECONDS:.0f} s.\n".encode()
            worker.kill()

    def send(self, index: int, chunk: Chunk, places: int = 1) -> None:
        """Send a chunk, and see to it from now on that its tasks stay within their limits."""
        self._workers[index].places = places
        self._workers[index].send(chunk)
        if self._looks is None and self._limits:
            self._looks = self._loop.call_later(LOOK_SECONDS, self._enforce_limits)

    def perform(self, effect: Dismiss | TakeBack | SendRecall | Peek | Signal) -> None:
        """Do this to a worker."""
        worker = self._workers[effect.worker]
        match effect:
            case Dismiss():
                worker.kill()
            case TakeBack():
                self._take_back(worker)
            case SendRecall():
                worker.recall()
            case Peek():
                self._hear_record(worker, worker.page.leftover())
            case Signal(number=number, level=level):
                worker.signal(number, level)

    def _take_back(self, worker: WorkerProcess) -> None:
        numbers: list[int] = []
        for record in worker.undelivered():
            numbers.extend(dealt.number for dealt in chunk_decoder.decode(record.view).tasks)
            record.close()
        if numbers:
            # The bodies in those records did not arrive either.
            self._foreman.returned(worker.index, numbers, missing=True)

    def _enforce_limits(self) -> None:
        self._looks = None
        for worker in self._workers.values():
            worker.enforce(self._limits.of(worker.places))
        if self._foreman.is_busy():
            self._looks = self._loop.call_later(LOOK_SECONDS, self._enforce_limits)

    # --- what workers say ---------------------------------------------------------------------------------------

    def _on_results(self, worker: WorkerProcess) -> None:
        self._foreman.stirred()
        try:
            self._hear(worker)
        except EOFError:
            # Either it died, or its task closed the socket: both end here.
            self._loop.remove_reader(worker.results.fileno())
            worker.kill()
            if worker.enclosure is not None:
                self._loop.call_later(CLIENT_SECONDS, self._end_client, worker)
        except RemoteProtocolError as error:
            _log.warning("worker %d: %s", worker.index, error)
            self._loop.remove_reader(worker.results.fileno())
            worker.kill()

    def _end_client(self, worker: WorkerProcess) -> None:
        if self._workers.get(worker.index) is worker:
            worker.end_client()

    def _hear(self, worker: WorkerProcess) -> int:
        count = 0
        for record in worker.received():
            self._on_record(worker, record.view)
            record.close()
            count += 1
        return count

    def _on_record(self, worker: WorkerProcess, record: bytes | memoryview) -> None:
        message: FromWorker = from_worker.decode(record)
        match message:
            case Finished(results=results):
                self._on_finished(worker, results)
            case Output():
                self._printed.showed(worker, message)
            case Returned(numbers=numbers, missing=missing):
                self._foreman.returned(worker.index, numbers, missing=missing)
            case Retiring(reason=reason):
                _log.info("worker %d is replaced: %s", worker.index, reason, extra={"manager_id": self._manager_id})
            case Ready():
                self._printed.note(worker, f"is ready, with Python {message.python_version}")
                self._foreman.ready(worker.index)

    def _on_finished(self, worker: WorkerProcess, results: list[TaskResult]) -> None:
        self._printed.finished(worker, results)
        self._foreman.finished(worker.index, results)

    def _on_raw_output(self, worker: WorkerProcess, pipe: Pipe) -> None:
        if not self._printed.read(worker, pipe) and pipe.is_at_end():
            self._loop.remove_reader(pipe.descriptor)

    # --- death --------------------------------------------------------------------------------------------------

    def _on_death(self, worker: WorkerProcess) -> None:
        self._foreman.stirred()
        self._loop.remove_reader(worker.pidfd)
        self._hear_last_words(worker)
        status = worker.wait()
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
        extra = {"manager_id": self._manager_id, "signal": killed_by, "exitcode": status}
        _log.info("worker %d ended", worker.index, extra=extra)
        self._printed.note(worker, f"ended: signal {killed_by}" if killed_by else f"ended: exit code {status}")
        self._drop(worker)
        self._end_orphans(worker)
        for pid in worker.killed:
            reap(pid)
        self._foreman.died(worker.index, death)

    def _end_orphans(self, worker: WorkerProcess) -> None:
        """Kill what its tasks left behind, which are our children now."""
        if self._settings.keep_children or (worker.enclosure is not None and worker.enclosure.has_own_processes):
            return
        others = self._workers.values()
        if any(other.is_unseen for other in others):
            return  # What its runtime has started so far looks like an orphan; the next death will find those that are.
        spared = {pid for other in others for pid in other.family()}
        self._enders = [ender for ender in self._enders if ender.poll() is None]
        kill_children(frozenset(spared | {ender.pid for ender in self._enders}), patience=0.05)

    def _hear_last_words(self, worker: WorkerProcess) -> None:
        with contextlib.suppress(EOFError, RemoteProtocolError):
            while self._hear(worker):
                pass
        self._hear_record(worker, worker.page.leftover())
        worker.page.sent()
        self._printed.read_all(worker)

    def _hear_record(self, worker: WorkerProcess, record: bytes) -> None:
        if record:
            with contextlib.suppress(RemoteProtocolError):  # It was, or is, being written.
                self._on_record(worker, record)

    def _drop(self, worker: WorkerProcess) -> None:
        del self._workers[worker.index]
        self._loop.remove_reader(worker.results.fileno())
        for pipe in worker.pipes:
            self._loop.remove_reader(pipe.descriptor)
        if worker.enclosure is not None and worker.enclosure.handover.fileno() >= 0:
            self._loop.remove_reader(worker.enclosure.handover.fileno())
        if worker.ender is not None:
            self._enders.append(worker.ender)
        worker.close()

    # --- the end ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill all workers, and what is left of their tasks."""
        if self._looks is not None:
            self._looks.cancel()
        for worker in list(self._workers.values()):
            worker.kill()
        for worker in list(self._workers.values()):
            worker.wait()
            self._loop.remove_reader(worker.pidfd)
            self._drop(worker)
        self._printed.close()
        for ender in self._enders:
            with contextlib.suppress(subprocess.TimeoutExpired):
                ender.wait(CLIENT_SECONDS)
        if not self._settings.keep_children:
            kill_children(patience=1.0)

    @property
    def _working_dir(self) -> Path:
        return Path(self._settings.working_dir or Path(self._settings.endpoint_dir) / "work" / self._manager_id)

    def remove_working_dir(self) -> None:
        """Remove what is empty, unless the folder is the user's choice; files that tasks left are their users'."""
        if self._settings.working_dir:
            return
        folder = self._working_dir
        for one in (*(folder / f"worker-{index}" for index in range(self._settings.workers)), folder):
            with contextlib.suppress(OSError):
                one.rmdir()


def _words(error: OSError) -> str:
    """Return what is wrong, for whoever asked for a container: a bare name is that of its runtime, sought on the PATH."""
    if isinstance(error, FileNotFoundError) and "/" not in str(error.filename):
        return f"there is no program {error.filename!r} on this node. Install it, or set PATH in worker_init."
    return str(error)
