"""Large payloads and results as files beside the database.

A file is on disk before the row that names it is committed, and goes only after the row that stops naming it was. What a
crash leaves between the two is removed at the next start.
"""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from funcx_core.home import private_dir


class BlobFolder:
    """Files of one folder, named at random. `put`, `sync` and `rollback` belong to the thread that writes the store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unsynced: list[str] = []

    def put(self, content: bytes) -> str:
        """Write `content` to a new file and return its name. It is not on disk before `sync`."""
        name = os.urandom(12).hex()
        self._unsynced.append(name)
        handle = os.open(self._path_of(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return name

    def sync(self) -> None:
        """Return when everything that was put is on disk: the rows that name it may be committed."""
        if not self._unsynced:
            return
        for name in self._unsynced:
            _fsync(self._path_of(name))
        _fsync(self._path)  # One folder, so one more for the whole group.
        self._unsynced.clear()

    def rollback(self) -> None:
        """Remove what was put since the last `sync`: no row will name it."""
        while self._unsynced:
            self.remove(self._unsynced.pop())

    def read(self, name: str) -> bytes | None:
        """Return the content; None if the file has gone, with the row that named it. Any thread may call it."""
        try:
            return self._path_of(name).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file that no committed row names."""
        self._path_of(name).unlink(missing_ok=True)

    def sweep(self, named: Container[str]) -> int:
        """Remove every file that is not `named`; how many there were."""
        private_dir(self._path)
        left_over = [file for file in self._path.iterdir() if file.is_file() and file.name not in named]
        for file in left_over:
            file.unlink(missing_ok=True)
        return len(left_over)

    def _path_of(self, name: str) -> Path:
        return self._path / name


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
