from __future__ import annotations

import sqlite3

import pytest

from funcx_core.protocol.task import EventKind, TaskEvent
from funcx_core.service.store.log_bounds import MAX_BYTES, MAX_EVENTS, LogBounds


class Logs:
    """A table of logs; `counts` is how often one of them was read as a whole."""

    def __init__(self):
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute("CREATE TABLE task_events (task_id, seq, body)")
        self._seq = 0
        self.counts = 0

    def run(self, statement, parameters):
        self.counts += "count(*)" in statement
        return self._connection.execute(statement, parameters)

    def add(self, task_id, number, size=1):
        events = [
            TaskEvent(task_id, seq, EventKind.STDOUT, 0, b"x" * size)
            for seq in range(self._seq + 1, self._seq + number + 1)
        ]
        self._seq += number
        rows = [(event.task_id, event.seq, event.body) for event in events]
        self._connection.executemany("INSERT INTO task_events VALUES (?, ?, ?)", rows)
        return events

    def kept(self, task_id):
        query = "SELECT count(*), min(seq), sum(length(body)) FROM task_events WHERE task_id = ?"
        return self._connection.execute(query, (task_id,)).fetchone()

    def close(self):
        self._connection.close()


@pytest.fixture
def logs():
    logs = Logs()
    yield logs
    logs.close()


def test_a_log_is_counted_once_as_long_as_it_is_short(logs):
    bounds = LogBounds()
    for _ in range(100):
        bounds.appended(logs, [*logs.add("a", 5), *logs.add("b", 5)])
    assert logs.counts == 2
    assert logs.kept("a")[0] == 500


def test_a_long_log_loses_its_beginning_and_is_counted_rarely(logs):
    bounds = LogBounds()
    for _ in range(MAX_EVENTS):
        bounds.appended(logs, logs.add("a", 2))
        assert logs.kept("a")[0] <= MAX_EVENTS
    count, first, _ = logs.kept("a")
    assert count > MAX_EVENTS * 0.8
    assert first == 2 * MAX_EVENTS - count + 1
    assert logs.counts < 50


def test_large_entries_are_bounded_by_their_bytes(logs):
    bounds = LogBounds()
    for _ in range(20):
        bounds.appended(logs, logs.add("a", 1, MAX_BYTES // 4))
        assert logs.kept("a")[2] <= MAX_BYTES
    assert logs.kept("a")[0] >= 3


def test_the_newest_entry_is_kept_however_large_it_is(logs):
    bounds = LogBounds()
    bounds.appended(logs, [*logs.add("a", 1), *logs.add("a", 1, MAX_BYTES + 1)])
    assert logs.kept("a") == (1, 2, MAX_BYTES + 1)


def test_what_was_there_before_this_process_counts(logs):
    logs.add("a", MAX_EVENTS)
    LogBounds().appended(logs, logs.add("a", 1))
    assert logs.kept("a")[0] <= MAX_EVENTS


def test_an_ended_task_is_forgotten(logs):
    bounds = LogBounds()
    bounds.appended(logs, logs.add("a", 1))
    bounds.forget(["a", "b"])
    assert not bounds._reckoned
