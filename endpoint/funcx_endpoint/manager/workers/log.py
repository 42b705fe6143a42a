"""What one worker wrote, on disk: a file of bounded size, and the one before it.

The worker's output goes to the users of its tasks; this is for the owner of the endpoint, who wants to know what was said between
two tasks, or by one whose user is not there any more.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

BYTES: Final = 1024 * 1024
"""Of a file; there are two for each worker at most."""
KEPT: Final = 50
"""Managers whose workers' logs are kept."""
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def forget_oldest(root: Path, keep: int = KEPT) -> None:
    """Remove the logs of all but the managers that came last. Only folders that are named by an id are looked at."""
    with contextlib.suppress(OSError):
        found = [folder for folder in root.iterdir() if _ID.fullmatch(folder.name)]
        for folder in sorted(found, key=lambda one: one.stat().st_mtime)[:-keep]:
            shutil.rmtree(folder, ignore_errors=True)


class WorkerLog:
    """The log of one worker, over all its processes. A full disk drops what is written, and stops nobody."""

    def __init__(self, path: Path, most: int = BYTES) -> None:
        self._path = path
        self._most = most
        self._descriptor = -1
        self._size = 0

    def write(self, output: bytes) -> None:
        """Append what the worker wrote."""
        with contextlib.suppress(OSError):
            if self._descriptor < 0:
                self._open()
            if self._size + len(output) > self._most:
                self._rotate()
            self._size += os.write(self._descriptor, output[-self._most :])

    def note(self, text: str) -> None:
        """Append a line of ours, with the time."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.write(f"--- {at} {text}\n".encode(errors="backslashreplace"))

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        self.close()
        self._path.replace(self._path.with_suffix(".log.1"))
        self._open()
