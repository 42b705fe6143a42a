"""Processor time and memory of all processes of one measured system, read from ``/proc``.

Every process that a measurement starts inherits a marker in its environment, so those that detach from their parent are
counted as well.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

MARKER = "FUNCX_BENCH_RUN"
_TICK = os.sysconf("SC_CLK_TCK")

ROLES = (
    ("funcx_core.service", "service+forwarder"),
    ("funcx_endpoint.manager", "manager"),
    ("funcx_endpoint.worker", "workers"),
    ("funcx_endpoint", "agent"),
    ("interchange", "interchange"),
    ("process_worker_pool", "manager+workers"),
    ("multiprocessing", "workers"),
)


@dataclass(frozen=True)
class Usage:
    """What the processes of one role have used so far."""

    cpu_seconds: float
    memory_bytes: int


def usage(marker: str) -> dict[str, Usage]:
    """Return the usage per role of all living processes that carry this marker."""
    found: dict[str, Usage] = {}
    for pid in _marked(marker):
        try:
            role, used = _role(pid), Usage(_cpu_seconds(pid), _memory(pid))
        except OSError:
            continue
        before = found.get(role, Usage(0.0, 0))
        found[role] = Usage(before.cpu_seconds + used.cpu_seconds, before.memory_bytes + used.memory_bytes)
    return found


def cpu_between(before: dict[str, Usage], after: dict[str, Usage]) -> dict[str, float]:
    """Return the processor seconds per role that were used in between."""
    nothing = Usage(0.0, 0)
    return {role: used.cpu_seconds - before.get(role, nothing).cpu_seconds for role, used in after.items()}


def age_of_this_process() -> float:
    """Return how many seconds ago this process was started."""
    started = int(_fields(os.getpid())[19]) / _TICK
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _marked(marker: str) -> set[int]:
    """Processes with the marker and all their descendants: some overwrite their environment with a title."""
    wanted = f"{MARKER}={marker}".encode()
    parents, found = {}, {os.getpid()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                pid = int(entry.name)
                parents[pid] = int(_fields(pid)[1])
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _role(pid: int) -> str:
    if pid == os.getpid():
        return "client"
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    parent = int(_fields(pid)[1])
    if parent == os.getpid() and "bench.measure" in command:
        return "workers"  # forked from the client
    return next((role for name, role in ROLES if name in command), "other")


def _cpu_seconds(pid: int) -> float:
    fields = _fields(pid)
    return (int(fields[11]) + int(fields[12])) / _TICK


def _memory(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _fields(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
