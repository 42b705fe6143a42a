from __future__ import annotations

import asyncio
import errno
import os
import threading
from types import SimpleNamespace

import pytest

from funcx_core.protocol.task import Lease, TaskResult, TaskState
from funcx_endpoint.interchange import spool as module
from funcx_endpoint.interchange.record_file import framed
from funcx_endpoint.interchange.spool import Spool


class Watcher:
    def __init__(self):
        self.tokens: list[int] = []
        self.full: list[bool] = []
        self.changed = threading.Condition()

    def durable(self, tokens):
        with self.changed:
            self.tokens += tokens
            self.changed.notify_all()

    def is_full(self, full):
        with self.changed:
            self.full.append(full)
            self.changed.notify_all()

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, timeout=10)


def result(name, value=b"pb\nv"):
    return TaskResult(name, 1, TaskState.SUCCESS, value)


class Due:
    """Calls that are due, in place of a loop's."""

    def __init__(self):
        self.actions = []
        self.seconds = 0.0

    def later(self, seconds, action):
        self.seconds = seconds
        self.actions.append(action)
        return SimpleNamespace(cancel=lambda: self.actions.remove(action))

    def come(self):
        for action in self.actions[:]:
            self.actions.remove(action)
            action()


def at_once(_seconds, action):
    action()


@pytest.fixture
def watcher():
    return Watcher()


@pytest.fixture
def a_spool(tmp_path, watcher):
    made = []

    def make(later=at_once):
        spool = Spool(tmp_path / "results", later=later, on_durable=watcher.durable, on_full=watcher.is_full)
        made.append(spool)
        return spool

    yield make
    for spool in made:
        spool.close()


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "results").iterdir())


def names(results):
    return [result.task_id for result in results]


def test_what_was_durable_is_found_again(a_spool, watcher):
    first = a_spool()
    assert first.open() == []
    first.append(1, [result("a"), result("b")])
    first.append(2, [result("c")])
    watcher.wait(lambda: watcher.tokens == [1, 2])
    assert a_spool().open() == [result("a"), result("b"), result("c")]


def test_a_file_goes_when_all_of_it_is_acknowledged(a_spool, watcher, tmp_path):
    spool = a_spool()
    spool.open()
    spool.append(1, [result("a"), result("b")])
    watcher.wait(lambda: watcher.tokens)
    spool.forget([Lease("a", 1)])
    spool.close()
    assert len(files(tmp_path)) == 1
    again = a_spool()
    assert names(again.open()) == ["a", "b"]
    again.forget([Lease("a", 1), Lease("b", 1)])
    again.close()
    assert files(tmp_path) == []


def test_an_acknowledgement_of_another_attempt_changes_nothing(a_spool, watcher):
    spool = a_spool()
    spool.open()
    spool.append(1, [result("a")])
    watcher.wait(lambda: watcher.tokens)
    spool.forget([Lease("a", 2)])
    spool.close()
    assert names(a_spool().open()) == ["a"]


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_a_torn_end_costs_only_the_last_record(a_spool, watcher, tmp_path, cut):
    spool = a_spool()
    spool.open()
    spool.append(1, [result("a")])
    watcher.wait(lambda: watcher.tokens == [1])
    spool.append(2, [result("b")])
    watcher.wait(lambda: watcher.tokens == [1, 2])
    (path,) = (tmp_path / "results").iterdir()
    os.truncate(path, path.stat().st_size - cut)
    assert names(a_spool().open()) == ["a"]


def test_a_damaged_file_is_put_aside_and_the_others_are_read(a_spool, watcher, tmp_path):
    spool = a_spool()
    spool.open()
    spool.append(1, [result("a")])
    watcher.wait(lambda: watcher.tokens == [1])
    spool.append(2, [result("b")])
    watcher.wait(lambda: len(watcher.tokens) == 2)
    (path,) = (tmp_path / "results").iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2 - 4] ^= 1  # within the first record
    path.write_bytes(content)
    other = tmp_path / "results" / "00000009.results"
    other.write_bytes(framed(module.encode(module.Results([result("z")]))))
    again = a_spool()
    assert names(again.open()) == ["z"]
    again.close()
    assert files(tmp_path) == ["00000001.corrupt", "00000009.results"]


def test_what_stood_before_the_damage_is_kept_under_a_new_name(a_spool, watcher, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    good, bad = (bytearray(framed(module.encode(module.Results([result(name)])))) for name in "ab")
    bad[-1] ^= 1
    (folder / "00000003.results").write_bytes(good + bad + good)
    spool = a_spool()
    assert names(spool.open()) == ["a"]
    watcher.wait(lambda: watcher.tokens == [module.NO_TOKEN])
    spool.close()
    assert files(tmp_path) == ["00000003.corrupt", "00000004.results"]


def test_a_full_disk_is_told_and_tried_again(a_spool, watcher, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    real, space = os.fdatasync, threading.Event()

    def fdatasync(handle):
        if not space.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(module.os, "fdatasync", fdatasync)
    spool = a_spool()
    spool.open()
    spool.append(1, [result("a")])
    watcher.wait(lambda: watcher.full == [True])
    spool.append(2, [result("b")])
    spool.append(3, [result("c")])
    spool.forget([Lease("a", 1), Lease("c", 1)])  # the service got them although the disk did not
    watcher.wait(lambda: watcher.tokens == [1])
    space.set()
    watcher.wait(lambda: watcher.tokens == [1, 2, 3])
    assert watcher.full == [True, False]
    assert names(a_spool().open()) == ["b"]


def test_long_files_are_followed_by_new_ones(a_spool, watcher, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SEGMENT_BYTES", 100)
    spool = a_spool()
    spool.open()
    for number in range(4):
        spool.append(number, [result(f"t{number}", b"v" * 80)])
        watcher.wait(lambda number=number: number in watcher.tokens)
    assert len(files(tmp_path)) == 4
    spool.forget([Lease("t0", 1), Lease("t2", 1)])
    spool.close()
    assert files(tmp_path) == ["00000002.results", "00000004.results"]


async def test_many_results_cost_few_writes(a_spool, watcher, monkeypatch):
    writes = []
    real = os.fdatasync
    monkeypatch.setattr(module.os, "fdatasync", lambda handle: (writes.append(1), real(handle)))
    spool = a_spool()
    spool.open()
    for number in range(2000):
        spool.append(number, [result(f"t{number}")])
    await asyncio.to_thread(watcher.wait, lambda: len(watcher.tokens) == 2000)
    assert len(writes) < 500


def test_what_is_acknowledged_in_a_moment_is_never_written(a_spool, watcher):
    due = Due()
    spool = a_spool(later=due.later)
    spool.open()
    spool.append(1, [result("a"), result("b")])
    spool.append(2, [result("c")])
    spool.forget([Lease("c", 1)])
    assert watcher.tokens == []  # What stands behind an entry that waits is done after it.
    spool.forget([Lease("a", 1), Lease("b", 1)])
    assert watcher.tokens == [1, 2]
    assert due.actions == []  # What comes next has a moment of its own.
    spool.append(3, [result("d")])
    assert len(due.actions) == 1
    spool.close()
    assert watcher.tokens == [1, 2, 3]
    assert names(a_spool().open()) == ["d"]


def test_tokens_of_held_results_wait_for_those_that_are_being_written(a_spool, watcher, monkeypatch):
    may_write, real = threading.Event(), os.fdatasync
    monkeypatch.setattr(module.os, "fdatasync", lambda handle: (may_write.wait(10), real(handle)))
    due = Due()
    spool = a_spool(later=due.later)
    spool.open()
    spool.append(1, [result("a")])
    due.come()
    spool.append(2, [result("b")])
    spool.forget([Lease("b", 1)])
    assert watcher.tokens == []
    due.come()
    may_write.set()
    watcher.wait(lambda: watcher.tokens == [1, 2])
    spool.close()
    assert names(a_spool().open()) == ["a"]


def test_of_an_entry_that_is_acknowledged_in_part_the_rest_is_written(a_spool, watcher, tmp_path):
    due = Due()
    spool = a_spool(later=due.later)
    spool.open()
    spool.append(1, [result("a"), result("b")])
    spool.forget([Lease("a", 1), Lease("a", 2)])
    due.come()
    watcher.wait(lambda: watcher.tokens == [1])
    spool.forget([Lease("b", 1)])
    spool.close()
    assert files(tmp_path) == []


def test_with_nobody_waiting_for_slots_an_acknowledgement_has_more_time(a_spool, watcher):
    due = Due()
    spool = a_spool(later=due.later)
    spool.open()
    spool.append(1, [result("a")], may_wait=True)
    assert due.seconds == module.PATIENT_SECONDS
    spool.append(2, [result("b")])
    assert (due.seconds, len(due.actions)) == (module.HOLD_SECONDS, 1)
    spool.append(3, [result("c")], may_wait=True)
    assert (due.seconds, len(due.actions)) == (module.HOLD_SECONDS, 1)
    due.come()
    watcher.wait(lambda: watcher.tokens == [1, 2, 3])
