"""Blobs over HTTP: chunks, resume, checksums, owners, quotas, expiry. Files and S3 behind the same tests."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from funcx_core.ids import new_blob_id, new_endpoint_id, new_task_id
from funcx_core.protocol.blob import BlobReference, with_blobs
from funcx_core.protocol.client import Limits
from funcx_core.protocol.features import FEATURES
from funcx_core.protocol.task import TaskResult, TaskState
from tests.support.s3server import s3_server
from tests.support.webservice import TestedService, a_service

pytestmark = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.xdist_group("s3")]

CHUNK = 64 * 1024
DAY = 24 * 3600
SMALL = Limits(max_payload=200_000, blob_chunk=CHUNK, max_blob=12_000_000, max_blob_bytes=24_000_000)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[TestedService]:
    async with a_service(tmp_path, SMALL) as service:
        yield service


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(params=["files", "s3"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TestedService]:
    url = "" if request.param == "files" else request.getfixturevalue("bucket")
    async with a_service(tmp_path, SMALL, blob_store=url) as service:
        yield service


def content_for(service: TestedService) -> bytes:
    """Three chunks; those of S3 have 5 MiB at least."""
    is_s3 = not (service.folder / "large").exists()
    return os.urandom(11_000_000 if is_s3 else 2 * CHUNK + 1234)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def created(service: TestedService, content: bytes, **more: Any) -> dict[str, Any]:
    body = {"size": len(content), "sha256": sha256(content), **more.pop("body", {})}
    return await service.post("blobs", body, **more)


async def put(service: TestedService, blob: dict[str, Any], number: int, content: bytes, **more: Any) -> Any:
    part = content[number * blob["chunk_bytes"] : (number + 1) * blob["chunk_bytes"]]
    headers = {"X-Chunk-SHA256": more.pop("checksum", sha256(part))}
    path = f"blobs/{blob['blob_id']}/chunks/{number}"
    return await service.request("PUT", path, raw=more.pop("raw", part), headers=headers, **more)


async def uploaded(service: TestedService, content: bytes, **more: Any) -> str:
    token = {"token": more["token"]} if "token" in more else {}
    blob = await created(service, content, **more)
    for number in range(blob["chunks"]):
        if number not in blob["received"]:
            assert (await put(service, blob, number, content, **token)).code == 200
    await service.post(f"blobs/{blob['blob_id']}/complete", {}, **token)
    return blob["blob_id"]


async def content_of(service: TestedService, blob_id: str, **more: Any) -> bytes:
    response = await service.request("GET", f"blobs/{blob_id}/content", **more)
    assert response.code == 200, response.body
    return response.body


def reference(blob_id: str, content: bytes) -> str:
    return BlobReference(blob_id, len(content), sha256(content)).to_payload().decode()


# --- up and down -----------------------------------------------------------------------------------------------


async def test_a_blob_goes_up_in_chunks_and_comes_back(either: TestedService) -> None:
    content = content_for(either)
    blob_id = await uploaded(either, content)
    assert await content_of(either, blob_id) == content
    state = await either.get(f"blobs/{blob_id}")
    assert (state["complete"], state["sha256"], state["size"]) == (True, sha256(content), len(content))


async def test_an_interrupted_upload_goes_on_where_it_was(either: TestedService) -> None:
    content = content_for(either)
    blob = await created(either, content)
    last = blob["chunks"] - 1
    assert (await put(either, blob, last, content)).code == 200
    again = await created(either, content, body={"blob_id": blob["blob_id"]})
    assert again["received"] == (await either.get(f"blobs/{blob['blob_id']}"))["received"] == [last]
    for number in range(last):
        assert (await put(either, blob, number, content)).code == 200
    done = await either.post(f"blobs/{blob['blob_id']}/complete", {})
    assert done["complete"]
    assert (await either.post(f"blobs/{blob['blob_id']}/complete", {}))["complete"]  # an answer was lost
    assert await content_of(either, blob["blob_id"]) == content


async def test_a_wrong_whole_is_dropped(either: TestedService) -> None:
    blob = await either.post("blobs", {"size": 10, "sha256": sha256(b"0123456789")})
    assert (await put(either, blob, 0, b"9876543210")).code == 200
    refused = await either.post(f"blobs/{blob['blob_id']}/complete", {}, code=400)
    assert refused["name"] == "checksum_mismatch"
    assert (await either.request("GET", f"blobs/{blob['blob_id']}")).code == 404


async def test_an_upload_survives_the_service(tmp_path: Path) -> None:
    content = os.urandom(3 * CHUNK)
    async with a_service(tmp_path, SMALL) as service:
        blob = await created(service, content)
        await put(service, blob, 1, content)
    async with a_service(tmp_path, SMALL) as service:
        assert (await service.get(f"blobs/{blob['blob_id']}"))["received"] == [1]
        for number in (0, 2):
            await put(service, blob, number, content)
        await service.post(f"blobs/{blob['blob_id']}/complete", {})
        assert await content_of(service, blob["blob_id"]) == content


@pytest.mark.parametrize(
    ("asked", "expected", "content_range"),
    [
        ("bytes=0-9", slice(0, 10), "bytes 0-9/1000"),
        ("bytes=990-", slice(990, 1000), "bytes 990-999/1000"),
        ("bytes=990-5000", slice(990, 1000), "bytes 990-999/1000"),
        ("bytes=-10", slice(990, 1000), "bytes 990-999/1000"),
    ],
)
async def test_a_range(service: TestedService, asked: str, expected: slice, content_range: str) -> None:
    content = os.urandom(1000)
    blob_id = await uploaded(service, content)
    response = await service.request("GET", f"blobs/{blob_id}/content", headers={"Range": asked})
    assert (response.code, response.body) == (206, content[expected])
    assert response.headers["Content-Range"] == content_range
    assert response.headers["ETag"] == f'"{sha256(content)}"'


async def test_a_range_beyond_the_end(service: TestedService) -> None:
    blob_id = await uploaded(service, b"x" * 10)
    response = await service.request("GET", f"blobs/{blob_id}/content", headers={"Range": "bytes=10-"})
    assert (response.code, response.headers["Content-Range"]) == (416, "bytes */10")


# --- what is refused -------------------------------------------------------------------------------------------


async def test_a_damaged_chunk_does_not_count(service: TestedService) -> None:
    content = os.urandom(2 * CHUNK)
    blob = await created(service, content)
    damaged = await put(service, blob, 0, content, checksum=sha256(b"something else"))
    assert damaged.code == 400
    assert b"checksum_mismatch" in damaged.body
    assert (await service.get(f"blobs/{blob['blob_id']}"))["received"] == []
    refused = await service.post(f"blobs/{blob['blob_id']}/complete", {}, code=400)
    assert "2 chunks have not come" in refused["reason"]


async def test_a_chunk_that_is_there_stays_as_it_is(service: TestedService) -> None:
    content = os.urandom(CHUNK)
    blob = await created(service, content)
    assert (await put(service, blob, 0, content)).code == 200
    other = os.urandom(CHUNK)
    assert (await put(service, blob, 0, other)).code == 200
    await service.post(f"blobs/{blob['blob_id']}/complete", {})
    assert await content_of(service, blob["blob_id"]) == content


@pytest.mark.parametrize(
    ("number", "raw", "checksum", "text"),
    [
        ("0", b"short", None, "5 came"),
        ("0", b"x" * (CHUNK + 1), None, "65,537 came"),
        ("7", b"x", None, "no chunk 7"),
        ("x", b"x", None, "not the number"),
        ("0", b"x" * CHUNK, "abc", "X-Chunk-SHA256"),
    ],
)
async def test_a_chunk_that_does_not_fit(
    service: TestedService, number: str, raw: bytes, checksum: str | None, text: str
) -> None:
    blob = await created(service, b"x" * 2 * CHUNK)
    headers = {"X-Chunk-SHA256": checksum or sha256(raw)}
    response = await service.request("PUT", f"blobs/{blob['blob_id']}/chunks/{number}", raw=raw, headers=headers)
    assert response.code == 400
    assert text in response.body.decode()


@pytest.mark.parametrize(
    ("body", "code", "name"),
    [
        ({"size": 0}, 400, "request_malformed"),
        ({"size": 12_000_001}, 413, "task_payload_too_large"),
        ({"size": 10, "sha256": "ABC"}, 400, "request_malformed"),
        ({"size": 10, "blob_id": "x"}, 400, "invalid_uuid"),
        ({"size": 10, "kind": "result"}, 400, "request_malformed"),
        ({"size": 10, "kind": "result", "task_id": new_task_id()}, 404, "task_not_found"),
        ({"size": 10, "task_id": new_task_id()}, 400, "request_malformed"),
        ({"size": 10, "surprise": 1}, 400, "request_malformed"),
    ],
)
async def test_a_blob_that_cannot_be_made(service: TestedService, body: dict, code: int, name: str) -> None:
    assert (await service.post("blobs", body, code=code))["name"] == name


async def test_the_same_id_for_another_content_is_a_conflict(service: TestedService) -> None:
    blob = await created(service, b"one")
    await created(service, b"two", body={"blob_id": blob["blob_id"]}, code=409)
    await created(service, b"one", body={"blob_id": blob["blob_id"]}, code=409, token=service.bob)


async def test_a_quota_per_user(service: TestedService) -> None:
    first = await created(service, b"x" * 12_000_000)
    await created(service, b"y" * 12_000_000)
    refused = await service.post("blobs", {"size": 1}, code=413)
    assert refused["name"] == "blob_quota_exceeded"
    await service.post("blobs", {"size": 1}, token=service.bob)
    assert (await service.request("DELETE", f"blobs/{first['blob_id']}")).code == 200
    await service.post("blobs", {"size": 1})


async def test_a_service_without_blobs_says_so(tmp_path: Path) -> None:
    async with a_service(tmp_path, Limits(max_blob=0)) as service:
        assert (await service.post("blobs", {"size": 10}, code=413))["name"] == "task_payload_too_large"


# --- owners ----------------------------------------------------------------------------------------------------


async def test_what_is_not_yours_is_not_there(service: TestedService) -> None:
    content = os.urandom(100)
    blob = await created(service, content)
    mine, path = blob["blob_id"], f"blobs/{blob['blob_id']}"
    await uploaded(service, content, body={"blob_id": mine})
    for method, what, body in (
        ("GET", path, None),
        ("GET", f"{path}/content", None),
        ("DELETE", path, None),
        ("POST", f"{path}/complete", {}),
    ):
        assert (await service.request(method, what, body, token=service.bob)).code == 404, (method, what)
    assert (await put(service, blob, 0, content, token=service.bob)).code == 404
    theirs = await uploaded(service, content, token=service.bob)  # not even the same content tells
    assert theirs != mine


async def test_the_same_content_again_is_there_at_once(service: TestedService) -> None:
    content = os.urandom(2 * CHUNK)
    first = await uploaded(service, content)
    second = await created(service, content)
    assert second["complete"]
    assert second["blob_id"] != first
    assert (await service.request("DELETE", f"blobs/{first}")).code == 200
    assert await content_of(service, second["blob_id"]) == content  # the bytes go with the last of them


# --- tasks -----------------------------------------------------------------------------------------------------


async def submit(service: TestedService, payload: str, **more: Any) -> tuple[str, str, int]:
    endpoint_id, function_id = await service.an_endpoint(**more), await service.a_function(**more)
    body = {"tasks": [[function_id, endpoint_id, payload]], "large_results": True}
    reply = await service.request("POST", "submit", body, **more)
    item = json.loads(reply.body)["results"][0]
    return item["task_uuid"], endpoint_id, item["http_status_code"]


async def test_an_argument_lives_as_long_as_its_task_is_open(service: TestedService) -> None:
    content = os.urandom(100)
    blob_id = await uploaded(service, content)
    _, endpoint_id, code = await submit(service, reference(blob_id, content))
    assert code == 200
    ((_, offer),) = await service.offers(1)
    assert offer.task.payload.decode() == reference(blob_id, content)
    assert (await service.request("DELETE", f"blobs/{blob_id}")).code == 409
    later = time.time() + 2 * DAY
    assert await service.web.blobs.expire(later) == 0
    await service.end(endpoint_id, offer)
    assert await service.web.blobs.expire(later) == 1
    assert (await service.request("GET", f"blobs/{blob_id}")).code == 404
    assert not list((service.folder / "large").iterdir())


@pytest.mark.parametrize("kind", ["foreign", "unknown", "unfinished", "malformed", "another hash", "another size"])
async def test_an_argument_that_cannot_be_used_is_refused(service: TestedService, kind: str) -> None:
    content = os.urandom(100)
    match kind:
        case "foreign":
            payload = reference(await uploaded(service, content, token=service.bob), content)
        case "unknown":
            payload = reference(new_blob_id(), content)
        case "unfinished":
            payload = reference((await created(service, content))["blob_id"], content)
        case "another hash":  # of something that somebody else has perhaps sent to the endpoint
            payload = reference(await uploaded(service, content), os.urandom(100))
        case "another size":
            blob_id = await uploaded(service, content)
            payload = BlobReference(blob_id, 99, sha256(content)).to_payload().decode()
        case _:
            payload = "rb\nnonsense"
    _, _, code = await submit(service, payload)
    assert code == (400 if kind == "malformed" else 404)


async def test_all_blobs_beside_a_payload_are_the_callers_or_the_task_is_refused(service: TestedService) -> None:
    own, foreign = os.urandom(100), os.urandom(100)
    mine = BlobReference(await uploaded(service, own), 100, sha256(own))
    theirs = BlobReference(await uploaded(service, foreign, token=service.bob), 100, sha256(foreign))
    task_id, endpoint_id, code = await submit(service, with_blobs(b"00\nx", [mine]).decode())
    assert code == 200
    assert (await service.request("DELETE", f"blobs/{mine.blob_id}")).code == 409  # a task needs it
    ((_, offer),) = await service.offers(1)
    await service.end(endpoint_id, offer, TaskResult(task_id, 1, TaskState.SUCCESS, b"pb\nx"))
    assert await service.web.blobs.expire(time.time() + 2 * DAY) == 2
    _, _, code = await submit(service, with_blobs(b"00\nx", [theirs]).decode())
    assert code == 404


@pytest.mark.parametrize("beside", [False, True])
async def test_an_endpoint_that_does_not_know_references_is_sent_none(service: TestedService, beside: bool) -> None:
    """F35"""
    content = os.urandom(100)
    blob_id = await uploaded(service, content)
    mine = BlobReference(blob_id, len(content), sha256(content))
    payload = with_blobs(b"00\nx", [mine]).decode() if beside else reference(blob_id, content)
    endpoint_id, function_id = new_endpoint_id(), await service.a_function()
    agent = {"endpoint_name": "theta", "endpoint_uuid": endpoint_id, "public_key": "A" * 40, "version": "0.0.9"}
    await service.post("endpoints", agent)
    body = {"tasks": [[function_id, endpoint_id, payload], [function_id, endpoint_id, "00\nx"]], "large_results": True}
    first, second = json.loads((await service.request("POST", "submit", body)).body)["results"]
    assert first["http_status_code"] == 409
    assert first["reason"].startswith("Endpoint 'theta' runs funcX 0.0.9, which cannot take ")
    assert "pip install -U" in first["reason"]
    assert second["http_status_code"] == 200
    await service.post("endpoints", {**agent, "features": [*FEATURES, "of_later_versions"]})
    (listed,) = [row for row in await service.get("endpoints") if row["uuid"] == endpoint_id]
    assert listed["features"] == [*FEATURES, "of_later_versions"]
    (again, _) = json.loads((await service.request("POST", "submit", body)).body)["results"]
    assert again["http_status_code"] == 200
    await service.post("endpoints", {**agent, "features": ["no word"]}, code=400)


async def test_a_result_belongs_to_who_submitted_the_task_and_lives_with_it(service: TestedService) -> None:
    content = os.urandom(100)
    task_id, endpoint_id, _ = await submit(service, "00\nx")
    ((_, offer),) = await service.offers(1)
    body = {"kind": "result", "task_id": task_id}
    await created(service, content, body=body, token=service.bob, code=404)  # not on an endpoint of his
    blob_id = await uploaded(service, content, body=body)
    value = reference(blob_id, content).encode()
    await service.end(endpoint_id, offer, TaskResult(task_id, 1, TaskState.SUCCESS, value))
    later = time.time() + 2 * DAY
    assert await service.web.blobs.expire(later) == 0
    assert (await service.get(f"tasks/{task_id}"))["result"].encode() == value
    assert await content_of(service, blob_id) == content


async def test_a_result_of_an_attempt_that_did_not_count_expires(service: TestedService) -> None:
    task_id, endpoint_id, _ = await submit(service, "00\nx")
    ((_, offer),) = await service.offers(1)
    lost = await uploaded(service, b"lost", body={"kind": "result", "task_id": task_id})
    await service.end(endpoint_id, offer)
    assert await service.web.blobs.expire(time.time() + 2 * DAY) == 1
    assert (await service.request("GET", f"blobs/{lost}")).code == 404


async def test_an_unfinished_upload_expires_after_a_day(service: TestedService) -> None:
    blob = await created(service, b"x" * 10)
    assert await service.web.blobs.expire(time.time() + DAY / 2) == 0
    assert await service.web.blobs.expire(time.time() + DAY + 1) == 1
    assert (await put(service, blob, 0, b"x" * 10)).code == 404


async def begun(service: TestedService, blob: dict[str, Any], content: bytes) -> asyncio.StreamWriter:
    """A request that has brought the first 1000 bytes of a chunk."""
    host, port = service.web.address.split("/")[2].split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"PUT /v2/blobs/{blob['blob_id']}/chunks/0 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {service.alice}\r\n"
        f"X-Chunk-SHA256: {sha256(content)}\r\nContent-Length: {CHUNK}\r\n\r\n"
    )
    writer.write(head.encode() + content[:1000])
    await writer.drain()
    return writer


async def test_a_connection_that_breaks_leaves_the_chunk_to_be_sent_again(service: TestedService) -> None:
    content = os.urandom(CHUNK)
    blob = await created(service, content)
    (await begun(service, blob, content)).transport.abort()
    await asyncio.sleep(0.05)
    assert (await put(service, blob, 0, content)).code == 200
    assert (await service.get(f"blobs/{blob['blob_id']}"))["received"] == [0]


async def test_a_connection_that_hangs_gives_way_to_the_next(service: TestedService) -> None:
    content = os.urandom(CHUNK)
    blob = await created(service, content)
    hanging = await begun(service, blob, content)
    answer = await put(service, blob, 0, content)
    for _ in range(50):
        if answer.code != 503:  # The one that hangs has not let go yet: clients try again.
            break
        await asyncio.sleep(0.02)
        answer = await put(service, blob, 0, content)
    assert answer.code == 200
    hanging.write(os.urandom(CHUNK - 1000))  # what it still brings is nobody's
    await service.post(f"blobs/{blob['blob_id']}/complete", {})
    assert await content_of(service, blob["blob_id"]) == content
    hanging.transport.abort()
