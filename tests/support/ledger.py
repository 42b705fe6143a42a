"""A file outside the system that counts what really ran: every execution appends its start and its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One line of the ledger."""

    task: str
    pid: int
    what: str
    at: float


def recorded(path: str, task: str, seconds: float = 0.0) -> str:
    """The function that is run: writes to the ledger that it starts, works, writes that it ends, returns its name."""
    import os
    import time

    def write(what: str) -> None:
        line = f"{task} {os.getpid()} {what} {time.monotonic()}\n".encode()
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    write("start")
    time.sleep(seconds)
    write("end")
    return task


class Ledger:
    """Reads what `recorded` wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def function(self) -> Callable[..., str]:
        """What to submit: ``submit(ledger.function, str(ledger.path), name, seconds)``."""
        return recorded

    def entries(self) -> list[Entry]:
        """Return all complete lines."""
        if not self.path.exists():
            return []
        rows = [line.split() for line in self.path.read_text().splitlines()]
        return [Entry(task, int(pid), what, float(at)) for task, pid, what, at in rows]

    def starts(self) -> Counter[str]:
        """Return how often each task started."""
        return Counter(entry.task for entry in self.entries() if entry.what == "start")

    def ends(self) -> Counter[str]:
        """Return how often each task ran to its end."""
        return Counter(entry.task for entry in self.entries() if entry.what == "end")

    def running(self) -> dict[str, int]:
        """Return the tasks that started and have not ended, with the process that runs them."""
        open_tasks: dict[str, int] = {}
        for entry in self.entries():
            if entry.what == "start":
                open_tasks[entry.task] = entry.pid
            else:
                open_tasks.pop(entry.task, None)
        return open_tasks
