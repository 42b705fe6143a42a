"""The loop of a worker: receive a chunk, run its tasks one after the other, send what became of them.

The worker waits in `recvmsg` and nowhere else; it has no timers. Its sockets sit at high descriptors, where a task
that closes "everything" does not reach them; if one does, the worker ends and the manager reports its loss.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import os
import resource
import socket
import sys
import termios
import threading
import time
import types
from collections import deque
from pathlib import Path
from typing import Final

from funcx_core.commands import running_task
from funcx_core.commands.running_task import RunningTask
from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import TaskResult
from funcx_core.protocol.worker import (
    Chunk,
    Dealt,
    Finished,
    FromWorker,
    Ready,
    Retiring,
    Returned,
    chunk_decoder,
    recall_decoder,
)
from funcx_endpoint.kept import KeptFolder
from funcx_endpoint.large import KEPT, LargeFolder
from funcx_endpoint.worker import image, place, records
from funcx_endpoint.worker.capture import Capture
from funcx_endpoint.worker.handover import settings_from
from funcx_endpoint.worker.interrupts import Interrupts
from funcx_endpoint.worker.isolation import (
    Surroundings,
    be_the_first_to_go,
    become_subreaper,
    buffer_c_output_by_lines,
    die_with_parent,
)
from funcx_endpoint.worker.loading import LoadGuard
from funcx_endpoint.worker.page import STARTED, Page
from funcx_endpoint.worker.retirement import Retirement, half_imported
from funcx_endpoint.worker.run import Functions, LargeValues, Runner
from funcx_endpoint.worker.sandbox import Sandbox
from funcx_endpoint.worker.settings import WorkerSettings

GATHER: Final = 1_000_000
"""Results are sent at once if none was sent for so long (nanoseconds), else together; the manager looks into the page for
those that wait behind a task that turns out to be long."""
PIPE_PATIENCE: Final = 1.0
"""Seconds for the manager to read what a task wrote to its file descriptors."""
EXIT_NO_MANAGER: Final = 70
_NOTHING: Final = b"\0\0\0\0"
_HIGHEST_DESCRIPTOR: Final = 4096


class Worker:
    """One worker process."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._tasks = _lifted_socket(settings.tasks)
        self._control = _lifted_socket(settings.control)
        self._results = _lifted_socket(settings.results)
        self._page = Page(settings.page)
        os.close(settings.page)
        self._interrupts = Interrupts(self._page)
        self._functions = Functions(LoadGuard(self._page, settings.load_timeout))
        self._capture = Capture(self._send, max_output=settings.max_output, max_event=settings.max_result)
        self._sandbox = Sandbox(Path(settings.sandbox_dir)) if settings.sandbox_dir else None
        self._runner = Runner(
            self._functions,
            self._interrupts,
            large=_large_values(settings),
            max_result=settings.max_result,
            enter=self._sandbox.enter if self._sandbox else None,
        )
        self._surroundings = Surroundings(settings.working_dir, keep_children=settings.keep_children)
        self._retirement = Retirement(settings.max_tasks, settings.max_growth)
        self._settings = settings
        self._owner = ""
        self._retires = ""
        self._todo: deque[Dealt] = deque()
        self._missing: list[int] = []
        self._sent_at = 0
        self._listens_for_recalls = False
        self._is_forked = False

    def serve(self) -> None:
        """Run tasks until the manager closes the tasks socket, or this process has done its share."""
        self._interrupts.install()
        self._surroundings.note_handlers()
        self._capture.install()
        running_task.install(self._running_task)
        place.install(self._place)
        image.install(self._settings.image)
        os.register_at_fork(after_in_child=self._after_fork)
        self._send(Ready(os.getpid(), sys.version.split()[0]))
        while (record := records.receive(self._tasks)) is not None:
            chunk = chunk_decoder.decode(record.view)
            record.close()
            self._run_chunk(chunk)
            if self._retires:
                # What has not started is dealt to another worker when this one has ended.
                self._send(Retiring(self._retires))
                return

    def _run_chunk(self, chunk: Chunk) -> None:
        self._functions.add(chunk.functions)
        self._todo.extend(chunk.tasks)
        if len(chunk.tasks) > 1 and not self._listens_for_recalls:
            self._listen_for_recalls()
        if chunk.variables:
            os.environ.update(chunk.variables)  # What surrounds tasks is put right after each: there is one here.
        own = os.sched_getaffinity(0) if chunk.processors else None
        if own is not None:
            os.sched_setaffinity(0, chunk.processors)
        todo = self._todo
        while not self._retires:
            try:
                # Taking from the left here and from the right in `_give_back` never hands one task to both.
                dealt = todo.popleft()
            except IndexError:
                break
            if dealt.task.function_id in self._functions:
                self._run_one(dealt)
            else:
                self._missing.append(dealt.number)
        if own is not None:
            os.sched_setaffinity(0, own)
        self._flush()
        if self._missing:
            self._send(Returned(self._missing, missing=True))
            self._missing = []

    def _run_one(self, dealt: Dealt) -> None:
        task, number = dealt.task, dealt.number
        self._page.numbers[STARTED] = number
        self._owner = task.owner
        capture = self._capture
        capture.begin(task.task_id)
        result = self._runner.run(task, number)
        if self._is_forked:
            _end_forked_child(result)
        capture.restore_streams()
        capture.end()
        self._surroundings.restore(result.times.ended - result.times.started)
        if self._sandbox is not None:
            self._sandbox.leave()
        self._report(result)
        self._retires = self._retirement.reason(result.times.ended)
        # Of a map, or of code that catches everything, the result does not tell that something was interrupted.
        if self._interrupts.has_raised() and not self._retires:
            self._retires = half_imported(sys.modules)

    def _running_task(self) -> RunningTask | None:
        task_id = self._capture.task_id
        return None if task_id is None else RunningTask(task_id, has_own_folder=self._sandbox is not None)

    def _place(self) -> place.Place | None:
        task_id, settings = self._capture.task_id, self._settings
        if task_id is None:
            return None
        folder = KeptFolder(Path(settings.large_dir) / KEPT, lifetime=settings.kept_lifetime, limit=settings.max_kept)
        most = max(settings.max_result, settings.max_large_result)
        return place.Place(folder, self._owner, task_id, most, settings.max_result)

    def _report(self, result: TaskResult) -> None:
        encoded = encode(result)
        if not self._page.keep(encoded):
            self._flush()
            if not self._page.keep(encoded):
                self._send(Finished([result]))
                return
        if _pipes_hold_output():
            # The manager gives what the pipes hold to the task that was started last: the next one has to wait.
            self._flush()
            _wait_for_empty_pipes()
        elif time.monotonic_ns() - self._sent_at > GATHER:
            self._flush()

    def _flush(self) -> None:
        if self._page.kept:
            records.send(self._results, self._page.record())
            self._page.sent()
            self._sent_at = time.monotonic_ns()

    def _send(self, message: FromWorker) -> None:
        if not self._is_forked:
            records.send(self._results, encode(message))

    # --- recalls ------------------------------------------------------------------------------------------------

    def _listen_for_recalls(self) -> None:
        # Started when first needed: a worker whose chunks are single tasks, as long tasks are, stays single-threaded.
        self._listens_for_recalls = True
        threading.Thread(target=self._answer_recalls, name="funcx-recall", daemon=True).start()

    def _answer_recalls(self) -> None:
        with contextlib.suppress(OSError, RemoteProtocolError):
            while (record := records.receive(self._control)) is not None:
                recall_decoder.decode(record.view)
                self._give_back()

    def _give_back(self) -> None:
        numbers = []
        with contextlib.suppress(IndexError):
            while True:
                numbers.append(self._todo.pop().number)
        self._send(Returned(numbers[::-1]))

    # --- fork ---------------------------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        self._is_forked = True
        self._todo.clear()
        # A child that outlives the worker must not keep its sockets open, nor speak in its name.
        for channel in (self._tasks, self._control, self._results):
            with contextlib.suppress(OSError):
                channel.close()
        self._capture.after_fork()
        self._interrupts.after_fork()


def _large_values(settings: WorkerSettings) -> LargeValues:
    return LargeValues(LargeFolder(Path(settings.large_dir)), settings.max_large_result)


def _end_forked_child(result: TaskResult) -> None:
    """The task's function returned in a process that it had forked: that is where this process ends."""
    if result.error is not None:
        os.write(2, result.error.traceback.encode("utf-8", "replace"))
    os._exit(0 if result.error is None else 1)


def _pipes_hold_output() -> bool:
    try:
        return (
            fcntl.ioctl(1, termios.FIONREAD, _NOTHING) != _NOTHING
            or fcntl.ioctl(2, termios.FIONREAD, _NOTHING) != _NOTHING
        )
    except OSError:
        return False  # The task closed one.


def _wait_for_empty_pipes() -> None:
    deadline = time.monotonic() + PIPE_PATIENCE
    while _pipes_hold_output() and time.monotonic() < deadline:
        time.sleep(0.0001)


def _lifted_socket(descriptor: int) -> socket.socket:
    highest = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], _HIGHEST_DESCRIPTOR)
    lifted = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(highest - 16, 3))
    os.close(descriptor)
    return socket.socket(fileno=lifted)


def main() -> None:
    """Be a worker: ``python -m funcx_endpoint.worker SETTINGS``, or the path of a socket in place of the settings."""
    if sys.argv[1].startswith("/"):
        settings = settings_from(sys.argv[1])
    else:
        settings = WorkerSettings.from_argument(sys.argv[1])
        die_with_parent(settings.manager)
    become_subreaper()
    be_the_first_to_go()
    if settings.processors:
        os.sched_setaffinity(0, settings.processors)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(file=2)
    buffer_c_output_by_lines()
    os.chdir(settings.working_dir)
    worker = Worker(settings)
    sys.argv = [""]
    # What a task by value calls `__main__` is its client's module, not this one.
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        worker.serve()
    except OSError:
        # The manager is gone, or a task closed the sockets. Nobody is left to tell.
        os._exit(EXIT_NO_MANAGER)
    os._exit(0)
