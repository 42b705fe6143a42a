"""The SQLite store: the contract, and what is its own."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from funcx_core.errors import ConfigError, ServiceUnavailable, StorageFull
from funcx_core.ids import TaskId
from funcx_core.protocol.task import EventKind, TaskEvent, event_seq
from funcx_core.service.store import SqliteStore, lanes, sqlite, writer
from tests.support.stored import ALICE, BOB, ENDPOINT, a_call, a_result, a_submission, calls
from tests.unit.service.revision_contract import RevisionContract
from tests.unit.service.store_contract import LARGE, StoreContract


@pytest.fixture
async def opened() -> AsyncIterator[list[SqliteStore]]:
    stores: list[SqliteStore] = []
    yield stores
    for store in stores:
        await store.close()


@pytest.fixture
async def store(tmp_path: Path, opened: list[SqliteStore]) -> SqliteStore:
    store = SqliteStore(tmp_path / "service")
    opened.append(store)
    await store.open()
    return store


@pytest.fixture
def reopen(tmp_path: Path, opened: list[SqliteStore]) -> Callable[[SqliteStore], Awaitable[SqliteStore]]:
    async def reopen(store: SqliteStore) -> SqliteStore:
        await store.close()
        again = SqliteStore(tmp_path / "service")
        opened.append(again)
        await again.open()
        return again

    return reopen


def blobs(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "service" / "blobs").glob("*"))


class TestContract(StoreContract):
    """Every test of the contract."""


class TestRevisions(RevisionContract):
    """Every test of what the store says of changes."""


async def test_the_files_are_private(store: SqliteStore, tmp_path: Path) -> None:
    await store.submit(a_submission(a_call(LARGE)))
    files = [path for path in (tmp_path / "service").rglob("*") if path.is_file()]
    assert len(files) >= 2
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


async def test_large_contents_are_files_as_long_as_they_are_needed(store: SqliteStore, tmp_path: Path) -> None:
    call, small = a_call(LARGE), a_call()
    await store.submit(a_submission(call, small))
    (payload,) = blobs(tmp_path)
    assert payload.read_bytes() == LARGE
    await store.complete(ENDPOINT, [a_result(call.task_id, LARGE + b"r")])
    (result,) = blobs(tmp_path)
    assert result.read_bytes() == LARGE + b"r"
    await store.complete(ENDPOINT, [a_result(call.task_id, LARGE)])  # late
    assert blobs(tmp_path) == [result]
    await store.submit(a_submission(call))  # repeated
    assert blobs(tmp_path) == [result]


async def test_files_that_a_crash_left_behind_are_removed_at_the_start(
    store: SqliteStore, tmp_path: Path, reopen
) -> None:
    await store.submit(a_submission(a_call(LARGE)))
    (named,) = blobs(tmp_path)
    (named.parent / "0123456789abcdef01234567").write_bytes(b"left over")
    await reopen(store)
    assert blobs(tmp_path) == [named]


async def test_a_guest_removes_nothing_that_the_service_is_about_to_commit(store: SqliteStore, tmp_path: Path) -> None:
    await store.submit(a_submission(a_call(LARGE)))
    written = tmp_path / "service" / "blobs" / "0123456789abcdef01234567"
    written.write_bytes(b"its row is committed in a moment")
    async with SqliteStore(tmp_path / "service", is_guest=True):
        assert len(blobs(tmp_path)) == 2


async def test_a_damaged_database_is_refused_with_a_sentence(store: SqliteStore, tmp_path: Path) -> None:
    await store.submit(a_submission(*calls(2000)))
    await store.close()
    path = tmp_path / "service" / "funcx.db"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 12] = b"\xff" * 4096 * 9
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"funcx.db (is damaged|cannot be used)"):
        await SqliteStore(tmp_path / "service").open()


async def test_a_disk_that_is_full_at_the_start_is_no_reason_to_give_the_database_up(
    tmp_path: Path, monkeypatch
) -> None:
    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise sa.exc.OperationalError("", {}, error)

    monkeypatch.setattr(sqlite, "_check", full)
    with pytest.raises(ConfigError, match=r"disk is full. Free some space\.$"):
        await SqliteStore(tmp_path).open()


async def test_another_schema_is_refused_with_a_sentence(store: SqliteStore, tmp_path: Path) -> None:
    await store.close()
    with sqlite3.connect(tmp_path / "service" / "funcx.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigError, match="schema 99"):
        await SqliteStore(tmp_path / "service").open()


async def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "funcx.db").write_bytes(b"not a database at all, but long enough to be one" * 100)
    with pytest.raises(ConfigError, match="cannot be used"):
        await SqliteStore(tmp_path).open()


async def test_how_long_heavy_groups_take_says_nothing_about_light_ones(store: SqliteStore) -> None:
    await store.submit(a_submission(*calls(2000)))
    assert store._writer._expected == 0
    await store.submit(a_submission(a_call()))
    assert store._writer._expected > 0


@pytest.fixture
def commits(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    made: list[None] = []
    monkeypatch.setattr(store._writer, "_on_commit", lambda: made.append(None))
    return made


async def test_what_nobody_waits_for_shares_the_commit_of_what_comes_next(
    store: SqliteStore, commits: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 60.0)
    first, second = calls(2)
    await store.submit(a_submission(first))
    ended = asyncio.ensure_future(store.complete(ENDPOINT, [a_result(first.task_id)], may_wait=True))
    await asyncio.sleep(0.01)
    assert not ended.done()
    await store.submit(a_submission(second))
    await ended
    assert len(commits) == 2
    assert await store.open_tasks(ENDPOINT, at_most=10) == [second.task_id]


async def test_what_nobody_waits_for_is_committed_by_itself_in_the_end(store: SqliteStore, commits: list[None]) -> None:
    call = a_call()
    await store.submit(a_submission(call))
    await asyncio.wait_for(store.complete(ENDPOINT, [a_result(call.task_id)], may_wait=True), 30)
    assert len(commits) == 2


async def test_who_reads_finds_what_nobody_waited_for(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 60.0)
    call = a_call()
    await store.submit(a_submission(call))
    ended = asyncio.ensure_future(store.complete(ENDPOINT, [a_result(call.task_id)], may_wait=True))
    await asyncio.sleep(0)
    await store.open_tasks(ENDPOINT, at_most=10)
    await asyncio.wait_for(ended, 30)


async def test_a_locked_database_is_waited_for(store: SqliteStore, tmp_path: Path) -> None:
    """F11"""
    with_lock = sqlite3.connect(tmp_path / "service" / "funcx.db", isolation_level=None)
    with_lock.execute("BEGIN IMMEDIATE")
    call = a_call()
    submitted = asyncio.ensure_future(store.submit(a_submission(call)))
    await asyncio.sleep(0.2)
    assert not submitted.done()
    with_lock.execute("COMMIT")
    with_lock.close()
    await submitted
    assert await store.open_tasks(ENDPOINT, at_most=10) == [call.task_id]


async def test_a_full_disk_refuses_the_group_and_keeps_what_was_accepted(store: SqliteStore, tmp_path: Path) -> None:
    """F31"""
    accepted = a_call()
    await store.submit(a_submission(accepted))
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    await store._writer.do(lambda tx: tx.run(f"PRAGMA max_page_count = {pages}"))
    refused = [asyncio.ensure_future(store.submit(a_submission(a_call(b"x" * 60_000)))) for _ in range(20)]
    outcomes = await asyncio.gather(*refused, return_exceptions=True)
    assert any(isinstance(outcome, StorageFull) for outcome in outcomes)
    assert all(isinstance(outcome, StorageFull) or outcome.repeated == frozenset() for outcome in outcomes)
    there = len(await store.open_tasks(ENDPOINT, at_most=100))
    assert there == 1 + sum(not isinstance(outcome, StorageFull) for outcome in outcomes)
    await store._writer.do(lambda tx: tx.run("PRAGMA max_page_count = 1000000"))
    await store.submit(a_submission(a_call(b"x" * 60_000)))  # space again
    assert len(await store.open_tasks(ENDPOINT, at_most=100)) == there + 1


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_commit_that_fails_leaves_nothing_to_the_next_one(store: SqliteStore) -> None:
    # These two write through different layers; what a failed commit leaves in one must not fail the other.
    with no_file_may_grow():
        for _ in range(2):
            with pytest.raises(StorageFull):
                await store.ensure_user(BOB)
            with pytest.raises(StorageFull):
                await store.submit(a_submission(a_call()))
    await store.submit(a_submission(a_call()))
    await store.ensure_user(BOB)


async def test_a_full_disk_for_files_refuses_too(store: SqliteStore, tmp_path: Path, monkeypatch) -> None:
    def full(_: bytes) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store._blobs, "put", full)
    with pytest.raises(StorageFull):
        await store.submit(a_submission(a_call(LARGE)))
    assert await store.open_tasks(ENDPOINT, at_most=10) == []


async def test_a_closed_store_says_try_again(store: SqliteStore) -> None:
    await store.close()
    with pytest.raises(ServiceUnavailable):
        await store.submit(a_submission(a_call()))
    with pytest.raises(ServiceUnavailable):
        await store.tasks(ALICE.user_id, [])


WRITER = """
import asyncio, sys
from pathlib import Path
from funcx_core.protocol.task import EventKind, TaskEvent, event_seq
from funcx_core.service.store import SqliteStore, lanes, sqlite, writer
from tests.support.stored import a_call, a_result, a_submission, ENDPOINT, calls

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    async def keep_submitting(size):
        while True:
            some = calls(size) if size else [a_call(b"x" * 70_000)]
            await store.submit(a_submission(*some))
            print("".join(f"+{call.task_id}\\n" for call in some), end="", flush=True)
            ended = some[: size // 2]
            await store.complete(ENDPOINT, [a_result(call.task_id) for call in ended])
            print("".join(f"-{call.task_id}\\n" for call in ended), end="", flush=True)
    await asyncio.gather(*(keep_submitting(size) for size in (0, 1, 2, 10, 300)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lifetime", [0.4, 0.9])
async def test_what_was_acknowledged_survives_sigkill(tmp_path: Path, lifetime: float) -> None:
    folder = tmp_path / "service"
    acknowledged = tmp_path / "acknowledged"
    with acknowledged.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            [sys.executable, "-c", WRITER, str(folder)], stdout=output, cwd=Path(__file__).parents[3]
        )
    try:
        deadline = time.monotonic() + 20
        while acknowledged.stat().st_size == 0:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        await asyncio.sleep(lifetime)
    finally:
        process.kill()
        process.wait()
    lines = acknowledged.read_text().split("\n")[:-1]  # the last one may be cut
    accepted = {TaskId(line[1:]) for line in lines if line[0] == "+" and len(line) == 37}
    ended = {TaskId(line[1:]) for line in lines if line[0] == "-" and len(line) == 37}
    assert len(accepted) > 100
    async with SqliteStore(folder) as store:
        rows = await store.tasks(ALICE.user_id, list(accepted))
        assert accepted - rows.keys() == set()
        assert {task_id for task_id in ended if not rows[task_id].state.is_terminal} == set()
        still_open = list(accepted - ended)
        offered = {offer.task.task_id for offer in await store.offers(still_open)}
        completed_unheard = {task_id for task_id in still_open if rows[task_id].state.is_terminal}
        assert offered | completed_unheard == set(still_open)  # with their payloads, large ones too


async def test_open_tasks_are_read_by_the_index_however_many_an_owner_has(store: SqliteStore, tmp_path: Path) -> None:
    await store.submit(a_submission(*calls(3)))
    with sqlite3.connect(tmp_path / "service" / "funcx.db") as connection:
        for statement in (lanes._LANES, lanes._PAGE):
            values = {"endpoint_id": ENDPOINT, "lane": 1, "after": 0, "at_most": 10}
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", values)]
            read = [step for step in plan if " tasks" in step]
            assert read
            assert all(
                step.startswith("SEARCH tasks USING INDEX tasks_by_lane") or "COVERING INDEX tasks_by_lane" in step
                for step in read
            ), plan
    connection.close()


async def test_the_index_of_earlier_releases_goes(store: SqliteStore, tmp_path: Path, reopen: Callable) -> None:
    with sqlite3.connect(tmp_path / "service" / "funcx.db") as connection:
        connection.execute("CREATE INDEX tasks_open ON tasks (endpoint_id, position) WHERE completed_at IS NULL")
    connection.close()
    await reopen(store)
    with sqlite3.connect(tmp_path / "service" / "funcx.db") as connection:
        indexes = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    connection.close()
    assert "tasks_by_lane" in indexes
    assert "tasks_open" not in indexes


async def test_of_progress_the_first_and_the_newest_are_kept(store: SqliteStore) -> None:
    call, other = a_call(), a_call()
    await store.submit(a_submission(call, other))
    kinds = [EventKind.PROGRESS, EventKind.STDOUT, EventKind.PROGRESS, EventKind.PROGRESS]
    log = [TaskEvent(call.task_id, event_seq(1, n), kind, 0, b"{}") for n, kind in enumerate(kinds, 1)]
    elsewhere = TaskEvent(other.task_id, event_seq(1, 1), EventKind.PROGRESS, 0, b"{}")
    await store.append_events(ENDPOINT, [*log[:3], elsewhere])
    assert await store.events(call.task_id, after=0, at_most=10) == log[:3]
    await store.append_events(ENDPOINT, log[3:])
    assert await store.events(call.task_id, after=0, at_most=10) == [*log[:2], log[3]]
    assert await store.events(call.task_id, after=log[2].seq, at_most=10) == log[3:]
    assert await store.events(other.task_id, after=0, at_most=10) == [elsewhere]
