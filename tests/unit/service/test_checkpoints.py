from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from funcx_core.service.store import checkpoints
from funcx_core.service.store.checkpoints import Checkpoints


def test_commits_are_moved_by_the_thread_and_the_log_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PAUSE", 0.01)
    path = tmp_path / "one.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL").close()
        writer.execute("PRAGMA wal_autocheckpoint = 0").close()
        writer.execute("CREATE TABLE numbers (n)")
        moving = Checkpoints(path)
        moving.open()
        try:
            for number in range(3):
                # Reading the database file by itself, without its log, tells what was moved.
                writer.execute("INSERT INTO numbers VALUES (?)", (number,))
                moving.note_commit()
                _wait_until_moved(path, number + 1)
        finally:
            moving.close()
        log = path.with_name("one.db-wal")
        before = log.stat().st_size
        writer.execute("INSERT INTO numbers VALUES (3)")
        assert log.stat().st_size == before


def test_it_ends_at_once_with_and_without_work(tmp_path: Path) -> None:
    moving = Checkpoints(tmp_path / "one.db")
    moving.close()
    for notes in (0, 1):
        moving.open()
        for _ in range(notes):
            moving.note_commit()
        began = time.monotonic()
        moving.close()
        assert time.monotonic() - began < checkpoints.PAUSE


def _wait_until_moved(path: Path, rows: int) -> None:
    deadline = time.monotonic() + 10
    while _rows_without_log(path) != rows:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _rows_without_log(path: Path) -> int | None:
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    try:
        with closing(sqlite3.connect(copy)) as connection:
            return int(connection.execute("SELECT count(*) FROM numbers").fetchone()[0])
    except sqlite3.DatabaseError:
        return None
    finally:
        copy.unlink()
