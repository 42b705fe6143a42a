"""Moves commits from the write-ahead log into the database, beside the writer.

SQLite lets the commit that makes the log long do this: some ten milliseconds in which, here, the service's loop would stand still.
A connection of its own does it once a second while there are commits. The log is begun anew only by a writer that finds
everything moved; under load that is the rare commit that looks itself (`LONG_LOG`), with little left to move.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

PAUSE: Final = 1.0
"""Seconds between the first commit that was not moved and the move."""
LONG_LOG: Final = 16_384
"""Pages of the log from which on a commit moves what is left."""


class Checkpoints:
    """The thread that moves the commits of one database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_commits = threading.Event()
        self._is_closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the thread."""
        self._is_closing.clear()
        self._thread = threading.Thread(target=self._work, name="store-checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        self._is_closing.set()
        self._has_commits.set()
        if thread is not None:
            thread.join()

    def note_commit(self) -> None:
        """There is something to move. Any thread may call this."""
        if not self._has_commits.is_set():
            self._has_commits.set()

    def _work(self) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            while self._has_commits.wait() and not self._is_closing.wait(PAUSE):
                self._has_commits.clear()
                with suppress(sqlite3.OperationalError):  # The disk is full, say: the writers hear of it themselves.
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").close()
