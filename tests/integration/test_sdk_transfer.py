"""Large values between the SDK and a real service: broken connections, restarts, damage."""

from __future__ import annotations

import asyncio
import os
import pickle
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from funcx_core.errors import (
    BlobNotFound,
    BlobQuotaExceeded,
    ChecksumMismatch,
    PayloadTooLarge,
    ResultLoadError,
    ServiceUnavailable,
)
from funcx_core.ids import new_blob_id, new_task_id
from funcx_core.protocol.blob import BlobReference
from funcx_core.protocol.client import Limits
from funcx_core.protocol.task import TaskResult, TaskState
from funcx_core.sdk.futures import FuncXFuture
from funcx_core.sdk.large import upload_arguments
from funcx_core.sdk.settings import Settings
from funcx_core.sdk.transfer import Progress, Transfer
from funcx_core.serialize import pack_value
from tests.support.chaosproxy import ChaosProxy
from tests.support.webservice import TestedService, a_service

CHUNK = 64 * 1024
SMALL = Limits(blob_chunk=CHUNK, max_blob=3_000_000, max_blob_bytes=4_000_000)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path, SMALL) as service:
        yield service


def transfer_to(service: TestedService, port: int | None = None, **more: Any) -> Transfer:
    address = service.web.address if port is None else f"http://127.0.0.1:{port}/v2"
    settings = Settings(address, service.alice)
    return Transfer(lambda: settings, **more)


def port_of(service: TestedService) -> int:
    return int(service.web.address.split(":")[2].split("/")[0])


async def test_a_value_goes_up_and_comes_down_and_says_how_far_it_is(service: TestedService, tmp_path: Path) -> None:
    told: list[Progress] = []
    transfer = transfer_to(service, on_progress=told.append)
    content = os.urandom(10 * CHUNK + 17)
    reference = await asyncio.to_thread(transfer.upload, content)
    assert await asyncio.to_thread(transfer.download, reference) == content
    await asyncio.to_thread(transfer.download_to, reference, tmp_path / "value")
    assert (tmp_path / "value").read_bytes() == content
    up = [each.done for each in told if each.direction == "up"]
    assert up == sorted(up)
    assert len(up) > 3
    assert {each.done for each in (told[len(up) - 1], told[-1])} == {len(content)}
    transfer.close()


async def test_what_is_there_is_not_sent_again(service: TestedService) -> None:
    content = os.urandom(20 * CHUNK)
    with ChaosProxy(("127.0.0.1", port_of(service))) as proxy:
        transfer = transfer_to(service, proxy.port)
        await asyncio.to_thread(transfer.upload, content)
        sent = proxy.forwarded
        await asyncio.to_thread(transfer.upload, content)
        assert proxy.forwarded - sent < CHUNK
        transfer.close()


async def test_an_upload_outlives_its_connections(service: TestedService) -> None:
    content = os.urandom(30 * CHUNK)
    with ChaosProxy(("127.0.0.1", port_of(service))) as proxy:
        proxy.throttle(400_000)
        transfer = transfer_to(service, proxy.port)
        upload = asyncio.ensure_future(asyncio.to_thread(transfer.upload, content))
        broken = 0
        while broken < 3 and not upload.done():
            await asyncio.sleep(0.1)
            broken += proxy.reset() > 0
        assert broken == 3
        proxy.pass_on()
        reference = await upload
        assert proxy.forwarded < 2 * len(content)  # it did not begin anew
        proxy.throttle(4_000_000)
        before = proxy.forwarded
        download = asyncio.ensure_future(asyncio.to_thread(transfer.download, reference))
        while proxy.forwarded == before:  # noqa: ASYNC110 - the proxy tells nobody
            await asyncio.sleep(0.01)
        assert proxy.reset()
        proxy.pass_on()
        assert await download == content
        transfer.close()


async def test_an_upload_outlives_the_service(tmp_path: Path) -> None:
    content = os.urandom(40 * CHUNK)
    where = [0]
    with ChaosProxy(lambda: ("127.0.0.1", where[0])) as proxy:
        async with a_service(tmp_path, SMALL) as first:
            where[0] = port_of(first)
            proxy.throttle(2_000_000)
            transfer = transfer_to(first, proxy.port)
            token = first.alice
            upload = asyncio.ensure_future(asyncio.to_thread(transfer.upload, content))
            while proxy.forwarded < len(content) / 3:  # noqa: ASYNC110 - the proxy tells nobody
                await asyncio.sleep(0.02)
            proxy.refuse()
        assert not upload.done()
        sent = proxy.forwarded
        async with a_service(tmp_path, SMALL) as second:
            where[0] = port_of(second)
            proxy.pass_on()
            reference = await upload
            assert proxy.forwarded - sent < len(content)
            second.alice = token
            assert (await second.request("GET", f"blobs/{reference.blob_id}/content")).body == content
        transfer.close()


async def test_a_refusal_is_an_error_of_its_own(service: TestedService) -> None:
    transfer = transfer_to(service)
    with pytest.raises(PayloadTooLarge, match="3,000,000"):
        await asyncio.to_thread(transfer.upload, bytes(3_000_001))
    await asyncio.to_thread(transfer.upload, os.urandom(3_000_000))
    with pytest.raises(BlobQuotaExceeded):
        await asyncio.to_thread(transfer.upload, os.urandom(2_000_000))
    with pytest.raises(BlobNotFound):
        await asyncio.to_thread(transfer.download, BlobReference(new_blob_id(), 5, "0" * 64))
    with pytest.raises(PayloadTooLarge):
        await asyncio.to_thread(upload_arguments, transfer, bytes(100), Limits(max_payload=10, max_blob=0))
    transfer.close()


async def test_damage_on_the_way_is_found(service: TestedService, tmp_path: Path) -> None:
    transfer = transfer_to(service)
    reference = await asyncio.to_thread(transfer.upload, os.urandom(3 * CHUNK))
    (stored,) = (service.folder / "large").iterdir()
    with stored.open("r+b") as file:
        file.seek(CHUNK)
        file.write(b"damage")
    with pytest.raises(ChecksumMismatch):
        await asyncio.to_thread(transfer.download, reference)
    with pytest.raises(ChecksumMismatch):
        await asyncio.to_thread(transfer.download_to, reference, tmp_path / "value")
    assert not list(tmp_path.glob("value*"))  # noqa: ASYNC240 - a test's own folder
    transfer.close()


async def test_a_service_that_does_not_answer_is_waited_for_so_long(service: TestedService) -> None:
    with ChaosProxy(("127.0.0.1", port_of(service))) as proxy:
        proxy.refuse()
        transfer = transfer_to(service, proxy.port, patience=0.3)
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            await asyncio.to_thread(transfer.upload, b"x")
        assert time.monotonic() - started < 10


async def test_closing_ends_what_is_under_way(service: TestedService) -> None:
    with ChaosProxy(("127.0.0.1", port_of(service))) as proxy:
        proxy.blackhole()
        transfer = transfer_to(service, proxy.port, patience=None)
        upload = asyncio.ensure_future(asyncio.to_thread(transfer.upload, os.urandom(CHUNK)))
        await asyncio.sleep(0.2)
        transfer.close()
        async with asyncio.timeout(10):
            with pytest.raises(ServiceUnavailable):
                await upload


class FakeStream:
    """As much of a stream as a future needs."""

    def __init__(self, transfer: Transfer) -> None:
        self.transfer = transfer

    def cancel(self, task_ids: list, *, force: bool = False) -> None: ...

    def check_waiting(self) -> None: ...


async def an_ended_future(service: TestedService, value: Any, **more: Any) -> tuple[FuncXFuture, BlobReference]:
    transfer = transfer_to(service, **more)
    payload = pack_value(value)
    reference = await asyncio.to_thread(transfer.upload, payload)
    future = FuncXFuture(new_task_id(), FakeStream(transfer))
    future.end(TaskResult(future.task_id, 1, TaskState.SUCCESS, reference.to_payload()))
    return future, reference


async def test_a_future_fetches_its_value_when_it_is_asked_for(service: TestedService, tmp_path: Path) -> None:
    value = [os.urandom(2 * CHUNK), "text"]
    future, _ = await an_ended_future(service, value)
    assert future.done()
    path = await asyncio.to_thread(future.download, tmp_path / "value.pickle")
    assert pickle.loads(path.read_bytes()) == value
    assert await future == value
    assert await asyncio.to_thread(future.result) == value
    again = await asyncio.to_thread(future.download, tmp_path / "again.pickle")
    assert pickle.loads(again.read_bytes()) == value


async def test_awaiting_a_large_value_does_not_hold_up_the_loop(service: TestedService) -> None:
    future, _ = await an_ended_future(service, os.urandom(2 * CHUNK))
    loaded_by: list[str] = []
    load = FuncXFuture._load
    FuncXFuture._load = lambda self: (loaded_by.append(threading.current_thread().name), load(self))[1]
    try:
        await future
    finally:
        FuncXFuture._load = load
    assert threading.current_thread().name not in loaded_by


async def test_a_value_that_cannot_be_fetched_now_may_be_asked_for_again(service: TestedService) -> None:
    with ChaosProxy(("127.0.0.1", port_of(service))) as proxy:
        future, _ = await an_ended_future(service, os.urandom(CHUNK), port=proxy.port, patience=0.2)
        proxy.refuse()
        with pytest.raises(ServiceUnavailable):
            await asyncio.to_thread(future.result)
        proxy.pass_on()
        assert len(await asyncio.to_thread(future.result)) == CHUNK


async def test_a_value_that_is_gone_is_a_load_error(service: TestedService) -> None:
    future, reference = await an_ended_future(service, os.urandom(CHUNK))
    assert (await service.request("DELETE", f"blobs/{reference.blob_id}")).code == 200
    with pytest.raises(ResultLoadError, match="BlobNotFound"):
        await asyncio.to_thread(future.result)
