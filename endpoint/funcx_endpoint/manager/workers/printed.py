"""What workers print: to the users of their tasks as events, and onto the disk for the owner of the endpoint."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from funcx_core.ids import ManagerId, TaskId
from funcx_core.protocol.task import EventKind, TaskResult
from funcx_core.protocol.worker import Output
from funcx_endpoint.manager.settings import ManagerSettings
from funcx_endpoint.manager.workers.log import WorkerLog, forget_oldest
from funcx_endpoint.manager.workers.output import RawOutput
from funcx_endpoint.manager.workers.pipes import Pipe
from funcx_endpoint.manager.workers.processes import TAIL_BYTES, WorkerProcess
from funcx_endpoint.worker.page import STARTED

_PRINTED: Final = frozenset({EventKind.STDOUT, EventKind.STDERR})


class Printed:
    """The output of all workers of a manager.

    Args:
        settings: of the manager.
        manager_id: names the folder of the logs.
        task_of: returns the task that a worker has under a number; None if it has ended.
        show: takes what a task printed or showed.
    """

    def __init__(
        self,
        settings: ManagerSettings,
        manager_id: ManagerId,
        task_of: Callable[[int, int], TaskId | None],
        show: Callable[[TaskId, EventKind, int, bytes], None],
    ) -> None:
        self._folder = Path(settings.worker_log_root or Path(settings.log_dir) / "workers") / manager_id
        self._task_of = task_of
        self._show = show
        self._tells_times = settings.log_level.number <= logging.DEBUG
        self._raw = [RawOutput(settings.max_output) for _ in range(settings.workers)]
        self._logs = [WorkerLog(self._folder / f"worker-{index}.log") for index in range(settings.workers)]

    def open(self) -> None:
        """Make room for the logs."""
        forget_oldest(self._folder.parent)

    def close(self) -> None:
        """Close the logs."""
        for log in self._logs:
            log.close()

    def note(self, worker: WorkerProcess, what: str) -> None:
        """Write a line about a worker into its log."""
        self._logs[worker.index].note(f"worker {worker.index} (process {worker.pid}) {what}")

    def showed(self, worker: WorkerProcess, output: Output) -> None:
        """A task printed or showed something, through Python."""
        if output.kind in _PRINTED:
            self._logs[worker.index].write(output.body)
        self._show(output.task_id, output.kind, output.at, output.body)

    def read(self, worker: WorkerProcess, pipe: Pipe) -> bool:
        """Read what is in a pipe now; whether there was something."""
        if not pipe.holds_output():
            return False
        # A worker starts no other task before its pipes are empty: what is in them is of the one that it started last.
        task_id = self._task_of(worker.index, worker.page.numbers[STARTED])
        found = pipe.read()
        self._logs[worker.index].write(found)
        if pipe.kind is EventKind.STDERR:
            worker.stderr_tail = (worker.stderr_tail + found)[-TAIL_BYTES:]
        if task_id is not None and (kept := self._raw[worker.index].take(task_id, pipe.kind, found)):
            self._show(task_id, pipe.kind, time.time_ns(), kept)
        return True

    def read_all(self, worker: WorkerProcess) -> None:
        """Read all pipes of a worker until they are empty."""
        for pipe in worker.pipes:
            while self.read(worker, pipe):
                pass

    def finished(self, worker: WorkerProcess, results: list[TaskResult]) -> None:
        """Tasks of a worker have ended: say what they printed last."""
        self.read_all(worker)
        dropped, lines = self._raw[worker.index].dropped(results[-1].task_id) if results else (0, 0)
        if dropped:
            body = b'{"bytes": %d, "lines": %d}' % (dropped, lines)
            self._show(results[-1].task_id, EventKind.TRUNCATED, time.time_ns(), body)
        if self._tells_times:
            self._logs[worker.index].write(b"".join(map(_timed, results)))


def _timed(result: TaskResult) -> bytes:
    seconds = (result.times.ended - result.times.started) / 1e9
    return f"--- task {result.task_id} took {seconds:.6f} s: {result.state.value}\n".encode()
