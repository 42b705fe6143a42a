"""Maps in the store: what ended is counted, what is left is run again once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from funcx_core.errors import Conflict
from funcx_core.ids import MapId, TaskId, new_blob_id, new_map_id, new_task_id
from funcx_core.protocol.blob import BlobReference, with_blobs, without_blobs
from funcx_core.protocol.maps import RangeCall, SubmitMap
from funcx_core.protocol.payload import CALLS
from funcx_core.protocol.ranges import Failure, Head, Segment, a_range, read_range, write_outcomes
from funcx_core.protocol.task import EventKind, TaskError, TaskEvent, TaskResult, TaskState, Transition, event_seq
from funcx_core.service.store import SqliteStore
from funcx_core.service.store.blob_records import Blob
from funcx_core.service.store.map_records import MapCounts
from tests.support.stored import ALICE, BOB, ENDPOINT, FUNCTION, GROUP, NOW, a_call, a_result, a_submission

MUCH = 1 << 40
BODY = CALLS + b"pickle of the calls"
WRONG = TaskError(code="remote_task_error", message="no", type_name="ValueError")
CANCELLED = TaskError(code="task_cancelled", message="The task was cancelled while it ran.")
LOST = TaskError(code="worker_lost", message="The worker process died.")
SHA256 = "ab" * 32


def a_blob() -> Blob:
    blob_id = new_blob_id()
    return Blob(
        blob_id=blob_id,
        owner_id=ALICE.user_id,
        size=7,
        kind="argument",
        object_key=blob_id,
        chunk_bytes=7,
        created_at=0.0,
        touched_at=0.0,
        sha256=SHA256,
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore(tmp_path / "service") as store:
        yield store


def a_message(*ranges: RangeCall, map_id: MapId, name: str = "") -> SubmitMap:
    return SubmitMap(1, map_id, ENDPOINT, GROUP, FUNCTION, list(ranges), name)


def a_call_range(start: int, size: int, *, is_last: bool = False, body: bytes = BODY) -> RangeCall:
    return RangeCall(new_task_id(), FUNCTION, a_range(body), start, size, is_last)


def outcomes(size: int, *, ran: int | None = None, failed: tuple[int, ...] = ()) -> bytes:
    ran = size if ran is None else ran
    values = ran - len(failed)
    segments = [Segment(values, 3)] if values else []
    return write_outcomes(
        Head(size, ran, segments, [Failure(place, WRONG) for place in failed]), [b"abc"] if values else []
    )


def ended(task_id: TaskId, value: bytes = b"", error: TaskError | None = None, *, attempt: int = 1) -> TaskResult:
    state = TaskState.SUCCESS if error is None else TaskState.FAILED
    return TaskResult(task_id, attempt, TaskState.CANCELLED if error is CANCELLED else state, value, error)


async def a_map(store: SqliteStore, *sizes: int) -> tuple[MapId, list[RangeCall]]:
    map_id = new_map_id()
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    ranges = [
        a_call_range(start, size, is_last=start + size == sum(sizes)) for start, size in zip(starts, sizes, strict=True)
    ]
    await store.maps.submit(ALICE.user_id, a_message(*ranges, map_id=map_id), NOW)
    return map_id, ranges


async def new_ranges(store: SqliteStore, map_id: MapId, known: int) -> list[tuple[TaskId, int, list[int]]]:
    rows = await store.maps.ranges(map_id, after=0, at_most=1000)
    return [(row.task_id, row.start, row.positions or []) for row in rows[known:]]


async def run_again(store: SqliteStore, map_id: MapId, *, failed: bool = False) -> int:
    return (await store.maps.resume(ALICE.user_id, map_id, failed=failed, at_most=1000)).calls


class TestSubmit:
    async def test_a_map_is_the_sum_of_its_messages(self, store: SqliteStore) -> None:
        map_id = new_map_id()
        first, second = a_call_range(0, 10), a_call_range(10, 5, is_last=True)
        await store.maps.submit(ALICE.user_id, a_message(first, map_id=map_id, name="scan"), NOW)
        row = await store.maps.find(ALICE.user_id, map_id)
        assert row is not None
        assert (row.size, row.name, row.received_at) == (None, "scan", NOW)
        await store.maps.submit(ALICE.user_id, a_message(second, map_id=map_id, name="scan"), NOW + 1)
        row = await store.maps.find(ALICE.user_id, map_id)
        assert row is not None
        assert row.size == 15
        assert await store.maps.counts(map_id) == MapCounts(submitted=15, ranges=2, waiting=15)
        assert await store.maps.find(BOB.user_id, map_id) is None
        assert await store.maps.newest(ALICE.user_id, at_most=5) == [map_id]
        assert await store.count_open(ALICE.user_id) == 2

    async def test_what_a_client_writes_about_a_map_is_kept_once(self, store: SqliteStore) -> None:
        map_id = new_map_id()
        messages = [a_message(a_call_range(start, 1), map_id=map_id) for start in range(3)]
        for message, about in zip(messages, (b"", b"x = 1, 2, 3", b"other"), strict=True):
            await store.maps.submit(ALICE.user_id, msgspec.structs.replace(message, about=about), NOW)
        assert await store.maps.about(map_id) == b"x = 1, 2, 3"
        plain, _ = await a_map(store, 1)
        assert await store.maps.about(plain) == b""

    async def test_what_is_said_twice_counts_once(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 10, 5)
        receipt = await store.maps.submit(ALICE.user_id, a_message(*ranges, map_id=map_id), NOW)
        assert receipt.repeated == {one.task_id for one in ranges}
        assert (await store.maps.counts(map_id)).submitted == 15

    async def test_what_contradicts_the_map_is_refused_whole(self, store: SqliteStore) -> None:
        map_id, _ = await a_map(store, 10)
        for message in (
            a_message(a_call_range(10, 1), map_id=map_id),  # after the last one
            a_message(a_call_range(5, 1), map_id=map_id),  # a call that is there
            a_message(a_call_range(10, 1), map_id=map_id, name="other"),
        ):
            with pytest.raises(Conflict):
                await store.maps.submit(ALICE.user_id, message, NOW)
        with pytest.raises(Conflict):
            await store.maps.submit(BOB.user_id, a_message(a_call_range(10, 1), map_id=map_id), NOW)
        assert await store.count_open(ALICE.user_id) == 1
        assert (await store.maps.counts(map_id)).submitted == 10

    async def test_the_forwarder_is_offered_the_range_with_its_arguments(self, store: SqliteStore) -> None:
        _, ranges = await a_map(store, 10)
        other = a_call()
        await store.submit(a_submission(other))
        offers = await store.offers([ranges[0].task_id, other.task_id])
        assert [offer.task.payload for offer in offers] == [ranges[0].payload, other.payload]

    async def test_arguments_outlive_a_restart_and_are_large_if_need_be(self, tmp_path: Path) -> None:
        large = CALLS + bytes(200_000)
        map_id = new_map_id()
        one = a_call_range(0, 3, body=large)
        async with SqliteStore(tmp_path / "s") as store:
            await store.maps.submit(ALICE.user_id, a_message(one, map_id=map_id), NOW)
        async with SqliteStore(tmp_path / "s") as store:
            (offer,) = await store.offers([one.task_id])
            assert offer.task.payload == a_range(large)
            await store.complete(ENDPOINT, [ended(one.task_id, outcomes(3))])
            assert (await store.maps.counts(map_id)).succeeded == 3
        assert not list((tmp_path / "s" / "blobs").glob("*"))


class TestTheEnd:
    async def test_each_call_is_counted_by_itself(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 10, 10, 10, 10, 1)
        await store.complete(
            ENDPOINT,
            [
                ended(ranges[0].task_id, outcomes(10, failed=(3, 4))),
                ended(ranges[1].task_id, outcomes(10, ran=6), CANCELLED),
                ended(ranges[2].task_id, b"", LOST),
                ended(ranges[4].task_id, b"", LOST),  # it was alone, so it is the culprit
                a_result(new_task_id()),
            ],
        )
        await store.transition(ENDPOINT, [Transition(ranges[3].task_id, 1, TaskState.RUNNING, 0)])
        told = b'{"n": 7, "total": 10, "id": "range"}'
        other = b'{"n": 3, "id": "mine"}'
        await store.append_events(
            ENDPOINT,
            [
                TaskEvent(ranges[3].task_id, event_seq(1, 1), EventKind.PROGRESS, 0, other),
                TaskEvent(ranges[3].task_id, event_seq(1, 2), EventKind.PROGRESS, 0, told),
            ],
        )
        assert await store.maps.counts(map_id) == MapCounts(
            submitted=41, ranges=5, succeeded=14, failed=3, cancelled=4, lost=10, running=10, progressed=7
        )

    async def test_a_range_that_could_not_begin_failed_in_all_its_calls(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 10)
        error = TaskError(code="function_load_error", message="no")
        await store.complete(ENDPOINT, [ended(ranges[0].task_id, b"", error)])
        assert (await store.maps.counts(map_id)).failed == 10

    @pytest.mark.parametrize("value", [b"mo\ngarbage", outcomes(9), b"pb\nvalue"])
    async def test_nonsense_of_an_endpoint_is_work_that_was_not_done(self, store: SqliteStore, value: bytes) -> None:
        map_id, ranges = await a_map(store, 10)
        await store.complete(ENDPOINT, [ended(ranges[0].task_id, value)])
        assert (await store.maps.counts(map_id)).lost == 10

    async def test_an_older_attempt_counts_nothing(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 10)
        await store.complete(ENDPOINT, [ended(ranges[0].task_id, outcomes(10), attempt=2)])
        assert (await store.maps.counts(map_id)).waiting == 10
        for _ in range(2):
            await store.complete(ENDPOINT, [ended(ranges[0].task_id, outcomes(10))])
        assert (await store.maps.counts(map_id)).succeeded == 10

    async def test_what_is_known_of_calls_is_told_by_index(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 4, 4, 4)
        await store.complete(ENDPOINT, [ended(ranges[1].task_id, outcomes(4, failed=(1,)))])
        found, left_at = await store.maps.outcomes(map_id, range(3, 8), only_failed=False, at_most_bytes=MUCH)
        assert left_at == 8
        assert [(each.task_id, each.places) for each in found] == [
            (ranges[0].task_id, {3: 3}),
            (ranges[1].task_id, {0: 4, 1: 5, 2: 6, 3: 7}),
        ]
        assert found[1].value == outcomes(4, failed=(1,))
        found, _ = await store.maps.outcomes(map_id, range(12), only_failed=True, at_most_bytes=MUCH)
        assert [each.task_id for each in found] == [ranges[1].task_id]

    async def test_an_answer_has_a_bound(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 4, 4, 4)
        await store.complete(ENDPOINT, [ended(one.task_id, outcomes(4)) for one in ranges])
        first, seen = 0, []
        while first < 12:
            found, first = await store.maps.outcomes(map_id, range(first, 12), only_failed=False, at_most_bytes=1)
            assert len(found) == 1
            seen += [index for each in found for index in each.places.values()]
        assert seen == list(range(12))


class TestResume:
    async def test_only_what_is_left_runs_again_and_only_once(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 10, 10)
        await store.complete(ENDPOINT, [ended(ranges[0].task_id, outcomes(10, ran=6, failed=(2,)), CANCELLED)])
        resumed = await asyncio.gather(*(run_again(store, map_id) for _ in range(3)))
        assert sorted(resumed) == [0, 0, 4]
        ((task_id, start, positions),) = await new_ranges(store, map_id, 2)
        assert (start, positions) == (0, [6, 7, 8, 9])
        (offer,) = await store.offers([task_id])
        assert read_range(offer.task.payload) == ([6, 7, 8, 9], BODY)
        assert (offer.owner_id, offer.group_id, offer.task.function_id) == (ALICE.user_id, GROUP, FUNCTION)
        await store.complete(ENDPOINT, [ended(task_id, outcomes(4))])
        assert await store.maps.counts(map_id) == MapCounts(submitted=20, ranges=3, succeeded=9, failed=1, waiting=10)
        found, _ = await store.maps.outcomes(map_id, range(10), only_failed=False, at_most_bytes=MUCH)
        assert sorted(index for each in found for index in each.places.values()) == list(range(10))

    async def test_what_failed_runs_again_if_asked_for(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 20)
        await store.complete(ENDPOINT, [ended(ranges[0].task_id, outcomes(20, failed=(3, 4, 19)))])
        assert await run_again(store, map_id) == 0
        assert await run_again(store, map_id, failed=True) == 3
        assert [positions for _, _, positions in await new_ranges(store, map_id, 1)] == [[3, 4], [19]]

    async def test_a_call_that_kills_its_worker_is_alone_in_the_end(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 100)
        culprit = 57
        await store.complete(ENDPOINT, [ended(ranges[0].task_id, b"", LOST)])
        known = 1
        while await run_again(store, map_id):
            fresh = await new_ranges(store, map_id, known)
            known += len(fresh)
            await store.complete(
                ENDPOINT,
                [
                    ended(task_id, b"", LOST) if culprit in positions else ended(task_id, outcomes(len(positions)))
                    for task_id, _, positions in fresh
                ],
            )
        counts = await store.maps.counts(map_id)
        assert (counts.succeeded, counts.failed, counts.ranges) == (99, 1, 1 + 10 + 10)

    async def test_a_cancelled_map_takes_calls_again_when_it_is_resumed(self, store: SqliteStore) -> None:
        map_id = new_map_id()
        first = a_call_range(0, 5)
        await store.maps.submit(ALICE.user_id, a_message(first, map_id=map_id), NOW)
        assert await store.maps.cancel(BOB.user_id, map_id) is None
        assert await store.maps.cancel(ALICE.user_id, map_id) == [first.task_id]
        more = a_message(a_call_range(5, 5), map_id=map_id)
        with pytest.raises(Conflict):
            await store.maps.submit(ALICE.user_id, more, NOW)
        await store.maps.submit(ALICE.user_id, a_message(first, map_id=map_id), NOW)  # a repetition is harmless
        assert await run_again(store, map_id) == 0  # the first range has not ended
        await store.maps.submit(ALICE.user_id, more, NOW)
        assert (await store.maps.resume(BOB.user_id, map_id, failed=True, at_most=9)).endpoint_id == ""

    async def test_arguments_go_when_every_call_has_succeeded(self, store: SqliteStore) -> None:
        map_id = new_map_id()
        one = a_call_range(0, 3, is_last=True, body=CALLS + bytes(200_000))
        await store.maps.submit(ALICE.user_id, a_message(one, map_id=map_id), NOW)
        blobs = store._folder / "blobs"
        await store.complete(ENDPOINT, [ended(one.task_id, outcomes(3, failed=(1,)))])
        assert len(list(blobs.iterdir())) == 1
        await run_again(store, map_id, failed=True)
        ((task_id, _, _),) = await new_ranges(store, map_id, 1)
        await store.complete(ENDPOINT, [ended(task_id, outcomes(1))])
        assert not list(blobs.iterdir())

    async def test_blobs_beside_it_stay_until_every_call_has_succeeded(self, store: SqliteStore) -> None:
        blob = a_blob()
        await store.blobs.create(blob, quota=MUCH)
        await store.blobs.completed(blob.blob_id, SHA256, 0.0)
        reference = BlobReference(blob.blob_id, 7, SHA256)
        one = a_call_range(0, 3, is_last=True)
        one = msgspec.structs.replace(one, payload=with_blobs(one.payload, [reference]))
        map_id = new_map_id()
        assert not await store.blobs.bind(ALICE.user_id, {one.task_id: [reference]}, 0.0)
        await store.maps.submit(ALICE.user_id, a_message(one, map_id=map_id), NOW)
        await store.complete(ENDPOINT, [ended(one.task_id, outcomes(3, failed=(1,)))])
        later = time.time() + 1e6
        await store.blobs.expire(later)
        assert await store.blobs.gone() == []
        await run_again(store, map_id, failed=True)
        ((task_id, _, _),) = await new_ranges(store, map_id, 1)
        (offer,) = await store.offers([task_id])
        payload, references = without_blobs(offer.task.payload)
        assert (read_range(payload)[0], references) == ([1], [reference])
        await store.blobs.expire(later)
        assert not await store.blobs.drop(blob.blob_id)  # The new range uses it.
        await store.complete(ENDPOINT, [ended(task_id, outcomes(1))])
        await store.blobs.expire(later)
        assert [gone.blob_id for gone, _ in await store.blobs.gone()] == [blob.blob_id]

    async def test_a_map_is_deleted_when_it_has_ended(self, store: SqliteStore) -> None:
        map_id, ranges = await a_map(store, 3)
        with pytest.raises(Conflict):
            await store.maps.delete(ALICE.user_id, map_id)
        await store.complete(ENDPOINT, [ended(ranges[0].task_id, outcomes(3, failed=(1,)))])
        assert not await store.maps.delete(BOB.user_id, map_id)
        assert await store.maps.delete(ALICE.user_id, map_id)
        assert await store.maps.find(ALICE.user_id, map_id) is None
        assert not await store.tasks(ALICE.user_id, [ranges[0].task_id])
