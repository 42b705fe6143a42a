"""The agent's transfers, against a real service."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from funcx_core.cells.spec import LAST_VALUE, CellOutcome, KeptFacts, outcome_decoder
from funcx_core.errors import StorageFull
from funcx_core.ids import TaskId, new_blob_id
from funcx_core.protocol.blob import BlobReference, read_reference, with_blobs
from funcx_core.protocol.client import Limits
from funcx_core.protocol.codec import encode
from funcx_core.protocol.task import Task, TaskResult, TaskState
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.transfer import Transfer
from funcx_core.serialize import unpack_value
from funcx_endpoint.if_refused import WHOLE_OUTCOME, IfRefused
from funcx_endpoint.interchange import large_values
from funcx_endpoint.interchange.large_values import KEEP_SECONDS, LargeValues
from funcx_endpoint.kept import KeptFolder, KeptKey
from funcx_endpoint.large import STRAY_SECONDS, LargeFolder
from tests.support.webservice import TestedService, a_service

CHUNK = 64 * 1024
LIMITS = Limits(blob_chunk=CHUNK, max_blob_bytes=4 * CHUNK)


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path / "service", LIMITS) as service:
        monkeypatch.setenv("FUNCX_SERVICE_ADDRESS", service.web.address)
        monkeypatch.setenv("FUNCX_TOKEN", service.alice)
        yield service


class Heard:
    """The agent: what it is told, in order."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def argument_fetched(self, lease: Any) -> None:
        self.told.put_nowait(("fetched", lease))

    def argument_missing(self, lease: Any, error: Any) -> None:
        self.told.put_nowait(("missing", lease, error))

    def result_uploaded(self, result: Any) -> None:
        self.told.put_nowait(("uploaded", result))

    def result_refused(self, result: Any) -> None:
        self.told.put_nowait(("refused", result))

    async def next(self) -> tuple[Any, ...]:
        async with asyncio.timeout(20):
            return await self.told.get()


@pytest.fixture
def folder(tmp_path: Path) -> LargeFolder:
    return LargeFolder(tmp_path / "large")


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def values(service: TestedService, folder: LargeFolder, heard: Heard) -> AsyncIterator[LargeValues]:
    values = LargeValues(folder, heard, service_address=None)
    values.open([])
    yield values
    values.close()


async def submitted(service: TestedService, payload: str = "00\nx", **more: Any) -> str:
    endpoint_id, function_id = await service.an_endpoint(**more), await service.a_function(**more)
    body = {"tasks": [[function_id, endpoint_id, payload]], "large_results": True}
    return (await service.post("submit", body, **more))["results"][0]["task_uuid"]


def a_result(folder: LargeFolder, task_id: str, content: bytes) -> TaskResult:
    return TaskResult(task_id, 1, TaskState.SUCCESS, folder.write_result(content).to_payload())


async def test_a_result_may_be_sent_when_its_value_is_there(
    service: TestedService, values: LargeValues, heard: Heard, folder: LargeFolder
) -> None:
    content = os.urandom(3 * CHUNK)
    result = a_result(folder, await submitted(service), content)
    small = TaskResult("small", 1, TaskState.SUCCESS, b"pb\nx")
    assert values.sendable([small, result]) == [small]
    assert values.uploading == 1
    assert await heard.next() == ("uploaded", result)
    assert values.sendable([small, result]) == [small, result]  # a new session
    blob_id = read_reference(result.value).blob_id
    assert (await service.request("GET", f"blobs/{blob_id}/content")).body == content
    assert folder.result(blob_id).exists()
    values.forget([small.lease, result.lease])
    assert not folder.result(blob_id).exists()


async def test_a_recovered_result_is_uploaded_from_where_it_was(
    service: TestedService, heard: Heard, folder: LargeFolder
) -> None:
    folder.open(())
    result = a_result(folder, await submitted(service), os.urandom(3 * CHUNK))
    values = LargeValues(folder, heard, service_address=None)
    values.open([result])
    try:
        assert await heard.next() == ("uploaded", result)
    finally:
        values.close()


@pytest.mark.parametrize("why", ["over the quota", "no such task", "no file"])
async def test_a_value_that_is_never_taken_is_told_as_too_large(
    service: TestedService, values: LargeValues, heard: Heard, folder: LargeFolder, why: str
) -> None:
    task_id = await submitted(service) if why != "no such task" else str(new_blob_id())
    result = a_result(folder, task_id, os.urandom(5 * CHUNK if why == "over the quota" else CHUNK))
    if why == "no file":
        folder.result(read_reference(result.value).blob_id).unlink()
    assert values.sendable([result]) == []
    kind, refused = await heard.next()
    assert kind == "refused"
    assert (refused.state, refused.error.code) == (TaskState.FAILED, "result_too_large")
    assert refused.error.details["size"] >= CHUNK
    assert values.sendable([refused]) == [refused]


CELL = CellOutcome(names=["y"], kept=[KeptFacts(name="model", size=1), KeptFacts(name="y", size=5)])


@pytest.fixture
def kept(folder: LargeFolder, tmp_path: Path) -> KeptFolder:
    return KeptFolder(tmp_path / "large" / "kept", lifetime=3600, limit=100 * CHUNK)


@pytest.mark.parametrize("is_cell", [True, False])
async def test_a_value_that_is_not_taken_stays_here_and_an_agent_that_comes_later_tells_the_same(
    service: TestedService, heard: Heard, folder: LargeFolder, kept: KeptFolder, is_cell: bool
) -> None:
    content = os.urandom(5 * CHUNK)
    folder.open(())
    beside = encode(IfRefused("carol", encode(CELL) if is_cell else b""))
    reference = folder.write_result(content, beside)
    result = TaskResult(TaskId(await submitted(service)), 1, TaskState.SUCCESS, reference.to_payload())
    key = KeptKey("carol", result.task_id, WHOLE_OUTCOME if is_cell else LAST_VALUE)
    for _ in range(2):
        values = LargeValues(folder, heard, service_address=None, kept=kept)
        values.open([result])
        kind, told = await heard.next()
        assert kind == "refused"
        with kept.open_value(key) as file:
            assert file.read() == content
        if is_cell:
            model, y = outcome_decoder.decode(unpack_value(told.value)).kept
            assert (told.state, model.refused) == (TaskState.SUCCESS, "")
            assert "bytes of large values are allowed per user" in y.refused
        else:
            assert (told.state, told.error.code) == (TaskState.FAILED, "result_too_large")
            assert "It is kept on the endpoint for 1 h" in told.error.message
        values.close()
    values.forget([result.lease])
    assert not list((folder.result(reference.blob_id).parent).iterdir())
    assert kept.has(key)


async def test_a_full_disk_of_the_service_is_waited_for_only_if_the_value_would_be_lost(
    service: TestedService, heard: Heard, folder: LargeFolder, kept: KeptFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F31"""

    def full(*arguments: Any) -> None:
        raise StorageFull("The service's disk for large values is full.")

    folder.open(())
    monkeypatch.setattr(large_values, "FULL_SECONDS", 0.0)
    monkeypatch.setattr(service.web._blobs._backend, "begin", full)
    values = LargeValues(folder, heard, service_address=None, kept=kept)
    values.open([])
    lost = a_result(folder, await submitted(service), os.urandom(CHUNK))
    beside = encode(IfRefused("carol", encode(CELL)))
    reference = folder.write_result(os.urandom(2 * CHUNK), beside)
    stays = TaskResult(TaskId(await submitted(service)), 1, TaskState.SUCCESS, reference.to_payload())
    values.sendable([lost, stays])
    kind, told = await heard.next()
    assert (kind, told.task_id) == ("refused", stays.task_id)
    assert "is full" in outcome_decoder.decode(unpack_value(told.value)).kept[1].refused
    assert values.uploading == 1
    values.close()


async def test_what_cannot_stay_either_is_told_with_both_reasons(
    service: TestedService, heard: Heard, folder: LargeFolder, tmp_path: Path
) -> None:
    folder.open(())
    reference = folder.write_result(os.urandom(5 * CHUNK), encode(IfRefused("carol", encode(CELL))))
    result = TaskResult(TaskId(await submitted(service)), 1, TaskState.SUCCESS, reference.to_payload())
    kept = KeptFolder(tmp_path / "large" / "kept", lifetime=3600, limit=CHUNK)
    values = LargeValues(folder, heard, service_address=None, kept=kept)
    values.open([result])
    _, told = await heard.next()
    assert told.error.code == "result_too_large"
    assert "are allowed per user" in told.error.message
    assert "It cannot be kept on the endpoint either: " in told.error.message
    values.close()


async def test_tasks_share_the_arguments_that_they_share(
    service: TestedService, values: LargeValues, heard: Heard, folder: LargeFolder
) -> None:
    content = os.urandom(2 * CHUNK)
    settings = Settings(service.web.address, service.alice)
    transfer = Transfer(lambda: settings)
    reference = await asyncio.to_thread(transfer.upload, content)
    assert await asyncio.to_thread(transfer.upload, content) == reference
    transfer.close()
    tasks = [Task(name, 1, "f", reference.to_payload()) for name in "ab"]
    for task in tasks:
        values.fetch(task)
    assert [await heard.next(), await heard.next()] == [("fetched", task.lease) for task in tasks]
    assert folder.argument(reference.blob_id).read_bytes() == content
    now = time.monotonic()
    values.tick(lambda: tasks, now)
    values.tick(list, now + KEEP_SECONDS / 2)
    values.tick(list, now + KEEP_SECONDS)
    assert folder.arguments() == [reference.blob_id]
    values.tick(list, now + 2 * KEEP_SECONDS)
    assert folder.arguments() == []


async def test_inputs_stay_for_the_next_task_and_the_oldest_go(
    service: TestedService, heard: Heard, folder: LargeFolder
) -> None:
    settings = Settings(service.web.address, service.alice)
    transfer = Transfer(lambda: settings)
    old, new = [await asyncio.to_thread(transfer.upload, os.urandom(CHUNK)) for _ in range(2)]
    values = LargeValues(folder, heard, service_address=None, max_inputs=CHUNK)
    values.open([])
    both = Task("both", 1, "f", with_blobs(b"cb\n", [old, new]), owner="alice")
    values.fetch(both)
    assert await heard.next() == ("fetched", both.lease)  # once, when both are here
    now = time.monotonic()
    values.tick(lambda: [both], now)
    assert all(folder.read_input("alice", each.sha256) for each in (old, new))
    last = Task("last", 1, "f", with_blobs(b"cb\n", [new]), owner="alice")
    await asyncio.to_thread(transfer.close)
    values.fetch(last)
    assert await heard.next() == ("fetched", last.lease)
    values.tick(list, now + KEEP_SECONDS)
    assert [path.name for path in folder.inputs()] == [f"alice-{new.sha256}"]
    values.close()
    again = LargeValues(folder, heard, service_address="http://127.0.0.1:9", max_inputs=CHUNK)
    again.open([])
    again.fetch(last)
    assert await heard.next() == ("fetched", last.lease)  # from the disk, also after a restart
    again.close()


async def test_what_has_no_input_of_that_owner_is_fetched_for_it(
    service: TestedService, values: LargeValues, heard: Heard, folder: LargeFolder
) -> None:
    unknown = BlobReference(new_blob_id(), CHUNK, "0" * 64)
    folder.input("alice", unknown.sha256).write_bytes(bytes(CHUNK))
    task = Task("a", 1, "f", with_blobs(b"cb\n", [unknown]), owner="bob")
    values.fetch(task)
    kind, lease, error = await heard.next()
    assert (kind, lease, error.code) == ("missing", task.lease, "argument_load_error")
    broken = Task("b", 1, "f", b"wb\nbroken")
    values.fetch(broken)
    kind, lease, error = await heard.next()
    assert (kind, lease, error.code) == ("missing", broken.lease, "argument_load_error")


def test_an_input_that_is_something_else_is_removed(folder: LargeFolder) -> None:
    folder.open(())
    path = folder.input("alice", "0" * 64)
    path.write_bytes(b"damaged")
    with pytest.raises(OSError, match="something else"):
        folder.read_input("alice", "0" * 64)
    assert not path.exists()


async def test_arguments_of_somebody_else_are_not_there(
    service: TestedService, values: LargeValues, heard: Heard
) -> None:
    settings = Settings(service.web.address, service.bob)
    transfer = Transfer(lambda: settings)
    foreign = await asyncio.to_thread(transfer.upload, os.urandom(CHUNK))
    transfer.close()
    for reference in (foreign, BlobReference(new_blob_id(), CHUNK, "0" * 64)):
        task = Task(reference.blob_id, 1, "f", reference.to_payload())
        values.fetch(task)
        kind, lease, error = await heard.next()
        assert (kind, lease, error.code) == ("missing", task.lease, "argument_load_error")


def test_what_no_result_names_goes_after_a_day(folder: LargeFolder) -> None:
    folder.open(())
    old, named, new = (folder.write_result(b"x").blob_id for _ in range(3))
    for blob_id in (old, named):
        long_ago = time.time() - STRAY_SECONDS - 1
        os.utime(folder.result(blob_id), (long_ago, long_ago))
    folder.remove_stray({named})
    assert [folder.result(blob_id).exists() for blob_id in (old, named, new)] == [False, True, True]
