"""What of a fabric is alive on this machine: its processes, the ports they listen on, the locks they hold.

Every process of a fabric inherits `FUNCX_HOME`, so the environment of a process tells whose it is, even when its parent is
gone. Linux only: everything is read from ``/proc``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec

ROLES: Final = {
    "funcx_core.service": "service",
    "funcx-service": "service",
    "funcx_endpoint.manager": "manager",
    "funcx_endpoint.worker": "worker",
    "funcx_endpoint.interchange": "agent",
}
_LISTEN: Final = "0A"


class FabricProcess(msgspec.Struct, frozen=True):
    """A living process of a fabric. `role`: service, agent, manager, worker, or other for what user code started."""

    pid: int
    role: str
    command: str


def processes(home: Path) -> list[FabricProcess]:
    """Return the living processes whose `FUNCX_HOME` is `home`, this process and its ancestors left out."""
    wanted = f"FUNCX_HOME={home}".encode()
    mine = _ancestors(os.getpid())
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [found for pid in pids if pid not in mine and (found := _inspect(pid, wanted)) is not None]


def listening_ports(pids: set[int]) -> set[int]:
    """Return the TCP ports on which any of these processes listens."""
    inodes = {inode for pid in pids for inode in _socket_inodes(pid)}
    return {
        port for table in ("tcp", "tcp6") for port, inode in _listeners(Path("/proc/net") / table) if inode in inodes
    }


def is_listening(port: int) -> bool:
    """Whether any process of this machine listens on that TCP port."""
    return any(port == found for table in ("tcp", "tcp6") for found, _ in _listeners(Path("/proc/net") / table))


def held_locks(home: Path) -> list[Path]:
    """Return the lock files below `home` that some process still holds."""
    return [path for path in sorted(home.rglob("*.lock")) if _is_held(path)]


def _inspect(pid: int, wanted: bytes) -> FabricProcess | None:
    folder = Path("/proc") / str(pid)
    try:
        if wanted not in (folder / "environ").read_bytes().split(b"\0"):
            return None
        arguments = (folder / "cmdline").read_bytes().split(b"\0")
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # it ended meanwhile, or is another user's
        return None
    if state in "ZX":
        return None
    command = " ".join(part.decode(errors="replace") for part in arguments if part)
    return FabricProcess(pid, _role(command), command)


def _role(command: str) -> str:
    return next((role for name, role in ROLES.items() if name in command), "other")


def _ancestors(pid: int) -> set[int]:
    found = set()
    while pid > 1:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                target = str(handle.readlink())
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def _listeners(table: Path) -> list[tuple[int, str]]:
    try:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
    except OSError:
        return []
    return [(int(row[1].rpartition(":")[2], 16), row[9]) for row in rows if row[3] == _LISTEN]


def _is_held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
