"""When a worker has done its share and a new process is to take its place.

It is asked after each task, so it looks only at what costs next to nothing, and at memory five times a second at most.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LEFT_THREADS: Final = 20
"""Threads that tasks may leave behind."""
_LOOK_NANOSECONDS: Final = 200_000_000
# `threading.active_count` takes a lock, which costs a tenth of what a short task does.
_threads: Final = threading._active  # type: ignore[attr-defined]  # noqa: SLF001
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Retirement:
    """Counts what one worker has done and grown. Make one when the worker is ready.

    Args:
        max_tasks: tasks after which the worker is replaced; None for never.
        max_growth: bytes of memory, over those at the start, after which it is replaced; None for never.
    """

    def __init__(self, max_tasks: int | None, max_growth: int | None) -> None:
        self._max_tasks = max_tasks
        self._max_growth = max_growth
        self._tasks = 0
        self._threads = len(_threads)
        self._memory = memory()
        self._looked = 0

    def reason(self, ended: int) -> str:
        """Count a task; return why the worker is to be replaced now, or nothing.

        Args:
            ended: when the task ended, in nanoseconds.
        """
        self._tasks += 1
        if self._tasks == self._max_tasks:
            return f"it ran {self._tasks} tasks"
        left = len(_threads) - self._threads
        if left > LEFT_THREADS:
            return f"its tasks left {left} threads behind"
        if self._max_growth is None or abs(ended - self._looked) < _LOOK_NANOSECONDS:
            return ""
        self._looked = ended
        grown = memory() - self._memory
        return f"it has grown by {grown / 1e6:,.0f} MB" if grown > self._max_growth else ""


def memory() -> int:
    """Return the bytes of memory of this process, without those of mapped files."""
    resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(resident) - int(shared)) * _PAGE


def half_imported(modules: Iterable[str]) -> str:
    """Return why the worker is to be replaced after a task that was interrupted, if that was amid an import; else nothing.

    Python forgets the package, and not the parts of it that it had: the next import of it would find them, and fail with a `NameError`.
    """
    known = frozenset(modules)
    left = next((name for name in sorted(known) if "." in name and name.rpartition(".")[0] not in known), "")
    return f"an import was interrupted and left {left} behind" if left else ""
