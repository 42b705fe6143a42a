"""Configure, start and stop an endpoint on this machine, and tell in which state it is.

An agent holds a lock of the kernel for as long as it lives, so whether it runs is never guessed from a file. The lock file
says which process it is; a signal is only sent when that very process (id, start time, boot) holds the lock.
"""

from __future__ import annotations

import difflib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from funcx_core.errors import ConfigError, EndpointStateError
from funcx_core.home import write_private
from funcx_core.logs import Level
from funcx_endpoint import processes, templates
from funcx_endpoint.folder import AgentLock, EndpointFolder, Status, all_endpoints
from funcx_endpoint.interchange.readiness import NOT_DETACHED, Report, Reports
from funcx_endpoint.processes import Identity

START_TIMEOUT: Final = 60.0
STOP_MARGIN: Final = 12.0
"""Seconds beyond the grace after which an agent that has not ended is killed."""
DEFAULT_GRACE: Final = 30.0
DRAIN: Final = 20 * 86_400.0
"""The longest grace: more than any walltime, less than the longest wait of the kernel's poll."""
TAIL_BYTES: Final = 1500
YAML_SUFFIXES: Final = frozenset({".yaml", ".yml"})
CONFLICT: Final = "resource_conflict"


class NotDetached(Exception):
    """The endpoint's configuration has `detach_endpoint=False`: it is to be run in the terminal."""


class State(StrEnum):
    """What `list` shows."""

    INITIALIZED = "Initialized"
    RUNNING = "Running"
    STOPPED = "Stopped"
    DISCONNECTED = "Disconnected"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint of this machine, as `list` shows it."""

    id: str | None
    state: State
    detail: str = ""
    name: str


def configure(folder: EndpointFolder, *, template: str = templates.DEFAULT, source: Path | None = None) -> Path:
    """Make the folder of a new endpoint and return its configuration file.

    Args:
        folder: the endpoint.
        template: which ready configuration it gets.
        source: a file to copy instead: ``.py``, ``.yaml`` or ``.yml``.

    Raises:
        ConfigError: it exists, or there is no such template or file.
    """
    if folder.exists:
        found = folder.config if folder.config.is_file() else folder.yaml
        raise ConfigError(
            f"Endpoint '{folder.name}' is configured already: edit {found}, or run: funcx-endpoint delete {folder.name}"
        )
    content = templates.text(template).encode() if source is None else _configuration(source)
    path = folder.yaml if source is not None and source.suffix in YAML_SUFFIXES else folder.config
    folder.create()
    write_private(path, content)
    return path


def _configuration(source: Path) -> bytes:
    if source.suffix not in {".py", *YAML_SUFFIXES}:
        raise ConfigError(f"{source} is neither a config.py nor a config.yaml: its name ends in neither .py nor .yaml.")
    try:
        return source.read_bytes()
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from None


def summary(folder: EndpointFolder) -> Summary:
    """Return the state of an endpoint, with a word about it."""
    endpoint_id = folder.endpoint_id()
    lock = AgentLock(folder.lock)
    last = lock.last_holder()
    if lock.holder() is None:
        if last is not None:
            return Summary(
                id=endpoint_id, state=State.STOPPED, detail="stale: it did not stop in order", name=folder.name
            )
        state = State.INITIALIZED if endpoint_id is None else State.STOPPED
        return Summary(id=endpoint_id, state=state, name=folder.name)
    status = folder.status()
    if status is None or not status.connected:
        return Summary(
            id=endpoint_id, state=State.DISCONNECTED, detail="not connected to the service", name=folder.name
        )
    return Summary(id=endpoint_id, state=State.RUNNING, detail=trouble(status), name=folder.name)


def trouble(status: Status) -> str:
    """Return what is wrong with an endpoint that runs; empty if nothing is."""
    return "" if status.state == "ok" else f"{status.state}: {status.detail}"


def require(folder: EndpointFolder) -> None:
    """Raise a `ConfigError` if the endpoint was not configured."""
    if not folder.exists:
        near = difflib.get_close_matches(folder.name, [one.name for one in all_endpoints()], n=1)
        hint = f"Did you mean '{near[0]}'? To make it, run" if near else "Run"
        raise ConfigError(f"There is no endpoint '{folder.name}'. {hint}: funcx-endpoint configure {folder.name}")


def start(folder: EndpointFolder, *, level: Level = Level.INFO, timeout: float = START_TIMEOUT) -> str | None:
    """Start the agent in the background; return a word about it when the endpoint is online, None if it ran already.

    Raises:
        EndpointStateError: it could not be brought online; the message says why.
        NotDetached: it wants to run in the terminal.
    """
    require(folder)
    if AgentLock(folder.lock).holder() is not None:
        return None
    folder.create()
    folder.stop_request.unlink(missing_ok=True)
    reader, writer = os.pipe()
    reports = Reports(reader, timeout=timeout)
    try:
        agent = _spawn(folder, writer, level=level)
    finally:
        os.close(writer)
    try:
        word = _wait_until_online(folder, agent, reports)
    except EndpointStateError as error:
        folder.write_last_error(str(error), at=time.time())
        raise
    except KeyboardInterrupt:
        _end_unfinished(folder, agent)
        raise
    else:
        folder.clear_last_error()
        return word
    finally:
        reports.close()


def _end_unfinished(folder: EndpointFolder, agent: subprocess.Popen[bytes]) -> None:
    """Whoever started it does not want it any more, and it has no task yet: it may have blocks."""
    agent.terminate()
    with suppress(subprocess.TimeoutExpired):
        agent.wait(STOP_MARGIN)
    agent.kill()
    agent.wait()
    processes.end(processes.of_endpoint(folder.path), grace=1.0)
    _clear_stale(folder)


def run_in_foreground(folder: EndpointFolder, *, level: Level = Level.INFO) -> int:
    """Run the agent as this command; return its exit code."""
    require(folder)
    folder.create()
    folder.stop_request.unlink(missing_ok=True)
    return subprocess.call(_command(folder, level=level), cwd=folder.path)


def _command(folder: EndpointFolder, *, level: Level) -> list[str]:
    # -P: a file in the endpoint's folder must not shadow a module.
    command = [sys.executable, "-P", "-m", "funcx_endpoint.interchange", "--folder", str(folder.path)]
    return [*command, "--log-level", level]


def _spawn(folder: EndpointFolder, ready: int, *, level: Level) -> subprocess.Popen[bytes]:
    command = [*_command(folder, level=level), "--ready-fd", str(ready)]
    environment = {**os.environ, processes.ENDPOINT_DIR_VARIABLE: str(folder.path)}
    with folder.agent_output.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder.path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[ready],
            start_new_session=True,
        )


def _wait_until_online(folder: EndpointFolder, agent: subprocess.Popen[bytes], reports: Reports) -> str | None:
    waits_for = "the agent to start"
    while True:
        try:
            report = reports.next()
        except TimeoutError:
            raise EndpointStateError(
                f"Endpoint '{folder.name}' was not online in time; it is still {waits_for}. It keeps trying; see "
                f"`funcx-endpoint status {folder.name}` and {folder.logs / 'agent.log'}."
            ) from None
        except EOFError:
            raise EndpointStateError(_why_it_died(folder, agent)) from None
        match report.state:
            case "online":
                return report.detail
            case "failed" if report.code == CONFLICT:
                return None
            case "failed" if report.code == NOT_DETACHED:
                agent.wait()
                raise NotDetached
            case "failed":
                raise EndpointStateError(_failure(folder, agent, report))
        waits_for = report.detail


def _failure(folder: EndpointFolder, agent: subprocess.Popen[bytes], report: Report) -> str:
    try:
        agent.wait(5 if report.code != "config_error" else 2)
    except subprocess.TimeoutExpired:
        return (
            f"Endpoint '{folder.name}' is registered, but {report.detail[:1].lower()}{report.detail[1:].rstrip('.')}. "
            f"Mend its configuration, then run: funcx-endpoint restart {folder.name}"
        )
    return f"Endpoint '{folder.name}' did not start. {report.detail}"


def _why_it_died(folder: EndpointFolder, agent: subprocess.Popen[bytes]) -> str:
    code = agent.wait(5)
    said = folder.agent_output.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
    last = f" It said: {said.splitlines()[-1]}" if said else ""
    return f"Endpoint '{folder.name}' did not start: its agent ended with code {code}.{last} See {folder.agent_output}."


def stop(folder: EndpointFolder, *, grace: float | None = None, say: Callable[[str], None] = lambda _: None) -> bool:
    """Stop the agent with all that belongs to it; True if anything ran. No process of it is left on return.

    Args:
        folder: the endpoint.
        grace: seconds for running tasks; None for what its config says.
        say: told what is waited for.

    Raises:
        EndpointStateError: the agent runs on another machine, or cannot be ended.
    """
    agent = AgentLock(folder.lock).holder()
    if agent is not None:
        if not agent.is_here:
            raise EndpointStateError(
                f"Endpoint '{folder.name}' runs on {agent.hostname}. Stop it there: funcx-endpoint stop {folder.name}"
            )
        _end_agent(folder, agent, grace, say)
    left = processes.of_endpoint(folder.path)
    processes.end(left, grace=1.0)
    if left := processes.of_endpoint(folder.path):
        pids = ", ".join(str(one.pid) for one in left)
        raise EndpointStateError(f"Processes of endpoint '{folder.name}' cannot be ended: {pids}.")
    _clear_stale(folder)
    return agent is not None


def _end_agent(folder: EndpointFolder, agent: Identity, grace: float | None, say: Callable[[str], None]) -> None:
    if grace is not None:
        write_private(folder.stop_request, msgspec.json.encode(float(grace)))
    agent.signal(signal.SIGTERM)
    # A stopped process gets the signal only when it runs again.
    agent.signal(signal.SIGCONT)
    if agent.wait(1.0):
        return
    status = folder.status()
    if status is not None and status.running_tasks:
        words = "1 running task" if status.running_tasks == 1 else f"{status.running_tasks} running tasks"
        say(f"waiting for {words}; `funcx-endpoint stop --grace 0 {folder.name}` does not wait")
    if not agent.wait(_grace(grace, status) + STOP_MARGIN):
        agent.signal(signal.SIGKILL)
        agent.wait(5)


def _grace(asked: float | None, status: Status | None) -> float:
    """Return how many seconds running tasks get: an agent that was not asked goes by its configuration."""
    if asked is not None:
        return asked
    return DEFAULT_GRACE if status is None else status.grace


def _clear_stale(folder: EndpointFolder) -> None:
    """Nobody holds the lock: what it says is of the past."""
    folder.stop_request.unlink(missing_ok=True)
    folder.clear_status()
    if AgentLock(folder.lock).holder() is None and folder.lock.exists():
        os.truncate(folder.lock, 0)


def remove(folder: EndpointFolder) -> None:
    """Delete an endpoint that does not run, with its logs and undelivered results.

    Raises:
        EndpointStateError: if it runs.
    """
    require_stopped(folder)
    shutil.rmtree(folder.path)


def require_stopped(folder: EndpointFolder) -> None:
    """Raise a `ConfigError` unless the endpoint was configured and does not run."""
    require(folder)
    if AgentLock(folder.lock).holder() is not None:
        raise EndpointStateError(f"Endpoint '{folder.name}' runs. Run: funcx-endpoint stop {folder.name}")
