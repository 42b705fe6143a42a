"""Worker processes as the manager's shell has them: started, spoken with, listened to, killed."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import ContainerImage, EventKind
from funcx_core.protocol.worker import Chunk, Recall
from funcx_endpoint.folder import LARGE
from funcx_endpoint.manager.containers.enclosure import Enclosure
from funcx_endpoint.manager.machine.effects import Level
from funcx_endpoint.manager.node.placement import accelerator_variables, processors
from funcx_endpoint.manager.settings import ManagerSettings
from funcx_endpoint.manager.workers.limits import Excess, Limits
from funcx_endpoint.manager.workers.pipes import Pipe
from funcx_endpoint.manager.workers.usage import excess, kill_tree
from funcx_endpoint.processes import ENDPOINT_DIR_VARIABLE, MANAGER_VARIABLE, parent
from funcx_endpoint.worker import records
from funcx_endpoint.worker.page import LOADING, STARTED, TARGET, Page
from funcx_endpoint.worker.settings import WorkerSettings

TAIL_BYTES: Final = 4096
"""Of the stderr of a worker that died, for the error of its task."""
DRAIN_RECORDS: Final = 64
"""Records taken from one worker before the others get their turn."""
CLIENT_SECONDS: Final = 10.0
"""For the client of a container's runtime to end after its worker."""

_SHELL_SIGNALS: Final = 128
_SECRET: Final = re.compile(r"^(FUNCX|GLOBUS|JUPYTERHUB|JPY)_.*(TOKEN|SECRET|PASSWORD|CREDENTIAL)")
_SIGNALS: Final = {Level.INTERRUPT: signal.SIGINT, Level.TERMINATE: signal.SIGTERM, Level.KILL: signal.SIGKILL}


def worker_environment(manager_id: str) -> dict[str, str]:
    """Return this process' environment without what a user's function must not see, and with the manager's mark."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.match(name)}
    return {**kept, MANAGER_VARIABLE: manager_id}


class WorkerProcess:
    """One started worker, here or in a container.

    `pidfd` tells the end of the process that was started, which for a container is the client of its runtime.
    """

    def __init__(
        self,
        index: int,
        settings: ManagerSettings,
        page: Page,
        page_descriptor: int,
        folder: Path,
        *,
        manager_id: str,
        image: ContainerImage | None = None,
    ) -> None:
        self.index = index
        self.page = page
        self._settings = settings
        self._page_descriptor = page_descriptor
        self._folder = folder
        self._large = Path(settings.endpoint_dir) / LARGE
        self._manager_id = manager_id
        self._image = image
        self.enclosure: Enclosure | None = None
        self.ender: subprocess.Popen[bytes] | None = None
        self.stderr_tail = b""
        self.excess: Excess | None = None
        self.places = 1
        self.killed: list[int] = []

    def start(self) -> None:
        """Start the process.

        Raises:
            OSError: no more processes or descriptors can be had, or there is no such runtime.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tasks, tasks = records.socketpair()
        self._control, self._their_control = records.socketpair()
        self.results, self._their_results = records.socketpair()
        out, worker_out = os.pipe2(os.O_CLOEXEC)
        err, worker_err = os.pipe2(os.O_CLOEXEC)
        self._outputs = [worker_out, worker_err]
        # The duplicate of the worker's end: by it, records that the worker has not received are taken back.
        # Whether it blocks is one property of both, so it must.
        self._undelivered = tasks
        self.pipes = [Pipe(EventKind.STDOUT, out), Pipe(EventKind.STDERR, err)]
        try:
            self._process = self._start_here() if self._image is None else self._start_in(self._image)
            self.pid = self.client = self._process.pid
            self.pidfd = self._signalled = os.pidfd_open(self.pid)
        except OSError:
            self._close_channels()
            raise
        if self.enclosure is None:
            self._close_theirs()
        for channel in (self._tasks, self._control, self.results):
            channel.setblocking(False)

    def _start_here(self) -> subprocess.Popen[bytes]:
        settings = self._worker_settings(os.getpid(), str(self._folder), str(self._large))
        return subprocess.Popen(
            # -P: the folder in which tasks run must not shadow modules.
            [sys.executable, "-P", "-m", "funcx_endpoint.worker", settings.to_argument()],
            stdin=subprocess.DEVNULL,
            stdout=self._outputs[0],
            stderr=self._outputs[1],
            pass_fds=self._descriptors(),
            env={**worker_environment(self._manager_id), **self._variables()},
            cwd=self._folder,
            start_new_session=True,
        )

    def _start_in(self, image: ContainerImage) -> subprocess.Popen[bytes]:
        assert self._settings.containers is not None  # noqa: S101 - else no worker is asked for in an image
        self.enclosure = Enclosure(self._settings.containers, image, self._folder.parent, self._large)
        own = worker_environment(self._manager_id)
        variables = {**_own_variables(own), **self._variables()}
        return self.enclosure.start(self._folder, variables, own, self._outputs[0], self._outputs[1])

    def hand_over(self, image: str) -> None:
        """Give the worker in a container what is its, now that it is there. `image`: what names the container's image; may be empty.

        Raises:
            OSError: it is gone again, or is none of ours.
        """
        assert self.enclosure is not None  # noqa: S101 - who hands over has a container
        inside = self.enclosure.inside
        settings = self._worker_settings(0, inside(self._folder), inside(self._large), image)
        pid = self.enclosure.handover.give(settings, self._descriptors(), self._outputs)
        if not pid:
            raise ProcessLookupError(
                "the worker's process cannot be seen from here: is the manager in a container itself?"
            )
        self._signalled = os.pidfd_open(pid)
        self.pid = pid
        self._close_theirs()

    @property
    def is_unseen(self) -> bool:
        """Whether processes of its container may be about that are not known to be."""
        return self.enclosure is not None and self.enclosure.has_own_processes and not self.is_handed_over

    def family(self) -> set[int]:
        """Return its process and those between it and this one, as far as its client started them."""
        found = {self.client}
        pid = self.pid
        while pid > 1 and pid not in found and pid != os.getpid():
            found.add(pid)
            pid = parent(pid)
        return found

    @property
    def is_handed_over(self) -> bool:
        """Whether the worker has its channels; at once, unless it is in a container."""
        return not self._outputs

    def _descriptors(self) -> list[int]:
        ends = (self._undelivered, self._their_control, self._their_results)
        return [*(end.fileno() for end in ends), self._page_descriptor]

    def _worker_settings(self, manager: int, folder: str, large: str, image: str = "") -> WorkerSettings:
        tasks, control, results, page = self._descriptors()
        shared = self._settings
        is_single_use = shared.containers is not None and shared.containers.is_single_use and self._image is not None
        return WorkerSettings(
            manager=manager,
            tasks=tasks,
            control=control,
            results=results,
            page=page,
            working_dir=folder,
            max_result=shared.max_result,
            max_output=shared.max_output,
            max_large_result=shared.max_large_result,
            large_dir=large,
            max_kept=shared.max_kept,
            kept_lifetime=shared.kept_lifetime,
            keep_children=shared.keep_children,
            load_timeout=shared.load_timeout,
            max_tasks=1 if is_single_use else shared.max_tasks,
            max_growth=shared.max_growth,
            processors=self._processors(),
            sandbox_dir=str(Path(folder).parent) if shared.run_in_sandbox else "",
            image=image,
        )

    def _processors(self) -> list[int]:
        available = sorted(os.sched_getaffinity(0))
        return processors(self._settings.cpu_affinity, self.index, self._settings.workers, available)

    def _variables(self) -> dict[str, str]:
        bound_to = self._processors()
        # Libraries would start a thread for each processor of the node, and let them fight for those of the worker.
        threads = {} if "OMP_NUM_THREADS" in os.environ or not bound_to else {"OMP_NUM_THREADS": str(len(bound_to))}
        return {**threads, **accelerator_variables(self._settings.accelerators, self.index, os.environ)}

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
        if self.enclosure is not None and not self.is_handed_over:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.client, signal.SIGKILL)
            self._end_container()
        self._signal(signal.SIGKILL)

    def end_client(self) -> None:
        """End the client of a container whose worker has ended."""
        self._end_container()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def _end_container(self) -> None:
        if self.enclosure is not None and self.ender is None:
            self.ender = self.enclosure.end()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._signalled, number)

    def wait(self) -> int:
        """Reap what was started, which has ended or was killed; return its exit code, or minus the signal that ended the worker."""
        if self.enclosure is None:
            return self._process.wait()
        try:
            status = self._process.wait(CLIENT_SECONDS)
        except subprocess.TimeoutExpired:
            self._end_container()
            self._process.kill()
            status = self._process.wait()
        # Runtimes tell a signal as shells do.
        return _SHELL_SIGNALS - status if status > _SHELL_SIGNALS else status

    def close(self) -> None:
        """Close everything that the manager had for it."""
        if self._signalled != self.pidfd:
            self._signal(signal.SIGKILL)  # Its client may have been killed alone.
            os.close(self._signalled)
        os.close(self.pidfd)
        self._close_channels()

    def _close_theirs(self) -> None:
        for end in (self._their_control, self._their_results):
            end.close()
        while self._outputs:
            os.close(self._outputs.pop())

    def _close_channels(self) -> None:
        self._close_theirs()
        for channel in (self._tasks, self._control, self.results, self._undelivered):
            channel.close()
        for pipe in self.pipes:
            os.close(pipe.descriptor)
        if self.enclosure is not None:
            self.enclosure.handover.close()


def _own_variables(environment: dict[str, str]) -> dict[str, str]:
    return {name: environment[name] for name in (MANAGER_VARIABLE, ENDPOINT_DIR_VARIABLE) if name in environment}
