"""Processes of this machine: which one is meant, which ones belong to an endpoint, and how they are ended.

A process id alone names nobody: ids are given again. A process is identified by its id together with its start time and the
boot of the machine; a signal goes through a pidfd that was checked after it was opened.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

ENDPOINT_DIR_VARIABLE: Final = "FUNCX_ENDPOINT_DIR"
"""Set in the environment of every process of an endpoint."""

MANAGER_VARIABLE: Final = "FUNCX_MANAGER_ID"
"""Set in the environment of every worker, and so of what its tasks start."""

_START_TIME_FIELD: Final = 19
_PARENT_FIELD: Final = 1


class Identity(msgspec.Struct, frozen=True):
    """One process of one boot of one machine."""

    pid: int
    start_time: int
    boot_id: str
    hostname: str

    @property
    def is_here(self) -> bool:
        """Whether it is of this machine and this boot, so that it could still run here."""
        return self.hostname == socket.gethostname() and self.boot_id == boot_id()

    @property
    def is_alive(self) -> bool:
        """Whether that very process runs on this machine."""
        return self.is_here and start_time(self.pid) == self.start_time

    def signal(self, number: int) -> bool:
        """Send a signal to that very process; False if it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except (ProcessLookupError, PermissionError):
            return False
        try:
            if not self.is_alive:
                return False
            signal.pidfd_send_signal(handle, number)
        except (ProcessLookupError, PermissionError):
            return False
        finally:
            os.close(handle)
        return True

    def wait(self, timeout: float) -> bool:
        """Wait until it is gone; False if it still runs after `timeout` seconds."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.is_alive:
                return True
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(timeout * 1000))
        finally:
            os.close(handle)


def boot_id() -> str:
    """Return the name of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int:
    """Return when a process started, in ticks since the boot; 0 if there is none (a zombie counts as none)."""
    fields = _stat(pid)
    if not fields or fields[0] in {"Z", "X"}:
        return 0
    return int(fields[_START_TIME_FIELD])


def identity(pid: int | None = None) -> Identity | None:
    """Return who runs under `pid` (this process by default), or None."""
    pid = pid or os.getpid()
    started = start_time(pid)
    return Identity(pid, started, boot_id(), socket.gethostname()) if started else None


def of_endpoint(folder: Path) -> list[Identity]:
    """Return the processes that belong to the endpoint in `folder`, except this one and those it descends from."""
    mark = f"{ENDPOINT_DIR_VARIABLE}={folder}".encode()
    spared = _ancestors()
    return [
        found
        for pid in _pids()
        if pid not in spared and mark in _environment(pid) and (found := identity(pid)) is not None
    ]


def of_manager(manager_id: str) -> list[Identity]:
    """Return the workers of a manager and what their tasks started, whoever their parent is now."""
    mark = f"{MANAGER_VARIABLE}={manager_id}".encode()
    pids = [pid for pid in _pids() if mark in _environment(pid)]
    return [found for pid in pids if (found := identity(pid)) is not None]


def with_arguments(*marks: bytes) -> list[Identity]:
    """Return the processes whose arguments contain all of `marks`."""
    pids = [pid for pid in _pids() if all(mark in command(pid) for mark in marks)]
    return [found for pid in pids if (found := identity(pid)) is not None]


def command(pid: int) -> bytes:
    """Return the arguments of a process, as the kernel has them."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def tree(pid: int) -> list[Identity]:
    """Return the processes that descend from `pid`, as far as their parents still live."""
    children: dict[int, list[int]] = {}
    for other in _pids():
        fields = _stat(other)
        if fields:
            children.setdefault(int(fields[_PARENT_FIELD]), []).append(other)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return [one for child in found if (one := identity(child)) is not None]


def end(processes: Iterable[Identity], *, grace: float) -> None:
    """Ask these processes to end, and kill those that have not after `grace` seconds."""
    left = [one for one in processes if one.signal(signal.SIGTERM)] if grace > 0 else list(processes)
    deadline = time.monotonic() + grace
    left = [one for one in left if not one.wait(max(deadline - time.monotonic(), 0))]
    for one in left:
        one.signal(signal.SIGKILL)
    for one in left:
        one.wait(5)


def parent(pid: int) -> int:
    """Return the parent of a process; 0 if there is none."""
    fields = _stat(pid)
    return int(fields[_PARENT_FIELD]) if fields else 0


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - names are all that is needed, of hundreds


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the name of the program, which may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _ancestors() -> set[int]:
    spared: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in spared:
        spared.add(pid)
        pid = parent(pid)
    return spared
