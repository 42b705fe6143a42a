"""Housekeeping on a real store, with a clock of the test's own."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from funcx_core.home import private_dir
from funcx_core.ids import TaskId, new_map_id, new_task_id
from funcx_core.protocol.handoff import ExpireRequested, forwarder_topic
from funcx_core.protocol.maps import RangeCall, SubmitMap
from funcx_core.protocol.payload import CALLS
from funcx_core.protocol.ranges import a_range
from funcx_core.protocol.task import EventKind, TaskEvent, event_seq
from funcx_core.queues.memory import MemoryQueue
from funcx_core.service.backup import Backups
from funcx_core.service.config import RetentionConfig
from funcx_core.service.handoff import Handoff
from funcx_core.service.housekeeping import Housekeeping
from funcx_core.service.retention import DAY
from funcx_core.service.store import SqliteStore
from funcx_core.service.store.records import Token
from tests.support.stored import (
    ALICE,
    ENDPOINT,
    FUNCTION,
    GROUP,
    a_function,
    a_result,
    a_submission,
    an_endpoint,
    calls,
)

LARGE = b"x" * 200_000


class House:
    """A store, its housekeeping, and the days that have passed."""

    def __init__(self, folder: Path, store: SqliteStore, inbox: MemoryQueue) -> None:
        self.folder = folder
        self.store = store
        self.inbox = inbox
        self.days = 0.0

    def keeping(self, *others, **settings) -> Housekeeping:
        return Housekeeping(
            RetentionConfig(**{"backups": 0, "every": 1, **settings}),
            store=self.store,
            handoff=Handoff(self.inbox),
            backups=Backups(self.folder),
            others=others,
            now=lambda: time.time() + self.days * DAY,
        )

    def count(self, table: str) -> int:
        with sqlite3.connect(self.folder / "funcx.db") as database:
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    async def ended(self, count: int, value: bytes = b"pb\nvalue") -> list[TaskId]:
        submission = a_submission(*calls(count))
        await self.store.submit(msgspec.structs.replace(submission, received_at=time.time_ns()))
        ids = [call.task_id for call in submission.calls]
        await self.store.complete(ENDPOINT, [a_result(task_id, value) for task_id in ids])
        return ids


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    inbox: MemoryQueue = MemoryQueue()
    await inbox.connect()
    async with SqliteStore(tmp_path) as store:
        await store.ensure_user(ALICE)
        await store.add_function(a_function())
        await store.save_endpoint(an_endpoint())
        yield House(tmp_path, store, inbox)
    await inbox.close()


async def test_results_go_with_their_logs_files_and_submits_when_their_time_is_over(house: House) -> None:
    old = await house.ended(25, LARGE)
    waiting = a_submission(*calls(3))
    await house.store.submit(msgspec.structs.replace(waiting, received_at=time.time_ns()))
    log = [TaskEvent(waiting.calls[0].task_id, event_seq(1, 1), EventKind.STDOUT, 1, b"kept")]
    await house.store.append_events(ENDPOINT, log)
    assert len(list((house.folder / "blobs").iterdir())) == 25

    house.days = 13
    await house.keeping(results=14, task_expiry=0, batch=10).round()
    assert (house.count("tasks"), house.count("submits")) == (28, 2)

    house.days = 15
    await house.keeping(results=14, task_expiry=0, batch=10).round()
    assert (house.count("tasks"), house.count("submits"), house.count("task_events")) == (3, 1, 1)
    assert list((house.folder / "blobs").iterdir()) == []
    assert await house.store.tasks(ALICE.user_id, old) == {}
    assert len(await house.store.group(ALICE.user_id, GROUP)) == 3


async def test_a_map_goes_as_a_whole_when_its_last_range_is_old(house: House) -> None:
    map_id = new_map_id()
    ranges = [RangeCall(new_task_id(), FUNCTION, a_range(CALLS + b"pickle"), start, 5, start == 5) for start in (0, 5)]
    message = SubmitMap(1, map_id, ENDPOINT, GROUP, FUNCTION, ranges)
    await house.store.maps.submit(ALICE.user_id, message, time.time_ns())
    await house.store.complete(ENDPOINT, [a_result(ranges[0].task_id)])
    house.days = 15
    await house.keeping(task_expiry=0).round()
    assert (house.count("maps"), house.count("map_ranges"), house.count("tasks")) == (1, 2, 2)

    await house.store.complete(ENDPOINT, [a_result(ranges[1].task_id)])
    house.days = 30
    await house.keeping(task_expiry=0).round()
    left = [house.count(table) for table in ("maps", "map_ranges", "tasks", "submits")]
    assert left == [0, 0, 0, 0]


async def test_a_submit_stays_as_long_as_one_of_its_tasks(house: House) -> None:
    submission = a_submission(*calls(2))
    await house.store.submit(msgspec.structs.replace(submission, received_at=time.time_ns()))
    await house.store.complete(ENDPOINT, [a_result(submission.calls[1].task_id)])
    house.days = 15
    await house.keeping(task_expiry=0).round()
    assert (house.count("tasks"), house.count("submits")) == (1, 1)
    assert [offer.task.task_id for offer in await house.store.offers([submission.calls[0].task_id])]


async def test_new_tasks_do_not_take_the_place_of_deleted_ones_after_a_restart(house: House) -> None:
    await house.ended(3)
    house.days = 15
    await house.keeping().round()
    assert house.count("tasks") == 0
    await house.store.close()
    await house.store.open()
    house.days = 0
    again = await house.ended(3)
    assert len(await house.store.tasks(ALICE.user_id, again)) == 3


async def test_tasks_that_wait_too_long_are_handed_to_the_forwarder_in_small_messages(house: House) -> None:
    submission = a_submission(*calls(5))
    await house.store.submit(msgspec.structs.replace(submission, received_at=time.time_ns()))
    await house.keeping(task_expiry=3, batch=2).round()
    assert await house.inbox.get(forwarder_topic(), timeout=0) == []
    house.days = 4
    await house.keeping(task_expiry=3, batch=2).round()
    messages = await house.inbox.get(forwarder_topic(), timeout=1)
    assert [type(message) for message in messages] == [ExpireRequested] * 3
    asked = [task_id for message in messages for task_id in message.task_ids]
    assert asked == [call.task_id for call in submission.calls]


async def test_worthless_tokens_and_code_that_nobody_uses_go(house: House) -> None:
    now = time.time()
    for name, expires_at, revoked in (
        ("a", now - 1, False),
        ("b", None, True),
        ("c", None, False),
        ("d", now + 1e9, False),
    ):
        token = Token(
            digest=name, user_id=ALICE.user_id, label="", created_at=now, expires_at=expires_at, revoked=revoked
        )
        await house.store.add_token(token)
    with sqlite3.connect(house.folder / "funcx.db") as database:
        database.execute("INSERT INTO function_bodies VALUES (x'00', x'01')")
    database.close()
    house.days = 31
    await house.keeping(tokens=30, batch=1).round()
    assert [await house.store.token(name) is not None for name in "abcd"] == [False, False, True, True]
    assert house.count("function_bodies") == 1


async def test_other_parts_are_asked_and_a_failure_is_not_the_end(house: House) -> None:
    asked: list[float] = []

    async def fails(now: float) -> None:
        asked.append(now)
        raise OSError("no disk")

    keeping = house.keeping(fails)
    await keeping.round()
    await keeping.round()
    assert len(asked) == 2


async def test_a_copy_can_be_restored_and_only_so_many_are_kept(house: House, tmp_path: Path) -> None:
    (task_id,) = await house.ended(1, LARGE)
    large = private_dir(house.folder / "large")
    for name, content in {"complete": b"1 GB", "arriving.part": b"still written to"}.items():
        (large / name).touch(mode=0o600)
        (large / name).write_bytes(content)
    keeping = house.keeping(backups=2)
    await keeping.round()
    (copy,) = (house.folder / "backups").iterdir()
    assert [(path.name, path.read_bytes()) for path in (copy / "large").iterdir()] == [("complete", b"1 GB")]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [copy, *copy.rglob("*")])

    house.days = 15  # the result is deleted, and the next copy is without it
    await keeping.round()
    assert house.count("tasks") == 0
    async with SqliteStore(copy) as restored:
        row = (await restored.tasks(ALICE.user_id, [task_id]))[task_id]
        assert row.value == LARGE

    for house.days in (16.5, 18):
        await keeping.round()
    copies = sorted(path.name for path in (house.folder / "backups").iterdir())
    assert len(copies) == 2
    assert copy.name not in copies


async def test_a_copy_is_not_made_before_its_time_after_a_restart(house: House) -> None:
    await house.keeping(backups=2).round()
    house.days = 0.5
    await house.keeping(backups=2).round()
    assert len(list((house.folder / "backups").iterdir())) == 1
    house.days = 1.1
    await house.keeping(backups=2).round()
    assert len(list((house.folder / "backups").iterdir())) == 2


async def test_submits_go_on_while_much_is_deleted(house: House) -> None:
    import asyncio

    for _ in range(4):
        await house.ended(500)
    house.days = 15
    deleting = asyncio.create_task(house.keeping(batch=100).round())
    longest = 0.0
    while not deleting.done():
        house_days, house.days = house.days, 0.0
        started = time.monotonic()
        await house.ended(1)
        longest = max(longest, time.monotonic() - started)
        house.days = house_days
        await asyncio.sleep(0)
    await deleting
    assert longest < 5  # that it comes in between at all is the point: the machine may be busy
