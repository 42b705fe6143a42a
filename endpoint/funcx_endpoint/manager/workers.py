"""Worker processes as the manager's shell has them: started, spoken with, listened to, killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import EventKind
from funcx_core.protocol.worker import Chunk, Recall
from funcx_endpoint.folder import LARGE
from funcx_endpoint.manager.effects import Level
from funcx_endpoint.manager.limits import Excess, Limits
from funcx_endpoint.manager.placement import accelerator_variables, processors
from funcx_endpoint.manager.settings import ManagerSettings
from funcx_endpoint.manager.usage import excess, kill_tree
from funcx_endpoint.processes import MANAGER_VARIABLE
from funcx_endpoint.worker import records
from funcx_endpoint.worker.page import LOADING, STARTED, TARGET, Page
from funcx_endpoint.worker.settings import WorkerSettings

PIPE_BYTES: Final = 256 * 1024
READ_BYTES: Final = 64 * 1024
TAIL_BYTES: Final = 4096
"""Of the stderr of a worker that died, for the error of its task."""
DRAIN_RECORDS: Final = 64
"""Records taken from one worker before the others get their turn."""

_NOTHING: Final = b"\0\0\0\0"
_SECRET: Final = re.compile(r"^(FUNCX|GLOBUS|JUPYTERHUB|JPY)_.*(TOKEN|SECRET|PASSWORD|CREDENTIAL)")
_SIGNALS: Final = {Level.INTERRUPT: signal.SIGINT, Level.TERMINATE: signal.SIGTERM, Level.KILL: signal.SIGKILL}


def worker_environment(manager_id: str) -> dict[str, str]:
    """Return this process' environment without what a user's function must not see, and with the manager's mark."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.match(name)}
    return {**kept, MANAGER_VARIABLE: manager_id}


class Pipe:
    """The read end of a worker's file descriptor 1 or 2."""

    def __init__(self, kind: EventKind, descriptor: int) -> None:
        self.kind = kind
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def holds_output(self) -> bool:
        """Whether there is something to read."""
        return fcntl.ioctl(self.descriptor, termios.FIONREAD, _NOTHING) != _NOTHING

    def read(self) -> bytes:
        """Return what is there now, at most `READ_BYTES`. Call it when there is something."""
        return os.read(self.descriptor, READ_BYTES)

    def is_at_end(self) -> bool:
        """Whether all is read and nobody has the other end any more."""
        poll = select.poll()
        poll.register(self.descriptor, 0)
        hung_up = any(event & select.POLLHUP for _, event in poll.poll(0))
        return hung_up and not self.holds_output()


class WorkerProcess:
    """One started worker."""

    def __init__(
        self, index: int, settings: ManagerSettings, page: Page, page_descriptor: int, folder: Path, *, manager_id: str
    ) -> None:
        self.index = index
        self.page = page
        self._settings = settings
        self._page_descriptor = page_descriptor
        self._folder = folder
        self._manager_id = manager_id
        self.stderr_tail = b""
        self.excess: Excess | None = None
        self.killed: list[int] = []

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: no more processes or descriptors can be had.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tasks, tasks = records.socketpair()
        self._control, control = records.socketpair()
        self.results, results = records.socketpair()
        out, worker_out = os.pipe2(os.O_CLOEXEC)
        err, worker_err = os.pipe2(os.O_CLOEXEC)
        settings = WorkerSettings(
            manager=os.getpid(),
            tasks=tasks.fileno(),
            control=control.fileno(),
            results=results.fileno(),
            page=self._page_descriptor,
            working_dir=str(self._folder),
            max_result=self._settings.max_result,
            max_output=self._settings.max_output,
            max_large_result=self._settings.max_large_result,
            large_dir=str(Path(self._settings.endpoint_dir) / LARGE),
            keep_children=self._settings.keep_children,
            load_timeout=self._settings.load_timeout,
            max_tasks=self._settings.max_tasks,
            max_growth=self._settings.max_growth,
            processors=self._processors(),
            sandbox_dir=str(self._folder.parent) if self._settings.run_in_sandbox else "",
        )
        try:
            self._process = subprocess.Popen(
                # -P: the folder in which tasks run must not shadow modules.
                [sys.executable, "-P", "-m", "funcx_endpoint.worker", settings.to_argument()],
                stdin=subprocess.DEVNULL,
                stdout=worker_out,
                stderr=worker_err,
                pass_fds=[settings.tasks, settings.control, settings.results, settings.page],
                env=self._environment(settings.processors),
                cwd=self._folder,
                start_new_session=True,
            )
        finally:
            control.close()
            results.close()
            os.close(worker_out)
            os.close(worker_err)
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        # The duplicate of the worker's end: by it, records that the worker has not received are taken back.
        # Whether it blocks is one property of both, so it must.
        self._undelivered = tasks
        for channel in (self._tasks, self._control, self.results):
            channel.setblocking(False)
        self.pipes = [Pipe(EventKind.STDOUT, out), Pipe(EventKind.STDERR, err)]

    def _processors(self) -> list[int]:
        available = sorted(os.sched_getaffinity(0))
        return processors(self._settings.cpu_affinity, self.index, self._settings.workers, available)

    def _environment(self, bound_to: list[int]) -> dict[str, str]:
        own = worker_environment(self._manager_id)
        # Libraries would start a thread for each processor of the node, and let them fight for those of the worker.
        threads = {"OMP_NUM_THREADS": str(len(bound_to))} if bound_to else {}
        return {**threads, **own, **accelerator_variables(self._settings.accelerators, self.index, own)}

    def send(self, chunk: Chunk) -> None:
        """Send a chunk; one that cannot be sent means that the worker is no good."""
        try:
            records.send(self._tasks, encode(chunk))
        except OSError:
            self.kill()

    def recall(self) -> None:
        """Ask for the rest of the chunk that the worker has in memory."""
        with contextlib.suppress(OSError):
            records.send(self._control, encode(Recall()))

    def undelivered(self) -> Iterator[records.Record]:
        """Receive chunks in the worker's place, until none is left."""
        with contextlib.suppress(OSError):
            while (record := records.receive(self._undelivered, int(socket.MSG_DONTWAIT))) is not None:
                yield record

    def received(self) -> Iterator[records.Record]:
        """Receive what the worker has sent so far, some of it.

        Raises:
            EOFError: the worker closed its end.
        """
        for _ in range(DRAIN_RECORDS):
            try:
                record = records.receive(self.results)
            except BlockingIOError:
                return
            except OSError:
                raise EOFError from None
            if record is None:
                raise EOFError
            yield record

    def signal(self, number: int, level: Level) -> None:
        """Signal the worker about its task `number`, if it has not gone on to another."""
        started = self.page.numbers[STARTED]
        self.page.numbers[TARGET] = number
        if started > number:
            return
        # A stopped process answers to nothing else.
        self._signal(signal.SIGKILL if self._is_stopped() else _SIGNALS[level])

    def _is_stopped(self) -> bool:
        with contextlib.suppress(OSError, IndexError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
        return False

    def enforce(self, limits: Limits) -> None:
        """Kill the worker with all below it if it uses too much; `excess` says of what."""
        started = self.page.numbers[STARTED]
        found = excess(self.pid, limits)
        # A task that began meanwhile must not pay for the one before it.
        if found is not None and self.page.numbers[STARTED] == started:
            self.excess = found
            self.killed = kill_tree(self.pid)

    def has_hung_loading(self) -> bool:
        """Whether the process, which has ended, did so because a function took too long to load."""
        since = self.page.numbers[LOADING]
        return bool(since) and time.monotonic_ns() - since >= self._settings.load_timeout * 1e9

    def kill(self) -> None:
        """End the process; its death will be seen as any other."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def wait(self) -> int:
        """Reap the process, which has ended; return its exit code, or minus the signal that ended it."""
        return self._process.wait()

    def close(self) -> None:
        """Close everything that the manager had for it."""
        for channel in (self._tasks, self._control, self.results, self._undelivered):
            channel.close()
        for pipe in self.pipes:
            os.close(pipe.descriptor)
        os.close(self.pidfd)
