"""What a test does to the inside of a fabric's processes, see `in_processes/sitecustomize.py`."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.fabric import eventually

_SIGNAL = signal.SIGRTMIN + 5


class Seams:
    """Made with a folder that is also given to the `Fabric`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def set_clock(self, seconds: float) -> None:
        """Put the wall clocks of all processes wrong by so many seconds, from now on and all at once."""
        new = self.folder / "clock.new"
        new.write_text(str(seconds))
        new.rename(self.folder / "clock")

    def threads(self, pid: int) -> list[str]:
        """Return the names of the process's threads, but for the main one."""
        self._signal(pid, "")
        names = eventually(lambda: self._read("threads", pid), "the process names its threads", interval=0.01)
        (self.folder / f"threads-{pid}").unlink()
        return [name for name in names if name != "MainThread"]

    def kill_threads(self, pid: int, name: str) -> list[str]:
        """Raise an exception in the threads of that process whose names begin with `name`; return their names."""
        self._signal(pid, name)
        return eventually(lambda: self._read("died", pid), f"{name} is hit", interval=0.01)

    def _signal(self, pid: int, name: str) -> None:
        (self.folder / f"die-{pid}").write_text(name)
        os.kill(pid, _SIGNAL)

    def _read(self, what: str, pid: int) -> list[str]:
        path = self.folder / f"{what}-{pid}"
        return path.read_text().splitlines() if path.exists() else []
