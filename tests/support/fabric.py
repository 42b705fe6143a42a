"""A whole fabric of real processes for tests: one service, N endpoints, in a folder of its own, on free loopback ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from funcx_core.fabric import leftovers

HEARTBEAT_PERIOD = 0.3
HEARTBEAT_THRESHOLD = 1.0

SEAMS = Path(__file__).parent / "in_processes"
"""Has the `sitecustomize` by which a test reaches into the processes of its fabric."""

ENDPOINT_CONFIG = """\
from funcx_endpoint.config import Config
from funcx_endpoint.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            max_workers_per_node={workers},
            heartbeat_period={period},
            heartbeat_threshold={threshold},
            provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
        )
    ],
    heartbeat_period={period},
    heartbeat_threshold={threshold},
)
"""


def eventually(condition: Callable[[], Any], what: str, *, timeout: float = 10.0, interval: float = 0.05) -> Any:
    """Return the first true value of `condition`, which is asked every `interval` seconds; fail after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(interval)


class Fabric:
    """Real processes in `home`. Use as a context manager, or call `start` and `close`."""

    def __init__(
        self,
        home: Path,
        *,
        endpoints: tuple[str, ...] = ("local",),
        workers: int = 2,
        heartbeat_period: float = HEARTBEAT_PERIOD,
        heartbeat_threshold: float = HEARTBEAT_THRESHOLD,
        service_flags: tuple[str, ...] = (),
        seams: Path | None = None,
    ) -> None:
        self.home = home
        self.seams = seams
        self.service_flags = service_flags
        self.workers = workers
        self.endpoint_names = endpoints
        self.period = heartbeat_period
        self.threshold = heartbeat_threshold
        self.service: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._ports_seen: set[int] = set()
        self._closers: list[Callable[[], None]] = []

    # --- starting and stopping ---------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the service and every endpoint; return when all endpoints are online."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.start_service()
        for name in self.endpoint_names:
            self.configure_endpoint(name)
            self.start_endpoint(name)
        self._remember_ports()
        return self

    def start_service(self, *flags: str) -> None:
        """Start the service; return when it has written its address. A restart takes the same port."""
        (self.home / "service.json").unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "funcx_core.service.cli",
            f"--port={self._port}",
            f"--heartbeat-period={self.period}",
            f"--heartbeat-threshold={self.threshold}",
            *self.service_flags,
            *flags,
        ]
        with (self.home / "service.out").open("ab") as output:
            self.service = subprocess.Popen(
                command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        eventually(self._service_is_ready, "the service writes service.json", timeout=20)
        self._port = int(self.address.rsplit(":", 1)[1].split("/")[0])

    def configure_endpoint(self, name: str, config: str | None = None) -> None:
        """Make the endpoint's folder, with a config of short heartbeats (or `config`)."""
        self.endpoint_cli("configure", name)
        text = config or ENDPOINT_CONFIG.format(workers=self.workers, period=self.period, threshold=self.threshold)
        (self.home / name / "config.py").write_text(text)

    def start_endpoint(self, name: str, *flags: str) -> None:
        """Start the endpoint; return when it is online."""
        self.endpoint_cli("start", *flags, name)

    def stop_endpoint(self, name: str) -> None:
        """Stop the endpoint; return when no process of it is left."""
        self.endpoint_cli("stop", name)

    def stop_service(self) -> None:
        """Ask the service to end and wait for it."""
        if self.service is None:
            return
        if self.service.poll() is None:
            self.service.send_signal(signal.SIGCONT)
            self.service.terminate()
            try:
                self.service.wait(10)
            except subprocess.TimeoutExpired:
                self.service.kill()
        self.service.wait(10)
        self.service = None

    def close(self) -> None:
        """Stop everything, whatever state the test left it in. Does not judge: see `assert_clean`."""
        self._remember_ports()
        while self._closers:
            self._closers.pop()()
        for found in self.processes():
            _signal(found.pid, signal.SIGCONT)
        for name in self.endpoint_names:
            if self.endpoint_is_known(name):
                self.endpoint_cli("stop", name, check=False)
        self.stop_service()

    def kill_all(self) -> None:
        """SIGKILL whatever is left: for the end of a test that failed."""
        for found in self.processes():
            _signal(found.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill_all()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
            if error is None:
                self.assert_clean()
        finally:
            self.kill_all()

    # --- looking at it -----------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """The service's address, such as ``http://127.0.0.1:4711/v2``."""
        return str(json.loads((self.home / "service.json").read_bytes())["service_address"])

    @property
    def token(self) -> str:
        """The local user's bearer token."""
        credentials = json.loads((self.home / "credentials.json").read_bytes())
        return str(credentials[self.address]["token"])

    @property
    def endpoint_id(self) -> str:
        """The id of the first endpoint."""
        return self.id_of(self.endpoint_names[0])

    def id_of(self, name: str) -> str:
        """The id of an endpoint, from the list that the service shows."""
        return str(next(row["uuid"] for row in self.client().get_endpoints() if row["name"] == name))

    def is_online(self, name: str) -> bool:
        """Whether the service reports the endpoint as online."""
        return any(row["name"] == name and row["state"] == "online" for row in self.client().get_endpoints())

    def endpoint_is_known(self, name: str) -> bool:
        """Whether the endpoint's folder exists."""
        return (self.home / name).is_dir()

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a process that belongs to this fabric."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("FUNCX_")}
        seams = {} if self.seams is None else {"PYTHONPATH": str(SEAMS), "TEST_SEAMS": str(self.seams)}
        return {**kept, "FUNCX_HOME": str(self.home), **seams, **more}

    def processes(self, role: str | None = None) -> list[leftovers.FabricProcess]:
        """Living processes of this fabric, of one role (service, agent, manager, worker) or all."""
        return [found for found in leftovers.processes(self.home) if role in (None, found.role)]

    def pids(self, role: str) -> list[int]:
        """Process ids of one role."""
        return [found.pid for found in self.processes(role)]

    def signal(self, role: str, number: signal.Signals) -> list[int]:
        """Send a signal to every process of that role; return their pids."""
        pids = self.pids(role)
        assert pids, f"no {role} is alive"
        for pid in pids:
            _signal(pid, number)
        return pids

    def kill_service(self) -> None:
        """SIGKILL the service and reap it. `start_service` brings it back on the same port."""
        assert self.service is not None
        self.service.kill()
        self.service.wait(10)

    def assert_clean(self) -> None:
        """Nothing of this fabric is left: no process, no port, no held lock."""
        try:
            eventually(lambda: not self.processes(), "no process of the fabric is left", timeout=3)
        except AssertionError:
            raise AssertionError(f"left behind: {self.processes()}") from None
        assert leftovers.held_locks(self.home) == []
        assert {port for port in self._ports_seen if leftovers.is_listening(port)} == set()

    def logs(self) -> str:
        """Everything the processes wrote, for the report of a failed test."""
        files = [path for path in sorted(self.home.rglob("*")) if path.suffix in {".log", ".out", ".err"}]
        return "\n".join(f"--- {path.relative_to(self.home)}\n{_tail(path)}" for path in files)

    # --- using it ----------------------------------------------------------------------------------------------

    def client(self) -> Any:
        """A `FuncXClient` of this fabric."""
        from funcx import FuncXClient

        return FuncXClient(funcx_service_address=self.address, token=self.token)

    @contextmanager
    def executor(self, endpoint: str | None = None, **options: Any) -> Iterator[Any]:
        """A `FuncXExecutor` on the first (or the named) endpoint."""
        from funcx import FuncXExecutor

        target = self.id_of(endpoint) if endpoint else self.endpoint_id
        with FuncXExecutor(target, funcx_client=self.client(), **options) as executor:
            yield executor

    def endpoint_cli(
        self, *arguments: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run ``funcx-endpoint`` with these arguments."""
        return self.run("funcx_endpoint.cli", *arguments, check=check, timeout=timeout)

    def cli(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run ``funcx`` with these arguments."""
        return self.run("funcx_core.fabric.cli", *arguments, check=check, timeout=timeout)

    def run(
        self, module: str, *arguments: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m module`` in this fabric."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (
            f"{module} {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        )
        return done

    def script(self, source: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run Python source as a user's script in this fabric."""
        path = self.home / f"script-{time.monotonic_ns()}.py"
        path.write_text(source)
        return subprocess.run(
            [sys.executable, str(path)],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def _service_is_ready(self) -> bool:
        assert self.service is not None
        if self.service.poll() is not None:
            raise AssertionError(f"the service ended with {self.service.returncode}\n{self.logs()}")
        return (self.home / "service.json").exists()

    def _remember_ports(self) -> None:
        self._ports_seen |= leftovers.listening_ports({found.pid for found in self.processes()})


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _tail(path: Path, size: int = 6000) -> str:
    content = path.read_bytes()
    return content[-size:].decode(errors="replace")
