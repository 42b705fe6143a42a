"""The agent of an executor: its private folder, its start, and its end with all that belongs to it."""

from __future__ import annotations

import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from funcx_core.errors import EndpointStateError
from funcx_core.home import home, private_dir, write_private
from funcx_core.protocol.endpoint import EndpointRegistration
from funcx_core.transport.zmq import KeyPair
from funcx_endpoint import processes
from funcx_endpoint.executors.alone import handover
from funcx_endpoint.folder import EndpointFolder
from funcx_endpoint.interchange.readiness import Reports
from funcx_endpoint.processes import Identity

if TYPE_CHECKING:
    from funcx_endpoint.executors.high_throughput import HighThroughputExecutor

FOLDERS: Final = ".executors"
"""In the user's private folder. No endpoint can be called that."""
START_TIMEOUT: Final = 60.0
TAIL_BYTES: Final = 1500
_OWNER: Final = "owner.json"


class AgentProcess:
    """One agent, from the folder it is started in to the removal of that folder."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self.keys = KeyPair.generate()
        parent = private_dir(home() / FOLDERS)
        _sweep(parent)
        self.folder = EndpointFolder(parent / f"{os.getpid()}-{secrets.token_hex(4)}")
        self.folder.create()
        write_private(self.folder.path / _OWNER, msgspec.json.encode(processes.identity()))
        write_private(self.folder.keys, msgspec.json.encode(self.keys))

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None  # noqa: S101 - asked for after `start`
        return self._process.pid

    def start(self, executor: HighThroughputExecutor, forwarder: EndpointRegistration) -> None:
        """Start it with the settings of `executor`; it connects to `forwarder`.

        Raises:
            ConfigError: a setting cannot be handed to it.
        """
        handover.give(self.folder.path, executor, forwarder)
        self._ready, ready = os.pipe()
        lifeline, self._lifeline = os.pipe()
        # The path to the caller's own modules goes along: what arguments and functions are made of is found there.
        path = os.pathsep.join(_own_path())
        command = [sys.executable, "-P", "-m", "funcx_endpoint.interchange", "--folder", str(self.folder.path)]
        try:
            with self.folder.agent_output.open("wb") as output:
                self._process = subprocess.Popen(
                    [*command, "--ready-fd", str(ready), "--lifeline-fd", str(lifeline)],
                    env={**os.environ, "PYTHONPATH": path, processes.ENDPOINT_DIR_VARIABLE: str(self.folder.path)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[ready, lifeline],
                    start_new_session=True,
                )
        finally:
            os.close(ready)
            os.close(lifeline)

    def wait_until_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Return when it has workers, or waits for a block that has to queue for its machine.

        Raises:
            EndpointStateError: it cannot have any; says why.
        """
        reports, waits_for = Reports(self._ready, timeout=timeout), "the agent to start"
        try:
            while True:
                report = reports.next()
                if report.state == "online":
                    return
                if report.state == "failed":
                    raise EndpointStateError(f"The executor '{self._label}' did not start. {report.detail}")
                waits_for = report.detail
        except TimeoutError:
            raise EndpointStateError(
                f"The executor '{self._label}' was not ready within {timeout:g} s; it was still {waits_for}. {self.said()}"
            ) from None
        except EOFError:
            raise EndpointStateError(
                f"The executor '{self._label}' did not start: its agent ended{self.how()}. {self.said()}"
            ) from None
        finally:
            reports.close()

    def how(self) -> str:
        """Return how its process ended, in words for behind "ended"."""
        code = self.exitcode()
        if code is None:
            return ""
        return f" by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f" with code {code}"

    def exitcode(self) -> int | None:
        """Return what it ended with, negative for a signal; None if it runs."""
        if self._process is None:
            return None
        try:
            return self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return None

    def said(self) -> str:
        """Return the end of what it printed, in words; empty if that is nothing."""
        try:
            lines = self.folder.agent_output.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return f"It said: {lines[-1]}" if lines else ""

    def let_go(self) -> None:
        """Ask it to end: it gives running tasks no time."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def end(self) -> None:
        """Kill it if it runs, and whatever is left of it, and remove the folder. Blocking."""
        self.let_go()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            processes.end(processes.of_endpoint(self.folder.path), grace=0)
        shutil.rmtree(self.folder.path, ignore_errors=True)


def remove_if_abandoned(folder: EndpointFolder, lifeline: int) -> None:
    """Called by an agent at its end: remove the folder if whoever started it is gone and cannot."""
    if select.select([lifeline], [], [], 0)[0]:
        shutil.rmtree(folder.path, ignore_errors=True)


def _own_path() -> list[str]:
    """Return where this process looks for modules besides the places that every interpreter of this installation has."""
    shared = tuple({os.path.realpath(prefix) + os.sep for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)})
    entries = [str(Path(entry).absolute()) for entry in sys.path]
    own = [entry for entry in entries if not os.path.realpath(entry).startswith(shared)]
    return list(dict.fromkeys(entry for entry in own if Path(entry).exists()))


def _sweep(parent: Path) -> None:
    """Remove the folders of executors of this machine whose process was killed together with its agent."""
    for folder in parent.iterdir():
        try:
            owner = msgspec.json.decode((folder / _OWNER).read_bytes(), type=Identity)
        except (OSError, msgspec.MsgspecError):
            continue
        if owner.is_here and not owner.is_alive and not processes.of_endpoint(folder):
            shutil.rmtree(folder, ignore_errors=True)
