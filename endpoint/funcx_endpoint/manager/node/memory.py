"""What the kernel says of memory: how much there is, and whether it killed somebody for the lack of it."""

from __future__ import annotations

import os
from pathlib import Path


def memory_bytes() -> int:
    """Return the physical memory of this node."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def memory_free() -> int:
    """Return how many bytes new processes could have on this node; 0 if the kernel does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


class OomWatch:
    """Notices whether the kernel's out-of-memory killer has struck since it was last asked."""

    def __init__(self) -> None:
        self._kills = _kills()

    def has_struck(self) -> bool:
        """Whether it killed any process since the last call."""
        before, self._kills = self._kills, _kills()
        return self._kills > before


def _kills() -> int:
    return _count(Path("/proc/vmstat")) + _count(_cgroup_events())


def _cgroup_events() -> Path:
    try:
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2]
    except OSError:
        own = ""
    return Path("/sys/fs/cgroup") / own.lstrip("/") / "memory.events"


def _count(path: Path) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
